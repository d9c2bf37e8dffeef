"""The target: the Dice similarity coefficient (DSC) of whole slices and of the whole volume."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .subjects import Subject


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


def surface_dice(mask: np.ndarray, reference: np.ndarray, spacing: Sequence[float], tolerance_mm: float) -> float:
    """Normalized surface distance (NSD): the share of both surfaces that lies within a tolerance of the other one.

    Nikolov et al. 2021 (J Med Internet Res 23:e26151), by MONAI.

    Args:
        mask, reference: bool ``[k, j, i]`` of equal shape.
        spacing: of the voxels, ``(k, j, i)``, mm.
        tolerance_mm: within which surfaces count as equal.

    Returns:
        0..1; ``nan`` when both are empty.
    """
    if not mask.any() or not reference.any():
        return 0.0 if mask.any() or reference.any() else float("nan")
    import torch
    from monai.metrics import compute_surface_dice

    pair = [torch.from_numpy(np.ascontiguousarray(m))[None, None] for m in (mask, reference)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # MONAI's, on its own code
        return float(compute_surface_dice(*pair, [tolerance_mm], include_background=True, spacing=tuple(spacing)))


def dice_by_structure(
    labels: np.ndarray, classes: Sequence[str], subject: Subject, tolerance_mm: float = 0.0
) -> Iterator[tuple[str, float, float]]:
    """Structure, DSC and, with a tolerance, NSD of what is predicted of a subject.

    Args:
        labels: ``[k, j, i]``, numbers of ``classes``.
        subject: structures that it shows and that are among the classes are given.
    """
    for value, name in subject.structures.items():
        truth = subject.labels == value
        if name in classes and truth.any():
            mask = labels == classes.index(name)
            nsd = surface_dice(mask, truth, subject.ct.frame.spacing, tolerance_mm) if tolerance_mm else float("nan")
            yield name, volume_dice(mask, truth), nsd
