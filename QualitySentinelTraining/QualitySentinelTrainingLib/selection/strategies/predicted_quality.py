"""Lowest predicted DSC first: what Quality Sentinel is for."""

from __future__ import annotations

import numpy as np

from ..image import PoolImage
from ..units import StructureScores
from .strategy import Strategy


def measure(image: PoolImage) -> list[StructureScores]:
    """One minus the predicted DSC, of each structure and of its slices; slices that miss the structure count too."""
    rows = []
    for segment in image.scorer.score(image.ct, image.masks[0]).segments:
        listed = segment.listed_slices
        k = np.array([s.k for s in listed], int)
        areas = image.areas[segment.structure or segment.name]
        score = 1 - np.array([s.predicted_dsc for s in listed], float)
        whole = float("nan") if segment.predicted_dsc is None else 1 - segment.predicted_dsc
        rows.append(StructureScores(segment.structure or segment.name, whole, k, areas[k], score))
    return rows


STRATEGY = Strategy(
    "predicted-quality", "lowest predicted DSC", "masks", "one pass of the bundled model over the masks",
    "predicted DSC {good:.3f}", measure,
)  # fmt: skip
