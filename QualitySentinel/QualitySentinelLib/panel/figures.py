"""The figures of a review, segment by segment, so that only those of changed segments are counted anew."""

from __future__ import annotations

from collections.abc import Iterable

from ..review import ReviewCounts, ReviewProgress, ReviewSession

NOTHING = ReviewCounts(0, 0, 0, ReviewProgress(0, 0, 0))


class Figures:
    """Counts of each segment of a review. Counting a large case takes longer than a slider may."""

    def __init__(self) -> None:
        self._counts: dict[str, ReviewCounts] = {}

    def update(self, session: ReviewSession | None, segment_ids: Iterable[str] | None = None) -> None:
        """Count these segments anew, and those that are not known; all of them for ``None``; drop those that went."""
        ids = [] if session is None else [s.segment_id for s in session.segments]
        stale = set(ids if segment_ids is None else segment_ids)
        old = self._counts
        self._counts = {i: session.segment_counts(i) if i in stale or i not in old else old[i] for i in ids}

    def of(self, segment_id: str | None) -> ReviewCounts:
        """The figures of a segment; zeros for ``None``."""
        return self._counts.get(segment_id, NOTHING)

    @property
    def total(self) -> ReviewCounts:
        """The figures of the case."""
        counts = list(self._counts.values())
        progress = [c.progress for c in counts]
        return ReviewCounts(
            sum(c.flagged for c in counts),
            sum(c.missed for c in counts),
            sum(c.segments for c in counts),
            ReviewProgress(
                sum(p.accepted for p in progress), sum(p.corrected for p in progress), sum(p.open for p in progress)
            ),
        )
