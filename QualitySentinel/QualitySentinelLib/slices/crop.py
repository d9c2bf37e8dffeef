"""Where to crop a slice: the published rule in pixels, and ours in millimeters.

A crop box is ``(row start, row stop, column start, column stop)``, half open, in pixel edges: pixel r covers r..r+1.
"""

from __future__ import annotations

from ..volume.segmentation import Extent
from .preset import Preset

CropBox = tuple[float, float, float, float]


def published_crop(
    extent: Extent, shape: tuple[int, int], row_margin: int = 20, column_margin: int = 20
) -> tuple[int, int, int, int]:
    """The published crop (``crop_slices`` of Quality Sentinel), with its oddities.

    The margin is measured from the first and the *last* mask pixel, so that one pixel less remains below and right; the
    shorter side then grows by ``floor(difference / 2)`` at both ends; both steps are clipped to the image, which leaves
    the box not square at borders.

    Args:
        extent: half-open extent of the mask.
        shape: rows and columns of the slice.
        row_margin: pixels above and below; 20 at inference.
        column_margin: pixels left and right; 20 at inference.
    """
    height, width = shape
    top, bottom = max(extent[0] - row_margin, 0), min(extent[1] - 1 + row_margin, height)
    left, right = max(extent[2] - column_margin, 0), min(extent[3] - 1 + column_margin, width)
    growth = ((bottom - top) - (right - left)) // 2
    if growth > 0:
        left, right = max(left - growth, 0), min(right + growth, width)
    growth = ((right - left) - (bottom - top)) // 2
    if growth > 0:
        top, bottom = max(top - growth, 0), min(bottom + growth, height)
    return top, bottom, left, right


def square_crop(extent: Extent, spacing: tuple[float, ...], preset: Preset) -> CropBox:
    """Our crop: a square in mm, centered on the mask's extent. It may reach outside the image (padded, not distorted).

    Its side is the largest of ``min_side_mm``, the mask's larger extent plus twice ``margin_mm``, and
    ``extent_factor`` times that extent.

    Args:
        extent: half-open extent of the mask, pixels.
        spacing: mm per row and per column.
        preset: gives the three lengths.
    """
    row_mm, column_mm = spacing
    reach = max((extent[1] - extent[0]) * row_mm, (extent[3] - extent[2]) * column_mm)
    half = max(preset.min_side_mm, reach + 2 * preset.margin_mm, reach * preset.extent_factor) / 2
    row, column = (extent[0] + extent[1]) / 2, (extent[2] + extent[3]) / 2
    return row - half / row_mm, row + half / row_mm, column - half / column_mm, column + half / column_mm


def crop_box(extent: Extent, shape: tuple[int, int], spacing: tuple[float, ...], preset: Preset) -> CropBox:
    """The crop that ``preset`` asks for at inference."""
    if preset.crop == "pixels":
        return published_crop(extent, shape, preset.margin_px, preset.margin_px)
    return square_crop(extent, spacing, preset)
