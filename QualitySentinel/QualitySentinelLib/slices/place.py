"""Where in the body a mask lies: the body found in the CT, numbers of the place, and a small picture of the slice.

The body of a slice is a box around its midline. Places are measured in it from -1 to 1: sideways from the patient's
right to the left, and from front to back, so that they mean the same in a child and an adult, a head and a torso.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import ndimage

from ..anatomy import structure_named
from ..anatomy.structures import LEVELS, level_of
from ..volume import CtVolume
from .resize import chunks, resize

if TYPE_CHECKING:
    from .batch import PlaneCrop

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
    """The body in every slice of a CT."""

    hu: np.ndarray  # the CT, ``[k, j, i]``
    spacing: tuple[float, ...]  # mm, (k, j, i)
    # float64 ``[K, 4]``: column of the midline, half width, row of the middle from front to back, half depth; pixels
    boxes: np.ndarray
    found: np.ndarray  # float64 ``[K, 2]``, 0..1: whether the body is whole sideways, and from front to back
    _pictures: dict[tuple[int, int], np.ndarray] = field(default_factory=dict, repr=False)

    @classmethod
    def find(cls, hu: np.ndarray, spacing: tuple[float, ...]) -> Body:
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

    def places(self, ks: Sequence[int], crops: Sequence[PlaneCrop], size: int) -> tuple[np.ndarray, np.ndarray]:
        """Where masks lie.

        Args:
            ks: canonical slices.
            crops: with the mask of each; its CT is not looked at.
            size: side of the locator L.

        Returns:
            The numbers :data:`PLACE`, float32 ``[N, P]``, all 0 for an empty mask; and locators, float32
            ``[N, 2, L, L]`` in 0..1: gray values in the body's box, and the mask in it: the share of each pixel that it
            covers, relative to the largest, so that a small one shows too.
        """
        slices, corners = np.array(ks, dtype=np.intp), _pairs([crop.mask_origin for crop in crops])
        starts, lengths = self._sides(slices)
        places = np.empty((len(crops), len(PLACE)), dtype=np.float32)
        locators = np.empty((len(crops), 2, size, size), dtype=np.float32)
        self._draw(ks, size)
        for locator, k in zip(locators, ks, strict=True):
            locator[0] = self._pictures[k, size]
        for some in chunks(_pairs([crop.mask.shape for crop in crops]), size):
            height, width = (max(crop.mask.shape[axis] for crop in crops[some]) for axis in (0, 1))
            masks = np.zeros((len(corners[some]), width, 1, height), dtype=np.float32)
            for mask, crop in zip(masks, crops[some], strict=True):
                mask[: crop.mask.shape[1], 0, : crop.mask.shape[0]] = crop.mask.T != 0
            shares = resize(torch.from_numpy(masks), starts[some] - corners[some], lengths[some], size, means=True)
            locators[some, 1] = shares[:, 0]
            places[some] = self._numbers(slices[some], masks[:, :, 0], corners[some])
        locators[:, 1] /= locators[:, 1].max(axis=(1, 2), keepdims=True).clip(1e-6)
        return places, locators

    def _numbers(self, ks: np.ndarray, masks: np.ndarray, corners: np.ndarray) -> np.ndarray:
        numbers = np.zeros((len(ks), len(PLACE)))
        column, half_width, row, half_depth = self.boxes[ks].T
        for at, axis, middle, half in ((LATERAL, 1, column, half_width), (DEPTH, 0, row, half_depth)):
            counts = masks.sum(axis=1 + axis, dtype=np.float64)
            area, held = counts.sum(axis=1), counts > 0
            center = counts @ np.arange(counts.shape[1]) / np.maximum(area, 1) + corners[:, axis] + 0.5
            numbers[:, at] = (center - middle) / half
            extent = counts.shape[1] - held.argmax(axis=1) - held[:, ::-1].argmax(axis=1)
            numbers[:, at + HALF_WIDTH] = extent / 2 / half
        numbers[:, AREA] = np.sqrt(area / (4 * half_width * half_depth))
        numbers[:, BODY_WIDTH] = half_width * self.spacing[2] / 200.0
        numbers[:, BODY_DEPTH] = half_depth * self.spacing[1] / 150.0
        numbers[:, FOUND_LATERAL : FOUND_DEPTH + 1] = self.found[ks]
        below, above = (ks + 0.5) * self.spacing[0], (len(self.hu) - ks - 0.5) * self.spacing[0]
        numbers[:, SHARE_BELOW] = np.where(below + above >= LONG_ENOUGH_MM, below / (below + above), 0.5)
        numbers[:, BELOW], numbers[:, ABOVE] = (np.minimum(mm, FAR_MM) / FAR_MM for mm in (below, above))
        return np.where(area[:, None] > 0, numbers.clip(-3.0, 3.0), 0.0).astype(np.float32)

    def _draw(self, ks: Sequence[int], size: int) -> None:
        """Gray values of the body's box in slices, kept."""
        new = np.array(sorted({k for k in ks if (k, size) not in self._pictures}), dtype=np.intp)
        thin = max(1, min(self.hu.shape[1:]) // (4 * size))
        planes = self.hu[:, ::thin, ::thin]
        for some in chunks(_pairs([planes.shape[1:]] * len(new)), size):
            gray = np.interp(planes[new[some]], *_GRAY).astype(np.float32)  # outside the image is air, gray 0
            starts, lengths = self._sides(new[some])
            drawn = resize(torch.from_numpy(gray).mT[:, :, None], starts / thin, lengths / thin, size, means=True)
            pictures = zip(new[some].tolist(), drawn[:, 0].half().numpy(), strict=True)
            self._pictures |= {(k, size): picture for k, picture in pictures}

    def _sides(self, ks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """First row and column of the body's box, and its rows and columns, ``[N, 2]`` each."""
        middles, halves = self.boxes[ks][:, [2, 0]], self.boxes[ks][:, [3, 1]]
        return middles - halves, 2 * halves


def body_of(ct: CtVolume) -> Body:
    """The body in ``ct``, found once."""
    if ct.body is None:
        ct.body = Body.find(ct.hu, ct.frame.spacing)
    return ct.body


def name_numbers(names: Sequence[str | None]) -> np.ndarray:
    """What names claim, float32 ``[N, 2 + 2 * frequencies]``; ``None`` and unknown names claim nothing.

    The side (-1 right, 0 none, 1 left); whether the name has a level along the spine, and sines and cosines of it.
    """
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


def told(place: torch.Tensor, claimed: torch.Tensor) -> torch.Tensor:
    """What a network is told of masks under names, float32 ``[N, TOLD]``: their places, the side that each name claims
    and its product with the mask's own side, and the level.

    Args:
        place: ``[N, P]``, see :data:`PLACE`.
        claimed: as :func:`name_numbers` gives it.
    """
    return torch.cat((place, claimed[:, :1], claimed[:, :1] * place[:, LATERAL : LATERAL + 1], claimed[:, 1:]), dim=1)


def _pairs(values: Sequence[Sequence[float]]) -> np.ndarray:
    """Float64 ``[N, 2]``, of none too."""
    return np.array(values, dtype=np.float64).reshape(-1, 2)


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
