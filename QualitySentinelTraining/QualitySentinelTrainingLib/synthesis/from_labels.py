"""A CT painted from a label map alone, for patients whose masks can be had and whose CT cannot.

Masks of organs leave most of a body unnamed: the outline, fat, the muscles of the wall, what lies between the organs.
All of that is guessed here, coarsely and at random, so that only the organs' shapes and places are real. The result is
meant to be changed further by :func:`~.make.synthetic_subject`, which makes edges sharp and adds the scanner.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from zlib import crc32

import numpy as np
from scipy.ndimage import convolve1d, distance_transform_edt, find_objects, gaussian_filter
from skimage.morphology import convex_hull_image

from QualitySentinelLib.datasets import Case, find_cases
from QualitySentinelLib.errors import InputError
from QualitySentinelLib.reading import read_segmentation
from QualitySentinelLib.reading.mask_folder import mask_files
from QualitySentinelLib.reading.volume_file import read_image
from QualitySentinelLib.volume import AxialFrame, CtVolume

from ..phantom.noise import smooth_noise
from ..subjects import Subject, SubjectSource, data_set_name, subject_of
from .make import AIR_HU, SynthesisOptions, synthetic_subject
from .names import KINDS, draw_soft_tissues, is_any_of, without_side

_GUT_WALL_MM = 3.0
_CORTEX_MM = 1.8
_FINEST_MM = 2.4
"""Masks to paint a CT around are read at about this distance at the finest: what is painted is no finer."""


def painted_sources(data: Path, number: int, source: str = "") -> list[SubjectSource]:
    """``number`` painted CTs of each case of ``data`` that has masks and no CT; each case is a patient.

    Raises:
        InputError, UsageError: there are no such cases; a comma in ``source``.
    """
    what = f"{data_set_name(source or Path(data).resolve().name, source)}, painted"
    cases = [case for case in find_cases(data, "folders").cases if case.seg and not case.ct]
    if not cases:
        raise InputError(f"{data}: has no masks without a CT; expected CASE/segmentations/liver.nii.gz alone")
    return [
        SubjectSource(name, patient, what, partial(_read_painted, case, what, name))
        for case in cases
        for patient in [case.name.rpartition("/")[2]]
        for name in (f"{patient}_painted_{n}" for n in range(number))
    ]


def read_masks_alone(case: Case) -> Subject:
    """The masks of a case as a subject whose CT is empty; voxels finer than about 2.4 mm are made larger.

    Raises:
        InputError: no mask can be read, or none is of a known structure.
    """
    path = case.root / case.seg
    files = mask_files(path) if path.is_dir() else [path]
    if not files:
        raise InputError(f"{path}: holds no mask files")
    image = read_image(files[0], "mask")
    frame = AxialFrame.from_affine(image.ijk_to_ras, image.voxels.shape)
    steps = [max(1, round(_FINEST_MM / s)) for s in frame.spacing]
    affine = frame.ijk_to_ras @ np.diag([*steps[::-1], 1.0])
    coarse = AxialFrame.from_affine(affine, tuple(-(-n // step) for n, step in zip(frame.shape, steps, strict=True)))
    nothing = CtVolume(np.zeros(coarse.shape, np.int16), coarse, source=str(path))
    return subject_of(nothing, read_segmentation(path, nothing, case.names), case.name.rpartition("/")[2])


_last_masks = lru_cache(maxsize=1)(read_masks_alone)
"""A hundred mask files are read once for all painted CTs of a case, which are made one after the other."""


def _read_painted(case: Case, source: str, name: str) -> Subject:
    subject = painted_subject(_last_masks(case), crc32(name.encode()))
    return replace(subject, name=name, source=source, patient=case.name.rpartition("/")[2])


def painted_subject(subject: Subject, seed: int, options: SynthesisOptions | None = None) -> Subject:
    """A new subject of the same patient with a painted CT, deformed and scanned anew, from the labels of ``subject``.

    The same arguments always give the same voxels. The CT of ``subject`` is not looked at but for its grid, about 3 mm
    or finer. By default most CTs are painted a second time, with other levels.
    """
    rng = np.random.default_rng([seed, 1])
    hu = painted_ct(rng, subject.labels, subject.structures, subject.ct.frame.spacing)
    painted = replace(subject, ct=CtVolume(hu, subject.ct.frame, source=f"{subject.name}, painted"))
    new = synthetic_subject(painted, seed, options or SynthesisOptions(painted_share=0.7, mirror_share=0.0))
    return replace(new, source=f"{subject.source}, painted")


def painted_ct(
    rng: np.random.Generator, labels: np.ndarray, structures: dict[int, str], spacing: tuple[float, ...]
) -> np.ndarray:
    """Paint a CT, int16 HU ``[k, j, i]``, from a canonical label map of a trunk."""
    axes = [np.arange(n) * s for n, s in zip(labels.shape, spacing, strict=True)]

    def noise(cell: float) -> np.ndarray:
        return smooth_noise(rng, axes, cell)

    depth = _body_depth(rng, labels, structures, spacing)  # mm below the skin; negative outside
    inside, muscle = depth > 0, rng.uniform(45, 65)
    hu = np.where(inside, np.float32(rng.uniform(-112, -88)), np.float32(AIR_HU))
    thickness = rng.uniform(5, 24) + rng.uniform(1, 4) * noise(120.0)  # of the fat under the skin
    wall = inside & (depth > thickness) & (depth < thickness + rng.uniform(9, 16) + 2 * noise(60.0))
    filled = noise(rng.uniform(12, 22)) > rng.uniform(0.0, 0.9)  # between organs: fat, and vessels, muscles, nodes
    hu[wall | (inside & (depth >= thickness) & filled)] = muscle
    near_bone = _depth(~_any_of(labels, structures, "bones"), spacing) <= rng.uniform(5, 10)
    hu[near_bone & inside & (noise(18.0) > -0.6)] = muscle
    hu[inside & (depth < 2.0)] = rng.uniform(-20, 40)  # skin
    levels, grain = draw_soft_tissues(rng, structures), noise(5.0)
    boxes = find_objects(labels)
    for value, name in structures.items():
        if value <= len(boxes) and (box := boxes[value - 1]) is not None:
            mask = labels[box] == value
            hu[box][mask] = _organ(rng, name, mask, levels.get(value, muscle), spacing, grain[box][mask])
    hu += 4 * noise(6.0) * (hu > -300)
    return np.clip(np.rint(hu), -1024, 3071).astype(np.int16)


def _body_depth(rng: np.random.Generator, labels: np.ndarray, structures: dict[int, str], spacing: tuple) -> np.ndarray:
    """Guess the outline of the body: mm below the skin, negative outside, float32 ``[k, j, i]``.

    In each slice the trunk is the convex hull of what is labelled, smoothed along the body, and some mm more; limbs
    and head reach some way around their bones.
    """
    outer = _any_of(labels, structures, "outer")
    trunk = (labels > 0) & ~outer
    hull = np.stack([convex_hull_image(plane) if plane.sum() > 8 else np.zeros_like(plane) for plane in trunk])
    window = np.hanning((max(1, round(24 / spacing[0])) | 1) + 2)[1:-1]
    hull = convolve1d(hull.astype(np.float32), window / window.sum(), axis=0, mode="nearest")
    depth = _signed_distance(hull > 0.4, spacing) + rng.uniform(14, 34)
    if outer.any():
        depth = np.maximum(depth, _signed_distance(outer, spacing) + rng.uniform(22, 40))
    return gaussian_filter(depth, [4 / s for s in spacing], truncate=2.5)


def _organ(rng, name: str, mask: np.ndarray, level: float, spacing: tuple, grain: np.ndarray) -> np.ndarray:
    """HU of the voxels of one structure, with noise ``grain`` at them."""
    base = without_side(name)
    if name.startswith("lung"):
        return np.where(grain > rng.uniform(1.6, 2.1), rng.uniform(-450, -50), rng.uniform(-890, -800) + 15 * grain)
    if base in KINDS["airways"]:
        return np.full(len(grain), -985.0)
    if is_any_of(name, KINDS["bones"]):
        shell = _depth(np.pad(mask, 1), spacing)[1:-1, 1:-1, 1:-1][mask] <= _CORTEX_MM + 0.5 * max(spacing)
        return np.where(shell, rng.uniform(380, 900), rng.uniform(120, 280)) + 25 * grain
    if base not in KINDS["gut"]:
        return level + 2 * grain
    deep, kind = _depth(np.pad(mask, 1), spacing)[1:-1, 1:-1, 1:-1][mask] > _GUT_WALL_MM, rng.random()
    if kind < 0.35:  # gas rises to the front: low j
        front = np.argwhere(mask)[:, 1]
        content = np.where(front < np.quantile(front, rng.uniform(0.2, 0.7)), -960.0, rng.uniform(0, 40))
    elif kind < 0.7:  # stool, or chyme, with bubbles
        content = np.where(grain > rng.uniform(0.6, 1.8), -700.0, rng.uniform(-20, 70))
    else:
        content = rng.uniform(0, 250) if rng.random() < 0.3 else rng.uniform(0, 40)
    return np.where(deep, content, level)


def _any_of(labels: np.ndarray, structures: dict[int, str], kind: str) -> np.ndarray:
    return np.isin(labels, [value for value, name in structures.items() if is_any_of(name, KINDS[kind])])


def _depth(mask: np.ndarray, spacing: tuple) -> np.ndarray:
    """mm to the nearest voxel outside the mask; infinite when there is none."""
    return np.full(mask.shape, np.inf) if mask.all() else distance_transform_edt(mask, sampling=spacing)


def _signed_distance(mask: np.ndarray, spacing: tuple) -> np.ndarray:
    """mm to the border: positive inside, negative outside, float32."""
    if not mask.any():
        return np.full(mask.shape, -np.inf, np.float32)
    return np.where(mask, _depth(mask, spacing), -_depth(~mask, spacing)).astype(np.float32)
