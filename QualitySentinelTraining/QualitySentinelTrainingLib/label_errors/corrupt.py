"""Label noise as Zhang et al. 2020 (MICCAI) make it: masks dilated, eroded, or noisy along their edges.

For each class, a share ``alpha`` of the cases is corrupted with a strength ``beta``, the radius of a disc in pixels.
The paper uses alpha 0.3, 0.5 and 0.7.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
from scipy.ndimage import distance_transform_edt

KINDS = ("dilate", "erode", "edges")
"""Equally likely, as in the paper."""


def choose_corrupted(held: Mapping[str, Collection[int]], alpha: float, rng: np.random.Generator) -> dict[str, dict]:
    """Which classes of which cases are corrupted, and how: class to one of :data:`KINDS`, by case.

    ``int(alpha * number of cases)`` of the cases that hold (``held``) a class are drawn, independently of the others.
    """
    chosen: dict[str, dict[int, str]] = {case: {} for case in held}
    for value in sorted({value for values in held.values() for value in values}):
        cases = [case for case, values in held.items() if value in values]
        for number in rng.choice(len(cases), int(alpha * len(cases)), replace=False):
            chosen[cases[number]][value] = KINDS[rng.integers(len(KINDS))]
    return chosen


def corrupt_labels(labels: np.ndarray, kinds: Mapping[int, str], beta: int, rng: np.random.Generator) -> np.ndarray:
    """A copy of a label map with some classes corrupted, slice by slice.

    Where a class grows it covers others; where it shrinks, background is left.

    Args:
        labels: integers ``[j, i]`` or ``[k, j, i]``, 0 is background.
        kinds: class to one of :data:`KINDS`.
        beta: radius in pixels, at least 1.
    """
    noisy = labels.copy()
    for value, kind in kinds.items():
        for before, after in zip(_slices(labels), _slices(noisy), strict=True):
            mask = before == value
            if mask.any():
                wrong = corrupt_mask(mask, kind, beta, rng)
                after[mask & ~wrong & (after == value)] = 0
                after[wrong] = value
    return noisy


def corrupt_mask(mask: np.ndarray, kind: str, beta: int, rng: np.random.Generator) -> np.ndarray:
    """A corrupted copy of one slice of a mask, bool ``[j, i]``.

    ``dilate`` and ``erode`` use a disc of radius ``beta``. ``edges`` keeps half of the pixels along the edge and draws
    a disc of a random radius below ``beta`` around each, added to or removed from the mask with equal chance.
    """
    if kind == "dilate":
        return distance_transform_edt(~mask) <= beta
    inner = distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    if kind == "erode":
        return inner > beta
    edge = np.argwhere(mask & (inner <= 1))
    edge = edge[rng.random(len(edge)) < 0.5]
    noisy = mask.copy()
    for j, i in edge:
        radius = int(rng.integers(beta))
        window = tuple(slice(max(0, c - radius), c + radius + 1) for c in (j, i))
        rows, columns = (np.arange(w.start, min(w.stop, n)) for w, n in zip(window, mask.shape, strict=True))
        disc = (rows[:, None] - j) ** 2 + (columns[None] - i) ** 2 <= radius**2
        noisy[window][disc] = rng.random() < 0.5
    return noisy


def _slices(labels: np.ndarray) -> np.ndarray:
    """View of a label map as slices ``[n, j, i]``."""
    return labels.reshape(-1, *labels.shape[-2:])
