"""Error makers: small segmentation networks trained out-of-fold, whose predictions become masks with real errors."""

from .train import SegmenterOptions, StageDice, train_segmenters

__all__ = ["SegmenterOptions", "StageDice", "train_segmenters"]
