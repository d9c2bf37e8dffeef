"""Layer 7: the state of a review and everything a reader can do in it. Knows no Qt, no VTK, no Slicer and no torch."""

from .cases import SliceRef
from .edits import Edit, Effect
from .events import Changed, ReviewEvent
from .presenter import ReviewPresenter
from .rescoring import Rescoring
from .rows import ReviewCounts, review_document, review_segment_rows, review_slice_rows, score_tables
from .session import ReviewSession
