"""The training loop (Lightning): options, pairs streamed from disk, the loss on a network, and resuming."""

from .fit import fit
from .options import TrainingOptions, read_options
