"""Label quality (see :mod:`..segmentation.label_quality`) as the score of a case."""

from __future__ import annotations

import numpy as np

from QualitySentinelLib.scores import CaseScore, SegmentScore, SliceScore, Status, aggregate, flag

from .pixels import Labeled

THRESHOLD = 0.1
"""Slices below it are flagged: docs/LABEL_ERRORS.md has the quality of slices with right and with wrong labels."""
MODEL = {"name": "label quality (soft minimum of out-of-sample probabilities)", "sha256": "", "given": True}
_WARNING = "the scores are label quality (cleanlab's soft minimum of out-of-sample probabilities), not a predicted DSC"


def case_score(labeled: Labeled, qualities: dict[str, dict[int, float]], missing: dict[str, set[int]]) -> CaseScore:
    """Label quality as the score of a case: tables, reports and the review show it like any.

    Args:
        qualities: of each structure, by canonical k.
        missing: canonical k of the slices where voxels of a structure are missing.
    """
    segments = []
    frame, voxel_mm2 = labeled.ct.frame, float(np.prod(labeled.ct.frame.spacing[1:]))
    for segment in labeled.segmentation:
        known = qualities.get(segment.structure or "")
        score = SegmentScore(segment.id, segment.name, segment.structure, Status.EMPTY)
        if not segment.is_empty:
            score.status = Status.NOT_SCORED if known is None else Status.SCORED
            score.n_slices = len(segment.occupied_slices())
            area = dict(zip(range(segment.box[0].start, segment.box[0].stop), segment.areas, strict=True))
            drawn = np.array([k for k, voxels in area.items() if voxels])
            for k, quality in (known or {}).items():
                place = (segment.id, k, frame.file_slice(k), frame.position_mm(k), quality, quality)
                if area.get(k):
                    score.slices.append(SliceScore(*place, float(area[k] * voxel_mm2), segment.slice_digest(k)))
                elif k in missing.get(segment.structure, ()):
                    near = int(drawn[np.abs(drawn - k).argmin()])
                    inner = bool(drawn[0] < k < drawn[-1])
                    nearest = float(area[near] * voxel_mm2), segment.slice_digest(near)
                    score.empty_slices.append(SliceScore(*place, *nearest, nearest_k=near, inner=inner))
            aggregate(score)
        segments.append(score)
    case = CaseScore(segments, THRESHOLD, MODEL, warnings=[*labeled.segmentation.warnings, _WARNING])
    flag(case)
    return case
