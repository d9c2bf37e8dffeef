"""Lowest label quality first, of the masks by the probabilities of a network, or as ``find-errors`` measured it."""

from __future__ import annotations

import numpy as np

from QualitySentinelLib.errors import InputError

from ...segmentation.label_quality import structure_quality
from ...segmentation.probabilities import likeliest
from ..image import PoolImage, segmentation_of, whole_mask
from ..units import StructureScores
from .strategy import Strategy


def measure(image: PoolImage) -> list[StructureScores]:
    """One minus the label quality of the masks; without any, of what the networks draw themselves.

    Masks of structures that the networks do not know are left out.
    """
    mean, rows = image.mean_probabilities(), []
    expected = likeliest(mean)
    masks = image.masks[0] if image.masks else segmentation_of(expected, image.classes, image.ct)
    drawn = dict.fromkeys(segment.structure or segment.name for segment in masks)
    known = [name for name in drawn if name in image.classes]
    if drawn and not known:
        raise InputError(f"{masks.source}: has only masks of {', '.join(drawn)}; the network knows none of these")
    for name in known:
        given, value = whole_mask(masks, name), image.classes.index(name)
        whole, slices = structure_quality(given, expected == value, mean[value])
        k, quality = np.array([*slices], int), np.array([*slices.values()])
        area = np.count_nonzero(given[k], axis=(1, 2))
        rows.append(StructureScores(name, 1 - whole if len(k) else float("nan"), k, area, 1 - quality))
    return rows


STRATEGY = Strategy(
    "label-quality", "lowest label quality", "scores", "one pass of the segmentation network, or none beyond "
    "find-errors", "label quality {good:.3f}", measure, from_table=True,
)  # fmt: skip
