"""A fully connected CRF on one slice, as a check of pseudo labels (Krähenbühl and Koltun, NeurIPS 2011)."""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import cdist

from ..dice import volume_dice

AGREEMENT = 0.98
"""DSAL uses the CRF's mask only where its Dice with the network's is above this."""
SPATIAL, BILATERAL, GRAY = 30.0, 27.0, 5.7
"""Standard deviations of the two kernels in pixels, and of the gray value, of 255: the middle of DSAL's 50 sets."""
SPATIAL_WEIGHT, BILATERAL_WEIGHT, ITERATIONS = 9.0, 8.5, 2
_PIXELS = 4096
"""At most so many pixels: every two of them are compared."""


def crf_mask(foreground: np.ndarray, gray: np.ndarray) -> np.ndarray:
    """The mask after mean-field inference with symmetrically normalized kernels, computed exactly.

    Args:
        foreground: probabilities ``[j, i]``.
        gray: image in 0..255, ``[j, i]``.

    Returns:
        bool ``[j, i]``; the network's own mask where the slice has more than 4,096 pixels around the structure.
    """
    mask = foreground > 0.5
    rows, columns = (np.flatnonzero((foreground > 0.05).any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return mask
    box = tuple(slice(max(0, at[0] - 5), at[-1] + 6) for at in (rows, columns))
    p = np.clip(foreground[box].astype(np.float32), 1e-6, 1 - 1e-6)
    if p.size > _PIXELS:
        return mask
    where, value = np.indices(p.shape).reshape(2, -1).T, gray[box].reshape(-1, 1)
    far, other = (cdist(at, at, "sqeuclidean").astype(np.float32) for at in (where, value))
    kernel = SPATIAL_WEIGHT * _normalized(np.exp(-far / (2 * SPATIAL**2)))
    kernel += BILATERAL_WEIGHT * _normalized(np.exp(-far / (2 * BILATERAL**2) - other / (2 * GRAY**2)))
    q, unary = p.ravel(), np.log(p / (1 - p)).ravel()
    for _ in range(ITERATIONS):
        q = 1 / (1 + np.exp(-(unary + kernel @ (2 * q - 1))))
    mask[box] = (q > 0.5).reshape(p.shape)
    return mask


def _normalized(kernel: np.ndarray) -> np.ndarray:
    np.fill_diagonal(kernel, 0.0)
    root = np.sqrt(np.maximum(kernel.sum(axis=1), 1e-20))
    return kernel / root[:, None] / root


def checked_mask(foreground: np.ndarray, gray: np.ndarray) -> np.ndarray:
    """DSAL's pseudo label ``[j, i]``: the CRF's mask where its Dice with the network's is above 0.98, else that one."""
    mask, refined = foreground > 0.5, crf_mask(foreground, gray)
    return refined if volume_dice(mask, refined) > AGREEMENT else mask
