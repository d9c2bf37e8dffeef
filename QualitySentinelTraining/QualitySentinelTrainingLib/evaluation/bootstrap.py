"""Bootstrap intervals over persons: slices of one person are alike, so persons are drawn, not slices."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from .metrics import FIGURES, Agreement

DRAWS = 300


def person_weights(person: np.ndarray, draws: int = DRAWS, seed: int = 0):
    """How many times each of [N] things counts in each draw of whole persons; yields float64 [N], ``draws`` times."""
    rng = np.random.default_rng(seed)
    names, member = np.unique(person, return_inverse=True)
    member = member.reshape(-1)
    for _ in range(draws):
        yield np.bincount(rng.integers(0, len(names), len(names)), minlength=len(names)).astype(float)[member]


def bootstrap_intervals(
    predicted: np.ndarray,
    true: np.ndarray,
    person: np.ndarray,
    names: Sequence[str] = FIGURES,
    draws: int = DRAWS,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    """95 % percentile intervals of figures of :func:`.metrics.agreement`, drawing whole persons with replacement.

    Args:
        predicted, true, person: [N].
        names: the figures wanted.

    Returns:
        (low, high) by figure; empty when there are fewer than two persons, because nothing can be said then.
        A figure that most draws do not have (one class only) is left out.
    """
    if len(np.unique(person)) < 2:
        return {}
    sorted_once = Agreement(predicted, true)
    values = [sorted_once.figures(weights, names) for weights in person_weights(person, draws, seed)]
    return _intervals({name: [v[name] for v in values] for name in names})


def bootstrap_of(
    statistic: Callable[[np.ndarray], float], person: np.ndarray, draws: int = DRAWS, seed: int = 0
) -> tuple[float, float] | None:
    """95 % percentile interval of ``statistic(weights [N])``, drawing whole persons; ``None`` for fewer than two."""
    if len(np.unique(person)) < 2:
        return None
    return _intervals({"": [statistic(w) for w in person_weights(person, draws, seed)]}).get("")


def _intervals(values: dict[str, list[float]]) -> dict[str, tuple[float, float]]:
    intervals = {}
    for name, drawn in values.items():
        drawn = np.array(drawn)
        drawn = drawn[np.isfinite(drawn)]
        if 2 * len(drawn) > len(values[name]):
            low, high = np.percentile(drawn, [2.5, 97.5])
            intervals[name] = (float(low), float(high))
    return intervals
