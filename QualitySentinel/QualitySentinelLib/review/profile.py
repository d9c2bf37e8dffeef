"""The slice profile: DSC along the slices of one segment. And the figures of a segment or of a case."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass

from .edits import Edit


@dataclass(frozen=True)
class ProfileSlice:
    """One slice of the profile.

    Attributes:
        k: canonical slice index, inferior to superior.
        slice_index: the file's own number of the slice.
        position_mm: patient S coordinate, mm.
        dsc: predicted DSC, 0..1; of a missed slice the predicted probability that nothing is missed.
        low, high: interval around it, or ``None``.
        flagged: the mask's slice is predicted below the threshold.
        missed: the mask has no voxel here, but the structure is expected.
        accepted: a reader found it fine.
        edit: how its mask differs from that of its first score; ``None`` when it is the same.
    """

    k: int
    slice_index: int
    position_mm: float
    dsc: float
    low: float | None
    high: float | None
    flagged: bool
    missed: bool
    accepted: bool
    edit: Edit | None


@dataclass(frozen=True)
class ReviewCounts:
    """What the threshold makes of a case, or of one segment, and how far a reader has come.

    Attributes:
        flagged: slices of the mask predicted below the threshold, accepted ones included, as in the tables.
        missed: slices where the mask is missing; the threshold does not matter to them.
        segments: segments that have any of either.
        accepted: flagged or missed slices that were accepted.
        corrected: slices that would have been flagged or missed at their first score, whose mask was changed since,
            and that are neither now.
        open: flagged or missed slices left to look at, those that next and previous go through.
    """

    flagged: int = 0
    missed: int = 0
    segments: int = 0
    accepted: int = 0
    corrected: int = 0
    open: int = 0

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
