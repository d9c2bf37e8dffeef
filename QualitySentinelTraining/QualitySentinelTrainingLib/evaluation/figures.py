"""Every figure of a group of subjects, as one JSON-able dictionary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from QualitySentinelLib.scorer.plan import plan_slices
from QualitySentinelLib.scores.aggregation import AGGREGATIONS, DEFAULT_AGGREGATION, aggregate
from QualitySentinelLib.volume.segmentation import segment_from_mask

from ..calibration import FALSE_FLAGS, coverage, missed_flags, missed_thresholds, segment_calibrated
from ..stats import DRAWS, FIGURES, agreement, auroc, bootstrap_intervals, calibration_curve, mean_interval, spearman_r
from .table import EvaluationTable, segment_score

GROUP_DRAWS = 200
"""Draws of the bootstrap of each structure, error kind and so on; of the whole, :data:`.bootstrap.DRAWS`."""
FEWEST_SLICES = 5
"""Slices that a mask must have for an order of its own."""
LEAST_SPREAD = 0.1
"""True DSC must differ by so much between slices of a mask; below that there is no worst slice to find."""
NUMBERS = (1, 2, 3, 5, 7, 10, 15, 20, 30)
"""Slices scored of a mask, for :func:`slices_per_mask`."""
_WORTH_CHOOSING = 20
"""Slices that a mask must have for it to be worth while to score only some."""
_R_AND_MAE = ("pearson_r", "mae")


def figures(table: EvaluationTable, calibration: Mapping | None = None, draws: int = DRAWS) -> dict:
    """Figures of slices, segments, missed slices, and of every structure, error kind, origin, source and stage.

    Args:
        table: slices of subjects that were never trained on.
        calibration: the model's; adds the calibrated segment scores, the measured coverage, and the share of missed
            slices flagged at the threshold that was chosen on other subjects.
        draws: of the bootstrap over patients; 0 for no intervals.

    Returns:
        ``subjects``, ``persons``; ``slices`` (figures of :func:`.stats.agreement`, each with ``<name>_95ci``, and
        ``calibration_curve``); ``within_masks``; ``segments`` by aggregation (and ``calibrated``); ``missed``;
        ``coverage``; ``by_structure``, ``by_error`` (a slice of several errors counts in each), ``by_origin``,
        ``by_source``, ``by_stage``: slices, with intervals of r and MAE; ``segments_by_structure``.
    """
    masked, segments, few = table.masked, table.segments(), min(draws, GROUP_DRAWS)
    result: dict = {
        "subjects": len(np.unique(table.subject)),
        "persons": len(np.unique(table.patient)),
        "slices": with_intervals(masked.predicted, masked.dsc, masked.patient, draws)
        | {"calibration_curve": calibration_curve(masked.predicted, masked.dsc)},
        "within_masks": within_masks(table, draws),
        "segments": {},
    }
    aggregated = {method: table.segments(method)["aggregated"].to_numpy() for method in AGGREGATIONS}
    true, patient = segments["dsc"].to_numpy(), segments["patient"].to_numpy(str)
    if calibration and "segment" in calibration:
        aggregated["calibrated"] = segment_calibrated(segments, calibration)[0]
    for method, scores in aggregated.items():
        result["segments"][method] = with_intervals(scores, true, patient, draws)
    if (table.area == 0).any():
        result["missed"] = missed_figures(table, calibration)
    if calibration and ("slice" in calibration or "segment" in calibration):
        result["coverage"] = coverage(table, calibration)
    groups = {name: _equal(getattr(masked, name)) for name in ("structure", "origin", "source", "stage")}
    groups["stage"].pop("-1", None)  # of no network
    for name, rows in (groups | {"error": _by_error(masked)}).items():
        result[f"by_{name}"] = {
            group: with_intervals(masked.predicted[r], masked.dsc[r], masked.patient[r], few, _R_AND_MAE)
            for group, r in rows.items()
        }
    scores = segments["aggregated"].to_numpy()
    result["segments_by_structure"] = {
        group: with_intervals(scores[r], true[r], patient[r], few, _R_AND_MAE)
        for group, r in _equal(segments["structure"].to_numpy(str)).items()
    }
    return result


def with_intervals(
    predicted: np.ndarray, true: np.ndarray, patient: np.ndarray, draws: int = DRAWS, names: tuple[str, ...] = FIGURES
) -> dict:
    """Figures of agreement, ``persons``, and ``<name>_95ci`` (bootstrap over patients) of those in ``names``."""
    intervals = bootstrap_intervals(predicted, true, patient, names, draws) if draws else {}
    return agreement(predicted, true) | {
        "persons": len(np.unique(patient)), **{f"{name}_95ci": interval for name, interval in intervals.items()}
    }  # fmt: skip


def _equal(values: np.ndarray) -> dict[str, np.ndarray]:
    return {str(value): np.flatnonzero(values == value) for value in np.unique(values)}


def _by_error(masked: EvaluationTable) -> dict[str, np.ndarray]:
    """Rows by single error kind."""
    kinds, number = np.unique(masked.kind, return_inverse=True)
    parts = [str(kind).split(" + ") for kind in kinds]
    single = sorted({kind for kinds_ in parts for kind in kinds_})
    return {
        kind: np.flatnonzero(np.isin(number.reshape(-1), [i for i, p in enumerate(parts) if kind in p]))
        for kind in single
    }


def missed_figures(table: EvaluationTable, calibration: Mapping | None = None) -> dict[str, dict]:
    """Figures of finding missed slices, for ``all`` empty slices, and for ``inner`` and ``end`` ones alone.

    ``removed`` are those of otherwise perfect masks from which a run of slices was taken (kinds "removed ...").

    An empty slice is truly missed when the reference has voxels there; its score is 1 - predicted. Of each group:

    - ``n_missed``, ``n_rightly_empty``; ``auroc``;
    - ``flagged_in_sample``: share of the missed flagged at 5 % false flags, with the thresholds (inside, and beyond
      the ends) chosen on these very slices; ``false_flags_in_sample`` what they give in this group;
    - ``flagged``, ``false_flags``: the same with the thresholds of ``calibration``, chosen on other subjects, and
      ``flagged_95ci`` by bootstrap over patients; left out when there is none.

    A share of nothing is nan.
    """
    empty, in_sample = table.empty, missed_thresholds(table, FALSE_FLAGS)
    removed = np.char.startswith(empty.kind, "removed")
    groups = {"all": np.ones(len(empty), bool), "inner": empty.inner, "end": ~empty.inner, "removed": removed}
    result: dict[str, dict] = {}
    for group, rows in groups.items():
        if group == "removed" and not rows.any():
            continue
        part = empty.take(rows)
        missed = part.reference_area > 0
        flags = {"_in_sample": missed_flags(part, {"missed": in_sample})} if in_sample else {}
        if (calibration or {}).get("missed"):
            flags[""] = missed_flags(part, calibration)
        result[group] = {
            "n_missed": int(missed.sum()), "n_rightly_empty": int((~missed).sum()),
            "auroc": auroc(-part.predicted, missed),
            **{f"flagged{how}": mean(flagged[missed]) for how, flagged in flags.items()},
            **{f"false_flags{how}": mean(flagged[~missed]) for how, flagged in flags.items()},
        }  # fmt: skip
        if "" in flags and (interval := mean_interval(flags[""][missed], part.patient[missed])):
            result[group]["flagged_95ci"] = interval
    return result


def within_masks(table: EvaluationTable, draws: int = DRAWS) -> dict:
    """How well the slices of one mask are ordered, over masks some of whose slices are worse than others.

    Returns:
        ``n`` masks; ``mean_spearman_r`` of predicted with true DSC over a mask's slices (and ``_95ci``), 0 for a mask
        whose slices are all predicted alike; mean true DSC of a mask's ``worst`` slice, of the one that is
        ``predicted_worst``, and of ``any`` of its slices, which is what looking at one at random would find. ``n``
        alone when there is no such mask. Empty slices do not count.
    """
    predicted, dsc = table.predicted, table.dsc
    members = [rows[table.area[rows] > 0] for rows in table.members]
    members = [rows for rows in members if len(rows) >= FEWEST_SLICES and np.ptp(dsc[rows]) >= LEAST_SPREAD]
    if not members:
        return {"n": 0}
    orders = np.nan_to_num(orders_of(predicted, dsc, members))
    result: dict = {"n": len(members), "mean_spearman_r": float(orders.mean())}
    patient = np.array([table.patient[rows[0]] for rows in members])
    if interval := mean_interval(orders, patient, draws) if draws else None:
        result["mean_spearman_r_95ci"] = interval
    return result | {
        "worst": mean([dsc[rows].min() for rows in members]),
        "predicted_worst": mean([dsc[rows[np.argmin(predicted[rows])]] for rows in members]),
        "any": mean([dsc[rows].mean() for rows in members]),
    }


def orders_of(predicted: np.ndarray, true: np.ndarray, members: Sequence[np.ndarray]) -> np.ndarray:
    """Spearman correlation of ``predicted`` with ``true`` [N] over each mask's rows, [M]; ``nan`` for constants."""
    return np.array([spearman_r(predicted[rows], true[rows]) for rows in members])


def slices_per_mask(
    table: EvaluationTable, numbers: Sequence[int] = NUMBERS, method: str = DEFAULT_AGGREGATION
) -> list[dict]:
    """Deviation from the score of all slices when only N of each mask are scored, spread as inference spreads them.

    Every N is measured on the same masks: those of at least 20 slices, or the larger half of all when none has so many.
    A mask of no more than N slices deviates by nothing. Empty slices take no part. (Fig. 2b of the paper.)

    Returns:
        By N, as far as any mask has more: ``slices`` (N), ``masks``; ``mean_abs_deviation`` and ``p90_abs_deviation``
        of the segment's predicted DSC; ``share_scored``, the mean share of the mask's slices that were scored; ``mae``
        and ``mae_all``, mean absolute error against the true volumetric DSC with N slices and with all.
    """
    masked = table.masked
    lengths = np.array([len(rows) for rows in masked.members])
    if not len(lengths):
        return []
    least = _WORTH_CHOOSING if lengths.max() >= _WORTH_CHOOSING else np.median(lengths)
    members = [rows for rows in masked.members if len(rows) >= least]
    everything = np.array([aggregate(segment_score(masked, rows), method) for rows in members])
    true = np.array([masked.volume_dsc[rows[0]] for rows in members], float)
    result = []
    for number in (n for n in numbers if n < lengths.max()):
        some = np.array([_aggregate_some(masked, rows, number, method) for rows in members])
        deviation = np.abs(some - everything)
        result.append({
            "slices": number, "masks": len(members), "mean_abs_deviation": float(deviation.mean()),
            "p90_abs_deviation": float(np.percentile(deviation, 90)),
            "share_scored": mean([min(number, len(rows)) / len(rows) for rows in members]),
            "mae": float(np.abs(some - true).mean()), "mae_all": float(np.abs(everything - true).mean()),
        })  # fmt: skip
    return result


def _aggregate_some(masked: EvaluationTable, rows: np.ndarray, number: int, method: str) -> float:
    k = masked.k[rows]
    column = np.zeros((int(k[-1] - k[0]) + 1, 1, 1), bool)
    column[k - k[0]] = True
    chosen = np.array(plan_slices(segment_from_mask(column, id="", name=""), number)) + k[0]
    return aggregate(segment_score(masked, rows[np.isin(k, chosen)], n_slices=len(rows)), method)


def mean(values: Sequence | np.ndarray) -> float:
    """Mean; nan of nothing."""
    return float(np.mean(values)) if len(values) else float("nan")
