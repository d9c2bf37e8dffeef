"""Highest variance over passes with dropout first, weighted by the distance to the mask's edge."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..image import PASSES, PoolImage, voxel_uncertainty
from ..units import StructureScores
from .strategy import Strategy


def measure(image: PoolImage) -> list[StructureScores]:
    """Mean variance over the passes, four times, so 0..1. Edges vary in any case: voxels far from them weigh more."""
    total, squares, number = np.zeros((), np.float32), np.zeros((), np.float32), 0
    for one in image.stacks("passes"):
        total, squares, number = total + one, squares + np.square(one, dtype=np.float32), number + 1
    mean, spacing = total / number, image.ct.frame.spacing[1:]
    return voxel_uncertainty(
        mean, image.classes, lambda value: 4 * np.maximum(squares[value] / number - mean[value] ** 2, 0),
        lambda mask: edge_distance(mask, spacing),
    )  # fmt: skip


def edge_distance(mask: np.ndarray, spacing: tuple[float, ...]) -> np.ndarray:
    """Distance of each voxel to the edge of a mask in its slice, in mm; 1 throughout where there is no mask.

    Args:
        mask: 0 or 1, ``[k, j, i]``.
        spacing: of rows and columns, mm.
    """
    distance = np.ones(mask.shape, np.float32)
    for plane, out in zip(mask.astype(bool), distance, strict=True):
        if plane.any() and not plane.all():
            out[:] = ndimage.distance_transform_edt(plane, spacing) + ndimage.distance_transform_edt(~plane, spacing)
    return distance


STRATEGY = Strategy(
    "mc-dropout", "highest variance over passes with dropout", "passes", f"{PASSES} passes of the segmentation network",
    "variance {score:.4f} (1 is the most)", measure,
)  # fmt: skip
