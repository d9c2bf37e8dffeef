"""Pictures of the worst slices of a data set, from its CTs and masks where they are at hand."""

from __future__ import annotations

from QualitySentinelLib.report.slice_picture import slice_picture
from QualitySentinelLib.report.text import range_text
from QualitySentinelLib.report.worst_slices import worst_slices
from QualitySentinelLib.scores import CaseScore, SegmentScore, segment_labels
from QualitySentinelLib.volume import CtVolume, Segment

from ..open_case import CaseFiles

PICTURED_CASES = 12
"""So many of the worst cases are read again for pictures; each takes seconds."""
PER_CASE = 8
PER_SEGMENT = 2
_SEGMENTS = 4


def case_pictures(case: str, segments: list[SegmentScore], threshold: float, files: CaseFiles) -> list[dict]:
    """Pictures of the worst slices of a case's worst segments, worst segment first, as the templates take them.

    Of a segment slices with mask come first: where one is missing says less of what is wrong than a wrong one.

    Raises:
        QualitySentinelError: CT or masks are no longer there, or cannot be read.
    """
    doubtful = [s for s in segments if s.n_flagged or s.n_missed]
    chosen = worst_slices(CaseScore((doubtful or segments)[:_SEGMENTS], threshold), PER_SEGMENT, PER_CASE)
    if not chosen:
        return []
    ct, segmentation = files.read(case)
    labels = segment_labels([SegmentScore(s.id, s.name, s.structure, "") for s in segmentation])
    masks = {labels[s.id]: s for s in segmentation}  # as the tables call them
    pictures = [
        _picture(ct, masks[label], slice_score, label)
        for label, slices in chosen.items() if label in masks for slice_score in slices
    ]  # fmt: skip
    order = {s.segment_id: place for place, s in enumerate(segments)}
    drawn = filter(None, pictures)
    return sorted(drawn, key=lambda p: (order[p["label"]], p["slice"].missed, p["slice"].predicted_dsc))


def _picture(ct: CtVolume, segment: Segment, slice_score, label: str) -> dict | None:
    missed = slice_score.missed
    k, occupied = slice_score.k, segment.occupied_slices()
    if not len(occupied) or not 0 <= k < ct.frame.shape[0]:
        return None
    masked = int(min(occupied, key=lambda o: abs(int(o) - k)))
    if not missed and masked != k:
        return None  # the mask was changed since the audit
    picture = slice_picture(ct, segment, k, mask_from=masked if missed else None)
    return {
        "label": label, "uri": picture.uri, "slice": slice_score, "window": picture.window.name,
        "range": "" if missed else range_text(slice_score.dsc_low, slice_score.dsc_high),
    }  # fmt: skip
