"""Layer 7: the state of a review and everything a reader can do in it. Knows no Qt, no VTK, no Slicer and no torch."""

from .changes import ScoreChanges, SegmentChange, SliceChange
from .counts import ReviewCounts, ReviewProgress
from .edits import Edit, Effect
from .events import Changed, ReviewEvent
from .refs import SliceRef
from .rows import (
    review_document,
    review_segment_rows,
    review_slice_rows,
)
from .session import ReviewSession
from .state import SCHEMA
from .strip import StripPoint
from .words import verdict
