"""Highest entropy of the class probabilities first."""

from __future__ import annotations

import numpy as np

from ..image import PoolImage, voxel_uncertainty
from ..units import StructureScores
from .strategy import Strategy


def measure(image: PoolImage) -> list[StructureScores]:
    """Mean entropy in bits, 0..1, of belonging to the structure or not, where it is plausible."""
    mean = image.mean_probabilities()
    return voxel_uncertainty(mean, image.classes, lambda value: binary_entropy(mean[value]))


def binary_entropy(p: np.ndarray) -> np.ndarray:
    """Shannon entropy in bits of probabilities of any shape."""
    p = np.clip(p, 1e-7, 1 - 1e-7)
    return -(p * np.log2(p) + (1 - p) * np.log2(1 - p))


STRATEGY = Strategy(
    "entropy", "highest entropy of the probabilities", "probabilities", "one pass of the segmentation network, and all "
    "class probabilities in memory", "entropy {score:.3f} bits", measure,
)  # fmt: skip
