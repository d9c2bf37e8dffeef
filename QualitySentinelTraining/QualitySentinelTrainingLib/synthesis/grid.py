"""The new examination's voxels: spacing, range in z and field of view, drawn around the anatomy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .options import SynthesisOptions

_TRIES = 12
_FEWEST_SLICES = 16


@dataclass(frozen=True)
class Grid:
    """Voxels of the new volume.

    Attributes:
        shape: (k, j, i).
        spacing: mm (k, j, i).
        centre: point of the source's anatomy (mm, its index times its spacing) in the middle of the volume.
    """

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    centre: tuple[float, float, float]

    @property
    def axes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Coordinates in mm along (k, j, i), 0 in the middle of the volume."""
        return tuple((np.arange(n) - (n - 1) / 2) * step for n, step in zip(self.shape, self.spacing, strict=True))


def draw_spacing(rng: np.random.Generator, source: tuple, options: SynthesisOptions) -> tuple[float, float, float]:
    """Draw a spacing (mm, k j i), not finer than half the ``source``'s; pixels are square."""

    def draw(limits, finest):
        low, high = max(limits[0], finest), max(limits[1], finest)
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))

    pixel = draw(options.pixel_mm, max(source[1:]) / 2)
    return draw(options.slice_mm, source[0] / 2), pixel, pixel


def draw_window(
    rng: np.random.Generator, whole: np.ndarray, body: np.ndarray, centres: np.ndarray, options: SynthesisOptions
) -> np.ndarray:
    """Draw the field of view as lowest and highest coordinate, float ``[2, 3]`` in mm (k, j, i) of the source.

    Args:
        whole, body: bounds ``[2, 3]`` of the source's volume and of the patient in it.
        centres: centre of each structure, ``[n, 3]`` mm.
        options: the ranges.
    """
    best, most = None, -1.0
    for _ in range(_TRIES):
        window = np.stack([_along_z(rng, whole), *_in_plane(rng, whole, body, centres, options)], axis=1)
        inside = ((centres > window[0]) & (centres < window[1])).all(axis=1).mean() if len(centres) else 1.0
        if inside > most:
            best, most = window, inside
        if inside >= options.keep_share:
            break
    return best


def _along_z(rng, whole) -> np.ndarray:
    bottom, top = whole[:, 0]
    length = top - bottom
    if rng.random() < 0.4:
        return np.array([bottom, top])
    kept = length * rng.uniform(0.5, 1.0)
    low = bottom + rng.uniform(0, length - kept)
    return np.array([low, low + kept])


def _in_plane(rng, whole, body, centres, options) -> list[np.ndarray]:
    kind = rng.random()
    if kind < options.close_up_share:
        aim = centres[rng.integers(len(centres)), 1:] if len(centres) else body[:, 1:].mean(axis=0)
        aim = aim + (body[:, 1:].mean(axis=0) - aim) * rng.uniform(0, 1)
        size = rng.uniform(160, 300)
        half = size / 2 * np.array([rng.uniform(0.8, 1), 1])
        aim = aim + rng.uniform(-25, 25, 2)
    elif kind < options.close_up_share + 0.15:  # table and air as in the source
        aim, half = whole[:, 1:].mean(axis=0), (whole[1, 1:] - whole[0, 1:]) / 2
    else:
        half = (body[1, 1:] - body[0, 1:]) / 2 * rng.uniform(1.04, 1.25)
        half = np.maximum(half, half.max() * rng.uniform(0.6, 1.0))  # rather square, as scanners have it
        aim = body[:, 1:].mean(axis=0) + rng.uniform(-0.12, 0.12, 2) * half
    return [np.array([aim[n] - half[n], aim[n] + half[n]]) for n in range(2)]


def fit_grid(window: np.ndarray, spacing: tuple, scale: np.ndarray, options: SynthesisOptions) -> Grid:
    """Grid over a ``window`` (mm of the source) whose anatomy is enlarged by ``scale``, within the voxel budget."""
    extent = (window[1] - window[0]) * scale
    step = np.array(spacing, dtype=float)
    excess = np.prod(extent / step) / options.most_voxels
    if excess > 1:  # coarser pixels, then thicker slices, then fewer slices, then a smaller field of view
        pixel = np.clip(options.pixel_mm[1] / step[1], 1.0, np.sqrt(excess))
        step[1:] *= pixel
        thicker = np.clip(options.slice_mm[1] / step[0], 1.0, excess / pixel**2)
        step[0] *= thicker
        excess /= pixel**2 * thicker
        fewer = np.clip(extent[0] / (2 * _FEWEST_SLICES * step[0]), 1.0, max(excess, 1.0))
        extent[0] /= fewer
        extent[1:] /= np.sqrt(max(excess / fewer, 1.0))
    shape = np.maximum(np.floor(extent / step), [_FEWEST_SLICES, 32, 32]).astype(int)
    return Grid(tuple(shape.tolist()), tuple(step.tolist()), tuple(window.mean(axis=0).tolist()))
