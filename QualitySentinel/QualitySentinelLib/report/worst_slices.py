"""Which slices get a picture: the worst of each doubtful segment, spread out, and not too many in all."""

from __future__ import annotations

from ..scores import CaseScore, SegmentScore, SliceScore

PER_SEGMENT = 3
MAX_PICTURES = 80
"""Keeps the page of a case with 60 segments below 6 MB, and gives each of them a picture."""
_WHEN_NOTHING_IS_FLAGGED = 6


def worst_slices(
    case_score: CaseScore, per_segment: int = PER_SEGMENT, at_most: int = MAX_PICTURES
) -> dict[str, list[SliceScore]]:
    """Slices to picture, flagged or missed, by segment id, worst first; segments worst first too.

    Every segment with such slices gets its worst one before any gets its second. Within a segment, slices
    next to one already chosen are passed over, because they look the same. When nothing is flagged, the lowest
    slice of each of the lowest segments is taken, so that the page is never without pictures.
    """
    ranked: list[tuple[int, float, SliceScore]] = []
    for segment in case_score.segments:
        for turn, slice_score in enumerate(_spread(segment, per_segment)):
            ranked.append((turn, slice_score.predicted_dsc, slice_score))
    if not ranked:
        lowest = [min(s.slices, key=lambda x: x.predicted_dsc) for s in case_score.segments if s.slices]
        ranked = [(0, s.predicted_dsc, s) for s in lowest]
        at_most = min(at_most, _WHEN_NOTHING_IS_FLAGGED)
    ranked.sort(key=lambda entry: entry[:2])
    chosen: dict[str, list[SliceScore]] = {}
    for _, _, slice_score in ranked[:at_most]:
        chosen.setdefault(slice_score.segment_id, []).append(slice_score)
    return chosen


def _spread(segment: SegmentScore, count: int) -> list[SliceScore]:
    """Up to ``count`` flagged or missed slices, worst first, no two closer than an eighth of the segment."""
    apart = max(2, segment.n_slices // 8)
    chosen: list[SliceScore] = []
    doubtful = [s for s in segment.listed_slices if s.is_doubtful]
    for slice_score in sorted(doubtful, key=lambda s: s.predicted_dsc):
        if len(chosen) < count and all(abs(slice_score.k - other.k) >= apart for other in chosen):
            chosen.append(slice_score)
    return chosen
