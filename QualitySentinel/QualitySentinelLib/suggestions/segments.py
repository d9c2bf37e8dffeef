"""Suggestions as segments: what to remove and what to add, and masks to which they were applied."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..scores import CaseScore
from ..volume import Segment, Segmentation
from ..volume.segmentation import segment_from_mask
from .drawing import Drawings
from .error_map import Kind, error_maps
from .islands import suggested_voxels

COLORS = {Kind.REMOVE: (0.95, 0.20, 0.75), Kind.ADD: (0.25, 0.60, 1.00)}
"""Magenta and blue: no color of the DSC scales, and two that can be told apart without seeing red and green."""
EXPECTED_COLOR = (1.0, 0.45, 0.85)
"""Of the expected contour, which is dashed."""


def suggested_segments(case: CaseScore, segmentation: Segmentation, drawings: Drawings) -> Segmentation:
    """The errors of a segmentation that was scored, as segments ``NAME: remove`` and ``NAME: add``, if any."""
    masks, found = {s.id: s for s in segmentation}, []
    for score in case.segments:
        maps = error_maps(score, masks[score.segment_id], drawings, segmentation.frame.shape[1:])
        for kind in Kind:
            voxels = suggested_voxels(maps, kind)
            if len(voxels):
                named = {"id": f"{score.segment_id}: {kind}", "name": f"{score.name}: {kind}"}
                found.append(_segment_of(voxels, color=COLORS[kind], **named))
    return replace(segmentation, segments=found, warnings=[])


def changed_segment(segment: Segment, kind: Kind, voxels: np.ndarray) -> Segment:
    """The segment with ``voxels`` (canonical ``(k, j, i)``, int ``[n, 3]``) removed, or added."""
    corner, stop = voxels.min(axis=0), voxels.max(axis=0) + 1
    if segment.box is not None:
        corner = np.minimum(corner, [s.start for s in segment.box])
        stop = np.maximum(stop, [s.stop for s in segment.box])
    mask = np.zeros(stop - corner, bool)
    if segment.box is not None:
        mask[tuple(slice(s.start - c, s.stop - c) for s, c in zip(segment.box, corner, strict=True))] = segment.voxels()
    mask[tuple((voxels - corner).T)] = kind is Kind.ADD
    kept = {name: getattr(segment, name) for name in ("id", "name", "structure", "color", "tags")}
    return segment_from_mask(mask, tuple(int(c) for c in corner), **kept)


def _segment_of(voxels: np.ndarray, **attributes) -> Segment:
    return changed_segment(Segment(**attributes), Kind.ADD, voxels)
