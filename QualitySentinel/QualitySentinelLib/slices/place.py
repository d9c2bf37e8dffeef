"""Where in the body a mask lies: the body found in the CT, numbers of the place, and a small picture of the slice.

The body of a slice is a box around its midline. Places are measured in it from -1 to 1: sideways from the patient's
right to the left, and from front to back, so that they mean the same in a child and an adult, a head and a torso.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy import ndimage

from ..anatomy import structure_named
from ..anatomy.structures import LEVELS, level_of
from ..volume import CtVolume

PLACE = (
    "lateral", "depth", "half width", "half depth", "area", "body width", "body depth", "found lateral", "found depth",
    "share below", "mm below", "mm above",
)  # fmt: skip
"""The numbers of a mask's place: its center in the body, half its extent, the root of its share of the body's box; the
body's half width and depth, whether they are whole (0..1; a body that leaves the picture has no midline to trust); and
how much of the scan lies below and above, where the scan is long enough to say."""
LATERAL, DEPTH, HALF_WIDTH, HALF_DEPTH, AREA, BODY_WIDTH, BODY_DEPTH, FOUND_LATERAL, FOUND_DEPTH = range(9)
SHARE_BELOW, BELOW, ABOVE = 9, 10, 11
_FREQUENCIES = (1, 2, 4, 8)
TOLD = len(PLACE) + 3 + 2 * len(_FREQUENCIES)
"""Numbers that a network is told of a mask and a name, see :func:`told`."""

_TISSUE_HU = -400.0
_SAMPLE_MM = 6.0
_SAMPLE_PIXELS = 128
_SMOOTH_SAMPLES = 9
_LEAST_SHARE = 0.01
LONG_ENOUGH_MM = 150.0
FAR_MM = 500.0
_GRAY = ((-1000.0, -200.0, 300.0, 1300.0), (0.0, 0.25, 0.9, 1.0))
"""HU and their gray in the small picture: most of it for soft tissue, some for lungs and bone."""


@dataclass
class Body:
    """The body in every slice of a CT.

    Attributes:
        hu: the CT, ``[k, j, i]``.
        spacing: mm, (k, j, i).
        boxes: float64 ``[K, 4]``: column of the midline, half width, row of the middle from front to back, half depth;
            pixels.
        found: float64 ``[K, 2]``, 0..1: whether the body is whole sideways, and from front to back.
    """

    hu: np.ndarray
    spacing: tuple[float, float, float]
    boxes: np.ndarray
    found: np.ndarray
    _pictures: dict[tuple[int, int], np.ndarray] = field(default_factory=dict, repr=False)

    @classmethod
    def find(cls, hu: np.ndarray, spacing: tuple[float, float, float]) -> Body:
        """Find the body of some slices (about every 6 mm), and of the others by these, smoothed over 5 cm."""
        step = max(1, round(_SAMPLE_MM / spacing[0]))
        sampled = np.arange(step // 2 if len(hu) > step else 0, len(hu), step)
        measured = np.array([_measured(hu[k]) for k in sampled], dtype=np.float64)
        boxes = ndimage.median_filter(measured[:, :4], size=(_SMOOTH_SAMPLES, 1), mode="nearest")
        found = ndimage.uniform_filter1d(measured[:, 4:], _SMOOTH_SAMPLES, axis=0, mode="nearest")
        everywhere = np.arange(len(hu))
        boxes, found = (
            np.stack([np.interp(everywhere, sampled, column) for column in columns.T], axis=1)
            for columns in (boxes, found)
        )
        return cls(hu, tuple(float(s) for s in spacing), boxes, found)

    def numbers(self, k: int, mask: np.ndarray, origin: tuple[int, int]) -> np.ndarray:
        """The numbers :data:`PLACE` of a mask, float32 ``[P]``; all 0 for an empty one.

        Args:
            k: canonical slice.
            mask: ``[rows, columns]``, non-zero pixels belong; a part of the slice.
            origin: row and column of ``mask[0, 0]``.
        """
        numbers = np.zeros(len(PLACE), dtype=np.float32)
        counts = [np.count_nonzero(mask, axis=1), np.count_nonzero(mask, axis=0)]
        area = int(counts[0].sum())
        if not area:
            return numbers
        column, half_width, row, half_depth = self.boxes[k]
        for at, count, first, middle, half in (
            (LATERAL, counts[1], origin[1], column, half_width),
            (DEPTH, counts[0], origin[0], row, half_depth),
        ):
            held = np.flatnonzero(count)
            center = float(np.average(np.arange(len(count)), weights=count)) + first + 0.5
            numbers[at] = (center - middle) / half
            numbers[at + HALF_WIDTH] = (held[-1] + 1 - held[0]) / 2 / half
        numbers[AREA] = math.sqrt(area / (4 * half_width * half_depth))
        numbers[BODY_WIDTH] = half_width * self.spacing[2] / 200.0
        numbers[BODY_DEPTH] = half_depth * self.spacing[1] / 150.0
        numbers[FOUND_LATERAL : FOUND_DEPTH + 1] = self.found[k]
        below, above = (k + 0.5) * self.spacing[0], (len(self.hu) - k - 0.5) * self.spacing[0]
        numbers[SHARE_BELOW] = below / (below + above) if below + above >= LONG_ENOUGH_MM else 0.5
        numbers[BELOW], numbers[ABOVE] = min(below, FAR_MM) / FAR_MM, min(above, FAR_MM) / FAR_MM
        return np.clip(numbers, -3.0, 3.0)

    def locator(self, k: int, mask: np.ndarray, origin: tuple[int, int], size: int) -> np.ndarray:
        """The body's box in a slice with a mask, float32 ``[2, size, size]`` in 0..1: gray values, and the mask.

        The mask is the share of each pixel that it covers, relative to the largest, so that a small one shows too.
        """
        picture = np.empty((2, size, size), dtype=np.float32)
        if (k, size) not in self._pictures:
            thin = max(1, min(self.hu.shape[1:]) // (4 * size))
            gray = np.interp(self.hu[k, ::thin, ::thin], *_GRAY).astype(np.float32)
            # what lies outside the image is air, gray 0
            self._pictures[k, size] = self._averaged(k, gray, (0, 0), size, thin).astype(np.float16)
        picture[0] = self._pictures[k, size]
        picture[1] = self._averaged(k, (mask != 0).astype(np.float32), origin, size)
        picture[1] /= max(float(picture[1].max()), 1e-6)
        return picture

    def _averaged(self, k: int, plane: np.ndarray, origin: tuple[int, int], size: int, pixel: int = 1) -> np.ndarray:
        """Means over the pixels of the body's box; ``pixel``: how many of the slice's pixels one of ``plane``'s is."""
        column, half_width, row, half_depth = self.boxes[k]
        rows = _overlaps(row - half_depth - origin[0], 2 * half_depth, size, plane.shape[0], pixel)
        columns = _overlaps(column - half_width - origin[1], 2 * half_width, size, plane.shape[1], pixel)
        return rows @ plane @ columns.T


def body_of(ct: CtVolume) -> Body:
    """The body in ``ct``, found once."""
    if ct.body is None:
        ct.body = Body.find(ct.hu, ct.frame.spacing)
    return ct.body


def told(place: torch.Tensor, names: Sequence[str | None]) -> torch.Tensor:
    """What a network is told of masks under names, float32 ``[N, TOLD]``.

    They are the numbers of the place; the side that the name claims (-1 right, 0 none, 1 left) and its product with
    the mask's own side; whether the name has a level along the spine, and sine and cosine of it at four frequencies.

    Args:
        place: ``[N, P]``, see :data:`PLACE`.
        names: structures; ``None`` and unknown names claim nothing.
    """
    return join_told(place, torch.from_numpy(name_numbers(names)).to(place))


def name_numbers(names: Sequence[str | None]) -> np.ndarray:
    """What names claim, float32 ``[N, 2 + 2 * frequencies]``: side, whether there is a level, sines and cosines."""
    numbers = np.zeros((len(names), 2 + 2 * len(_FREQUENCIES)), dtype=np.float32)
    for row, name in zip(numbers, names, strict=True):
        if name is None:
            continue
        try:
            row[0] = {"left": 1.0, "right": -1.0}.get(structure_named(name).side, 0.0)
        except KeyError:
            continue
        level = level_of(name)
        if level is not None:
            turns = 2 * math.pi * np.array(_FREQUENCIES) * level / (LEVELS + 1)
            row[1:] = [1.0, *np.sin(turns), *np.cos(turns)]
    return numbers


def join_told(place: torch.Tensor, claimed: torch.Tensor) -> torch.Tensor:
    """:func:`told` from the numbers of :func:`name_numbers`."""
    return torch.cat((place, claimed[:, :1], claimed[:, :1] * place[:, LATERAL : LATERAL + 1], claimed[:, 1:]), dim=1)


def _measured(plane: np.ndarray) -> tuple[float, ...]:
    """Box of the body in a slice (see :class:`Body`), and whether it is whole; the whole slice where none is found."""
    thin = max(1, math.ceil(max(plane.shape) / _SAMPLE_PIXELS))
    tissue = ndimage.binary_opening(plane[::thin, ::thin] > _TISSUE_HU)  # the table's shell is thin
    air, _ = ndimage.label(~tissue)
    edges = np.concatenate((air[0], air[-1], air[:, 0], air[:, -1]))
    outside = np.isin(air, np.unique(edges[edges > 0]))
    filled = ndimage.binary_opening(~outside, iterations=2)  # what hangs on by a bridge falls off
    parts, count = ndimage.label(filled)
    rows, columns = tissue.shape
    sizes = np.bincount(parts.ravel())[1:]
    if not count or sizes.max() < _LEAST_SHARE * parts.size:
        return columns * thin / 2, columns * thin / 2, rows * thin / 2, rows * thin / 2, 0.0, 0.0
    body = parts == 1 + np.argmax(sizes)
    profile = np.count_nonzero(body, axis=0).astype(np.float64)
    held, deep = np.flatnonzero(profile), np.flatnonzero(body.any(axis=1))
    # The axis about which the body is most alike to its mirror image: one arm beside it moves that little.
    middle = (np.argmax(np.convolve(profile, profile)) + 1) / 2
    half_width = max(middle - held[0], held[-1] + 1 - middle, 1.0)
    first, last = float(deep[0]), float(deep[-1] + 1)
    limit = 0.1 * len(deep)  # an elbow may leave the picture, a cut flank does not count as whole
    sideways = float(body[:, 0].sum() <= limit and body[:, -1].sum() <= limit)
    upright = float(body[0].sum() <= 0.1 * len(held) and body[-1].sum() <= 0.1 * len(held))
    return (
        middle * thin,
        half_width * thin,
        (first + last) / 2 * thin,
        max(last - first, 2.0) / 2 * thin,
        sideways,
        upright,
    )


def _overlaps(start: float, length: float, size: int, count: int, pixel: int) -> np.ndarray:
    """Share of each of ``size`` parts of an interval that each of ``count`` pixels covers, ``[size, count]``."""
    edges = (start + length / size * np.arange(size + 1)) / pixel
    pixels = np.arange(count)
    covered = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return (np.clip(covered, 0.0, None) / (length / size / pixel)).astype(np.float32)
