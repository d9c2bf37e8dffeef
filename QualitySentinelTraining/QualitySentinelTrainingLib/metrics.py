"""How well predicted DSC agrees with true DSC."""

from __future__ import annotations

import numpy as np
from scipy import stats

BAD_BELOW = 0.7
"""A slice whose true DSC lies below this counts as bad for the AUROC."""


def agreement(predicted: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """Pearson and Spearman r, MAE, bias (predicted minus true) and AUROC of true DSC < 0.7, of [N] arrays.

    A figure that cannot be had (constant input, one class only) is ``nan``.
    """
    predicted, true = np.asarray(predicted, float), np.asarray(true, float)
    enough = len(true) > 1 and np.ptp(true) > 0 and np.ptp(predicted) > 0
    return {
        "n": len(true),
        "pearson_r": float(np.corrcoef(predicted, true)[0, 1]) if enough else float("nan"),
        "spearman_r": float(stats.spearmanr(predicted, true).statistic) if enough else float("nan"),
        "mae": float(np.abs(predicted - true).mean()) if len(true) else float("nan"),
        "bias": float((predicted - true).mean()) if len(true) else float("nan"),
        "auroc_bad": auroc(-predicted, true < BAD_BELOW),
    }


def auroc(score: np.ndarray, positive: np.ndarray) -> float:
    """Area under the ROC curve of ``score`` for the boolean ``positive`` (Mann-Whitney U, ties count half)."""
    positive = np.asarray(positive, bool)
    n_positive, n_negative = positive.sum(), (~positive).sum()
    if not n_positive or not n_negative:
        return float("nan")
    ranks = stats.rankdata(score)
    return float((ranks[positive].sum() - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))


def bootstrap_interval(
    predicted: np.ndarray, true: np.ndarray, subject: np.ndarray, metric: str, draws: int = 500, seed: int = 0
) -> tuple[float, float]:
    """95 % percentile interval of one figure of :func:`agreement`, resampling whole subjects."""
    rng = np.random.default_rng(seed)
    names, inverse = np.unique(subject, return_inverse=True)
    members = [np.flatnonzero(inverse == i) for i in range(len(names))]
    values = []
    for _ in range(draws):
        rows = np.concatenate([members[i] for i in rng.integers(0, len(names), len(names))])
        values.append(agreement(predicted[rows], true[rows])[metric])
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)
