"""CT and labels of a source at the points of a new volume."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import find_objects, gaussian_filter

AIR_HU = -1000.0


def crop_to(points: np.ndarray, slices: slice, shape: tuple, spacing: tuple) -> tuple[slice, slice, slice]:
    """The part that the ``points`` (mm) need, with a margin, of the ``slices`` of a source of ``shape``."""
    low = points.reshape(-1, 3).min(axis=0) / spacing
    high = points.reshape(-1, 3).max(axis=0) / spacing
    first, last = np.array([slices.start, 0, 0]), np.array([slices.stop, *shape[1:]])
    starts = np.clip(np.floor(low).astype(int) - 3, first, last - 2)
    stops = np.clip(np.ceil(high).astype(int) + 4, starts + 2, last)
    return tuple(slice(int(a), int(b)) for a, b in zip(starts, stops, strict=True))


def antialiased(volume: np.ndarray, spacing: tuple, new_spacing: tuple) -> np.ndarray:
    """The volume as thicker slices and larger pixels average it: blurred along each axis that becomes coarser."""
    ratio = np.asarray(new_spacing) / np.asarray(spacing)
    sigma = 0.42 * np.sqrt(np.maximum(ratio**2 - 1, 0))
    volume = volume.astype(np.float32)
    return gaussian_filter(volume, sigma, mode="nearest", truncate=3.0) if sigma.max() > 0.1 else volume


def sample(volume: np.ndarray, points: np.ndarray, corner: np.ndarray, spacing: tuple, outside: float) -> np.ndarray:
    """Trilinear samples of ``volume`` at ``points``.

    Above and below the volume its end slices go on: a tilted field of view would cut a wedge of air out of the
    patient there, which no scanner does. In the slice, ``outside`` is beyond the volume.

    Args:
        volume: float32 ``[k, j, i]``.
        points: float32 ``[..., 3]``, mm (k, j, i).
        corner: mm of voxel (0, 0, 0).
        spacing: mm (k, j, i).
        outside: value beyond the volume in the slice.

    Returns:
        float32 of the shape of ``points`` without its last axis.
    """
    import torch

    shape = np.array(volume.shape)
    index = (points - np.asarray(corner, np.float32)) / np.asarray(spacing, np.float32)
    index[..., 0].clip(0, shape[0] - 1, out=index[..., 0])
    index *= (2 / (shape - 1)).astype(np.float32)
    index -= 1
    grid = torch.from_numpy(np.ascontiguousarray(index[..., ::-1])).view(1, *points.shape[:-1], 3)
    source = torch.from_numpy(np.ascontiguousarray(volume - np.float32(outside)))[None, None]
    found = torch.nn.functional.grid_sample(source, grid, mode="bilinear", padding_mode="zeros", align_corners=True)
    return found[0, 0].numpy() + np.float32(outside)


def resample_labels(labels: np.ndarray, points: np.ndarray, corner: np.ndarray, spacing: tuple) -> np.ndarray:
    """Labels at ``points``: the label with the largest trilinear share wins, so that finer grids get no stairs.

    Args:
        labels: unsigned integers ``[k, j, i]``.
        points, corner, spacing: as for :func:`sample`.

    Returns:
        array like ``labels``, of the shape of ``points`` without its last axis.
    """
    new = np.zeros(points.shape[:3], labels.dtype)
    best, total = np.zeros(new.shape, np.float32), np.zeros(new.shape, np.float32)
    corner, searched = np.asarray(corner, np.float64), _coarse(points)
    for value, box in enumerate(find_objects(labels), start=1):
        if box is None:
            continue
        wide = tuple(slice(max(s.start - 1, 0), s.stop + 1) for s in box)
        low = corner + [(s.start - 1) * step for s, step in zip(box, spacing, strict=True)]
        high = corner + [s.stop * step for s, step in zip(box, spacing, strict=True)]
        if box[0].start == 0:  # the end slices go on, see sample
            low[0] = -np.inf
        if box[0].stop == labels.shape[0]:
            high[0] = np.inf
        place = _reached(*searched, low, high, new.shape)
        if place is None:
            continue
        own = (labels[wide] == value).astype(np.float32)
        start = corner + [s.start * step for s, step in zip(wide, spacing, strict=True)]
        share = sample(own, points[place], start, spacing, 0.0)
        total[place] += share
        won = share > best[place]
        best[place][won] = share[won]
        new[place][won] = value
    new[best <= 1 - total] = 0
    return new


def _coarse(points: np.ndarray) -> tuple[np.ndarray, list[int], np.ndarray]:
    """Every few points, the steps between them (k, j, i), and how far (mm) the points between can lie from them."""
    steps = [4 if n > 16 else 1 for n in points.shape[:3]]
    coarse = points[:: steps[0], :: steps[1], :: steps[2]]
    reach = sum(np.abs(np.diff(coarse, axis=axis)).max(axis=(0, 1, 2)) for axis in range(3))
    return coarse, steps, reach


def _reached(coarse, steps, reach, low, high, shape) -> tuple[slice, slice, slice] | None:
    """Box of the points between ``low`` and ``high`` (mm), or ``None``."""
    near = ((coarse > low - reach) & (coarse < high + reach)).all(axis=-1)
    if not near.any():
        return None
    (box,) = find_objects(near.astype(np.uint8))
    return tuple(
        slice(max((s.start - 1) * step, 0), min(s.stop * step + 1, n))
        for s, step, n in zip(box, steps, shape, strict=True)
    )
