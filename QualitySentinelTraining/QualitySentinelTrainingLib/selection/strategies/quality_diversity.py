"""Low predicted DSC and unlike what is annotated or chosen already."""

from __future__ import annotations

from dataclasses import replace

from ..image import PoolImage
from ..units import StructureScores, doubtful_and_spread_out
from . import predicted_quality
from .strategy import Strategy


def measure(image: PoolImage) -> list[StructureScores]:
    """Predicted quality, with a picture of each slice."""
    return [replace(one, features=image.thumbnails[one.slices]) for one in predicted_quality.measure(image)]


STRATEGY = Strategy(
    "quality-diversity", "lowest predicted DSC times variety", "masks", "one pass of the bundled model over the masks",
    "predicted DSC {good:.3f}, and differs from those above it", measure, doubtful_and_spread_out, features=True,
)  # fmt: skip
