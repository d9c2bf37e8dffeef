"""Every figure of a group of subjects, as one JSON-able dictionary."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from QualitySentinelLib.scores.aggregation import AGGREGATIONS

from ..calibration import coverage, segment_calibrated
from ..stats import DRAWS, FIGURES, agreement, bootstrap_intervals, calibration_curve
from .evaluated import Evaluated
from .missed import missed_figures
from .within_masks import within_masks

GROUP_DRAWS = 200
"""Draws of the bootstrap of each structure, error kind and so on; of the whole, :data:`.bootstrap.DRAWS`."""


def figures(evaluated: Evaluated, calibration: Mapping | None = None, draws: int = DRAWS) -> dict:
    """Figures of slices, segments, missed slices, and of every structure, error kind, origin, source and stage.

    Args:
        evaluated: slices of subjects that were never trained on.
        calibration: the model's; adds the calibrated segment scores, the measured coverage, and the share of missed
            slices flagged at the threshold that was chosen on other subjects.
        draws: of the bootstrap over persons; 0 for no intervals.

    Returns:
        ``subjects``, ``persons``; ``slices`` (figures of :func:`.metrics.agreement`, each with ``<name>_95ci``, and
        ``calibration_curve``); ``within_masks``; ``segments`` by aggregation (and ``calibrated``); ``missed``;
        ``coverage``; ``by_structure``, ``by_error`` (a slice of several errors counts in each), ``by_origin``,
        ``by_source``, ``by_stage``: slices, with intervals of r and MAE; ``segments_by_structure``.
    """
    masked, segments = evaluated.masked, evaluated.segments()
    result = {
        "subjects": len(np.unique(evaluated.subject)),
        "persons": len(np.unique(evaluated.person)),
        "slices": with_intervals(masked.predicted, masked.dsc, masked.person, draws),
        "within_masks": within_masks(evaluated, draws),
        "segments": {},
    }
    result["slices"]["calibration_curve"] = calibration_curve(masked.predicted, masked.dsc)
    for method in AGGREGATIONS:
        scored = evaluated.segments(method)
        result["segments"][method] = with_intervals(scored.aggregated, scored.dsc, scored.person, draws)
    if calibration and "segment" in calibration:
        calibrated, *_ = segment_calibrated(segments.aggregated, segments.person, calibration)
        result["segments"]["calibrated"] = with_intervals(calibrated, segments.dsc, segments.person, draws)
    if (evaluated.area == 0).any():
        result["missed"] = missed_figures(evaluated, calibration)
    if calibration and ("slice" in calibration or "segment" in calibration):
        result["coverage"] = coverage(evaluated, calibration)

    groups: dict[str, Callable[[Evaluated], dict[str, np.ndarray]]] = {
        "by_structure": lambda e: _equal(e.structure),
        "by_error": _by_error,
        "by_origin": lambda e: _equal(e.origin),
        "by_source": lambda e: _equal(e.source),
        "by_stage": lambda e: {n: rows for n, rows in _equal(e.stage).items() if int(n) >= 0},
    }
    few = min(draws, GROUP_DRAWS)
    for name, rows_of in groups.items():
        result[name] = {
            group: with_intervals(masked.predicted[r], masked.dsc[r], masked.person[r], few, ("pearson_r", "mae"))
            for group, r in rows_of(masked).items()
        }
    result["segments_by_structure"] = {
        group: with_intervals(
            segments.aggregated[rows], segments.dsc[rows], segments.person[rows], few, ("pearson_r", "mae")
        )
        for group, rows in _equal(segments.structure).items()
    }
    return result


def with_intervals(
    predicted: np.ndarray, true: np.ndarray, person: np.ndarray, draws: int = DRAWS, names: tuple[str, ...] = FIGURES
) -> dict:
    """Figures of agreement, ``persons``, and ``<name>_95ci`` (bootstrap over persons) of those in ``names``."""
    result: dict = agreement(predicted, true)
    result["persons"] = len(np.unique(person))
    if draws:
        intervals = bootstrap_intervals(predicted, true, person, names, draws)
        result |= {f"{name}_95ci": interval for name, interval in intervals.items()}
    return result


def _equal(values: np.ndarray) -> dict[str, np.ndarray]:
    return {str(value): np.flatnonzero(values == value) for value in np.unique(values)}


def _by_error(masked: Evaluated) -> dict[str, np.ndarray]:
    """Rows by single error kind."""
    kinds, number = np.unique(masked.kind, return_inverse=True)
    parts = [str(kind).split(" + ") for kind in kinds]
    single = sorted({kind for kinds_ in parts for kind in kinds_})
    return {
        kind: np.flatnonzero(np.isin(number.reshape(-1), [i for i, p in enumerate(parts) if kind in p]))
        for kind in single
    }
