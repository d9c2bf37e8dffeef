"""The figures of a review: of a segment, or of the whole case."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass


@dataclass(frozen=True)
class ReviewCounts:
    """What the threshold makes of a case, or of one segment, and how far a reader has come."""

    flagged: int = 0  # slices of the mask predicted below the threshold, accepted ones included, as in the tables
    missed: int = 0  # slices where the mask is missing; the threshold does not matter to them
    segments: int = 0  # segments that have any of either
    accepted: int = 0  # flagged or missed slices that were accepted
    # slices that would have been flagged or missed at their first score, whose mask was changed since, and that are
    # neither now
    corrected: int = 0
    open: int = 0  # flagged or missed slices left to look at, those that next and previous go through

    @classmethod
    def sum(cls, counts: Iterable[ReviewCounts]) -> ReviewCounts:
        """Those of several segments together."""
        return cls(*map(sum, zip(*map(astuple, counts), strict=True)))

    @property
    def done(self) -> int:
        """Slices dealt with."""
        return self.accepted + self.corrected

    @property
    def total(self) -> int:
        """Slices that need, or needed, a look."""
        return self.done + self.open

    @property
    def share(self) -> float:
        """``done`` of ``total``, 0..1; 1 when there is nothing to do."""
        return self.done / self.total if self.total else 1.0
