"""Errors of place and name: shifted, leaked, mirrored, another structure altogether, or nothing at all."""

from __future__ import annotations

import numpy as np

from .boundary import dilation_mm
from .case import Case
from .parts import added_share
from .registry import simulated_error


def moved(mask: np.ndarray, steps) -> np.ndarray:
    """``mask`` moved by whole voxels ``(k, j, i)``; what leaves the crop is lost."""
    out = np.zeros_like(mask)
    to, of = [], []
    for n, s in zip(mask.shape, steps, strict=True):
        s = int(np.clip(s, -n, n))
        to.append(slice(max(s, 0), n + min(s, 0)))
        of.append(slice(max(-s, 0), n - max(s, 0)))
    out[tuple(to)] = mask[tuple(of)]
    return out


@simulated_error(1.3)
def shift(mask: np.ndarray, case: Case, severity: float) -> np.ndarray:
    """Moved as a whole, mostly within the slice."""
    way = case.rng.normal(0, 1, 3) * ((0, 1, 1) if case.rng.random() < 0.5 else (0.6, 1, 1))
    way *= severity * np.pi / 2 * case.radius / max(float(np.linalg.norm(way)), 1e-6)
    steps = np.rint(way / np.asarray(case.spacing)).astype(int)
    if not steps.any():
        steps[case.rng.integers(1, 3)] = case.rng.choice([-1, 1])
    return moved(mask, steps)


@simulated_error(0.25)
def mirrored(mask: np.ndarray, case: Case, severity: float) -> np.ndarray:
    """Left and right exchanged in its place, about the crop's middle.

    The mask of the other side's structure is ``candidates.candidates_of_the_other_side``: it lies outside the crop.
    """
    return np.ascontiguousarray(mask[:, :, ::-1])


@simulated_error(0.3)
def misplaced(mask: np.ndarray, case: Case, severity: float) -> np.ndarray:
    """Somewhere else in the neighbourhood: hardly any overlap is left."""
    way = case.rng.normal(0, 1, 2)
    way *= case.radius * case.rng.uniform(1.2, 2.6) / np.linalg.norm(way)
    return moved(mask, (0, *np.rint(way / np.asarray(case.spacing[1:])).astype(int)))


@simulated_error(1.6)
def leak(mask: np.ndarray, case: Case, severity: float) -> np.ndarray:
    """Runs into a neighbour: another structure's nearest part, or tissue that looks alike."""
    wanted = int(added_share(severity) * np.count_nonzero(mask))
    distance = case.distance(mask)
    near = distance < min(2.5 * dilation_mm(severity, case.radius) + 4, 40.0)
    candidates = near & ~mask
    touching = np.bincount(case.labels[(distance < 5) & ~mask].ravel(), minlength=2)
    touching[0] = 0
    own = case.labels.ravel()[case.inside[0]]
    if own < touching.size:
        touching[own] = 0
    if touching.sum() > 10 and case.rng.random() < 0.65:
        value = case.rng.choice(touching.size, p=touching / touching.sum())
        candidates &= case.labels == value
    else:
        middle, spread = case.tone
        candidates &= np.abs(case.calm_hu - middle) < 1.8 * spread + 10
    flat = np.flatnonzero(candidates)
    if flat.size == 0:
        return distance < dilation_mm(0.5 * severity, case.radius)
    order = distance.ravel()[flat]
    if case.rng.random() < 0.6:  # out of one spot rather than all along the border
        position = case.positions(flat)
        spot = position[np.argmin(order + case.rng.uniform(0, 3, order.size))]
        order = order + 0.7 * np.sqrt(((position - spot) ** 2).sum(1))
    if flat.size > wanted:
        flat = flat[np.argpartition(order, max(wanted, 1) - 1)[: max(wanted, 1)]]
    out = mask.copy()
    out.ravel()[flat] = True
    return out


@simulated_error(0.4)
def other_structure(mask: np.ndarray, case: Case, severity: float) -> np.ndarray:
    """The mask of another structure nearby under this structure's name; misplaced when there is none."""
    if not case.neighbours:
        return misplaced(mask, case, severity)
    sizes = np.sqrt([n for _, n in case.neighbours])
    value = case.neighbours[case.rng.choice(len(sizes), p=sizes / sizes.sum())][0]
    return case.labels == value


@simulated_error(0.3)
def with_neighbour(mask: np.ndarray, case: Case, severity: float) -> np.ndarray:
    """A whole neighbour included: two structures under one name."""
    return mask | other_structure(mask, case, severity)


@simulated_error(0.02)
def empty(mask: np.ndarray, case: Case, severity: float) -> np.ndarray:
    """Not found at all."""
    return np.zeros_like(mask)
