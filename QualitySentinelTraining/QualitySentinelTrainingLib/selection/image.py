"""One CT of the pool with what networks say of it, as strategies see it; and the measures that they share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from QualitySentinelLib.scorer import Scorer
from QualitySentinelLib.volume import CtVolume, Segmentation
from QualitySentinelLib.volume.segmentation import segment_from_mask

from ..segmentation.field import Field
from ..segmentation.probabilities import likeliest
from .units import StructureScores

PASSES = 20
"""Passes with dropout (Wang et al., CEAL; also of DSAL's and Quality Sentinel's comparisons)."""
_PLAUSIBLE = 0.05
"""Voxels that are likelier than this to belong to a structure count in the uncertainty of its slices."""
_THUMBNAIL, _LEVELS = 8, 8
_FEATURE_MM = 400.0


@dataclass
class PoolImage:
    """A CT of the pool."""

    ct: CtVolume
    masks: list[Segmentation] = field(default_factory=list)  # of each network; strategies judge the first
    # class probabilities [K, k, j, i] by a strategy's need, of one network, pass or level after the other
    stacks: Callable[[str], Iterator[np.ndarray]] | None = None
    classes: tuple[str, ...] = ()  # of the K, the background first
    scorer: Scorer | None = None

    def mean_probabilities(self) -> np.ndarray:
        """Mean over the networks, ``[K, k, j, i]``."""
        total, number = np.zeros((), np.float32), 0
        for one in self.stacks("probabilities"):
            total, number = total + one, number + 1
        return total / number

    @cached_property
    def areas(self) -> dict[str, np.ndarray]:
        """Predicted voxels of each structure in each slice, int ``[k]``."""
        areas: dict[str, np.ndarray] = {}
        for segment in self.masks[0] if self.masks else ():
            at = areas.setdefault(segment.structure or segment.name, np.zeros(self.ct.frame.shape[0], int))
            if not segment.is_empty:
                at[segment.box[0]] += segment.areas
        return areas

    def by_network(self) -> list[Segmentation]:
        """The masks of each of several networks."""
        if len(self.masks) > 1:
            return self.masks
        return [segmentation_of(likeliest(one), self.classes, self.ct) for one in self.stacks("networks")]

    @cached_property
    def thumbnails(self) -> np.ndarray:
        """Soft tissue of each slice as 8 x 8 values in 0..1, float32 ``[k, 64]``."""
        view = Field.on_body(self.ct, _THUMBNAIL, _FEATURE_MM / _THUMBNAIL)
        seen = view.look(self.ct, np.arange(self.ct.frame.shape[0]))
        return ((seen.reshape(len(seen), -1).astype(np.float32) + 160) / 400).clip(0, 1)

    @property
    def features(self) -> np.ndarray:
        """What the whole CT looks like: the thumbnails of eight heights, float32 ``[512]``."""
        body = Field.on_body(self.ct, _THUMBNAIL, _FEATURE_MM / _THUMBNAIL).slices
        heights = body if len(body) else np.arange(len(self.thumbnails))
        at = heights[np.linspace(0, len(heights) - 1, _LEVELS).round().astype(int)]
        return self.thumbnails[at].ravel()

    def plain(self, features: bool = False) -> list[StructureScores]:
        """Every structure with its slices, all scored alike."""
        rows = [(name, areas, np.flatnonzero(areas)) for name, areas in self.areas.items()]
        return [
            StructureScores(name, 0.0 if len(k) else float("nan"), k, areas[k], np.zeros(len(k)),
                            features=self.thumbnails[k] if features else None)
            for name, areas, k in rows
        ]  # fmt: skip


def segmentation_of(labels: np.ndarray, classes: Sequence[str], ct: CtVolume) -> Segmentation:
    """A label map ``[k, j, i]`` as a segmentation; classes of which nothing is there are empty segments."""
    segments = [
        segment_from_mask(labels == value, id=str(value), name=name, structure=name)
        for value, name in enumerate(classes)
        if value
    ]
    return Segmentation(segments, ct.frame, ct.source)


def whole_mask(segmentation: Segmentation, name: str) -> np.ndarray:
    """The mask of a structure on the grid of its CT, bool ``[k, j, i]``."""
    mask = np.zeros(segmentation.frame.shape, bool)
    for segment in segmentation:
        if name == (segment.structure or segment.name) and not segment.is_empty:
            mask[segment.box] |= segment.voxels()
    return mask


def voxel_uncertainty(
    probabilities: np.ndarray, classes: Sequence[str], of_class: Callable[[int], np.ndarray],
    weight: Callable[[np.ndarray], np.ndarray] = np.ones_like,
) -> list[StructureScores]:  # fmt: skip
    """Weighted mean of a voxel's uncertainty over the voxels where a structure is plausible, by slice and as a whole.

    A slice where a structure is plausible but not predicted counts, with area 0.

    Args:
        probabilities: mean ``[K, k, j, i]``.
        of_class: gives the uncertainty of a class, 0..1, ``[k, j, i]``.
        weight: weights of a mask ``[k, j, i]``, float.
    """
    labels, rows = likeliest(probabilities), []
    for value, name in enumerate(classes[1:], start=1):
        mask = labels == value
        counted = np.where(probabilities[value] > _PLAUSIBLE, weight(mask.astype(np.float32)), 0.0)
        total = counted.sum(axis=(1, 2), dtype=np.float64)
        summed = (counted * of_class(value)).sum(axis=(1, 2), dtype=np.float64)
        k = np.flatnonzero(total > 0)
        whole = summed.sum() / total.sum() if mask.any() else float("nan")
        area = np.count_nonzero(mask[k], axis=(1, 2))
        rows.append(StructureScores(name, float(whole), k, area, summed[k] / total[k]))
    return rows


def mask_disagreement(pairs: Sequence[tuple[np.ndarray, np.ndarray]], smooth: float = 0.0) -> tuple[float, np.ndarray]:
    """One minus the mean Dice of pairs of masks, bool ``[k, j, i]``: of the volume, and of each slice, ``[k]``.

    With ``smooth`` it is added above and below the line, so that two empty masks agree, as in DSAL; without
    it they give nan.
    """
    whole, by_slice = [], []
    for a, b in pairs:
        shared = np.count_nonzero(a & b, axis=(1, 2)).astype(float)
        total = np.count_nonzero(a, axis=(1, 2)) + np.count_nonzero(b, axis=(1, 2))
        with np.errstate(invalid="ignore"):
            by_slice.append((2 * shared + smooth) / (total + smooth))
            whole.append(np.divide(2 * shared.sum() + smooth, total.sum() + smooth))
    counted = np.isfinite(by_slice).sum(axis=0)
    mean = np.nansum(by_slice, axis=0) / np.maximum(counted, 1)
    of_volume = np.array(whole)[np.isfinite(whole)]
    return float(1 - of_volume.mean()) if len(of_volume) else float("nan"), np.where(counted > 0, 1 - mean, np.nan)

