"""The overview of a case: planes of the CT with every segment in the color of its predicted DSC."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from PIL import ImageDraw
from scipy import ndimage

from ..anatomy.windows import WIDE
from ..colors import DEFAULT_SCALE, SCALES
from ..scores import CaseScore, dsc_color
from ..volume import CtVolume, Segment, Segmentation
from .drawing import Picture, data_uri, font, gray_values

_PLANES = ("Axial", "Coronal", "Sagittal")
_EDGES = ("RLAP", "RLSI", "APSI")
"""Patient directions at the left, right, top and bottom; both by the axis that the plane is across: k, j, i."""
_THIN = 0.25
"""A stack less high than this share of its width is shown in an axial plane: the others would be mere strips."""
_LARGEST_PX = (450, 620)
_NUMBERED = 10
"""So many of the worst segments in a plane carry their rank; more would cover the picture."""
_LEAST_PX_NUMBERED = 60
_APART_PX = 22
"""Two numbers nearer than this would cover each other: only the worse segment gets its own."""


@dataclass(frozen=True)
class OverviewPicture:
    """A plane of the case as ``data:`` URIs by color scale, with the ranks of the segments that are numbered on it."""

    plane: str
    uris: Mapping[str, str]
    width: int
    height: int
    ranks: tuple[int, ...]


def overview_pictures(
    case_score: CaseScore, ct: CtVolume, segmentation: Segmentation, ranks: Mapping[str, int]
) -> list[OverviewPicture]:
    """The coronal and the sagittal plane that show most of the worst segments; of a thin stack, the axial plane.

    ``ranks``: of each segment by id, 1 for the worst; drawn on the worst ones.
    """
    dsc = {s.segment_id: s.predicted_dsc for s in case_score.segments}
    segments = [s for s in segmentation if not s.is_empty]
    interest = [np.zeros(n) for n in ct.frame.shape]
    sizes = {}
    for segment in segments:
        profiles = _profiles(segment)
        sizes[segment.id] = float(profiles[0].sum())
        score = dsc.get(segment.id)
        weight = 0.1 if score is None else 0.5 + 2.0 * (1.0 - score)
        for axis, profile in enumerate(profiles):
            interest[axis][segment.box[axis]] += weight * profile / max(profile.max(), 1)
    segments.sort(key=lambda s: -sizes[s.id])  # large ones first, so that what lies inside them stays in sight
    mm = [n * spacing for n, spacing in zip(ct.frame.shape, ct.frame.spacing, strict=True)]
    axes = (0,) if mm[0] < _THIN * max(mm[1:]) else (1, 2)
    sides = [(mm[columns], mm[rows]) for rows, columns in map(_others, axes)]
    px_per_mm = min(_LARGEST_PX[n] / max(side[n] for side in sides) for n in (0, 1))  # all planes at one scale
    pictures = []
    for axis in axes:
        index = int(interest[axis].argmax()) if segments else ct.frame.shape[axis] // 2
        pictures.append(_picture(axis, index, px_per_mm, ct, segments, dsc, ranks))
    return pictures


def _others(axis: int) -> tuple[int, ...]:
    """The axes that run down and across a plane across ``axis``."""
    return tuple(a for a in range(3) if a != axis)


def _profiles(segment: Segment) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mask voxels in each axial, coronal and sagittal plane of the segment's box."""
    rows = np.zeros(segment.labels.shape[1], dtype=np.int64)
    columns = np.zeros(segment.labels.shape[2], dtype=np.int64)
    for plane in segment.labels:
        mask = plane == segment.value
        rows += mask.sum(axis=1)
        columns += mask.sum(axis=0)
    return segment.areas, rows, columns


def _picture(
    axis: int,
    index: int,
    px_per_mm: float,
    ct: CtVolume,
    segments: list[Segment],
    dsc: Mapping[str, float | None],
    ranks: Mapping[str, int],
) -> OverviewPicture:
    down, across = _others(axis)
    shape, spacing = ct.frame.shape, ct.frame.spacing
    upward = slice(None, None, -1 if down == 0 else 1)  # superior, or anterior, on top
    width, height = (max(1, round(shape[a] * spacing[a] * px_per_mm)) for a in (across, down))
    size = width, height
    box = (0, 0, shape[across], shape[down])

    def plane_at(volume: np.ndarray, number: int) -> np.ndarray:
        return volume[tuple(number if a == axis else slice(None) for a in range(3))]

    gray = gray_values(plane_at(ct.hu, index), WIDE)[upward]
    pictures = {scale: Picture(gray, size, box) for scale in SCALES}
    places: dict[int, tuple[int, int]] = {}
    for segment in segments:
        if not segment.box[axis].start <= index < segment.box[axis].stop:
            continue
        inner = plane_at(segment.labels, index - segment.box[axis].start) == segment.value
        if not inner.any():
            continue
        mask = np.zeros((shape[down], shape[across]), dtype=bool)
        mask[segment.box[down], segment.box[across]] = inner
        fill, line = pictures[DEFAULT_SCALE].fill_and_line(mask[upward], line_px=1.4)
        for scale, picture in pictures.items():
            color = dsc_color(dsc.get(segment.id), scale)
            picture.paint(color, fill * 0.42)
            picture.paint(color, line * 0.95)
        if dsc.get(segment.id) is not None and (fill > 0.5).sum() >= _LEAST_PX_NUMBERED:
            inside = ndimage.distance_transform_cdt(np.pad(fill > 0.5, 1))[1:-1, 1:-1]
            row, column = np.unravel_index(inside.argmax(), inside.shape)
            places[ranks[segment.id]] = (int(column), int(row))
    numbered = _apart(places)
    uris = {}
    for scale, picture in pictures.items():
        image, draw = picture.labeled(_EDGES[axis], px_per_mm)
        for rank in numbered:
            _number(draw, size, places[rank], rank)
        uris[scale] = data_uri(image, "jpeg", quality=88, subsampling=0)
    return OverviewPicture(_PLANES[axis], uris, width, height, tuple(numbered))


def _apart(places: Mapping[int, tuple[int, int]]) -> list[int]:
    """Ranks to draw: the worst ones whose places lie apart."""
    chosen: list[int] = []
    for rank in sorted(places):
        near = any(math.dist(places[rank], places[other]) < _APART_PX for other in chosen)
        if len(chosen) < _NUMBERED and not near:
            chosen.append(rank)
    return chosen


def _number(draw: ImageDraw.ImageDraw, size: tuple[int, int], place: tuple[float, float], rank: int) -> None:
    width, height = size
    half = 9 if rank < 10 else 11
    x, y = min(max(place[0], half + 2), width - half - 3), min(max(place[1], 12), height - 13)
    if abs(x - width / 2) < half + 8 and not 24 < y < height - 25:
        x = width / 2 + (half + 9 if x >= width / 2 else -half - 9)  # beside the letter S or I, not under it
    draw.rounded_rectangle([x - half, y - 9, x + half, y + 9], 9, fill=(20, 20, 20), outline="white")
    draw.text((x, y), str(rank), fill="white", font=font(13), anchor="mm")
