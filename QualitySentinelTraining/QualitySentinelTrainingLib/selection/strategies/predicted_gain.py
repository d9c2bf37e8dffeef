"""Slices first whose correction should raise the DSC of their structures most: bad ones, and large ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from QualitySentinelLib.scores import CaseScore

from ..image import PoolImage
from ..units import StructureScores
from .predicted_quality import segment_columns, structure_scores
from .strategy import Strategy


def measure(image: PoolImage) -> list[StructureScores]:
    """Predicted quality, with a slice's score times its share of the structure's area (see :func:`expected_gains`)."""
    score = image.scorer.score(image.ct, image.masks[0])
    gains = expected_gains(score)
    return [replace(one, score=gain) for one, gain in zip(structure_scores(score, "k"), gains, strict=True)]


def expected_gains(score: CaseScore) -> list[np.ndarray]:
    """By structure, ``a (1 - d) / sum(a)`` of each listed slice: what correcting it adds to the volumetric DSC, about.

    The area ``a`` of a slice without mask is that of the nearest one with mask.
    """
    columns = [segment_columns(segment, "area_mm2", "predicted_dsc") for segment in score.segments]
    return [area * (1 - dsc) / max(float(area.sum()), 1e-9) for area, dsc in columns]


STRATEGY = Strategy(
    "predicted-gain", "largest expected gain of DSC by correcting a slice", "masks",
    "one pass of the bundled model over the masks", "expected gain {score:.3f}", measure,
)  # fmt: skip
