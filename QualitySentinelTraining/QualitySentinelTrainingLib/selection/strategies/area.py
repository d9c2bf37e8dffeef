"""Largest slices first, without any model: what the expected gain has to beat."""

from __future__ import annotations

from dataclasses import replace

from ..image import PoolImage
from ..units import StructureScores
from .strategy import Strategy


def measure(image: PoolImage) -> list[StructureScores]:
    """The share of the structure's area that lies in the slice; all of it for a whole one, so whole cases tie."""
    return [replace(one, score=one.area / max(one.area.sum(), 1), whole=one.whole + 1) for one in image.plain()]


STRATEGY = Strategy(
    "area", "largest slices of each structure, regardless of quality", "ct", "reading the masks",
    "{score:.3f} of the structure's area", measure, trusts=False,
)  # fmt: skip
