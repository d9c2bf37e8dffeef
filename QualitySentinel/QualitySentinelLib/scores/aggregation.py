"""From the scores of slices to the score of a segment, and the intervals around both."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from ..errors import UsageError
from .score import CaseScore, SegmentScore

MISSED_BELOW = 0.5
"""Empty slices predicted below it are missed when the model's calibration says nothing: more likely than not."""


def mean_dsc(segment_score: SegmentScore) -> float:
    """The plain mean over the scored slices of the mask, as published."""
    return float(np.mean([s.predicted_dsc for s in segment_score.slices]))


def area_weighted_dsc(segment_score: SegmentScore) -> float:
    """The mean of the slices' DSC, weighted as the volumetric DSC ``2 sum|A∩B| / sum(|A|+|B|)`` weights them.

    Of the weights ``|A|+|B|`` the mask's own area is the part that is known without a ground truth. An empty slice adds
    nothing to the overlap and, where something is missed, half of ``|B|`` to the weights: the probability of that times
    half the area of the mask's nearest slice. When only N of the slices were scored, each stands for the slices nearest
    to it: its area counts that many times.
    """
    dsc = np.array([s.predicted_dsc for s in segment_score.slices], dtype=np.float64)
    areas = np.array([s.area_mm2 for s in segment_score.slices], dtype=np.float64)
    weights = areas * _slices_stood_for(segment_score)
    missed = sum((1.0 - s.predicted_dsc) * s.area_mm2 / 2 for s in segment_score.empty_slices)
    return float(dsc @ weights / (weights.sum() + missed)) if weights.sum() > 0 else mean_dsc(segment_score)


DEFAULT_AGGREGATION = "area_weighted"
AGGREGATIONS: dict[str, Callable[[SegmentScore], float]] = {
    "mean": mean_dsc,
    DEFAULT_AGGREGATION: area_weighted_dsc,
}
"""By name, from a segment with at least one scored slice to its DSC. A new one is one entry."""


def aggregate(
    segment_score: SegmentScore, method: str | None = None, calibration: Mapping | None = None
) -> float | None:
    """Set a segment's predicted DSC, all intervals and what is missed.

    Args:
        segment_score: changed in place: ``predicted_dsc``, ``dsc_low``, ``dsc_high``, and ``mean_dsc`` and
            ``area_weighted_dsc``, which are kept whatever the method (all ``None`` when no slice was scored), the
            intervals of its slices, and which of its empty slices are missed.
        method: a name of :data:`AGGREGATIONS`; by default :data:`DEFAULT_AGGREGATION`.
        calibration: the model's (docs/ARCHITECTURE.md). What it lacks gives no interval, the aggregate itself as
            predicted DSC, and ``MISSED_BELOW``.

    Raises:
        UsageError: there is no such method.
    """
    method = method or DEFAULT_AGGREGATION
    if method not in AGGREGATIONS:
        raise UsageError(f"{method}: no such aggregation; choose one of {', '.join(AGGREGATIONS)}")
    calibration = calibration or {}
    for s in segment_score.slices:
        s.dsc_low, s.dsc_high = _at(s.predicted_dsc, calibration.get("slice"), "predicted", "low", "high")
    at_ends, inside = missed_below(calibration.get("missed"))
    for empty in segment_score.empty_slices:
        empty.missed = empty.predicted_dsc < (inside if empty.inner else at_ends)
    chosen, mean, weighted = (
        AGGREGATIONS[name](segment_score) if segment_score.slices else None
        for name in (method, "mean", DEFAULT_AGGREGATION)
    )
    segment_score.mean_dsc, segment_score.area_weighted_dsc, segment_score.predicted_dsc = mean, weighted, chosen
    segment_score.dsc_low = segment_score.dsc_high = None
    curve = calibration.get("segment") if method == DEFAULT_AGGREGATION else None
    if curve and weighted is not None:
        bounds = (float(v) for v in segment_dsc(weighted, curve))
        segment_score.predicted_dsc, segment_score.dsc_low, segment_score.dsc_high = bounds
    return segment_score.predicted_dsc


def segment_dsc(weighted: float | np.ndarray, curve: Mapping) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The DSC to show for area-weighted aggregates of segments, and its bounds: (DSC, low, high), any shape.

    Args:
        weighted: aggregates, 0..1.
        curve: ``calibration["segment"]``: knots ``aggregated``, ``dsc``, ``low``, ``high``; and which value to show:
            ``shown`` is ``"calibrated"`` when the curve's ``dsc`` was nearer to the truth than the aggregate on
            patients it was not fitted on. Otherwise, and in model files that do not say, it is ``"area_weighted"``:
            the aggregate itself, and the bounds are widened to hold it.
    """
    at = curve["aggregated"]
    shown = np.interp(weighted, at, curve["dsc"]) if curve.get("shown") == "calibrated" else np.asarray(weighted)
    low, high = np.interp(weighted, at, curve["low"]), np.interp(weighted, at, curve["high"])
    return shown, np.minimum(low, shown), np.maximum(high, shown)


def calibration_for(structure: str | None, calibration: Mapping) -> Mapping:
    """A model's calibration as it holds for a structure: ``few`` has wider bounds for those not ``known``."""
    few = calibration.get("few")
    return calibration if not few or structure in few["known"] else {**calibration, **few}


def missed_below(thresholds: Mapping | None) -> tuple[float, float]:
    """Below what predictions an empty slice is missed (``calibration["missed"]``): beyond the mask, and inside it."""
    at_ends = (thresholds or {}).get("threshold", MISSED_BELOW)
    return at_ends, (thresholds or {}).get("inner_threshold", at_ends)


def flagged_of_correct(case: CaseScore) -> float | None:
    """Share of the slices of correct masks that its thresholds flag on patients the model never saw, if it tells."""
    curve = (case.model.get("calibration") or {}).get("flags")
    if curve and case.thresholds_in_use:
        return curve.get("structures_share")
    return float(np.interp(case.threshold, curve["threshold"], curve["share"])) if curve else None


def _at(value: float | None, curve: Mapping | None, over: str, *names: str) -> tuple[float | None, ...]:
    """The named columns of a calibration curve at ``value``, linear between its knots and level beyond them."""
    if value is None or not curve:
        return (None,) * len(names)
    return tuple(float(np.interp(value, curve[over], curve[name])) for name in names)


def _slices_stood_for(segment_score: SegmentScore) -> np.ndarray:
    """How many slices each scored slice stands for, float64 ``[n_scored]``: half-way to its neighbors on each side."""
    if segment_score.n_scored >= segment_score.n_slices:
        return np.ones(segment_score.n_scored)  # every slice was scored; a gap is a gap in the mask, not in the sample
    k = np.array([s.k for s in segment_score.slices], dtype=np.float64)
    order = np.argsort(k, kind="stable")
    middles = (k[order][1:] + k[order][:-1]) / 2
    edges = np.concatenate([[k[order[0]] - 0.5], middles, [k[order[-1]] + 0.5]])
    stood_for = np.empty_like(k)
    stood_for[order] = np.diff(edges)
    return stood_for
