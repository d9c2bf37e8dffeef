"""Which slices of a segment are scored."""

from __future__ import annotations

import numpy as np

from ..errors import UsageError
from ..volume import Segment

SliceChoice = int | str
"""A number of slices per segment, ``"all"``, or ``"published"`` (the ten positions of the published code)."""

_PUBLISHED_SLICES = 10


def parse_slice_choice(text: SliceChoice) -> SliceChoice:
    """``all``, ``published`` or a whole number of at least 1.

    Raises:
        UsageError: anything else.
    """
    if text in ("all", "published"):
        return text
    try:
        number = int(text)
    except (TypeError, ValueError):
        number = 0
    if number < 1:
        raise UsageError(f"slices must be 'all', 'published' or a number of at least 1, not {text!r}")
    return number


def plan_slices(segment: Segment, slices: SliceChoice = "all", from_top: bool = False) -> list[int]:
    """Canonical k of the slices to score, ascending; only slices that hold mask voxels.

    A number N spreads N slices evenly over the segment's occupied slices, both ends included (a single one is
    the middle). ``"published"`` reproduces the published positions int(n/10*k), which never reach the last slice;
    they are counted from the top when ``from_top`` (a file stored from superior to inferior).
    """
    occupied = segment.occupied_slices()
    count = len(occupied)
    if slices == "all" or count == 0:
        chosen = np.arange(count)
    elif slices == "published":
        steps = np.arange(_PUBLISHED_SLICES)
        chosen = (count / _PUBLISHED_SLICES * steps).astype(int) if count > _PUBLISHED_SLICES else np.arange(count)
        chosen = np.sort(count - 1 - chosen) if from_top else chosen
    elif int(slices) == 1:
        chosen = np.array([(count - 1) // 2])
    else:
        chosen = np.unique(np.rint(np.linspace(0, count - 1, min(int(slices), count))).astype(int))
    return [int(k) for k in occupied[chosen]]
