"""The overview of a case: a coronal and a sagittal plane with every segment in the color of its predicted DSC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from PIL import ImageDraw
from scipy import ndimage

from ..anatomy.windows import WIDE
from ..scores import CaseScore, dsc_color
from ..volume import CtVolume, Segment, Segmentation
from .drawing import (
    blend,
    draw_scale_bar,
    fill_and_line,
    font,
    gray_values,
    jpeg_data_uri,
    scaled_gray,
    to_image,
    write_orientation,
)

_LARGEST_PX = (450, 620)
_NUMBERED = 10
"""So many of the worst segments in a plane carry their rank; more would cover the picture."""
_LEAST_PX_NUMBERED = 60


@dataclass(frozen=True)
class OverviewPicture:
    """A reformatted plane of the case.

    Attributes:
        plane: ``"Coronal"`` or ``"Sagittal"``.
        uri: the picture as a ``data:`` URI.
        width, height: pixels.
        ranks: ranks of the segments that are numbered on it.
    """

    plane: str
    uri: str
    width: int
    height: int
    ranks: tuple[int, ...]


def overview_pictures(
    case_score: CaseScore, ct: CtVolume, segmentation: Segmentation, ranks: Mapping[str, int]
) -> list[OverviewPicture]:
    """The coronal and the sagittal plane that show most, the worst segments first of all.

    Args:
        case_score, ct, segmentation: the case; masks are read one axial slice at a time.
        ranks: rank of each segment by id, 1 for the worst; drawn on the worst ones.
    """
    dsc = {s.segment_id: s.predicted_dsc for s in case_score.segments}
    segments = [s for s in segmentation if not s.is_empty]
    interest = [np.zeros(ct.frame.shape[1]), np.zeros(ct.frame.shape[2])]
    sizes = {}
    for segment in segments:
        profiles = _profiles(segment)
        sizes[segment.id] = float(profiles[0].sum())
        score = dsc.get(segment.id)
        weight = 0.1 if score is None else 0.5 + 2.0 * (1.0 - score)
        for axis, profile in enumerate(profiles):
            interest[axis][segment.box[axis + 1]] += weight * profile / max(profile.max(), 1)
    segments.sort(key=lambda s: -sizes[s.id])  # large ones first, so that what lies inside them stays in sight
    pictures = []
    for axis, plane in ((0, "Coronal"), (1, "Sagittal")):
        index = int(interest[axis].argmax()) if segments else ct.frame.shape[axis + 1] // 2
        pictures.append(_picture(plane, axis, index, ct, segments, dsc, ranks))
    return pictures


def _profiles(segment: Segment) -> tuple[np.ndarray, np.ndarray]:
    """Mask voxels in each coronal and each sagittal plane of the segment's box."""
    rows = np.zeros(segment.labels.shape[1], dtype=np.int64)
    columns = np.zeros(segment.labels.shape[2], dtype=np.int64)
    for plane in segment.labels:
        mask = plane == segment.value
        rows += mask.sum(axis=1)
        columns += mask.sum(axis=0)
    return rows, columns


def _picture(
    plane: str,
    axis: int,
    index: int,
    ct: CtVolume,
    segments: list[Segment],
    dsc: Mapping[str, float | None],
    ranks: Mapping[str, int],
) -> OverviewPicture:
    depth, across = ct.frame.shape[0], ct.frame.shape[2 - axis]
    k_mm, across_mm = ct.frame.spacing[0], ct.frame.spacing[2 - axis]
    widest_mm = max(n * mm for n, mm in zip(ct.frame.shape[1:], ct.frame.spacing[1:], strict=True))
    px_per_mm = min(_LARGEST_PX[0] / widest_mm, _LARGEST_PX[1] / (depth * k_mm))  # both planes at one scale
    size = (max(1, round(across * across_mm * px_per_mm)), max(1, round(depth * k_mm * px_per_mm)))
    box = (0, 0, across, depth)

    hu = ct.hu[:, index, :] if axis == 0 else ct.hu[:, :, index]
    picture = np.repeat(scaled_gray(gray_values(hu, WIDE)[::-1], size, box)[..., None], 3, axis=2)  # superior on top
    places: dict[int, tuple[int, int]] = {}
    for segment in segments:
        if not segment.box[axis + 1].start <= index < segment.box[axis + 1].stop:
            continue
        offset = index - segment.box[axis + 1].start
        inner = (segment.labels[:, offset, :] if axis == 0 else segment.labels[:, :, offset]) == segment.value
        if not inner.any():
            continue
        mask = np.zeros((depth, across), dtype=bool)
        mask[segment.box[0], segment.box[2 - axis]] = inner
        fill, line = fill_and_line(mask[::-1], size, box, line_px=1.4)
        color = dsc_color(dsc.get(segment.id))
        blend(picture, color, fill * 0.42)
        blend(picture, color, line * 0.95)
        if dsc.get(segment.id) is not None and (fill > 0.5).sum() >= _LEAST_PX_NUMBERED:
            inside = ndimage.distance_transform_cdt(np.pad(fill > 0.5, 1))[1:-1, 1:-1]
            row, column = np.unravel_index(inside.argmax(), inside.shape)
            places[ranks[segment.id]] = (int(column), int(row))
    image = to_image(picture)
    draw = ImageDraw.Draw(image)
    numbered = sorted(places)[:_NUMBERED]
    for rank in reversed(numbered):
        _number(draw, size, places[rank], rank)
    write_orientation(draw, size, *(("R", "L", "S", "I") if axis == 0 else ("A", "P", "S", "I")))
    draw_scale_bar(draw, size, px_per_mm)
    return OverviewPicture(plane, jpeg_data_uri(image, 88), *size, tuple(numbered))


def _number(draw: ImageDraw.ImageDraw, size: tuple[int, int], place: tuple[int, int], rank: int) -> None:
    width, height = size
    half = 9 if rank < 10 else 11
    x, y = min(max(place[0], half + 2), width - half - 3), min(max(place[1], 12), height - 13)
    if abs(x - width / 2) < half + 8 and not 24 < y < height - 25:
        x = width / 2 + (half + 9 if x >= width / 2 else -half - 9)  # beside the letter S or I, not under it
    draw.rounded_rectangle([x - half, y - 9, x + half, y + 9], 9, fill=(20, 20, 20), outline="white")
    draw.text((x, y), str(rank), fill="white", font=font(13), anchor="mm")
