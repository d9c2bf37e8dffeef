"""Pairs of network input and true DSC: made from candidate masks, kept in one compact file per subject."""

from .columns import Pairs, quantised, restored
from .file import PairFile, owner_of, pair_files, write_pairs
from .make import make_pairs
