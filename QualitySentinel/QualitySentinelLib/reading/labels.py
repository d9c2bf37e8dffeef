"""From the voxels of a segmentation file to label values: whole numbers, none negative, in a small dtype."""

from __future__ import annotations

import numpy as np

from ..errors import InputError

MAX_LABELS = 1000
"""More different values than this is an image, not a label map."""

WHOLE = 1e-3
"""Floats so near to whole numbers are whole: a label map saved as scaled integers comes back as 1.99997."""


def as_labels(voxels: np.ndarray, source: str) -> tuple[np.ndarray, dict[int, int], list[str]]:
    """Label map of an array of any real dtype.

    Booleans and whole-valued floats (within ``WHOLE``) are taken as they are. Fractions from 0 to 1 are probabilities:
    0.5 and above belongs to the segment, with a warning. NaN and infinite voxels are background, with a warning.

    Returns:
        Labels of the same shape, uint8 or uint16; the file's value of each label that occurs (the same number unless
        it is above 65535); and the warnings.

    Raises:
        InputError: negative or fractional values, or more than ``MAX_LABELS`` different ones.
    """
    warnings: list[str] = []
    if voxels.dtype.kind == "b":
        voxels = voxels.view(np.uint8)
    if voxels.dtype.kind == "f":
        voxels, warnings = _whole(voxels, source)
    low, high = (int(voxels.min()), int(voxels.max())) if voxels.size else (0, 0)
    if low < -100:
        raise InputError(f"{source}: holds values from {low} to {high} and looks like a CT; give a segmentation here")
    if low < 0:
        raise InputError(
            f"{source}: holds negative labels (down to {low}); write it with 0 for the background and positive labels"
        )
    if high <= 65535:
        labels = voxels.astype(np.uint8 if high <= 255 else np.uint16, copy=False)
        present = np.flatnonzero(_counts(labels, high)).tolist()
        meaning = {value: value for value in present if value > 0}
    else:
        values = np.unique(voxels)
        values = values[values > 0]
        _refuse_many(len(values), source)
        labels = np.searchsorted(np.concatenate([[0], values]), voxels).astype(np.uint16)
        meaning = {label: int(value) for label, value in enumerate(values, start=1)}
    _refuse_many(len(meaning), source)
    return labels, meaning, warnings


def _counts(labels: np.ndarray, high: int) -> np.ndarray:
    """How often each value occurs, slab by slab because ``bincount`` makes 8 bytes of each voxel."""
    counts = np.zeros(high + 1, dtype=np.int64)
    for slab in labels:
        rows = slab[slab.max(axis=-1) > 0]  # most rows of most masks are empty, and counting is slow
        counts += np.bincount(rows.ravel(), minlength=high + 1)
    counts[0] += labels.size - counts.sum()
    return counts


def _refuse_many(count: int, source: str) -> None:
    if count > MAX_LABELS:
        raise InputError(f"{source}: holds {count} different values and looks like an image; give a segmentation here")


def _whole(voxels: np.ndarray, source: str) -> tuple[np.ndarray, list[str]]:
    """Floats as whole numbers, slab by slab: float64 takes eight times the memory of the labels."""
    warnings = []
    count = sum(int(np.count_nonzero(~np.isfinite(slab))) for slab in voxels)
    if count:
        warnings.append(f"{source}: {count} voxels are not numbers (NaN or infinite); they were taken as background")
        voxels = np.where(np.isfinite(voxels), voxels, voxels.dtype.type(0))
    low, high = (float(voxels.min()), float(voxels.max())) if voxels.size else (0.0, 0.0)
    if high > 2**53:
        raise InputError(f"{source}: holds values up to {high:g}, which are not labels; give a segmentation here")
    if low < -100:
        raise InputError(f"{source}: holds values from {low:g} to {high:g} and looks like a CT; give a segmentation")
    if all(bool((np.abs(slab - np.rint(slab)) <= WHOLE).all()) for slab in voxels):
        whole = np.empty(voxels.shape, np.int64 if high > 2**31 - 1 else np.int32 if high > 32767 else np.int16)
        for target, slab in zip(whole, voxels, strict=True):
            np.rint(slab, out=target, casting="unsafe")
        return whole, warnings
    if low >= -WHOLE and high <= 1 + WHOLE:
        warnings.append(f"{source}: holds probabilities; voxels of 0.5 and above were taken as the segment")
        return (voxels >= 0.5).view(np.uint8), warnings
    raise InputError(
        f"{source}: holds fractional labels ({low:g} to {high:g}); write it with whole numbers, "
        "and resample label maps by nearest neighbor"
    )
