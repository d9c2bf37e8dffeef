"""Is this array in Hounsfield units? Correct it where that can be done safely, else say why not.

A real CT in HU has air near -1000, fat near -100, water at 0, and soft tissue at 20 to 80. Files that are called CT
and are not in HU come in four kinds: gray values of a screenshot or a windowed export (0..255), floats rescaled for a
network (0..1, or around 0), stored values whose rescale intercept of -1024 was lost, and images of another modality.
The criteria below are blunt on purpose: they must not fire on tight crops, phantoms or metal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..steps import Steps, run_to_end

AIR_HU = -1024
"""Lowest value kept. What lies below is padding outside the scanner's field of view, or ringing; both mean air."""

RESCALED_RANGE = 50.0
"""All values of a CT within so few HU of each other: rescaled, not HU (noise alone spans more)."""

PADDING_BELOW = -1500
"""Below this nothing is tissue, air or ringing of a resampling filter: padding (-2000, -3024, -32768 are common)."""

HIGHEST_HU = 31000
"""The extended scale of scanners ends below it, at 30710: what lies above is padding, or single damaged voxels."""

PADDING_SHARE = 0.01
"""At least this share of all voxels has the highest value when that is padding, not metal or damage."""

OFFSETS = (1024, 1000)
"""What is added to store HU as unsigned numbers: by CT scanners, and by programs (CERR) that count air as 0."""

OFFSET_TISSUE = (OFFSETS[0] - 150, OFFSETS[0] + 150)
"""Where fat, water and soft tissue lie in a CT stored with either offset."""

_AIR_PEAK = 12
"""With an offset of 1024, the commonest value of air lies above this (at 24), with one of 1000 below (at 0)."""

_AIR_SHARE = 0.01
"""Less air than this, as in a CT that is blank outside the body, does not tell one offset from the other."""

OFFSET_TISSUE_SHARE = 0.4
"""Of the voxels above 400 (neither air nor most of the lung), at least this share lies in ``OFFSET_TISSUE`` when the
offset was left in; of all voxels at least one in a thousand does."""

_HIGHEST = 32767
_INT32 = -(2.0**31), 2.0**31 - 1
_SAMPLE = 2_000_000
_CHUNK = 1 << 20


class NotHounsfieldError(ValueError):
    """The voxels are not HU and cannot be made so; the text says what they are and what to do."""


def as_hounsfield(voxels: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Check that a CT is in HU and correct what can be corrected.

    In this order:

    1. NaN and infinite voxels become -1024, with a warning that counts them; refused when they are more than half.
       So does the highest value when it is above 31000 and 1 in 100 voxels has it (padding), with a warning.
    2. All values within 50 of each other, and not all equal: refused (rescaled floats such as 0..1 or -1..1).
    3. No negative value (padding below -1500 aside) and none above 255: refused (gray values of a screenshot).
    4. Fewer than 1 in 1000 voxels below -100 (padding aside), no more than 1 in 1000 below 0, of those above 400
       at least 40 % between 874 and 1174, and at most half as many between 400 and 800, where an offset CT has only
       parts of the lung but an MR image has much: stored values without their intercept. 1024 is subtracted, or 1000
       where air has its peak near 0 instead of 24, with a warning.
    5. No negative value otherwise: a warning, as it may be another modality.
    6. Values below -1024 become -1024; with a warning if there are any below -1500 (padding).

    Args:
        voxels: ``[K, J, I]`` of any real dtype; it is not written to.

    Returns:
        The HU array of the same shape, int16 where all values are whole numbers that fit, else float32 (the same
        array when nothing had to be changed), and the warnings.

    Raises:
        NotHounsfieldError: by 1, 2 or 3.
    """
    return run_to_end(hounsfield_steps(voxels))


def hounsfield_steps(voxels: np.ndarray) -> Steps[tuple[np.ndarray, list[str]]]:
    """As :func:`as_hounsfield`, in steps of about a million voxels, of which each is a few milliseconds."""
    warnings: list[str] = []
    if voxels.dtype.kind == "b":
        raise NotHounsfieldError("holds only true and false; give the CT here, and the mask as the segmentation")
    voxels, remark = yield from _narrowed(voxels)
    warnings += remark
    low, high = yield from _range(voxels)
    if high > HIGHEST_HU and low < high:
        voxels, remark = yield from _without_high_padding(voxels, high)
        warnings += remark
        low, high = yield from _range(voxels)
    step = max(1, round((voxels.size / _SAMPLE) ** (1 / 3)))  # a sample spread evenly over the volume
    sample = voxels[:: min(step, voxels.shape[0]), ::step, ::step].ravel()
    if low == high:
        warnings.append(f"all voxels have the same value ({low:g}); scores of such a CT mean nothing")
    else:
        if high - low <= RESCALED_RANGE:
            raise NotHounsfieldError(
                f"its values run from {low:.4g} to {high:.4g}, so it was rescaled and is not in HU; "
                "give the CT as the scanner wrote it, in Hounsfield units"
            )
        unpadded = sample[sample >= PADDING_BELOW]
        negative = low < 0 and bool((unpadded < 0).any() or (low >= PADDING_BELOW))
        if not negative and high <= 255:
            raise NotHounsfieldError(
                "its values run from 0 to 255 like the gray values of a screenshot or a windowed export, not HU; "
                "give the CT as the scanner wrote it, in Hounsfield units"
            )
        if _has_offset(unpadded):
            offset, is_certain = _offset(unpadded)
            # padding near the bottom of int16 must not wrap round
            voxels = yield from _changed(voxels, voxels.dtype, lambda slab: np.maximum(slab, AIR_HU + offset) - offset)
            low, high = low - offset, high - offset
            doubt = "" if is_certain else " (1000 would be right for some programs; too little air is left to tell)"
            warnings.append(
                f"its values are not HU but {offset} above (water at {offset}); {offset} was subtracted{doubt}. "
                "Export it with its rescale intercept to avoid this warning"
            )
        elif not negative:
            warnings.append(
                "it has no negative values, which a CT in HU normally has; scores mean nothing unless it is a CT in HU"
            )
    if low < AIR_HU:
        if low < PADDING_BELOW and not any("padding" in w for w in warnings):
            warnings.append(f"padding (values down to {low:g}) was set to {AIR_HU} HU")
        voxels = yield from _changed(voxels, voxels.dtype, lambda slab: np.maximum(slab, AIR_HU))
    if voxels.dtype == np.int16:
        return voxels, warnings
    # values beyond int16 are metal or damage
    whole = voxels.dtype == np.int32 or all((yield from _told(voxels, lambda slab: (slab == np.rint(slab)).all())))
    if whole or high > _HIGHEST:
        dtype = np.int16 if whole else np.float32
        voxels = yield from _changed(voxels, dtype, lambda slab: np.minimum(slab, _HIGHEST))
    return voxels, warnings


def _slabs(voxels: np.ndarray) -> Iterator[slice]:
    """Slabs along the first axis of a million voxels, so that no temporary array is as large as the CT."""
    step = max(1, _CHUNK // max(1, int(np.prod(voxels.shape[1:]))))
    return (slice(start, start + step) for start in range(0, voxels.shape[0], step))


def _told(voxels: np.ndarray, tell: Callable[[np.ndarray], Any]) -> Steps[list]:
    """What ``tell`` says of each slab."""
    told = []
    for slab in _slabs(voxels):
        told.append(tell(voxels[slab]))
        yield
    return told


def _changed(voxels: np.ndarray, dtype, change: Callable[[np.ndarray], np.ndarray]) -> Steps[np.ndarray]:
    """A copy of which ``change`` makes each slab."""
    changed = np.empty(voxels.shape, dtype)
    for slab in _slabs(voxels):
        changed[slab] = change(voxels[slab])
        yield
    return changed


def _narrowed(voxels: np.ndarray) -> Steps[tuple[np.ndarray, list[str]]]:
    """int16 where all fit, else int32 (cut to its range); floats as float32, with air for what is not finite."""
    if voxels.dtype == np.int16:
        return voxels, []
    bad = 0
    dtype: type = np.float32
    if voxels.dtype.kind == "f":
        bad = sum((yield from _told(voxels, lambda slab: int(np.count_nonzero(~np.isfinite(slab))))))
    else:
        low, high = yield from _range(voxels)
        dtype = np.int16 if low >= -_HIGHEST - 1 and high <= _HIGHEST else np.int32
    if 2 * bad > voxels.size:
        raise NotHounsfieldError(f"{bad} of {voxels.size} voxels are NaN or infinite; export the CT again")
    if bad or voxels.dtype != dtype:
        voxels = yield from _changed(
            voxels, dtype, lambda slab: np.clip(np.where(np.isfinite(slab), slab.astype(float), AIR_HU), *_INT32)
        )
    return voxels, [f"{bad} voxels were not numbers (NaN or infinite); they were set to {AIR_HU} HU"] if bad else []


def _range(voxels: np.ndarray) -> Steps[tuple[float, float]]:
    ranges = yield from _told(voxels, lambda slab: (slab.min(), slab.max()))
    return float(min(r[0] for r in ranges)), float(max(r[1] for r in ranges))


def _has_offset(values: np.ndarray) -> bool:
    if not values.size:
        return False
    below, negative = np.count_nonzero(values < -100) / values.size, np.count_nonzero(values < 0) / values.size
    if below > 1e-3 or negative > 1e-3:
        return False
    tissue = np.count_nonzero((values >= OFFSET_TISSUE[0]) & (values <= OFFSET_TISSUE[1]))
    between = np.count_nonzero((values >= 400) & (values <= 800))
    dense = np.count_nonzero(values > 400)
    return bool(tissue >= max(OFFSET_TISSUE_SHARE * dense, 1e-3 * values.size) and 2 * between <= tissue)


def _offset(values: np.ndarray) -> tuple[int, bool]:
    """Which of ``OFFSETS`` was added, and whether that is certain."""
    air = values[(values > 0) & (values < 100)]
    if len(air) < _AIR_SHARE * len(values):
        return OFFSETS[0], False
    counts = np.bincount(np.rint(air).astype(np.int64), minlength=100)
    peak = np.convolve(counts, np.ones(9), mode="same").argmax()
    return OFFSETS[0] if peak > _AIR_PEAK else OFFSETS[1], True


def _without_high_padding(voxels: np.ndarray, high: float) -> Steps[tuple[np.ndarray, list[str]]]:
    """Voxels of the highest value as padding below, where they are too many for damage."""
    count = sum((yield from _told(voxels, lambda slab: int(np.count_nonzero(slab >= high)))))
    if count < PADDING_SHARE * voxels.size:
        return voxels, []

    cleared = yield from _changed(voxels, voxels.dtype, lambda slab: np.where(slab >= high, PADDING_BELOW - 1, slab))
    return cleared, [f"padding (values of {high:g}) was set to {AIR_HU} HU"]
