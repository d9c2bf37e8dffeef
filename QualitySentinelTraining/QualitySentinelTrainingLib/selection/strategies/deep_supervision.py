"""DSAL: first where the heads of one network at lower resolutions disagree with its output (Zhao et al., JBHI 2021)."""

from __future__ import annotations

import numpy as np

from ...segmentation.probabilities import likeliest
from ..image import PoolImage, mask_disagreement
from ..units import StructureScores
from .strategy import Strategy

SMOOTH = 1.0


def measure(image: PoolImage) -> list[StructureScores]:
    """One minus ``s = (Dice(main, 1/4) + Dice(main, 1/2)) / 2``; the confidence is the mean of ``|p - 0.5|``.

    A structure that no head found is unknown. In the published code it agrees perfectly with itself.
    """
    stacks = image.stacks("levels")
    main = next(stacks)
    maps, rows = [likeliest(main), *(likeliest(one) for one in stacks)], []
    for value, name in enumerate(image.classes[1:], start=1):
        first, *others = (labels == value for labels in maps)
        whole, by_slice = mask_disagreement([(first, other) for other in others], SMOOTH)
        found = np.logical_or.reduce([first, *others]).any(axis=(1, 2))
        k = np.flatnonzero(found)
        confidence = np.abs(main[value][k].astype(np.float32) - 0.5).mean(axis=(1, 2))
        whole, area = whole if found.any() else float("nan"), np.count_nonzero(first[k], axis=(1, 2))
        rows.append(StructureScores(name, whole, k, area, by_slice[k], confidence))
    return rows


STRATEGY = Strategy(
    "deep-supervision", "DSAL: largest disagreement of a network's heads", "levels",
    "one pass of a segmentation network with deep supervision", "heads agree to Dice {good:.3f}", measure,
)  # fmt: skip
