"""Which slices of a segment are scored: those of its mask, and empty ones that may have been missed."""

from __future__ import annotations

import numpy as np

from ..options import SliceChoice
from ..volume import Segment

_PUBLISHED_SLICES = 10
REACH_MM = 10.0
"""How far beyond its ends a mask is searched for missed slices when the model's calibration does not say."""
INNER_REACH_MM = 45.0
"""How far from the mask a gap inside it is searched: where the neighbour that shows the network the place has faded
to a twentieth. A stray voxel far away must not make a whole body of candidates."""


def plan_slices(segment: Segment, slices: SliceChoice = "all", from_top: bool = False) -> list[int]:
    """Canonical k of the slices to score, ascending; only slices that hold mask voxels.

    A number N cuts the occupied slices into N equal parts and takes the middle one of each: the small slices at
    the ends of an organ, which its first and last slice are, say little of the rest. ``"published"`` reproduces the
    published positions int(n/10*k), which never reach the last slice; they are counted from the top when ``from_top``
    (a file stored from superior to inferior).
    """
    occupied = segment.occupied_slices()
    count = len(occupied)
    if slices == "all" or count == 0:
        chosen = np.arange(count)
    elif slices == "published":
        steps = np.arange(_PUBLISHED_SLICES)
        chosen = (count / _PUBLISHED_SLICES * steps).astype(int) if count > _PUBLISHED_SLICES else np.arange(count)
        chosen = np.sort(count - 1 - chosen) if from_top else chosen
    else:
        parts = min(int(slices), count)
        chosen = ((np.arange(parts) + 0.5) * count / parts).astype(int)
    return [int(k) for k in occupied[chosen]]


def slices_within(reach_mm: float, spacing_mm: float) -> int:
    """How many slices a reach spans: at least one."""
    return max(1, int(reach_mm / spacing_mm + 1e-6))


def empty_slices(occupied: np.ndarray, depth: int, spacing_mm: float, reach_mm: float = REACH_MM) -> dict[int, int]:
    """Slices without a mask that may have been missed, each with the nearest slice of the mask.

    They are the empty slices between the first and the last of the mask that lie within ``INNER_REACH_MM`` of it (or
    ``reach_mm``, if that is more), and beyond either end those within ``reach_mm``, at least one where the CT goes on.
    Of two slices equally near, the inferior one is the nearest.

    Args:
        occupied: canonical k of the slices that hold the mask, ascending; any number.
        depth: slices of the CT.
        spacing_mm: distance of neighbouring slices.
        reach_mm: 0 or more.

    Returns:
        canonical k of the empty slice to that of the nearest slice of the mask, ascending; empty for an empty mask.
    """
    if not len(occupied):
        return {}
    beyond = slices_within(reach_mm, spacing_mm)
    candidates = np.arange(max(0, occupied[0] - beyond), min(depth, occupied[-1] + beyond + 1))
    empty = np.setdiff1d(candidates, occupied)
    above = np.searchsorted(occupied, empty).clip(1, max(1, len(occupied) - 1))
    below, above = occupied[above - 1], occupied[np.minimum(above, len(occupied) - 1)]
    nearest = np.where(np.abs(empty - below) <= np.abs(above - empty), below, above)
    most = slices_within(max(reach_mm, INNER_REACH_MM), spacing_mm)
    return {int(k): int(near) for k, near in zip(empty, nearest, strict=True) if abs(k - near) <= most}
