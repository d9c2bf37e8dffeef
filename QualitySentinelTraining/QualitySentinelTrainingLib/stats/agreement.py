"""How well predicted DSC agrees with true DSC: figures of two arrays, with weights for the bootstrap."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats

BAD_BELOW = (0.5, 0.7, 0.8)
"""A slice whose true DSC lies below one of these counts as bad for the AUROC of that name."""

FIGURES = (
    "pearson_r",
    "spearman_r",
    "mae",
    "bias",
    *(f"auroc_below_{t}" for t in BAD_BELOW),
    "aurc",
    "aurc_excess",
    "ece",
)
"""Names of what :func:`agreement` gives besides ``n``."""

BINS = 10
"""Bins of equal width over 0..1 of the calibration curve."""

_NAN = float("nan")


class Agreement:
    """Predicted and true DSC of the same N things, sorted once so that figures can be had for many weightings.

    Args:
        predicted, true: [N], DSC in 0..1.

    Example:
        >>> round(Agreement([0.3, 0.6, 0.9], [0.2, 0.5, 0.8]).figures()["bias"], 6)
        0.1
    """

    def __init__(self, predicted: np.ndarray, true: np.ndarray) -> None:
        self.predicted, self.true = np.asarray(predicted, float), np.asarray(true, float)
        # rank groups: equal values share a number, ascending
        self._predicted_group = np.unique(self.predicted, return_inverse=True)[1].reshape(-1)
        self._true_group = np.unique(self.true, return_inverse=True)[1].reshape(-1)

    def figures(self, weights: np.ndarray | None = None, names: Sequence[str] = FIGURES) -> dict[str, float]:
        """Figures by name (of :data:`FIGURES`), and ``n``, the number of things whatever their weight.

        ``weights`` [N] say how many times each thing counts. A figure that cannot be had (constant input, one class
        only, nothing at all) is ``nan``.
        """
        if not len(self.true):
            return {"n": 0, **dict.fromkeys(names, _NAN)}
        w = np.ones(len(self.true)) if weights is None else np.asarray(weights, float)
        return {"n": len(self.true), **{name: float(self._figure(name, w)) for name in names}}

    def _figure(self, name: str, w: np.ndarray) -> float:
        p, t = self.predicted, self.true
        match name:
            case "pearson_r":
                return _weighted_r(p, t, w)
            case "spearman_r":
                return _weighted_r(_weighted_ranks(self._predicted_group, w), _weighted_ranks(self._true_group, w), w)
            case "mae":
                return np.average(np.abs(p - t), weights=w)
            case "bias":
                return np.average(p - t, weights=w)
            case "aurc":
                return _area(self._predicted_group, 1 - t, w)
            case "aurc_excess":
                return _area(self._predicted_group, 1 - t, w) - _area(self._true_group, 1 - t, w)
            case "ece":
                mean_predicted, mean_true, weight = _bins(p, t, w)
                return np.nansum(weight * np.abs(mean_predicted - mean_true)) / w.sum()
        return _weighted_auroc(-self._predicted_group, t < float(name.removeprefix("auroc_below_")), w)


def agreement(predicted: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """Figures of agreement of [N] arrays of DSC.

    - ``n``; ``pearson_r``, ``spearman_r``; ``mae``; ``bias`` (predicted minus true);
    - ``auroc_below_0.5`` (0.7, 0.8): area under the ROC curve of finding true DSC below it;
    - ``aurc``: area under the risk-coverage curve (Geifman and El-Yaniv 2017): keep the things predicted best, the risk
      is the mean of (1 - true DSC) among those kept, the area its mean over all shares kept;
    - ``aurc_excess``: the same less that of an oracle that orders by true DSC;
    - ``ece``: mean distance of the calibration curve from the diagonal, weighted by the number in each bin.

    A figure that cannot be had (constant input, one class only) is ``nan``.
    """
    return Agreement(predicted, true).figures()


def pearson_r(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson correlation; ``nan`` when either is constant or there are fewer than two."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    return _weighted_r(a, b, np.ones(len(a))) if len(a) else _NAN


def spearman_r(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman rank correlation; ``nan`` when either is constant or there are fewer than two."""
    return pearson_r(stats.rankdata(a), stats.rankdata(b))


def auroc(score: np.ndarray, positive: np.ndarray) -> float:
    """Area under the ROC curve of ``score`` for the boolean ``positive`` (Mann-Whitney U, ties count half)."""
    score = np.asarray(score)
    return _weighted_auroc(np.unique(score, return_inverse=True)[1].reshape(-1), positive, np.ones(len(score)))


def risk_coverage(predicted: np.ndarray, true: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(share kept, mean of 1 - true DSC among those kept), each [N], keeping the best predicted first.

    Things predicted alike are kept together: each counts with the mean loss of all of them.
    """
    group = np.unique(-np.asarray(predicted, float), return_inverse=True)[1].reshape(-1)
    loss = 1 - np.asarray(true, float)
    mean_loss = np.bincount(group, loss) / np.maximum(np.bincount(group), 1)
    loss = mean_loss[np.sort(group)]
    kept = np.arange(1, len(loss) + 1)
    return kept / max(len(loss), 1), np.cumsum(loss) / kept


def calibration_curve(predicted: np.ndarray, true: np.ndarray, bins: int = BINS) -> list[dict[str, float]]:
    """Mean predicted and mean true DSC in bins of predicted DSC that hold anything, with their ``n``."""
    predicted, true = np.asarray(predicted, float), np.asarray(true, float)
    means = _bins(predicted, true, np.ones(len(true)), bins)
    return [
        {"predicted": float(p), "true": float(t), "n": int(n)} for p, t, n in zip(*means, strict=True) if n
    ]  # fmt: skip


def _bins(p: np.ndarray, t: np.ndarray, w: np.ndarray, bins: int = BINS) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean predicted, mean true and weight of every bin; the means of empty bins are nan."""
    number = np.clip((p * bins).astype(int), 0, bins - 1)
    weight = np.bincount(number, w, bins)
    with np.errstate(invalid="ignore"):
        return np.bincount(number, w * p, bins) / weight, np.bincount(number, w * t, bins) / weight, weight


def _weighted_r(a: np.ndarray, b: np.ndarray, w: np.ndarray) -> float:
    counted = w > 0
    if np.count_nonzero(counted) < 2 or not np.ptp(a[counted]) or not np.ptp(b[counted]):
        return _NAN
    a, b = a - np.average(a, weights=w), b - np.average(b, weights=w)
    spread = np.sqrt((w @ (a * a)) * (w @ (b * b)))
    return float(np.clip((w @ (a * b)) / spread, -1.0, 1.0)) if spread > 0 else _NAN


def _weighted_ranks(group: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Middle ranks when each thing counts ``w`` times, but for a constant."""
    weight = np.bincount(group, w)
    return (np.cumsum(weight) - weight / 2)[group]


def _weighted_auroc(group: np.ndarray, positive: np.ndarray, w: np.ndarray) -> float:
    """AUROC of the score that rises with ``group`` (integers, equal where the score is)."""
    positive = np.asarray(positive, bool)
    group = group - group.min() if len(group) else group
    hits, misses = np.bincount(group, w * positive), np.bincount(group, w * ~positive)
    if not hits.sum() > 0 or not misses.sum() > 0:
        return _NAN
    below = np.cumsum(misses) - misses / 2
    return float(hits @ below / (hits.sum() * misses.sum()))


def _area(group: np.ndarray, loss: np.ndarray, w: np.ndarray) -> float:
    """Area under the risk-coverage curve, keeping the highest ``group`` first.

    Within a group of ties the loss per thing is taken as its mean, and the risk, (C + l u) / (V + u) after u more
    things than the V before, is integrated in closed form.
    """
    weight, total = np.bincount(group, w)[::-1], np.bincount(group, w * loss)[::-1]
    weight, total = weight[weight > 0], total[weight > 0]
    before, lost = np.cumsum(weight) - weight, np.cumsum(total) - total
    mean = total / weight
    with np.errstate(divide="ignore", invalid="ignore"):
        growth = np.where(before > 0, (lost - mean * before) * np.log1p(weight / before), 0.0)
    return float((mean * weight + growth).sum() / weight.sum())
