"""A segment's slices as a strip of colors, one pixel per slice, for its row in the table."""

from __future__ import annotations

import numpy as np

from ..scores import SegmentScore, dsc_color
from ..scores.colors import DEFAULT_SCALE
from .drawing import MISSED_COLOR, png_data_uri


def dsc_strip(segment: SegmentScore, scale: str = DEFAULT_SCALE) -> str:
    """PNG ``data:`` URI, inferior on the left, one pixel wide per slice; slices that were not scored are transparent.

    Missed slices are violet, and in the lower half only: they can be told from low ones without color vision.
    ``segment`` has at least one scored slice.
    """
    missed = segment.missed_slices
    shown = [s.k for s in segment.listed_slices]
    first = min(shown)
    pixels = np.zeros((2 if missed else 1, max(shown) - first + 1, 4), dtype=np.uint8)
    for s in segment.slices:
        pixels[:, s.k - first] = _opaque(dsc_color(s.predicted_dsc, scale))
    for s in missed:
        pixels[1, s.k - first] = _opaque(MISSED_COLOR)
    return png_data_uri(pixels)


def _opaque(rgb: tuple[float, float, float]) -> list[int]:
    return [*(round(255 * c) for c in rgb), 255]
