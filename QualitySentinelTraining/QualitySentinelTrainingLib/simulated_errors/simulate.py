"""Drawing errors: which, how severe, in the whole structure or in a few slices only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .case import Case
from .registry import BOUNDARY, ERRORS, OTHER

PERFECT_SHARE = 0.1
"""Share of masks left as they are: a model must know what right looks like."""

_FEW_SLICES_SHARE = 0.12

_TRIES = 4


@dataclass(frozen=True)
class ErrorRecord:
    """What was done to a mask."""

    errors: tuple[tuple[str, float], ...]  # (name, severity) in the order applied; empty for a perfect mask
    slices: tuple[int, int] | None = None  # first and last slice of the crop that was corrupted, or ``None`` for all

    @property
    def kinds(self) -> str:
        """The names joined with `` + ``; ``none`` for a perfect mask."""
        return " + ".join(name for name, _ in self.errors) or "none"


def draw_severity(rng: np.random.Generator) -> float:
    """About the DSC to lose: mostly little, as in real segmentations, yet the whole range is covered."""
    part = rng.random()
    if part < 0.5:
        return float(rng.uniform(0.01, 0.25))
    if part < 0.9:
        return float(rng.uniform(0.1, 0.9))
    return float(rng.uniform(0.7, 1.0))


def _draw(rng: np.random.Generator, weights: dict[str, float]) -> str:
    names, values = list(weights), np.fromiter(weights.values(), float)
    return names[rng.choice(len(names), p=values / values.sum())]


def simulate(case: Case, kind: str | None = None, severity: float | None = None) -> tuple[np.ndarray, ErrorRecord]:
    """Corrupt a reference mask.

    Args:
        kind: name from :data:`.registry.ERRORS` to apply just this error to the whole structure.
        severity: about the DSC to lose (0 to 1); drawn when ``None``.

    Returns:
        the wrong mask (a new array, bool ``[k, j, i]``) and its :class:`ErrorRecord`. True DSC: see ``dice``.
    """
    rng = case.rng
    if not case.inside.size:
        return case.reference.copy(), ErrorRecord(())
    if kind is not None:
        severity = draw_severity(rng) if severity is None else severity
        out = ERRORS[kind](case.reference, case, severity)
        return np.array(out, dtype=bool), ErrorRecord(((kind, float(severity)),))
    if rng.random() < PERFECT_SHARE:
        return case.reference.copy(), ErrorRecord(())
    total = draw_severity(rng) if severity is None else severity
    names = _draw_names(rng)
    shares = rng.dirichlet(np.full(len(names), 2.0)) * total
    for _ in range(_TRIES):
        out, errors = case.reference, []
        for name, share in zip(names, shares, strict=True):
            out = ERRORS[name](out, case, float(share))
            errors.append((name, round(float(share), 4)))
        if out is not case.reference and not np.array_equal(out, case.reference):
            break
        shares = np.minimum(2 * shares + 0.05, 0.95)  # less than a voxel: no error at all, so try more of it
    else:
        return case.reference.copy(), ErrorRecord(())
    return _in_few_slices(np.asarray(out, dtype=bool), case, tuple(errors))


def _draw_names(rng: np.random.Generator) -> list[str]:
    """One to three errors; a boundary error comes first, because distances of the reference are at hand."""
    count = rng.choice([1, 2, 3], p=[0.6, 0.28, 0.12])
    names = [_draw(rng, BOUNDARY)] if rng.random() < 0.72 else []
    while len(names) < count:
        name = _draw(rng, OTHER)
        if name not in names:
            names.append(name)
    return names


def _in_few_slices(out: np.ndarray, case: Case, errors: tuple) -> tuple[np.ndarray, ErrorRecord]:
    """Keep the error in a short run of slices only, sometimes: neighbours right, these wrong."""
    rng, held = case.rng, case.slices
    if held.size < 3 or rng.random() >= _FEW_SLICES_SHARE:
        return (out.copy() if out is case.reference else out), ErrorRecord(errors)
    length = int(rng.integers(1, max(2, held.size // 3) + 1))
    first = int(rng.integers(held[0], max(held[-1] - length, held[0]) + 1))
    corrupted = case.reference.copy()
    corrupted[first : first + length] = out[first : first + length]
    return corrupted, ErrorRecord(errors, (first, first + length - 1))
