"""Which slices to look at: those predicted below the threshold."""

from __future__ import annotations

from collections.abc import Iterable

from ..options import DEFAULT_THRESHOLD, check_threshold
from .score import CaseScore, SliceScore


def flag(scores: CaseScore | Iterable[SliceScore], threshold: float | None = None) -> None:
    """Flag the slices predicted strictly below ``threshold``, and only those; nothing is scored again.

    May be called as often as the reader moves the threshold: the outcome depends on the last call alone.

    Args:
        scores: changed in place: a case's ``threshold`` and every slice's ``flagged``; or some slices alone, as
            when a segment has just been scored.
        threshold: DSC in 0..1; by default the case's own (``DEFAULT_THRESHOLD`` for slices alone).

    Raises:
        UsageError: the threshold is not a number in 0..1.
    """
    if isinstance(scores, CaseScore):
        scores.threshold = threshold = check_threshold(scores.threshold if threshold is None else threshold)
        slices: Iterable[SliceScore] = (s for segment in scores.segments for s in segment.slices)
    else:
        threshold = check_threshold(DEFAULT_THRESHOLD if threshold is None else threshold)
        slices = scores
    for slice_score in slices:
        slice_score.flagged = slice_score.predicted_dsc < threshold
