"""Which slices get a picture, and the picture of one: CT around the mask, the mask's contour, orientation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..anatomy import WindowPreset, window_of
from ..scores import SegmentScore, SliceScore
from ..suggestions import EXPECTED_COLOR, ErrorMap
from ..volume import CtVolume, Segment
from ..volume.segmentation import paste
from .drawing import Picture, data_uri, fitting_window, gray_values

PER_SEGMENT = 3
MAX_PICTURES = 80
"""Keeps the page of a case with 60 segments below 6 MB, and gives each of them a picture."""
_WHEN_NOTHING_IS_FLAGGED = 6

PICTURE_PX = 360
CONTOUR_COLOR = (0.0, 0.93, 1.0)
"""Cyan: on no tissue, and nowhere on the DSC scale."""

GHOST_COLOR = (0.85, 0.55, 1.0)
"""Light violet, of the contour of a mask in another slice."""
_DASH_PX = 7

_MARGIN_MM = 25.0
_LEAST_SIDE_MM = 80.0
"""Smaller crops show a small mask without the anatomy that tells where it lies."""


def worst_slices(
    segments: Sequence[SegmentScore], per_segment: int = PER_SEGMENT, at_most: int = MAX_PICTURES
) -> dict[str, list[SliceScore]]:
    """Slices to picture, flagged or missed, by segment id, worst first; segments worst first too.

    Every segment with such slices gets its worst one before any gets its second. Within a segment, slices
    next to one already chosen are passed over, because they look the same. When nothing is flagged, the lowest
    slice of each of the lowest segments is taken, so that the page is never without pictures.
    """
    ranked: list[tuple[int, float, SliceScore]] = []
    for segment in segments:
        for turn, slice_score in enumerate(_spread(segment, per_segment)):
            ranked.append((turn, slice_score.predicted_dsc, slice_score))
    if not ranked:
        lowest = [min(s.slices, key=lambda x: x.predicted_dsc) for s in segments if s.slices]
        ranked = [(0, s.predicted_dsc, s) for s in lowest]
        at_most = min(at_most, _WHEN_NOTHING_IS_FLAGGED)
    ranked.sort(key=lambda entry: entry[:2])
    chosen: dict[str, list[SliceScore]] = {}
    for _, _, slice_score in ranked[:at_most]:
        chosen.setdefault(slice_score.segment_id, []).append(slice_score)
    return chosen


def _spread(segment: SegmentScore, count: int) -> list[SliceScore]:
    """Up to ``count`` flagged or missed slices, worst first, no two closer than an eighth of the segment."""
    apart = max(2, segment.n_slices // 8)
    chosen: list[SliceScore] = []
    doubtful = [s for s in segment.listed_slices if s.is_doubtful]
    for slice_score in sorted(doubtful, key=lambda s: s.predicted_dsc):
        if len(chosen) < count and all(abs(slice_score.k - other.k) >= apart for other in chosen):
            chosen.append(slice_score)
    return chosen


class SlicePicture(NamedTuple):
    """A picture as a JPEG ``data:`` URI, and the window its gray values were made with."""

    uri: str
    window: WindowPreset


def slice_picture(
    ct: CtVolume,
    segment: Segment,
    k: int,
    px: int = PICTURE_PX,
    mask_from: int | None = None,
    errors: ErrorMap | None = None,
) -> SlicePicture:
    """Canonical slice ``k`` around the segment's mask, square, radiological orientation, in the structure's window.

    Args:
        mask_from: for a slice without mask: the slice whose mask is drawn, dashed, to show where it would be.
        errors: of the slice; the expected contour is drawn, dashed, where it is not the mask's.

    Raises:
        ValueError: the segment has no voxel in the slice whose mask is to be drawn.
    """
    masked = k if mask_from is None else mask_from
    cut, extent = segment.cut_mask(masked)
    if extent is None:
        raise ValueError(f"{segment.id}: no mask in slice {masked}")
    row, last_row, column, last_column = extent
    _, row_mm, column_mm = ct.frame.spacing
    _, height, width = ct.frame.shape
    longest = max((last_row - row) * row_mm, (last_column - column) * column_mm)
    whole = max(height * row_mm, width * column_mm) * 1.05  # a contour along the CT's own edge stays in sight
    side = min(max(longest + 2 * _MARGIN_MM, _LEAST_SIDE_MM), whole)
    # in pixel edges, left, top, right, bottom
    middle, half = np.array([column + last_column, row + last_row]) / 2, side / 2 / np.array([column_mm, row_mm])
    edges = [*(middle - half), *(middle + half)]

    c0, r0 = (int(np.floor(e)) for e in edges[:2])
    c1, r1 = (int(np.ceil(e)) for e in edges[2:])
    gray = np.zeros((r1 - r0, c1 - c0), dtype=np.uint8)  # beyond the CT: black
    window = fitting_window(window_of(segment.structure or segment.name), ct.hu[k, row:last_row, column:last_column])
    paste(gray, gray_values(ct.hu[k], window), (-r0, -c0))
    box = (edges[0] - c0, edges[1] - r0, edges[2] - c0, edges[3] - r0)
    picture = Picture(gray, (px, px), box)
    expected = None if errors is None else errors.expected()
    if expected is None or mask_from is None or not expected.any():
        drawn = _placed(cut, (row - r0, column - c0), gray.shape)
        _draw_contour(picture, drawn, CONTOUR_COLOR if mask_from is None else GHOST_COLOR, mask_from is not None)
    if errors is not None and (expected != errors.mask).any():
        drawn = _placed(expected, (errors.corner[0] - r0, errors.corner[1] - c0), gray.shape)
        _draw_contour(picture, drawn, EXPECTED_COLOR, dashed=True)
    image, _ = picture.labeled("RLAP", px / side)
    return SlicePicture(data_uri(image, "jpeg", quality=86, subsampling=0), window)  # crisp contours


def _placed(mask: np.ndarray, corner: tuple[int, int], shape: tuple[int, int]) -> np.ndarray:
    """A mask whose first pixel is pixel ``corner`` of a plane of ``shape``, as far as it lies in it."""
    plane = np.zeros(shape, dtype=bool)
    paste(plane, mask, corner)
    return plane


def _draw_contour(picture: Picture, mask: np.ndarray, color: tuple[float, float, float], dashed: bool) -> None:
    """The contour of a mask, with a dark halo."""
    _, halo = picture.fill_and_line(mask, 4.4 if dashed else 3.2)
    _, line = picture.fill_and_line(mask, 3.0 if dashed else 2.0)
    if dashed:
        dashes = (np.indices(line.shape) // _DASH_PX).sum(axis=0) % 2  # a chessboard over the line
        halo, line = halo * dashes, line * dashes
    picture.paint((0, 0, 0), halo * 0.55)
    picture.paint(color, line)
