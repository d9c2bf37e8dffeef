"""A segment's slices as a strip of colours, one pixel per slice, for its row in the table."""

from __future__ import annotations

import numpy as np

from ..scores import SegmentScore, dsc_color
from .drawing import png_data_uri


def dsc_strip(segment: SegmentScore) -> str:
    """PNG ``data:`` URI, one pixel high, inferior on the left; slices that were not scored are transparent.

    ``segment`` has at least one scored slice.
    """
    first = min(s.k for s in segment.slices)
    pixels = np.zeros((1, max(s.k for s in segment.slices) - first + 1, 4), dtype=np.uint8)
    for s in segment.slices:
        pixels[0, s.k - first] = [*(round(255 * c) for c in dsc_color(s.predicted_dsc)), 255]
    return png_data_uri(pixels)
