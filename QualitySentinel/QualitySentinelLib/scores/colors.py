"""The colour of a predicted DSC: the one scale of the report, the tags and the scene."""

from __future__ import annotations

import math
from itertools import pairwise

NO_SCORE_COLOR = (0.55, 0.55, 0.55)
"""RGB of a segment that has no score."""

COLOR_SCALE: tuple[tuple[float, tuple[float, float, float]], ...] = (
    (0.00, (0.57, 0.00, 0.15)),
    (0.50, (0.84, 0.15, 0.12)),
    (0.70, (0.96, 0.52, 0.16)),
    (0.80, (0.99, 0.84, 0.30)),
    (0.90, (0.55, 0.79, 0.36)),
    (1.00, (0.00, 0.50, 0.42)),
)
"""(DSC, RGB in 0..1), linear in between. Most of the scale is spent on 0.5..1, where segmentations differ.

Red and green ends differ in lightness and blue too, because a reader with red-green blindness sees little else.
"""


def dsc_color(dsc: float | None) -> tuple[float, float, float]:
    """RGB in 0..1 of a DSC: red is bad, yellow doubtful, green good; grey where there is no score (None, NaN).

    Example:
        >>> dsc_color(0.8)
        (0.99, 0.84, 0.3)
    """
    if dsc is None or math.isnan(dsc):
        return NO_SCORE_COLOR
    dsc = min(max(float(dsc), 0.0), 1.0)
    for (low, low_rgb), (high, high_rgb) in pairwise(COLOR_SCALE):
        if dsc <= high:
            share = (dsc - low) / (high - low)
            return tuple(a if share == 0 else b if share == 1 else a + share * (b - a)
                         for a, b in zip(low_rgb, high_rgb, strict=True))  # fmt: skip
    raise AssertionError("the scale ends at 1")
