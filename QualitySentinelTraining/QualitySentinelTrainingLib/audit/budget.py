"""What correcting the worst slices would gain: the mean DSC of a data set against the number of slices corrected."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from QualitySentinelLib.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

    from .frames import Audit

ORDERS = ("worst", "gain")


@dataclass
class BudgetPlan:
    """Slices in the order of correction, and what correcting the first k of them gains."""

    order: str  # ``worst``: lowest predicted DSC first; ``gain``: largest gain of the data set's mean first
    # one row per slice worth correcting, in that order: ``case``, ``segment``, ``structure``, ``slice_index``,
    # ``predicted_dsc``, ``missed``, ``reached``, ``gain`` (of the data set's mean DSC)
    slices: pd.DataFrame
    mean_before: float  # mean of the segments' predicted DSC, as ``segments.csv`` has them
    gains: np.ndarray  # float64 [k]; ``gains[k - 1]`` is what the first k corrections together add to that mean
    # the same from the upper bounds of the slices' intervals; ``None`` where there are none
    cautious: np.ndarray | None
    n_segments: int  # segments the mean is over
    n_slices: int  # slices scored or missed, worth correcting or not

    def gain(self, k: int, cautious: bool = False) -> float | None:
        """Expected gain of the mean DSC when the first ``k`` slices are corrected (all, when there are fewer)."""
        gains = self.cautious if cautious else self.gains
        return None if gains is None else float(gains[min(k, len(gains)) - 1]) if k > 0 and len(gains) else 0.0


def budget_plan(audit: Audit, order: str = "worst") -> BudgetPlan:
    """Plan corrections of single slices, flagged and missed ones, in the ``order`` ``worst`` or ``gain``.

    The volumetric DSC of a segment is taken as scoring aggregates it, ``D = sum(a d) / (sum(a) + sum(m))``: over its
    slices with mask, with areas ``a`` and predicted DSC ``d``, and over its missed slices, each of which adds
    ``m = (1 - d) a / 2`` below the line, with ``a`` the mask area nearby. When not all slices were scored, ``sum(a)``
    and ``sum(a d)`` are scaled to all of them. What the tables do not list, such as empty slices that are not missed,
    goes below the line, so that D is the segment's predicted DSC in the tables. The data set's mean DSC is the mean of
    D over its N scored segments.

    *What correction reaches.* A corrected slice is expected to be predicted as good slices of its structure are: ``r``
    is the median of the structure's slices that are not flagged (the threshold, when all are). It is not 1: two
    careful people disagree too, and the model predicts 1 for nobody. Then

    - correcting a slice with mask adds ``a (r - d) / (sum(a) + sum(m)) / N`` to the mean;
    - correcting a missed slice adds ``a r`` above the line and replaces ``m`` by ``a`` below it.

    Missed slices follow in the same order, and D is taken anew after each correction, so the gains of a segment's
    slices add up exactly. With ``cautious`` every slice's ``d`` is replaced by the upper bound of its interval, which
    presumes that slices are better than predicted, and missed slices gain nothing.

    *How far to trust it.* The gain is one of predicted, not of true DSC. Of very many slices the lowest predictions are
    partly bad luck, so the gain of the first slices is more likely too large than too small. The cautious curve is no
    lower bound of the mean, only a pessimistic reading. A structure that is missing altogether is not in it.

    Raises:
        UsageError: there is no such order.
    """
    if order not in ORDERS:
        raise UsageError(f"{order}: no such order; choose one of {', '.join(ORDERS)}")
    slices = audit.read_slices(["slice_index", "predicted_dsc", "dsc_high", "flagged", "missed", "area_mm2", "k"])
    slices = slices[slices["predicted_dsc"].notna()].reset_index(drop=True)
    codes, scale, table_dsc = _segment_of(slices, audit.segments)
    d, missed, n = slices["predicted_dsc"].to_numpy(float), slices["missed"].to_numpy(bool), len(scale)
    area, reached = _areas(slices, codes), _reached(slices, audit.threshold)
    weight = np.where(missed, (1 - d) * area / 2, area * scale[codes])
    above = np.bincount(codes, np.where(missed, 0.0, weight * d), n)
    below = np.bincount(codes, weight, n)
    scored = (np.bincount(codes, ~missed, n) > 0) & (below > 0)
    n_segments = int(scored.sum())
    told = scored & (table_dsc > 0) & (above > 0)
    below[told] = above[told] / table_dsc[told]
    mean = float((above[scored] / below[scored]).mean()) if n_segments else 0.0

    doubtful = slices["flagged"].to_numpy(bool) | missed
    chosen = np.flatnonzero(scored[codes] & doubtful & (missed | (reached > d)))
    more_above = area * np.where(missed, reached, reached - d)
    rank = d[chosen] if order == "worst" else -more_above[chosen] / below[codes[chosen]]
    chosen = chosen[np.argsort(rank, kind="stable")]

    def gains(more_above: np.ndarray, more_below: np.ndarray) -> np.ndarray:
        each = _gains(codes[chosen], above, below, more_above[chosen], more_below[chosen])
        return each / max(n_segments, 1)

    kept = slices.iloc[chosen][["case", "segment", "structure", "slice_index", "predicted_dsc", "missed"]]
    gain = gains(more_above, np.where(missed, area - weight, 0.0))
    table = kept.assign(reached=reached[chosen], gain=gain).reset_index(drop=True)
    high, cautious = slices["dsc_high"].to_numpy(float), None
    if len(chosen) and np.isfinite(high[~missed]).any():
        spared = np.where(missed, 0.0, area * np.maximum(reached - np.fmax(high, d), 0.0))
        cautious = np.cumsum(gains(spared, np.zeros(len(d))))
    return BudgetPlan(order, table, mean, np.cumsum(gain), cautious, n_segments, len(slices))


def _areas(slices: pd.DataFrame, codes: np.ndarray) -> np.ndarray:
    """Mask area of each slice, mm2; of a missed one that of the segment's nearest slice with mask."""
    area = np.nan_to_num(slices["area_mm2"].to_numpy(float))
    k, missed = slices["k"].to_numpy(float), slices["missed"].to_numpy(bool)
    concerned = slices[np.isin(codes, codes[missed])]
    for rows in concerned.groupby(codes[concerned.index]).indices.values():
        rows = concerned.index[rows].to_numpy()
        masked = rows[~missed[rows]]
        for row in rows[missed[rows]] if len(masked) else ():
            area[row] = area[masked[np.abs(k[masked] - k[row]).argmin()]]
    return area


def _segment_of(slices: pd.DataFrame, segments: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Number of each slice's segment; by segment the factor from the scored slices to all, and its predicted DSC."""
    import pandas as pd

    keys = ["case", "segment"]
    groups = slices.groupby(keys, observed=True, sort=False)
    known = segments.astype(dict.fromkeys(keys, str)).drop_duplicates(keys).set_index(keys)
    known = known.reindex(pd.MultiIndex.from_tuples(groups.size().index, names=keys))
    ratio = (known["n_slices"] / known["n_scored"].where(known["n_scored"] > 0)).fillna(1.0).clip(lower=1.0)
    return groups.ngroup().to_numpy(), ratio.to_numpy(float), known["predicted_dsc"].to_numpy(float)


def _reached(slices: pd.DataFrame, threshold: float) -> np.ndarray:
    """What correction is expected to bring each slice to: the median of its structure's good slices."""
    good = slices[~slices["flagged"] & ~slices["missed"]]
    overall = float(good["predicted_dsc"].median()) if len(good) else threshold
    by_structure = good.groupby("structure", observed=True)["predicted_dsc"].median()
    names = slices["structure"].astype(object)
    values = names.map(by_structure.to_dict())
    # a structure without a good slice may be a difficult one: no more than the threshold is promised for it
    return values.astype(float).where(names.notna(), overall).fillna(threshold).to_numpy(float)


def _gains(codes, above, below, more_above, more_below) -> np.ndarray:
    """What each correction, in order, adds to its segment's DSC, after those of the same segment before it."""
    import pandas as pd

    up, down = (pd.Series(values).groupby(codes).cumsum() for values in (more_above, more_below))
    after = (above[codes] + up) / (below[codes] + down)
    return (after - after.groupby(codes).shift().fillna(pd.Series(above[codes] / below[codes]))).to_numpy()
