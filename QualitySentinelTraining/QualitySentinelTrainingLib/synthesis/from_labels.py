"""A CT painted from a label map alone, for people whose masks can be had and whose CT cannot.

Masks of organs leave most of a body unnamed: the outline, fat, the muscles of the wall, what lies between the organs.
All of that is guessed here, coarsely and at random, so that only the organs' shapes and places are real. The result is
meant to be changed further by :func:`~.make.synthetic_subject`, which makes edges sharp and adds the scanner.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.ndimage import binary_erosion, convolve1d, distance_transform_edt, find_objects, gaussian_filter

from QualitySentinelLib.volume import CtVolume

from ..phantom.noise import smooth_noise
from ..subjects import Subject
from .make import synthetic_subject
from .names import is_any_of, without_side
from .options import SynthesisOptions
from .resample import AIR_HU
from .tissues import PHASES, draw_soft_tissues

_BONES = (
    "vertebra", "costa", "rib", "hip", "femur", "humerus", "scapula", "clavicle", "sternum", "sacrum", "skull",
    "mandible",
)  # fmt: skip
_OUTER = ("humerus", "femur", "skull", "mandible", "clavicle", "scapula")
"""Bones of limbs and head: no part of the trunk's outline."""
_AIRWAYS = ("trachea", "bronchi")
_GUT = ("stomach", "duodenum", "small bowel", "bowel", "colon", "sigmoid colon", "rectum")
_GUT_WALL_MM = 3.0
_CORTEX_MM = 1.8


def painted_subject(subject: Subject, seed: int, options: SynthesisOptions | None = None) -> Subject:
    """A new subject with a painted CT, deformed and scanned anew, from the labels of ``subject``.

    The same arguments always give the same voxels.

    Args:
        subject: its labels are used; its CT is not looked at but for its grid, about 3 mm or finer.
        seed: non-negative.
        options: of the synthesis; by default most CTs are painted a second time, with other levels.

    Returns:
        the new subject: same person; its source says that it is painted.
    """
    rng = np.random.default_rng([seed, 1])
    hu = painted_ct(rng, subject.labels, subject.structures, subject.ct.frame.spacing)
    painted = replace(subject, ct=CtVolume(hu, subject.ct.frame, source=f"{subject.name}, painted"))
    new = synthetic_subject(painted, seed, options or SynthesisOptions(painted_share=0.7, mirror_share=0.0))
    return replace(new, source=f"{subject.source}, painted")


def painted_ct(
    rng: np.random.Generator, labels: np.ndarray, structures: dict[int, str], spacing: tuple[float, float, float]
) -> np.ndarray:
    """Paint a CT.

    Args:
        rng: source of randomness.
        labels: label map ``[k, j, i]`` of a trunk, canonical.
        structures: label value to name.
        spacing: mm (k, j, i).

    Returns:
        int16 HU ``[k, j, i]``.
    """
    axes = [np.arange(n) * s for n, s in zip(labels.shape, spacing, strict=True)]

    def noise(cell: float) -> np.ndarray:
        return smooth_noise(rng, axes, cell)

    depth = body_depth(rng, labels, structures, spacing)  # mm below the skin; negative outside
    hu = np.full(labels.shape, AIR_HU, np.float32)
    inside = depth > 0
    fat, muscle = rng.uniform(-112, -88), rng.uniform(45, 65)
    thickness = rng.uniform(5, 24) + rng.uniform(1, 4) * noise(120.0)  # of the fat under the skin
    hu[inside] = fat
    wall = inside & (depth > thickness) & (depth < thickness + rng.uniform(9, 16) + 2 * noise(60.0))
    deep = inside & (depth >= thickness) & ~wall
    filled = noise(rng.uniform(12, 22)) > rng.uniform(0.0, 0.9)  # between organs: fat, and vessels, muscles, nodes
    hu[wall | (deep & filled)] = muscle
    bone = np.isin(labels, _values(structures, _BONES))
    near_bone = _near(bone, rng.uniform(5, 10), spacing)
    hu[near_bone & inside & (noise(18.0) > -0.6)] = muscle
    hu[inside & (depth < 2.0)] = rng.uniform(-20, 40)  # skin
    levels = draw_soft_tissues(rng, structures, PHASES[rng.integers(len(PHASES))])
    grain = noise(5.0)
    boxes = find_objects(labels)
    for value, name in structures.items():
        if value > len(boxes) or boxes[value - 1] is None:
            continue
        box = boxes[value - 1]
        mask = labels[box] == value
        hu[box][mask] = _organ(rng, name, mask, levels.get(value, muscle), spacing, grain[box])
    hu += 4 * noise(6.0) * (hu > -300)
    return np.clip(np.rint(hu), -1024, 3071).astype(np.int16)


def body_depth(
    rng: np.random.Generator, labels: np.ndarray, structures: dict[int, str], spacing: tuple[float, float, float]
) -> np.ndarray:
    """Guess the outline of the body: mm below the skin, negative outside, float32 ``[k, j, i]``.

    In each slice the trunk is the convex hull of what is labelled, smoothed along the body, and some mm more; limbs
    and head reach some way around their bones.
    """
    from scipy.spatial import ConvexHull, Delaunay, QhullError

    outer = np.isin(labels, _values(structures, _OUTER))
    trunk = (labels > 0) & ~outer
    hull = np.zeros(labels.shape, np.float32)
    for k in range(labels.shape[0]):
        points = np.argwhere(trunk[k] & ~binary_erosion(trunk[k]))
        if len(points) < 8:
            continue
        try:
            corners = points[ConvexHull(points).vertices]
        except QhullError:  # all in a line
            continue
        (j0, i0), (j1, i1) = corners.min(axis=0), corners.max(axis=0) + 1
        grid = np.stack(np.meshgrid(np.arange(j0, j1), np.arange(i0, i1), indexing="ij"), axis=-1)
        hull[k, j0:j1, i0:i1] = Delaunay(corners).find_simplex(grid.reshape(-1, 2)).reshape(grid.shape[:2]) >= 0
    width = max(1, round(24 / spacing[0])) | 1
    hull = convolve1d(hull, np.hanning(width + 2)[1:-1] / np.hanning(width + 2)[1:-1].sum(), axis=0, mode="nearest")
    margin = rng.uniform(14, 34)
    trunk_depth = _signed_distance(hull > 0.4, spacing) + margin
    if outer.any():
        limbs = _signed_distance(outer, spacing) + rng.uniform(22, 40)
        trunk_depth = np.maximum(trunk_depth, limbs)
    return gaussian_filter(trunk_depth, [4 / s for s in spacing], truncate=2.5)


def _organ(rng, name: str, mask: np.ndarray, level: float, spacing: tuple, grain: np.ndarray) -> np.ndarray:
    """HU of the voxels of one structure."""
    grain = grain[mask]
    if name.startswith("lung"):
        vessels = grain > rng.uniform(1.6, 2.1)
        return np.where(vessels, rng.uniform(-450, -50), rng.uniform(-890, -800) + 15 * grain)
    if without_side(name) in _AIRWAYS:
        return np.full(len(grain), -985.0)
    if is_any_of(name, _BONES):
        shell = _depth_of(mask, spacing)[mask] <= _CORTEX_MM + 0.5 * max(spacing)
        marrow = rng.uniform(120, 280)
        return np.where(shell, rng.uniform(380, 900), marrow) + 25 * grain
    if without_side(name) in _GUT:
        deep = _depth_of(mask, spacing)[mask] > _GUT_WALL_MM
        kind = rng.random()
        if kind < 0.35:  # gas rises to the front: low j
            front = np.argwhere(mask)[:, 1]
            content = np.where(front < np.quantile(front, rng.uniform(0.2, 0.7)), -960.0, rng.uniform(0, 40))
        elif kind < 0.7:  # stool, or chyme, with bubbles
            content = np.where(grain > rng.uniform(0.6, 1.8), -700.0, rng.uniform(-20, 70))
        else:
            content = np.full(len(grain), rng.uniform(0, 250) if rng.random() < 0.3 else rng.uniform(0, 40))
        return np.where(deep, content, level)
    return level + 2 * grain


def _values(structures: dict[int, str], names: tuple[str, ...]) -> list[int]:
    return [value for value, name in structures.items() if is_any_of(name, names)]


def _near(mask: np.ndarray, reach_mm: float, spacing: tuple) -> np.ndarray:
    if not mask.any():
        return mask
    return distance_transform_edt(~mask, sampling=spacing) <= reach_mm


def _depth_of(mask: np.ndarray, spacing: tuple) -> np.ndarray:
    return distance_transform_edt(np.pad(mask, 1), sampling=spacing)[1:-1, 1:-1, 1:-1]


def _signed_distance(mask: np.ndarray, spacing: tuple) -> np.ndarray:
    """mm to the border: positive inside, negative outside, float32."""
    if not mask.any():
        return np.full(mask.shape, -np.inf, np.float32)
    inner = distance_transform_edt(mask, sampling=spacing)
    return np.where(mask, inner, -distance_transform_edt(~mask, sampling=spacing)).astype(np.float32)
