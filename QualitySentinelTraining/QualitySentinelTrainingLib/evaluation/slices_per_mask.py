"""How many slices of a mask must be scored: deviation of the segment's score from that of scoring all (Fig. 2b)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from QualitySentinelLib.scorer.plan import plan_slices
from QualitySentinelLib.scores.aggregation import DEFAULT_AGGREGATION, aggregate
from QualitySentinelLib.volume.segmentation import segment_from_mask

from .evaluated import Evaluated, segment_score

NUMBERS = (1, 2, 3, 5, 7, 10, 15, 20, 30)
_FEWEST = 20
"""Slices that a mask must have for it to be worth while to score only some."""


def slices_per_mask(
    evaluated: Evaluated, numbers: Sequence[int] = NUMBERS, method: str = DEFAULT_AGGREGATION
) -> list[dict]:
    """Deviation from the score of all slices when only N of each mask are scored, spread as inference spreads them.

    Every N is measured on the same masks: those of at least 20 slices, or the larger half of all when none has so many.
    A mask of no more than N slices deviates by nothing. Empty slices take no part.

    Returns:
        By N, as far as any mask has more: ``slices`` (N), ``masks``; ``mean_abs_deviation`` and ``p90_abs_deviation``
        of the segment's predicted DSC; ``share_scored``, the mean share of the mask's slices that were scored; ``mae``
        and ``mae_all``, mean absolute error against the true volumetric DSC with N slices and with all.
    """
    masked = evaluated.masked
    members = masked.members
    if not members:
        return []
    lengths = np.array([len(rows) for rows in members])
    long_enough = lengths >= _FEWEST
    if not long_enough.any():
        long_enough = lengths >= np.median(lengths)
    members = [rows for rows, keep in zip(members, long_enough, strict=True) if keep]
    everything = np.array([aggregate(segment_score(masked, rows), method) for rows in members])
    true = np.array([masked.volume_dsc[rows[0]] for rows in members], float)
    result = []
    for number in numbers:
        if number >= lengths.max():
            continue
        some = np.array([_aggregate_some(masked, rows, number, method) for rows in members])
        deviation = np.abs(some - everything)
        result.append(
            {
                "slices": number,
                "masks": len(members),
                "mean_abs_deviation": float(deviation.mean()),
                "p90_abs_deviation": float(np.percentile(deviation, 90)),
                "share_scored": float(np.mean([min(number, len(rows)) / len(rows) for rows in members])),
                "mae": float(np.abs(some - true).mean()),
                "mae_all": float(np.abs(everything - true).mean()),
            }
        )
    return result


def _aggregate_some(masked: Evaluated, rows: np.ndarray, number: int, method: str) -> float:
    k = masked.k[rows]
    column = np.zeros((int(k[-1] - k[0]) + 1, 1, 1), bool)
    column[k - k[0]] = True
    chosen = np.array(plan_slices(segment_from_mask(column, id="", name=""), number)) + k[0]
    return aggregate(segment_score(masked, rows[np.isin(k, chosen)], n_slices=len(rows)), method)
