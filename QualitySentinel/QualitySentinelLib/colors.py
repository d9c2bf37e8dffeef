"""The color of a predicted DSC: the scales of the report, the tags and the scene."""

from __future__ import annotations

import math

import numpy as np

from .errors import UsageError

Stops = tuple[tuple[float, tuple[float, float, float]], ...]
"""(DSC, RGB in 0..1), ascending from 0 to 1; linear in between."""

NO_SCORE_COLOR = (0.55, 0.55, 0.55)
"""RGB of what has no score."""

COLOR_SCALE: Stops = (
    (0.00, (0.57, 0.00, 0.15)),
    (0.50, (0.84, 0.15, 0.12)),
    (0.70, (0.96, 0.52, 0.16)),
    (0.80, (0.99, 0.84, 0.30)),
    (0.90, (0.55, 0.79, 0.36)),
    (1.00, (0.00, 0.50, 0.42)),
)
"""Red, yellow, green. Most of the scale is spent on 0.5..1, where segmentations differ.

Red and green ends differ in lightness and blue too, because a reader with red-green blindness sees little else.
"""

COLOR_BLIND_SAFE: Stops = (
    (0.00, (1.00, 0.93, 0.40)),
    (0.50, (1.00, 0.77, 0.15)),
    (0.70, (0.94, 0.52, 0.18)),
    (0.80, (0.78, 0.36, 0.42)),
    (0.90, (0.46, 0.26, 0.62)),
    (1.00, (0.08, 0.18, 0.60)),
)
"""Bright yellow over orange to dark blue: the better, the darker, so that the order is seen without any hue.

Bad slices are the bright ones, because the views are dark.
"""

DEFAULT_SCALE = "red-yellow-green"
SCALES: dict[str, Stops] = {DEFAULT_SCALE: COLOR_SCALE, "color-blind-safe": COLOR_BLIND_SAFE}
"""The scales by name."""


def dsc_color(dsc: float | None, scale: str = DEFAULT_SCALE) -> tuple[float, float, float]:
    """RGB in 0..1 of a DSC; gray where there is no score (None, NaN). Values beyond 0..1 take the end's color.

    Raises:
        UsageError: there is no such scale.

    Example:
        >>> dsc_color(0.8)
        (0.99, 0.84, 0.3)
    """
    stops = check_scale(scale)
    if dsc is None or math.isnan(dsc):
        return NO_SCORE_COLOR
    at, colors = zip(*stops, strict=True)
    red, green, blue = (float(np.interp(dsc, at, channel)) for channel in zip(*colors, strict=True))
    return red, green, blue


def check_scale(scale: str) -> Stops:
    """The stops of a scale; a ``UsageError`` where there is none of this name."""
    if scale not in SCALES:
        raise UsageError(f"{scale}: no such color scale; choose one of {', '.join(SCALES)}")
    return SCALES[scale]


def css_color(rgb: tuple[float, float, float]) -> str:
    """RGB in 0..1 as CSS has it, ``#rrggbb``."""
    return "#" + "".join(f"{round(255 * c):02x}" for c in rgb)
