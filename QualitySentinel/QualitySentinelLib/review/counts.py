"""The figures that a panel shows of a review."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ReviewProgress:
    """How far a reader has come.

    Attributes:
        accepted: flagged or missed slices that were accepted.
        corrected: slices that would have been flagged or missed at their first score, whose mask was changed since,
            and that are neither now.
        open: flagged or missed slices left to look at.
    """

    accepted: int
    corrected: int
    open: int

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


@dataclass(frozen=True)
class ReviewCounts:
    """What the threshold makes of a case, or of one segment.

    Attributes:
        flagged: slices of the mask predicted below the threshold, accepted ones included, as in the tables.
        missed: slices where the mask is missing; the threshold does not matter to them.
        segments: segments that have any of either.
        progress: how many of these are dealt with.
    """

    flagged: int
    missed: int
    segments: int
    progress: ReviewProgress

    @property
    def open(self) -> int:
        """Slices left to look at, those that next and previous go through."""
        return self.progress.open
