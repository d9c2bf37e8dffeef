"""A segment's score as segment tags: the same words in the scene and in ``scored.seg.nrrd``."""

from __future__ import annotations

from collections.abc import Mapping

from .score import CaseScore, SegmentScore

TAG_PREFIX = "QualitySentinel."

_NAMES = """PredictedDSC DSCLow DSCHigh Status Structure ScoredSlices FlaggedSlices MissedSlices Threshold Model
AcceptedSlices"""
TAG_NAMES = tuple(TAG_PREFIX + name for name in _NAMES.split())
"""Every tag that a score may leave on a segment."""


def score_tags(
    score: SegmentScore | None, case_score: CaseScore, accepted: Mapping[str, int] | None = None
) -> dict[str, str]:
    """The tags that carry a segment's score; those without a value are left out, all of them without a score.

    ``accepted``: by segment id how many flagged or missed slices a reader accepted, if there is a review.
    """
    if score is None:
        return {}
    model = " ".join(str(case_score.model.get(key, "")) for key in ("name", "sha256")).strip()
    values = (
        _number(score.predicted_dsc),
        _number(score.dsc_low),
        _number(score.dsc_high),
        str(score.status),
        score.structure,
        str(score.n_scored),
        str(score.n_flagged),
        str(score.n_missed),
        f"{case_score.threshold_of(score):g}",
        model or None,
        None if accepted is None else str(accepted.get(score.segment_id, 0)),
    )
    return {name: value for name, value in zip(TAG_NAMES, values, strict=True) if value is not None}


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.4f}"
