"""What is suggested: as connected parts, which can be applied or not one after another, and as segments."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from ..scores import CaseScore
from ..volume import Segment, Segmentation
from ..volume.segmentation import segment_from_mask
from .drawing import Drawings
from .error_map import DEFAULT_THRESHOLD, ErrorMap, Kind, error_maps

COLORS = {Kind.REMOVE: (0.95, 0.20, 0.75), Kind.ADD: (0.25, 0.60, 1.00)}
"""Magenta and blue: no color of the DSC scales, and two that can be told apart without seeing red and green."""
EXPECTED_COLOR = (1.0, 0.45, 0.85)
"""Of the expected contour, which is dashed."""
_JOINED = np.ones((3, 3, 3), bool)
_JOINED[[0, 2]] = False
_JOINED[[0, 2], 1, 1] = True  # corners join within a slice, faces across slices


@dataclass(frozen=True)
class Island:
    """A connected part of what should be removed, or added."""

    kind: Kind
    voxels: np.ndarray  # canonical ``(k, j, i)``, int32 ``[n, 3]``
    volume_mm3: float
    k: int  # the slice that holds most of it

    @property
    def middle(self) -> tuple[int, int]:
        """Row and column of the voxel of slice :attr:`k` that is nearest to the middle of the island there."""
        there = self.voxels[self.voxels[:, 0] == self.k, 1:]
        row, column = there[np.argmin(((there - there.mean(axis=0)) ** 2).sum(axis=1))]
        return int(row), int(column)


def islands(
    maps: Iterable[ErrorMap], spacing: tuple[float, ...], threshold: float = DEFAULT_THRESHOLD
) -> list[Island]:
    """The islands in error maps of one segment, largest first; ``spacing`` in mm, ``(k, j, i)``."""
    from scipy import ndimage  # half of the time in which Slicer's panel opens

    maps = list(maps)
    found: list[Island] = []
    for kind in Kind:
        voxels = suggested_voxels(maps, kind, threshold)
        if not len(voxels):
            continue
        corner = voxels.min(axis=0)
        there = np.zeros(voxels.max(axis=0) - corner + 1, bool)
        there[tuple((voxels - corner).T)] = True
        parts, _ = ndimage.label(there, _JOINED)
        part = parts[tuple((voxels - corner).T)]
        order = np.argsort(part, kind="stable")
        for one in np.split(voxels[order], np.flatnonzero(np.diff(part[order])) + 1):
            ks, counts = np.unique(one[:, 0], return_counts=True)
            found.append(Island(kind, one, len(one) * float(np.prod(spacing)), int(ks[counts.argmax()])))
    return sorted(found, key=lambda island: (-island.volume_mm3, island.k))


def suggested_voxels(maps: Iterable[ErrorMap], kind: Kind, threshold: float = DEFAULT_THRESHOLD) -> np.ndarray:
    """Canonical ``(k, j, i)`` of what should be removed, or added, int32 ``[n, 3]``."""
    found = [np.zeros((0, 3), np.int32)]
    for error_map in maps:
        places = np.argwhere(error_map.suggested(kind, threshold)) + error_map.corner
        found.append(np.insert(places, 0, error_map.k, axis=1).astype(np.int32))
    return np.concatenate(found)


def suggested_segments(case: CaseScore, segmentation: Segmentation, drawings: Drawings) -> Segmentation:
    """The errors of a segmentation that was scored, as segments ``NAME: remove`` and ``NAME: add``, if any."""
    masks, found = {s.id: s for s in segmentation}, []
    for score in case.segments:
        maps = error_maps(score, masks[score.segment_id], drawings, segmentation.frame.shape[1:])
        for kind in Kind:
            voxels = suggested_voxels(maps, kind)
            if len(voxels):
                empty = Segment(f"{score.segment_id}: {kind}", f"{score.name}: {kind}", color=COLORS[kind])
                found.append(changed_segment(empty, Kind.ADD, voxels))
    return replace(segmentation, segments=found, warnings=[])


def changed_segment(segment: Segment, kind: Kind, voxels: np.ndarray) -> Segment:
    """The segment with ``voxels`` (canonical ``(k, j, i)``, int ``[n, 3]``) removed, or added."""
    corner, stop = voxels.min(axis=0), voxels.max(axis=0) + 1
    if not segment.is_empty:
        corner = np.minimum(corner, [s.start for s in segment.box])
        stop = np.maximum(stop, [s.stop for s in segment.box])
    mask = np.zeros(stop - corner, bool)
    if not segment.is_empty:
        mask[tuple(slice(s.start - c, s.stop - c) for s, c in zip(segment.box, corner, strict=True))] = segment.voxels()
    mask[tuple((voxels - corner).T)] = kind is Kind.ADD
    kept = {name: getattr(segment, name) for name in ("id", "name", "structure", "color", "tags")}
    return segment_from_mask(mask, tuple(int(c) for c in corner), **kept)
