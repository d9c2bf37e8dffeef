"""Which slices of a mask are wrong: how predictions order the slices of one mask, whatever they say of other masks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..stats import DRAWS, bootstrap_of, spearman_r
from .evaluated import Evaluated

FEWEST_SLICES = 5
"""Slices that a mask must have for an order of its own."""
LEAST_SPREAD = 0.1
"""True DSC must differ by so much between slices of a mask; below that there is no worst slice to find."""


def within_masks(evaluated: Evaluated, draws: int = DRAWS) -> dict:
    """How well the slices of one mask are ordered, over masks some of whose slices are worse than others.

    Args:
        evaluated: slices of candidate masks; empty ones do not count.
        draws: of the bootstrap over persons; 0 for no interval.

    Returns:
        ``n`` masks; ``mean_spearman_r`` of predicted with true DSC over a mask's slices (and ``_95ci``), 0 for a mask
        whose slices are all predicted alike; mean true DSC of a mask's ``worst`` slice, of the one that is
        ``predicted_worst``, and of ``any`` of its slices, which is what looking at one at random would find. ``n``
        alone when there is no such mask.
    """
    predicted, dsc = evaluated.predicted, evaluated.dsc
    members = [rows[evaluated.area[rows] > 0] for rows in evaluated.members]
    members = [rows for rows in members if len(rows) >= FEWEST_SLICES and np.ptp(dsc[rows]) >= LEAST_SPREAD]
    if not members:
        return {"n": 0}
    orders = np.nan_to_num(orders_of(predicted, dsc, members))
    result = {"n": len(members), "mean_spearman_r": float(orders.mean())}
    person = np.array([evaluated.person[rows[0]] for rows in members])
    interval = bootstrap_of(lambda w: float(np.average(orders, weights=w)), person, draws) if draws else None
    if interval:
        result["mean_spearman_r_95ci"] = interval
    found = [dsc[rows[np.argmin(predicted[rows])]] for rows in members]
    return result | {
        "worst": float(np.mean([dsc[rows].min() for rows in members])),
        "predicted_worst": float(np.mean(found)),
        "any": float(np.mean([dsc[rows].mean() for rows in members])),
    }


def orders_of(predicted: np.ndarray, true: np.ndarray, members: Sequence[np.ndarray]) -> np.ndarray:
    """Spearman correlation of ``predicted`` with ``true`` [N] over each mask's rows, [M]; ``nan`` for constants."""
    return np.array([spearman_r(predicted[rows], true[rows]) for rows in members])
