"""First where several networks disagree most."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from ..image import PoolImage, mask_disagreement, whole_mask
from ..units import StructureScores
from .strategy import Strategy


def measure(image: PoolImage) -> list[StructureScores]:
    """One minus the mean Dice of all pairs of networks. Pairs that both drew nothing do not count."""
    networks, rows = image.by_network(), []
    for name in dict.fromkeys(segment.structure or segment.name for one in networks for segment in one):
        masks = [whole_mask(one, name) for one in networks]
        whole, by_slice = mask_disagreement(list(combinations(masks, 2)))
        k = np.flatnonzero(np.isfinite(by_slice))
        rows.append(StructureScores(name, whole, k, np.count_nonzero(masks[0][k], axis=(1, 2)), by_slice[k]))
    return rows


STRATEGY = Strategy(
    "disagreement", "largest disagreement of several networks", "networks", "one pass of each network",
    "networks agree to Dice {good:.3f}", measure,
)  # fmt: skip
