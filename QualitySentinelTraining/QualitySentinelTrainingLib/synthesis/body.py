"""Where the patient is in a CT."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import binary_fill_holes, binary_opening, label

_FULL = 1_500_000

_ABRUPT = 0.4
"""A patient whose end slice is larger than this share of the median slice goes on beyond the scan."""


def body_mask(hu: np.ndarray) -> np.ndarray:
    """The patient without table and air around; holes (lungs, gut, airways) are filled slice by slice.

    Args:
        hu: ``[k, j, i]``.

    Returns:
        bool ``[k, j, i]``. Of large CTs only every few pixels, then slices, are looked at: edges are that coarse.
    """
    excess = hu.size / _FULL
    pixels = int(np.clip(np.ceil(np.sqrt(excess)), 1, 4))
    steps = (max(1, int(np.ceil(excess / pixels**2))), pixels, pixels)
    coarse = hu[:: steps[0], :: steps[1], :: steps[2]] > -300
    parts, count = label(binary_opening(coarse, np.ones((1, 3, 3), bool)))
    if count == 0:
        return np.ones(hu.shape, bool)
    mask = parts == np.bincount(parts.ravel())[1:].argmax() + 1
    for plane in mask:
        plane |= binary_fill_holes(plane)
    for axis, (size, step) in enumerate(zip(hu.shape, steps, strict=True)):
        if step > 1:
            mask = np.repeat(mask, step, axis=axis).take(range(size), axis=axis)
    return mask


def scanned_slices(body: np.ndarray) -> slice:
    """The slices that show the patient; where he ends by and by, as at the top of the head, all to the volume's end.

    Some CTs are padded with empty slices beyond the last one that was scanned.
    """
    areas = body.sum(axis=(1, 2))
    held = np.flatnonzero(areas)
    if held.size == 0:
        return slice(0, len(areas))
    first, last = int(held[0]), int(held[-1])
    abrupt = _ABRUPT * np.median(areas[held])
    start = first if areas[first] > abrupt else 0
    stop = last + 1 if areas[last] > abrupt else len(areas)
    return slice(start, stop) if stop - start > 1 else slice(0, len(areas))


def bounds(mask: np.ndarray, spacing: tuple[float, float, float]) -> np.ndarray:
    """Lowest and highest coordinate (mm, index times ``spacing``) of a mask: float ``[2, 3]`` of (k, j, i)."""
    edges = []
    for axis in range(3):
        held = np.flatnonzero(mask.any(axis=tuple(n for n in range(3) if n != axis)))
        edges.append((held[0], held[-1]) if held.size else (0, mask.shape[axis] - 1))
    return np.array(edges, dtype=float).T * np.asarray(spacing)
