"""The target: the Dice similarity coefficient (DSC) of whole slices and of the whole volume."""

from __future__ import annotations

import numpy as np


def slice_dice(mask: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """DSC of every slice, ``2|A and B| / (|A| + |B|)`` over the whole slice (a crop would hide missed parts).

    Args:
        mask, reference: bool ``[k, j, i]`` of equal shape.

    Returns:
        float32 ``[k]``; ``nan`` where both are empty (nothing to score), 0 where exactly one is.
    """
    shared = np.count_nonzero(mask & reference, axis=(1, 2))
    total = np.count_nonzero(mask, axis=(1, 2)) + np.count_nonzero(reference, axis=(1, 2))
    return np.where(total > 0, 2.0 * shared / np.maximum(total, 1), np.nan).astype(np.float32)


def volume_dice(mask: np.ndarray, reference: np.ndarray) -> float:
    """DSC of the whole mask; ``nan`` when both are empty."""
    total = np.count_nonzero(mask) + np.count_nonzero(reference)
    return 2.0 * np.count_nonzero(mask & reference) / total if total else float("nan")
