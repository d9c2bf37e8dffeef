"""Segmentation networks trained out-of-fold: their class probabilities, and their masks with real errors."""

from .folds import StageDice, out_of_fold, train_segmenters
from .network import SegmentationNetwork
from .options import SegmentationOptions
from .probabilities import Probabilities, read_probabilities, write_probabilities
from .training import train

__all__ = [
    "Probabilities",
    "SegmentationNetwork",
    "SegmentationOptions",
    "StageDice",
    "out_of_fold",
    "read_probabilities",
    "train",
    "train_segmenters",
    "write_probabilities",
]
