"""Label quality: cleanlab's soft minimum of the out-of-sample probabilities of the given labels, as a case's score.

Lad and Mueller 2023 (arXiv 2307.05080), the best of seven scores of whole images there. It is here of one structure:
in a slice, of the pixels that are labeled so or that the network calls so, against all else. Pixels that the network
doubts weigh most: a few that are surely wrong pull it down far below the share of right ones. It is no DSC.
"""

from __future__ import annotations

import numpy as np

from QualitySentinelLib.scores import CaseScore, SegmentScore, SliceScore, Status, aggregate, flag

from .pixels import Labeled

THRESHOLD = 0.1
"""Slices below it are flagged: docs/LABEL_ERRORS.md has the quality of slices with right and with wrong labels."""
MODEL = {"name": "label quality (soft minimum of out-of-sample probabilities)", "sha256": "", "given": True}
_WARNING = "the scores are label quality (cleanlab's soft minimum of out-of-sample probabilities), not a predicted DSC"


def soft_minimum(own: np.ndarray) -> float:
    """cleanlab's label quality of pixels, 0..1; 1 without any.

    Args:
        own: probability of the given label of each pixel, ``[N]``.
    """
    from cleanlab.segmentation.rank import get_label_quality_scores

    if not len(own):
        return 1.0
    own = own.astype(np.float64)
    both = np.stack([own, 1 - own])[None, :, None]
    return float(get_label_quality_scores(np.zeros((1, 1, len(own)), int), both, verbose=False)[0][0])


def structure_quality(labeled: Labeled, likeliest: np.ndarray, number: int) -> tuple[float, dict[int, float]]:
    """Label quality of one structure, as a whole and by canonical k of its slices: those with a pixel of it."""
    given = labeled.labels == number
    shown = given | (likeliest == number)
    p = labeled.probabilities[number]
    slices = {int(k): _own(given[k], shown[k], p[k]) for k in np.flatnonzero(shown.any(axis=(1, 2)))}
    own = np.concatenate([*slices.values(), np.zeros(0)])
    return soft_minimum(own), {k: soft_minimum(one) for k, one in slices.items()}


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


def _own(given: np.ndarray, shown: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Probability that the given label is right, of the pixels shown."""
    p = p[shown].astype(np.float32)
    return np.where(given[shown], p, 1 - p)
