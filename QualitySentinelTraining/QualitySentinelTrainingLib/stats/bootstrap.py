"""Bootstrap intervals over patients: slices of one patient are alike, so patients are drawn, not slices."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache

import numpy as np

from .agreement import FIGURES, Agreement

DRAWS = 300


def patient_weights(patient: np.ndarray, draws: int = DRAWS, seed: int = 0):
    """How many times each of [N] things counts in each draw of whole patients; yields float64 [N], ``draws`` times."""
    rng = np.random.default_rng(seed)
    names, member = np.unique(patient, return_inverse=True)
    member = member.reshape(-1)
    for _ in range(draws):
        yield np.bincount(rng.integers(0, len(names), len(names)), minlength=len(names)).astype(float)[member]


def bootstrap_intervals(
    predicted: np.ndarray, true: np.ndarray, patient: np.ndarray, names: Sequence[str] = FIGURES, draws: int = DRAWS,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:  # fmt: skip
    """95 % percentile intervals of figures of :func:`.agreement.agreement`; see :func:`bootstrap_of`."""
    sorted_once = Agreement(predicted, true)
    found = bootstrap_of(lambda weights: sorted_once.figures(weights, names), patient, draws, seed)
    return {name: found[name] for name in names if name in found}


def bootstrap_of(
    statistics: Callable[[np.ndarray], Mapping[str, float]], patient: np.ndarray, draws: int = DRAWS, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """95 % percentile intervals of what ``statistics(weights [N])`` gives, drawing whole patients with replacement.

    Returns:
        (low, high) by name; empty when there are fewer than two patients, because nothing can be said then.
        A figure that most draws do not have (one class only) is left out.
    """
    if len(np.unique(patient)) < 2:
        return {}
    drawn, intervals = [statistics(weights) for weights in patient_weights(patient, draws, seed)], {}
    for name in drawn[0] if drawn else ():
        values = np.array([one[name] for one in drawn])
        values = values[np.isfinite(values)]
        if 2 * len(values) > len(drawn):
            low, high = np.percentile(values, [2.5, 97.5])
            intervals[name] = (float(low), float(high))
    return intervals


def mean_interval(values: np.ndarray, patient: np.ndarray, draws: int = DRAWS) -> tuple[float, float] | None:
    """95 % interval of the mean of [N] values by bootstrap over patients; ``None`` of fewer than two."""

    def mean(w: np.ndarray) -> dict[str, float]:
        return {"mean": float(np.average(values, weights=w)) if w.sum() else float("nan")}

    return bootstrap_of(mean, patient, draws).get("mean")


def drawn_means(values: np.ndarray, draws: int, seed: Sequence[int]) -> np.ndarray:
    """Means of units that are drawn with replacement, [draws, columns]; nan where none of those drawn has a value.

    ``values`` are [units, columns], nan where a unit has none; the same units are drawn for all columns. Give each
    group another ``seed``, so that their draws are independent.
    """
    n, rng = len(values), np.random.default_rng(seed)
    there = np.isfinite(values)
    filled = np.where(there, values, 0.0)
    means = np.empty((draws, values.shape[1]))
    for start in range(0, draws, 256):  # a matrix of all draws at once would grow with the data set
        times = rng.multinomial(n, np.full(n, 1 / n), min(256, draws - start)).astype(float)
        with np.errstate(invalid="ignore", divide="ignore"):
            means[start : start + len(times)] = (times @ filled) / (times @ there)
    return means


def bootstrap_interval(drawn: np.ndarray, n: int) -> tuple[float, float]:
    """95 % expanded percentile interval (Hesterberg 2015) of drawn means of ``n`` units; of two groups, the smaller n.

    The plain percentiles are too narrow for few units, because draws spread by ``(n - 1) / n`` too little and the
    normal distribution has thinner tails than Student's: of ten units they hold about 90 %. What is not finite does not
    count; nan without draws or with fewer than two units.
    """
    drawn = drawn[np.isfinite(drawn)]
    if not len(drawn) or n < 2:
        return math.nan, math.nan
    low, high = np.percentile(drawn, [100 * _tail(n), 100 * (1 - _tail(n))])
    return float(low), float(high)


@cache
def _tail(n: int) -> float:
    from scipy import stats

    return float(stats.norm.cdf(-math.sqrt(n / (n - 1)) * stats.t.ppf(0.975, n - 1)))
