"""The source's own gray values in another examination: contrast phase, tube voltage, calibration."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from .tissues import PHASES, draw_soft_tissues

_LEAST_VOXELS = 20


def softness(hu: np.ndarray) -> np.ndarray:
    """Share 0..1 of soft tissue by HU: 1 from 0 to 200, none in fat, gas or dense bone. float32."""
    hu = hu.astype(np.float32, copy=False)
    return np.clip((hu + 60) / 60, 0, 1) * np.clip((350 - hu) / 150, 0, 1)


def with_other_phase(
    rng: np.random.Generator, hu: np.ndarray, labels: np.ndarray, structures: dict[int, str]
) -> np.ndarray:
    """Another contrast phase: the soft part of each labelled structure is moved towards a level drawn for it.

    Four times in ten the phase stays and structures move by a few HU only. Gas, fat, bone and calcifications in a
    structure stay what they are.

    Args:
        rng: source of randomness.
        hu: float32 ``[k, j, i]``.
        labels: label map of the same shape.
        structures: label value to name.
    """
    offsets = np.zeros(int(max(structures, default=0)) + 1, np.float32)
    same = rng.random() < 0.4
    targets = draw_soft_tissues(rng, structures, PHASES[rng.integers(len(PHASES))])
    towards = rng.uniform(0.5, 1.0)
    for value, target in targets.items():
        inside = hu[labels == value]
        inside = inside[(inside > -20) & (inside < 300)]
        if inside.size < _LEAST_VOXELS:
            continue
        away = towards * (target - float(np.median(inside)))
        offsets[value] = rng.normal(0, 5) if same else np.clip(away, -50, 260)
    if not offsets.any():
        return hu
    moved = gaussian_filter(offsets[labels], 0.6, truncate=2.5)
    return hu + moved * softness(hu)


def with_other_curve(rng: np.random.Generator, hu: np.ndarray) -> np.ndarray:
    """Tissue classes moved by a random increasing curve: lung, fat, soft tissue by some HU, bone by a factor."""
    bone = rng.uniform(0.85, 1.2)
    knots = np.array([-1024, -850, -100, 0, 50, 200, 1000, 3071], float)
    soft = rng.uniform(-6, 8)
    to = [-1024, -850 + rng.uniform(-25, 25), -100 + rng.uniform(-12, 12), rng.uniform(-5, 5), 50 + soft,
          50 + soft + 150 * bone, 50 + soft + 950 * bone, 50 + soft + 3021 * bone]  # fmt: skip
    return np.interp(hu, knots, to).astype(np.float32)
