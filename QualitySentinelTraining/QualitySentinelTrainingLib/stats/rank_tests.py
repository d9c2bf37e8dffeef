"""Rank tests of independent units, as SciPy has them, with the size of the effect; and correction for many tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

LEVEL = 0.05
"""Of all differences found, about this share is expected to be chance at most (Benjamini and Hochberg 1995)."""
_NORMAL_95 = 1.959964


@dataclass(frozen=True)
class RankTest:
    """A test, and how large the effect is."""

    name: str  # ``Mann-Whitney U``, ``Kruskal-Wallis`` or ``Spearman``
    n: int  # units that took part
    p: float  # two-sided
    # effect_name, effect: ``Cliff's delta`` (-1..1, the rank-biserial correlation), ``epsilon squared`` (0..1, ``H / (n
    # - 1)``) or ``Spearman's rho`` (-1..1)
    effect_name: str
    effect: float
    # low, high: 95 % interval of rho; ``None`` for groups
    low: float | None = None
    high: float | None = None


def rank_test(groups: Sequence[np.ndarray]) -> RankTest:
    """Whether groups of values, [n] each, finite, not all alike, differ: Mann-Whitney U, or for more Kruskal-Wallis."""
    n = sum(map(len, groups))
    if len(groups) == 2:
        u, p = stats.mannwhitneyu(*groups, alternative="two-sided")
        delta = 2 * float(u) / (len(groups[0]) * len(groups[1])) - 1
        return RankTest("Mann-Whitney U", n, float(p), "Cliff's delta", delta)
    h, p = stats.kruskal(*groups)
    return RankTest("Kruskal-Wallis", n, float(p), "epsilon squared", float(h) / (n - 1))


def rank_correlation(x: np.ndarray, y: np.ndarray) -> RankTest:
    """Spearman's rho of [n] values, neither constant, with the interval of Bonett and Wright (2000)."""
    rho, p = (float(v) for v in stats.spearmanr(x, y))
    half = _NORMAL_95 * np.sqrt((1 + rho * rho / 2) / (len(x) - 3))
    z = np.arctanh(np.clip(rho, -0.999999, 0.999999))
    low, high = float(np.tanh(z - half)), float(np.tanh(z + half))
    return RankTest("Spearman", len(x), p, "Spearman's rho", rho, low, high)


def signed_rank_p(differences: np.ndarray) -> float:
    """Wilcoxon's signed-rank test of paired differences [n]; 1 when all are nought."""
    return float(stats.wilcoxon(differences).pvalue) if np.any(differences) else 1.0


def adjusted(p: Sequence[float]) -> np.ndarray:
    """p values [m] corrected for all of these tests (Benjamini-Hochberg); compare them with :data:`LEVEL`."""
    return stats.false_discovery_control(p) if len(p) else np.zeros(0)


def outlier_limit(values: Sequence[float]) -> float:
    """The value beyond which another one is an outlier: a modified z score of 3.5 (Iglewicz and Hoaglin 1993)."""
    middle = float(np.median(values))
    return middle + 3.5 * float(np.median(np.abs(np.asarray(values) - middle))) / 0.6745
