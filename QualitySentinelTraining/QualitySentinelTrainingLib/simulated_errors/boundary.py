"""Errors of the boundary: the right structure, drawn too small, too large, wobbly, rough, smoothed or in steps.

Every error is ``error(mask, case, severity)``: ``severity`` is about the DSC lost (0 none, 1 all), worked out for a
cylinder as thick as the structure, so that an adrenal gland and a liver suffer alike.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy.ndimage import gaussian_filter, zoom

from .case import Case
from .registry import BOUNDARY, simulated_error


def erosion_mm(severity: float, radius: float) -> float:
    """Depth by which a disc of ``radius`` must shrink to lose ``severity`` of its DSC."""
    t = 1 - severity
    return radius * (1 - np.sqrt(t / (2 - t)))


def dilation_mm(severity: float, radius: float) -> float:
    """Width by which a disc of ``radius`` must grow to lose ``severity`` of its DSC; at most 25 mm."""
    t = max(1 - severity, 0.03)
    return min(radius * (np.sqrt((2 - t) / t) - 1), 25.0)


@simulated_error(1, BOUNDARY)
def erosion(mask: np.ndarray, case: Case, severity: float) -> np.ndarray:
    """Drawn too small all round."""
    return case.distance(mask) < -erosion_mm(severity, case.radius)


@simulated_error(1, BOUNDARY)
def dilation(mask: np.ndarray, case: Case, severity: float) -> np.ndarray:
    """Drawn too large all round."""
    return case.distance(mask) < dilation_mm(severity, case.radius)


@simulated_error(1, BOUNDARY)
def one_sided(mask: np.ndarray, case: Case, severity: float) -> np.ndarray:
    """Too small on one side, too large on the other: the offset grows along a random direction in the slice."""
    angle = case.rng.uniform(0, 2 * np.pi)
    j, i = (a - a.mean() for a in case.axes[1:])
    ramp = np.cos(angle) * j[:, None] + np.sin(angle) * i[None, :]
    ramp = ramp / max(case.radius, 1.0) * case.rng.choice([0.6, 1.0])
    ramp += case.rng.normal(0, 0.4)
    return case.distance(mask) < np.clip(ramp, -1.2, 1.2)[None] * np.float32(1.6 * erosion_mm(severity, case.radius))


@simulated_error(1.6, BOUNDARY)
def elastic(mask: np.ndarray, case: Case, severity: float) -> np.ndarray:
    """Wobbly: the boundary moves in and out by smooth noise about as wide as the structure."""
    cell = float(np.clip(case.radius * case.rng.uniform(0.5, 1.5), 4.0, 40.0))
    reach = 1.6 * min(erosion_mm(severity, case.radius), 20.0)
    return case.distance(mask) < np.float32(reach) * case.noise(cell)


@simulated_error(0.7, BOUNDARY)
def roughness(mask: np.ndarray, case: Case, severity: float) -> np.ndarray:
    """Ragged: the boundary jumps from voxel to voxel."""
    cell = max(1.6 * case.spacing[2], 2.5) * case.rng.uniform(1.0, 1.6)
    reach = 1.7 * min(erosion_mm(severity, case.radius), 14.0)
    return case.distance(mask) < np.float32(reach) * case.noise(cell)


@simulated_error(2.4, BOUNDARY)
def uncertain(mask: np.ndarray, case: Case, severity: float) -> np.ndarray:
    """As networks err: wobble at two scales, a bias, and a pull towards voxels that look alike."""
    reach = min(erosion_mm(severity, case.radius), 18.0)
    middle, spread = case.tone
    unlike = np.minimum(np.abs(case.calm_hu - middle) / (2.5 * spread + 15), 2.0) - 0.6
    field = case.noise(float(np.clip(case.radius, 6, 40))) + case.rng.normal(0, 0.7)
    field -= case.rng.uniform(0.3, 1.3) * unlike
    return case.distance(mask) < np.float32(1.1 * reach) * field


@simulated_error(0.8, BOUNDARY)
def by_intensity(mask: np.ndarray, case: Case, severity: float) -> np.ndarray:
    """As thresholding errs: whatever looks like the structure nearby, and nothing of it that does not."""
    middle, spread = case.tone
    window = spread * (2.6 - 2.2 * min(severity, 0.95)) * case.rng.uniform(0.8, 1.2)
    alike = np.abs(case.calm_hu - middle - case.rng.normal(0, 0.4) * spread * severity) < window
    distance = case.distance(mask)
    core = distance < -case.radius * (1.1 - severity)
    return ((distance < dilation_mm(0.7 * severity, case.radius)) & alike) | core


@simulated_error(0.7, BOUNDARY, name="over-smoothing")
def over_smoothing(mask: np.ndarray, case: Case, severity: float) -> np.ndarray:
    """Corners and thin parts smoothed away."""
    step = 2 if mask.size > 350_000 else 1
    width = min(case.radius * (0.25 + 1.6 * severity), 25.0)
    sigma = (width / case.spacing[0], width / case.spacing[1] / step, width / case.spacing[2] / step)
    soft = gaussian_filter(mask[:, ::step, ::step].astype(np.float32), sigma, truncate=2.5)
    if step > 1:
        soft = np.repeat(np.repeat(soft, step, 1), step, 2)[:, : mask.shape[1], : mask.shape[2]]
    return soft > case.rng.uniform(0.42, 0.55)


@simulated_error(0.6, BOUNDARY)
def staircase(mask: np.ndarray, case: Case, severity: float) -> np.ndarray:
    """Blocks: drawn on a coarser grid (in the slice, across slices or both) and blown up again."""
    width = max(2.2 * erosion_mm(severity, case.radius), 0.0)
    which = case.rng.integers(3)
    factors = [1, 1, 1]
    if which != 1:
        factors[1] = factors[2] = max(round(2 * width / case.spacing[2]), 2)
    if which != 0:
        factors[0] = max(round(2.5 * width / case.spacing[0]), 2)
    out = mask
    for axis, factor in enumerate(factors):
        factor = min(factor, mask.shape[axis])
        phase = int(case.rng.integers(factor))
        index = np.arange(mask.shape[axis])
        out = np.take(out, np.clip((index + phase) // factor * factor - phase + factor // 2, 0, index[-1]), axis=axis)
    return out


@simulated_error(0.5, BOUNDARY)
def interpolation(mask: np.ndarray, case: Case, severity: float) -> np.ndarray:
    """Drawn on every n-th slice only, the slices between interpolated from the two distances."""
    if case.slices.size < 3:
        return erosion(mask, case, severity)
    apart = int(np.clip(2 + severity * case.slices.size, 2, max(case.slices.size - 1, 2)))
    distance = case.distance(mask)
    out = mask.copy()
    first = int(case.slices[0]) + int(case.rng.integers(apart))
    drawn = np.unique(np.r_[case.slices[0], np.arange(first, case.slices[-1], apart), case.slices[-1]])
    for a, b in pairwise(drawn):
        for k in range(a + 1, b):
            share = np.float32((k - a) / (b - a))
            out[k] = (1 - share) * distance[a] + share * distance[b] < 0
    return out


@simulated_error(0.6, BOUNDARY)
def resampled(mask: np.ndarray, case: Case, severity: float) -> np.ndarray:
    """Resampled through a coarse grid with linear interpolation and a threshold that is not quite one half."""
    factor = float(np.clip(1.5 * erosion_mm(severity, case.radius) / case.spacing[2], 1.3, 12))
    shape = np.array(mask.shape)
    coarse_shape = np.maximum((shape / (min(factor, shape[0] / 2), factor, factor)).astype(int), 2)
    how = {"order": 1, "prefilter": False, "grid_mode": True, "mode": "nearest"}
    coarse = zoom(mask.astype(np.float32), coarse_shape / shape, **how)
    fine = zoom(coarse, shape / coarse.shape, **how)
    return fine > case.rng.uniform(0.35, 0.65)
