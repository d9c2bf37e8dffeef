"""The interval that bootstrap draws of a mean give, for small groups too."""

from __future__ import annotations

import math
from functools import cache

import numpy as np


def bootstrap_interval(drawn: np.ndarray, n: int) -> tuple[float, float]:
    """95 % expanded percentile interval (Hesterberg 2015) of the drawn means of ``n`` units.

    The plain percentiles are too narrow for few units, because draws spread by ``(n - 1) / n`` too little and the
    normal distribution has thinner tails than Student's: of ten units they hold about 90 %.

    Args:
        drawn: [draws]; those that are not finite do not count.
        n: how many units were drawn from; of two groups, the smaller number.

    Returns:
        (low, high); nan without draws or with fewer than two units.
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
