"""Lowest predicted DSC first: what Quality Sentinel is for."""

from __future__ import annotations

import numpy as np

from QualitySentinelLib.scores import CaseScore, SegmentScore

from ..image import PoolImage
from ..units import StructureScores
from .strategy import Strategy


def measure(image: PoolImage) -> list[StructureScores]:
    """One minus the predicted DSC, of each structure and of its slices; slices that miss the structure count too."""
    return structure_scores(image.scorer.score(image.ct, image.masks[0]), "k")


def structure_scores(score: CaseScore, at: str = "slice_index") -> list[StructureScores]:
    """One minus the DSC in a case's scores; slices by the numbers of the file or canonical ``k``, areas in mm2."""
    rows = []
    for segment in score.segments:
        k, area, dsc = segment_columns(segment, at, "own_area_mm2", "predicted_dsc")
        whole = float("nan") if segment.predicted_dsc is None else 1 - segment.predicted_dsc
        rows.append(StructureScores(segment.structure or segment.name, whole, k.astype(int), area, 1 - dsc))
    return rows


def segment_columns(segment: SegmentScore, *names: str) -> list[np.ndarray]:
    """What a segment's slices say, scored and missed ones, each ``[n]``."""
    return [np.array([getattr(s, name) for s in segment.listed_slices], float) for name in names]


STRATEGY = Strategy(
    "predicted-quality", "lowest predicted DSC", "masks", "one pass of the bundled model over the masks",
    "predicted DSC {good:.3f}", measure, from_table=True,
)  # fmt: skip
