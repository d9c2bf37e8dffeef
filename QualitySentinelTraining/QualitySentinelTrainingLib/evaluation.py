"""Scores a model on simulated errors of subjects it never saw, and says how well it did."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from QualitySentinelLib.checkpoint import QualityModel
from QualitySentinelLib.scores import SegmentScore, SliceScore, Status
from QualitySentinelLib.scores.aggregation import AGGREGATIONS, DEFAULT_AGGREGATION, aggregate

from .metrics import agreement, bootstrap_interval
from .pairs import Pairs, make_pairs, restored
from .subjects import Subject

COVERAGE = 0.9
"""Share of unseen cases that the reported intervals are meant to hold."""

_BATCH = 64


@dataclass
class Evaluated:
    """Pairs of unseen subjects and the model's raw predictions for them, [N]."""

    pairs: Pairs
    predicted: np.ndarray

    def segments(self, method: str = DEFAULT_AGGREGATION) -> tuple[np.ndarray, np.ndarray]:
        """Predicted (aggregated by ``method``) and true volumetric DSC of every simulated mask, [M] each."""
        members = {}
        for row, key in enumerate(zip(self.pairs.subject, self.pairs.mask, strict=True)):
            members.setdefault(key, []).append(row)
        predicted = [aggregate(self._segment_score(rows), method) for rows in members.values()]
        true = [self.pairs.volume_dsc[rows[0]] for rows in members.values()]
        return np.array(predicted), np.array(true)

    def _segment_score(self, rows: list[int]) -> SegmentScore:
        slices = [
            SliceScore("", int(self.pairs.k[r]), 0, 0.0, float(self.predicted[r]), 0.0, float(self.pairs.area[r]), "")
            for r in rows
        ]
        return SegmentScore("", "", None, Status.SCORED, n_slices=len(slices), slices=slices)


def predict(model: QualityModel, pairs: Pairs) -> np.ndarray:
    """Predicted DSC, clamped to 0..1, float32 [N]."""
    parts = []
    for start in range(0, len(pairs), _BATCH):
        rows = slice(start, start + _BATCH)
        images = restored(torch.from_numpy(pairs.images[rows]).float())
        names = [str(name) for name in pairs.structure[rows]]
        parts.append(model.score(images, names, torch.from_numpy(pairs.pixel_mm[rows])))
    return np.clip(np.concatenate(parts), 0.0, 1.0)


def evaluate(model: QualityModel, subjects: Iterable[Subject], masks_per_structure: int, seed: int) -> Evaluated:
    """Simulate errors of ``subjects`` and score every slice of every simulated mask."""
    rng = np.random.default_rng(seed)
    parts = [make_pairs(s, rng, model.preset, masks_per_structure, slices_per_mask=None) for s in subjects]
    pairs = Pairs.concatenate(parts)
    return Evaluated(pairs, predict(model, pairs))


def figures(evaluated: Evaluated) -> dict:
    """Every figure of a group of subjects, as a JSON-able dictionary: slices, segments, structures, error kinds."""
    pairs, predicted = evaluated.pairs, evaluated.predicted
    slices = agreement(predicted, pairs.dsc)
    for metric in ("pearson_r", "mae"):
        if len(np.unique(pairs.subject)) > 1:
            slices[f"{metric}_95ci"] = bootstrap_interval(predicted, pairs.dsc, pairs.subject, metric)
    result = {
        "subjects": len(np.unique(pairs.subject)),
        "slices": slices,
        "segments": {},
        "by_structure": _by_group(pairs.structure, predicted, pairs.dsc),
        "by_error": _by_group(pairs.kind, predicted, pairs.dsc),
    }
    for method in AGGREGATIONS:
        result["segments"][method] = agreement(*evaluated.segments(method))
    return result


def calibration(evaluated: Evaluated) -> dict[str, float]:
    """Half-widths of the intervals: the conformal quantile of absolute errors on subjects not trained on."""
    predicted, true = evaluated.segments()
    return {
        "coverage": COVERAGE,
        "slice_halfwidth": _conformal_quantile(np.abs(evaluated.predicted - evaluated.pairs.dsc)),
        "segment_halfwidth": _conformal_quantile(np.abs(predicted - true)),
    }


def _conformal_quantile(errors: np.ndarray) -> float:
    level = min(1.0, np.ceil((len(errors) + 1) * COVERAGE) / len(errors))
    return float(np.quantile(errors, level))


def _by_group(group: np.ndarray, predicted: np.ndarray, true: np.ndarray) -> dict[str, dict[str, float]]:
    return {str(name): agreement(predicted[group == name], true[group == name]) for name in np.unique(group)}
