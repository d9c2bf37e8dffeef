"""What a plot of DSC along the slices of one segment shows."""

from __future__ import annotations

from dataclasses import dataclass

from .edits import Edit


@dataclass(frozen=True)
class StripPoint:
    """One slice of the plot.

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
