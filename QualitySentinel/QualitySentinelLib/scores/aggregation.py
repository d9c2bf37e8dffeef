"""From the scores of slices to the score of a segment, and the interval around it."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from ..errors import UsageError
from .score import SegmentScore

AGGREGATIONS = ("mean", "area_weighted")
DEFAULT_AGGREGATION = "area_weighted"


def aggregate(
    segment_score: SegmentScore, method: str = DEFAULT_AGGREGATION, calibration: Mapping | None = None
) -> float | None:
    """Set a segment's predicted DSC and interval from its slices; both aggregates are kept, ``method`` is the default.

    ``mean`` is the plain mean over the scored slices, as published. ``area_weighted`` follows from the definition of
    the volumetric DSC, ``2 sum|A∩B| / sum(|A|+|B|)``: it is the mean of the slices' DSC weighted by ``|A|+|B|``, of
    which the mask's own area is the part that is known without a ground truth. Slices where mask is absent but the
    structure is not are in neither.

    When only N of the slices were scored, each stands for the slices nearest to it: its area counts that many times.

    Args:
        segment_score: changed in place: ``mean_dsc``, ``area_weighted_dsc``, ``predicted_dsc``, ``dsc_low``,
            ``dsc_high``. All become ``None`` when no slice was scored.
        method: ``"mean"`` or ``"area_weighted"``.
        calibration: the model's calibration; ``segment_halfwidth`` is the half-width of the interval in units of
            DSC. Without it there is no interval.

    Returns:
        The predicted DSC, 0..1, or ``None``.

    Raises:
        UsageError: there is no such method.
    """
    if method not in AGGREGATIONS:
        raise UsageError(f"{method}: no such aggregation; choose one of {', '.join(AGGREGATIONS)}")
    segment_score.mean_dsc, segment_score.area_weighted_dsc = _both(segment_score)
    chosen = segment_score.mean_dsc if method == "mean" else segment_score.area_weighted_dsc
    segment_score.predicted_dsc = chosen
    segment_score.dsc_low, segment_score.dsc_high = interval(chosen, (calibration or {}).get("segment_halfwidth"))
    return chosen


def interval(dsc: float | None, halfwidth: float | None) -> tuple[float | None, float | None]:
    """``dsc`` -/+ ``halfwidth``, clipped to 0..1; ``(None, None)`` when either is missing or not a finite number."""
    if dsc is None or halfwidth is None or not math.isfinite(halfwidth):
        return None, None
    halfwidth = abs(float(halfwidth))
    return max(0.0, dsc - halfwidth), min(1.0, dsc + halfwidth)


def _both(segment_score: SegmentScore) -> tuple[float | None, float | None]:
    """(mean, area-weighted mean) of a segment's slices."""
    if not segment_score.slices:
        return None, None
    dsc = np.array([s.predicted_dsc for s in segment_score.slices], dtype=np.float64)
    areas = np.array([s.area_mm2 for s in segment_score.slices], dtype=np.float64)
    weights = areas * _slices_stood_for(segment_score)
    mean = float(dsc.mean())
    return mean, float(dsc @ weights / weights.sum()) if weights.sum() > 0 else mean


def _slices_stood_for(segment_score: SegmentScore) -> np.ndarray:
    """How many slices each scored slice stands for, float64 ``[n_scored]``: half-way to its neighbours on each side."""
    if segment_score.n_scored >= segment_score.n_slices:
        return np.ones(segment_score.n_scored)  # every slice was scored; a gap is a gap in the mask, not in the sample
    k = np.array([s.k for s in segment_score.slices], dtype=np.float64)
    order = np.argsort(k, kind="stable")
    middles = (k[order][1:] + k[order][:-1]) / 2
    edges = np.concatenate([[k[order[0]] - 0.5], middles, [k[order[-1]] + 0.5]])
    stood_for = np.empty_like(k)
    stood_for[order] = np.diff(edges)
    return stood_for
