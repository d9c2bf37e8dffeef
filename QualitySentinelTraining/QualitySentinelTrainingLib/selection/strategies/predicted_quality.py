"""Lowest predicted DSC first: what Quality Sentinel is for."""

from __future__ import annotations

import numpy as np

from QualitySentinelLib.scores import CaseScore

from ..image import PoolImage
from ..units import StructureScores
from .strategy import Strategy


def measure(image: PoolImage) -> list[StructureScores]:
    """One minus the predicted DSC, of each structure and of its slices; slices that miss the structure count too."""
    rows = structure_scores(image.scorer.score(image.ct, image.masks[0]))
    for one in rows:
        one.slices = np.array([image.ct.frame.file_slice(k) for k in one.slices], int)
    return rows


def structure_scores(score: CaseScore) -> list[StructureScores]:
    """One minus the DSC in a case's scores; slices by the numbers of the file, areas in mm2."""
    rows = []
    for segment in score.segments:
        listed = segment.listed_slices
        whole = float("nan") if segment.predicted_dsc is None else 1 - segment.predicted_dsc
        k, area = (np.array([getattr(s, n) for s in listed]) for n in ("slice_index", "own_area_mm2"))
        bad = 1 - np.array([s.predicted_dsc for s in listed], float)
        rows.append(StructureScores(segment.structure or segment.name, whole, k.astype(int), area, bad))
    return rows


STRATEGY = Strategy(
    "predicted-quality", "lowest predicted DSC", "masks", "one pass of the bundled model over the masks",
    "predicted DSC {good:.3f}", measure, from_table=True,
)  # fmt: skip
