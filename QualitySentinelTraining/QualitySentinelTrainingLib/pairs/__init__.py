"""Pairs of network input and true DSC: made from candidate masks, kept in one compact file per subject."""

from .columns import Pairs, quantised, restored
from .file import PairFile, pair_files, write_pairs
from .make import make_pairs

__all__ = ["PairFile", "Pairs", "make_pairs", "pair_files", "quantised", "restored", "write_pairs"]
