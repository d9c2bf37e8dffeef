"""What an error needs to know about the structure it corrupts. Costly things are worked out once, on demand."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from scipy.ndimage import distance_transform_edt

from ..phantom.noise import smooth_noise

_LARGE = 350_000
"""Crops with more voxels get their distances on every second pixel: a quarter of the time, half a pixel worse."""


def signed_distance(mask: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    """Distance (mm) to the mask's surface, negative inside, float32 ``[k, j, i]``; the sign is exact."""
    step = 2 if mask.size > _LARGE and min(mask.shape[1:]) > 8 else 1
    coarse = mask[:, ::step, ::step]
    sampling = (spacing[0], spacing[1] * step, spacing[2] * step)
    half = 0.5 * sampling[2]
    if not coarse.any():
        distance = np.full(coarse.shape, 1e3, dtype=np.float32)
    elif coarse.all():
        distance = np.full(coarse.shape, -1e3, dtype=np.float32)
    else:
        outside = distance_transform_edt(~coarse, sampling).astype(np.float32)
        inside = distance_transform_edt(coarse, sampling).astype(np.float32)
        distance = np.where(coarse, half - inside, outside - half)
    if step > 1:
        distance = np.repeat(np.repeat(distance, step, 1), step, 2)[:, : mask.shape[1], : mask.shape[2]]
    if step > 1 or half >= min(spacing[:2]):
        # The coarse grid, or half a wide pixel where slices are thin, may put a surface voxel on the wrong side.
        tick = np.float32(0.3 * min(spacing[2], 2 * spacing[0]))
        distance = np.where(mask, np.minimum(distance, -tick), np.maximum(distance, tick))
    return distance


class Case:
    """One reference structure in its crop, to make any number of wrong masks of.

    ``reference``, bool ``[k, j, i]``, is cropped with room for the error to grow (about 30 mm); ``labels`` (all
    structures: other values than the reference's are neighbours) and ``hu`` are of the same crop. ``spacing`` is mm
    ``(k, j, i)``.
    """

    def __init__(self, reference, labels, hu, spacing, rng: np.random.Generator):
        self.reference = np.asarray(reference, dtype=bool)
        self.labels, self.hu = labels, hu
        self.spacing = tuple(float(s) for s in spacing)
        self.rng = rng
        self.axes = tuple(
            np.arange(n, dtype=np.float32) * s for n, s in zip(self.reference.shape, self.spacing, strict=True)
        )

    @cached_property
    def reference_distance(self) -> np.ndarray:
        return signed_distance(self.reference, self.spacing)

    def distance(self, mask: np.ndarray) -> np.ndarray:
        """Signed distance (mm) of ``mask``; free when it is the reference."""
        return self.reference_distance if mask is self.reference else signed_distance(mask, self.spacing)

    @cached_property
    def inside(self) -> np.ndarray:
        """Flat indices of the reference's voxels."""
        return np.flatnonzero(self.reference)

    @cached_property
    def radius(self) -> float:
        """Radius (mm) of the cylinder whose voxels lie as deep as this structure's: how thick it is."""
        depth = -self.reference_distance.ravel()[self.inside]
        return max(3.0 * float(depth.mean()), 0.6 * self.spacing[2])

    @cached_property
    def slices(self) -> np.ndarray:
        return np.flatnonzero(self.reference.any(axis=(1, 2)))

    @cached_property
    def tone(self) -> tuple[float, float]:
        """Median and spread of the HU in the reference."""
        values = self.hu.ravel()[self.inside[:: max(1, self.inside.size // 5000)]].astype(np.float32)
        return float(np.median(values)), float(max(values.std(), 8.0))

    @cached_property
    def calm_hu(self) -> np.ndarray:
        """HU averaged over 3 x 3 pixels, float32: what a network sees rather than single noisy voxels."""
        rows = np.pad(self.hu.astype(np.float32), ((0, 0), (1, 1), (1, 1)), mode="edge")
        rows = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]
        return (rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]) / 9

    @cached_property
    def neighbours(self) -> list[tuple[int, int]]:
        """(label value, voxels) of the other structures in the crop."""
        own = np.bincount(self.labels.ravel()[self.inside], minlength=1)
        counts = np.bincount(self.labels.ravel())
        counts[: own.size] -= own
        own_value = int(own.argmax())
        return [(int(v), int(n)) for v, n in enumerate(counts) if v not in (0, own_value) and n >= 20]

    def positions(self, flat: np.ndarray) -> np.ndarray:
        """Positions in mm ``[n, 3]`` (k, j, i) of flat indices."""
        return np.stack(np.unravel_index(flat, self.reference.shape), axis=1) * np.asarray(self.spacing)

    def noise(self, cell: float) -> np.ndarray:
        """Smooth noise of unit standard deviation over the crop, ``cell`` mm between knots."""
        if self.reference.size > _LARGE and cell > 4 * self.spacing[2]:  # smooth enough to repeat pixels
            coarse = smooth_noise(self.rng, (self.axes[0], self.axes[1][::2], self.axes[2][::2]), cell)
            return np.repeat(np.repeat(coarse, 2, 1), 2, 2)[:, : self.reference.shape[1], : self.reference.shape[2]]
        return smooth_noise(self.rng, self.axes, cell)

    def ball(self, centre_mm: np.ndarray, radius: float) -> tuple[tuple[slice, ...], np.ndarray]:
        """Index box and bool array inside it of a ball; the box lies within the crop."""
        box, parts = [], []
        for n, s, c in zip(self.reference.shape, self.spacing, centre_mm, strict=True):
            first, last = max(int((c - radius) / s), 0), min(int((c + radius) / s) + 2, n)
            box.append(slice(first, max(last, first)))
            parts.append((np.arange(first, max(last, first)) * s - c) ** 2)
        a, b, c = parts
        return tuple(box), a[:, None, None] + b[None, :, None] + c[None, None, :] <= radius**2
