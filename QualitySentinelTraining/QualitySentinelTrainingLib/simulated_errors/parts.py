"""Errors of parts: something missing, something added, whole slices absent or too many."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import label

from .case import Case
from .registry import simulated_error


def missing_share(severity: float) -> float:
    """Share of a mask's voxels that must go to lose ``severity`` of its DSC."""
    t = 1 - severity
    return 2 * (1 - t) / (2 - t)


def added_share(severity: float) -> float:
    """Voxels to add, over the mask's own, to lose ``severity`` of its DSC; at most 8 times."""
    t = max(1 - severity, 0.05)
    return min(2 * (1 - t) / t, 8.0)


def _without(mask: np.ndarray, flat: np.ndarray) -> np.ndarray:
    out = mask.copy()
    out.ravel()[flat] = False
    return out


def _slices_to_lose(mask: np.ndarray, severity: float) -> tuple[np.ndarray, int]:
    """Slices that hold the mask, ascending, and how many of them must go; none of a single one."""
    held = np.flatnonzero(mask.any(axis=(1, 2)))
    return held, max(1, round(missing_share(severity) * held.size)) if held.size > 1 else 0


@simulated_error(1.4, of_voxels=True)
def missing_part(mask: np.ndarray, case: Case, severity: float) -> np.ndarray:
    """A part cut off by a slightly curved plane."""
    flat = np.flatnonzero(mask)
    way = case.rng.normal(0, 1, 3) * ((0.25, 1, 1) if case.rng.random() < 0.6 else (1, 1, 1))
    position = case.positions(flat)
    position -= position.mean(0)
    along = position @ (way / np.linalg.norm(way))
    along += 0.15 * case.radius * np.sin(position @ case.rng.normal(0, 1, 3) / max(case.radius, 1.0))
    return _without(mask, flat[along >= np.quantile(along, 1 - missing_share(severity))])


@simulated_error(0.8, of_voxels=True)
def bite(mask: np.ndarray, case: Case, severity: float) -> np.ndarray:
    """A round part missing, from a random spot outwards."""
    flat = np.flatnonzero(mask)
    position = case.positions(flat)
    far = ((position - position[case.rng.integers(flat.size)]) ** 2).sum(1)
    return _without(mask, flat[far <= np.quantile(far, missing_share(severity))])


@simulated_error(0.4, of_voxels=True)
def holes(mask: np.ndarray, case: Case, severity: float) -> np.ndarray:
    """Several balls missing."""
    flat = np.flatnonzero(mask)
    count = int(case.rng.integers(2, 9))
    volume = missing_share(severity) * flat.size * np.prod(case.spacing) / count
    radius = max(float((volume * 0.75 / np.pi) ** (1 / 3)), 0.8 * case.spacing[2])
    out = mask.copy()
    for spot in case.positions(case.rng.choice(flat, count)):
        box, ball = case.ball(spot, radius * case.rng.uniform(0.8, 1.4))
        out[box] &= ~ball
    return out


@simulated_error(0.8, of_voxels=True)
def added_blob(mask: np.ndarray, case: Case, severity: float) -> np.ndarray:
    """A ball or two too many, touching the structure or near it."""
    flat = np.flatnonzero(mask)
    count = int(case.rng.integers(1, 3))
    volume = added_share(severity) * flat.size * np.prod(case.spacing) / count
    radius = min(float((volume * 0.75 / np.pi) ** (1 / 3)), 40.0)
    out = mask.copy()
    for spot in case.positions(case.rng.choice(flat, count)):
        way = case.rng.normal(0, 1, 3) * (0.4, 1, 1)
        centre = spot + way / np.linalg.norm(way) * (case.radius * 0.5 + radius * case.rng.uniform(0.5, 1.2))
        box, ball = case.ball(centre, radius)
        out[box] |= ball
    return out


@simulated_error(0.6)
def truncated_ends(mask: np.ndarray, case: Case, severity: float) -> np.ndarray:
    """The structure ends too early: slices at the top, at the bottom or both are missing."""
    held, gone = _slices_to_lose(mask, severity)
    if not gone:
        return mask
    bottom = int(case.rng.choice([0, gone, gone // 2]))
    out = mask.copy()
    out[held[:bottom]] = False
    out[held[held.size - (gone - bottom) :] if gone > bottom else []] = False
    return out


@simulated_error(0.3)
def dropped_slices(mask: np.ndarray, case: Case, severity: float) -> np.ndarray:
    """Inner slices without a mask, single ones or in runs."""
    held, gone = _slices_to_lose(mask, severity)
    if not gone:
        return mask
    out = mask.copy()
    if case.rng.random() < 0.5:
        out[case.rng.choice(held, gone, replace=False)] = False
    else:
        first = int(case.rng.integers(max(held.size - gone, 1)))
        out[held[first : first + gone]] = False
    return out


@simulated_error(0.8, of_voxels=True)
def extra_slices(mask: np.ndarray, case: Case, severity: float) -> np.ndarray:
    """The structure goes on beyond its ends: copies of the last slices, drifting and shrinking."""
    held = np.flatnonzero(mask.any(axis=(1, 2)))
    count = max(1, round(added_share(severity) * held.size * 0.5))
    out = mask.copy()
    drift = case.rng.normal(0, 1.5, 2) / np.asarray(case.spacing[1:])
    ends = ((held[-1], 1), (held[0], -1))
    for end, way in (ends, ends[:1], ends[1:])[case.rng.integers(3)]:
        inner = end - way * min(2, held.size - 1)  # the very last slice is often a dot
        for n in range(1, count + 1):
            k = end + way * n
            if not 0 <= k < mask.shape[0]:
                break
            out[k] |= np.roll(mask[inner], tuple(np.rint(drift * n).astype(int)), axis=(0, 1))
    return out


@simulated_error(0.3)
def largest_piece(mask: np.ndarray, case: Case, severity: float) -> np.ndarray:
    """Only the largest connected piece of every slice is left, after thin bridges were cut."""
    cut = missing_part(mask, case, 0.6 * severity)
    out = cut.copy()
    for k in np.flatnonzero(cut.any(axis=(1, 2))):
        pieces, count = label(cut[k])
        if count > 1:
            out[k] = pieces == np.bincount(pieces.ravel())[1:].argmax() + 1
    return out
