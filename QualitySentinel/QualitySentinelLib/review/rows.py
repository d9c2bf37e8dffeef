"""The slice table of a review: that of the scores, with what the reader did."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..scores.tables import SLICE_COLUMNS, slice_rows

if TYPE_CHECKING:
    from .session import ReviewSession

REVIEW_SLICE_COLUMNS = (*SLICE_COLUMNS, "accepted", "corrected", "first_dsc")


def review_slice_rows(session: ReviewSession) -> Iterator[tuple[object, ...]]:
    """Values of ``REVIEW_SLICE_COLUMNS``: the rows of ``slices.csv`` in its order, three values longer.

    ``accepted`` and ``corrected`` are 0 or 1; ``first_dsc`` is the predicted DSC before the correction, ``None`` for
    slices that were not corrected or had no score then. Slices whose mask was erased have no row, because they are
    no slices of the mask any more; :meth:`ReviewSession.corrections` has them.
    """
    before = {(c.segment_id, c.k): c.dsc_before for c in session.corrections()}
    points = ((s.segment_id, point) for s in session.case.segments for point in session.strip(s.segment_id))
    for row, (segment_id, point) in zip(slice_rows(session.case), points, strict=True):
        yield *row, int(point.accepted), int(point.corrected), before.get((segment_id, point.k))
