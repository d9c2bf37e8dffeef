"""A fully connected CRF on one slice, as a check of pseudo labels (Krähenbühl and Koltun, NeurIPS 2011)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..dice import volume_dice

AGREEMENT = 0.98
"""DSAL uses the CRF's mask only where its Dice with the network's is above this."""
_PIXELS = 4096
"""At most so many pixels: every two of them are compared."""


@dataclass(frozen=True)
class CrfOptions:
    """The middle of the 50 sets of parameters that DSAL averages."""

    # spatial, bilateral: standard deviations of the two kernels in pixels
    spatial: float = 30.0
    bilateral: float = 27.0
    gray: float = 5.7  # standard deviation of the gray value, of 255, in the bilateral kernel
    # spatial_weight, bilateral_weight: their weights
    spatial_weight: float = 9.0
    bilateral_weight: float = 8.5
    iterations: int = 2  # of mean field


def crf_mask(foreground: np.ndarray, gray: np.ndarray, options: CrfOptions | None = None) -> np.ndarray:
    """The mask after mean-field inference with symmetrically normalized kernels, computed exactly.

    Args:
        foreground: probabilities ``[j, i]``.
        gray: image in 0..255, ``[j, i]``.

    Returns:
        bool ``[j, i]``; the network's own mask where the slice has more than 4,096 pixels around the structure.
    """
    options, mask = options or CrfOptions(), foreground > 0.5
    rows, columns = (np.flatnonzero((foreground > 0.05).any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return mask
    box = tuple(
        slice(max(0, at[0] - 5), min(size, at[-1] + 6)) for at, size in zip((rows, columns), mask.shape, strict=True)
    )
    p = np.clip(foreground[box].astype(np.float32).ravel(), 1e-6, 1 - 1e-6)
    if len(p) > _PIXELS:
        return mask
    y, x = (axis.ravel().astype(np.float32) for axis in np.indices(mask[box].shape))
    far = (y[:, None] - y) ** 2 + (x[:, None] - x) ** 2
    value = gray[box].astype(np.float32).ravel()
    other = (value[:, None] - value) ** 2 / (2 * options.gray**2)
    kernel = options.spatial_weight * _normalized(np.exp(-far / (2 * options.spatial**2)))
    kernel += options.bilateral_weight * _normalized(np.exp(-far / (2 * options.bilateral**2) - other))
    unary = np.log(p / (1 - p))
    q = p
    for _ in range(options.iterations):
        q = 1 / (1 + np.exp(-(unary + kernel @ (2 * q - 1))))
    refined = mask.copy()
    refined[box] = (q > 0.5).reshape(mask[box].shape)
    return refined


def _normalized(kernel: np.ndarray) -> np.ndarray:
    np.fill_diagonal(kernel, 0.0)
    root = np.sqrt(np.maximum(kernel.sum(axis=1), 1e-20))
    return kernel / root[:, None] / root


def checked_mask(foreground: np.ndarray, gray: np.ndarray, options: CrfOptions | None = None) -> np.ndarray:
    """DSAL's pseudo label ``[j, i]``: the CRF's mask where its Dice with the network's is above 0.98, else that one."""
    mask, refined = foreground > 0.5, crf_mask(foreground, gray, options)
    return refined if volume_dice(mask, refined) > AGREEMENT else mask
