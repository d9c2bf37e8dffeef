"""Error makers: small segmentation networks trained out-of-fold, whose predictions become masks with real errors."""

from .sources import Source, case_sources, openkbp_sources, phantom_sources, sources_in
from .train import SegmenterOptions, StageDice, train_segmenters

__all__ = [
    "SegmenterOptions",
    "Source",
    "StageDice",
    "case_sources",
    "openkbp_sources",
    "phantom_sources",
    "sources_in",
    "train_segmenters",
]
