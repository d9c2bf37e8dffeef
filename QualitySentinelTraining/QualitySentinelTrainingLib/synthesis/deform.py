"""Another anatomy: turned, scaled and smoothly displaced, and mirrored where left and right look alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..phantom.noise import smooth_noise
from .grid import Grid
from .names import without_side
from .options import SynthesisOptions

_LEAST_JACOBIAN = 0.35
"""Volume change below which a displacement counts as too close to folding; its amplitude is then lowered."""

_ALIKE = frozenset(
    {"brain", "brainstem", "cerebellum", "cheek", "clavicle", "cochlea", "common carotid artery", "costa 1", "costa 2",
     "esophagus", "eye lens", "eyeball", "face", "hippocampus", "humerus", "internal carotid artery",
     "internal jugular vein", "lacrimal gland", "larynx", "mandible", "nasal cavity", "optic chiasm", "optic nerve",
     "oral cavity", "parotid gland", "pharynx", "pituitary gland", "scapula", "skull", "spinal canal", "spinal cord",
     "submandibular gland", "temporal lobe", "thyroid", "thyroid gland", "tongue", "trachea", "vertebra T1",
     "vertebra T2", *(f"vertebra C{n}" for n in range(1, 8))}
)  # fmt: skip
"""Structures of head and neck, without side. Below the neck a mirrored patient would have the heart on the right."""


@dataclass(frozen=True)
class Deformation:
    """How points of the new volume map into the source: turned, scaled, then displaced.

    Attributes:
        matrix: 3x3, new mm to source mm, both (k, j, i) from the centre of the field of view.
        mirrored: left and right are exchanged.
        waves: of each smooth displacement its (distance of the knots mm, standard deviation mm).
        limit_mm: no component of a displacement is larger.
    """

    matrix: np.ndarray
    mirrored: bool
    waves: tuple[tuple[float, float], ...]
    limit_mm: float

    @property
    def scale(self) -> np.ndarray:
        """Size of the anatomy over that of the source, (k, j, i)."""
        return 1 / np.linalg.norm(self.matrix, axis=1)


def is_mirrorable(structures: dict[int, str]) -> bool:
    """Whether all structures are of head and neck, whose sides look alike: no heart or liver changes its side."""
    return bool(structures) and all(without_side(name) in _ALIKE for name in structures.values())


def draw_deformation(rng: np.random.Generator, mirrorable: bool, options: SynthesisOptions) -> Deformation:
    """Draw a deformation within the ranges of ``options``."""
    most = np.radians(options.rotation_degrees)
    turns = rng.uniform(-1, 1, 3) * (most, most / 2, most / 2)  # about k (in the slice), j, i
    scale = rng.uniform(*options.scale, 3)
    matrix = np.diag(1 / scale) @ _rotation(turns)
    mirrored = bool(rng.random() < options.mirror_share) and mirrorable
    if mirrored:
        matrix = np.diag([1.0, 1.0, -1.0]) @ matrix
    low, high = options.displacement_mm
    waves = ((rng.uniform(60, 120), rng.uniform(low, high)), (rng.uniform(28, 45), rng.uniform(0.2, 0.35) * high))
    return Deformation(matrix, mirrored, tuple((float(c), float(a)) for c, a in waves), options.most_displacement_mm)


def _rotation(turns) -> np.ndarray:
    """Rotation about the axes (k, j, i) by the angles ``turns`` in radians."""
    matrix = np.eye(3)
    for axis, angle in enumerate(turns):
        a, b = (n for n in range(3) if n != axis)
        one = np.eye(3)
        one[a, a] = one[b, b] = np.cos(angle)
        one[a, b], one[b, a] = -np.sin(angle), np.sin(angle)
        matrix = one @ matrix
    return matrix


def source_points(rng: np.random.Generator, deformation: Deformation, grid: Grid) -> np.ndarray:
    """Where each voxel of ``grid`` lies in the source: float32 ``[k, j, i, 3]``, mm (k, j, i), index times spacing."""
    points = displacements(rng, deformation, grid)
    axes = [axis.astype(np.float32) for axis in grid.axes]
    for row in range(3):
        a, b, c = (np.float32(m) * axis for m, axis in zip(deformation.matrix[row], axes, strict=True))
        points[..., row] += (a[:, None, None] + b[:, None] + np.float32(grid.centre[row])) + c
    return points


def displacements(rng: np.random.Generator, deformation: Deformation, grid: Grid) -> np.ndarray:
    """Smooth random displacements without folds, float32 ``[k, j, i, 3]`` in mm (k, j, i)."""
    field = np.zeros((*grid.shape, 3), np.float32)
    for row in range(3):
        for cell, deviation in deformation.waves:
            field[..., row] += np.float32(deviation) * smooth_noise(rng, grid.axes, cell)
    limit = np.float32(deformation.limit_mm)
    np.clip(field, -limit, limit, out=field)
    while least_jacobian(field, deformation.matrix, grid.spacing) < _LEAST_JACOBIAN:
        field *= np.float32(0.75)
    return field


def least_jacobian(field: np.ndarray, matrix: np.ndarray, spacing: tuple[float, float, float]) -> float:
    """Smallest volume change by ``field`` (mm, voxels of ``spacing`` mm) over that by ``matrix``; below 0: a fold."""
    steps = [max(1, round(6 / s)) for s in spacing]
    coarse = field[:: steps[0], :: steps[1], :: steps[2]]
    if min(coarse.shape[:3]) < 2:
        return 1.0
    gradients = [np.gradient(coarse[..., row], *np.multiply(steps, spacing)) for row in range(3)]
    jacobian = np.moveaxis(np.array(gradients), (0, 1), (-2, -1)) + matrix
    return float((np.linalg.det(jacobian) / np.linalg.det(matrix)).min())
