"""How a review names slices and what it asks of their scores: its own copy of them, what another scoring changed."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import NamedTuple

from ..scores import CaseScore, SegmentScore, SliceScore, Status

NO_MASK = ""
"""Stands for the digest of a slice in which the segment has no voxel."""

SAME_DECIMALS = 6
"""DSC that agree so far count as the same: the same slice in another batch differs by rounding, and nobody sees it."""


class SliceRef(NamedTuple):
    """One slice of one segment; ``k`` is its canonical index, inferior to superior."""

    segment_id: str
    k: int


def all_slices(segment: SegmentScore) -> list[SliceScore]:
    """The slices of a segment with mask, then those without."""
    return [*segment.slices, *segment.empty_slices]


def is_scored(segment: SegmentScore) -> bool:
    """Whether scoring came to its end for the segment."""
    return segment.status is not Status.NOT_SCORED


def is_complete(segment: SegmentScore) -> bool:
    """Whether every slice of the mask has been scored, so that a slice without score is known to have no mask."""
    return is_scored(segment) and segment.n_scored >= segment.n_slices


def mask_digest(segment: SegmentScore, score: SliceScore | None) -> str | None:
    """Fingerprint of the mask in a slice of the segment: ``NO_MASK`` where it is empty, ``None`` when unknown.

    The digest of a slice without mask is that of the nearest slice with mask. A reader who edits that one has not
    touched the empty slice, so it does not count here.
    """
    if score is not None and score.has_mask:
        return score.digest
    return NO_MASK if score is not None or is_complete(segment) else None


def copied(case: CaseScore, own: CaseScore | None = None) -> CaseScore:
    """A copy that shares nothing with ``case`` that changes; slices in ascending order.

    ``own`` is the review's copy until now: its segments are taken where they are equal, which is most of them after an
    edit, and whoever finds the same object need not look into it.
    """
    known = {s.segment_id: s for s in own.segments} if own else {}
    segments = [known[s.segment_id] if s == known.get(s.segment_id) else _copied(s) for s in case.segments]
    return replace(case, segments=segments, model=deepcopy(case.model), warnings=list(case.warnings))


def _copied(segment: SegmentScore) -> SegmentScore:
    return replace(
        segment,
        slices=sorted((replace(s) for s in segment.slices), key=lambda s: s.k),
        empty_slices=sorted((replace(s) for s in segment.empty_slices), key=lambda s: s.k),
    )


def fingerprint(case: CaseScore) -> str | None:
    """SHA-256 of the model that made the scores, ``None`` when they do not say."""
    sha256 = case.model.get("sha256")
    return None if sha256 is None else str(sha256)


def further(new: SegmentScore, old: SegmentScore | None) -> SegmentScore:
    """The new score, or the old one under the new name where scoring did not get to the segment, or not as far."""
    if old is None or is_scored(new) or not (is_scored(old) or old.n_scored > new.n_scored):
        return new
    return old if old.name == new.name else replace(old, name=new.name)


def changed_segments(old: CaseScore, new: CaseScore) -> tuple[str, ...]:
    """Ids of the segments of which a table, plot or picture shows something else now; new ones, and those gone last.

    Both cases have the same threshold.
    """
    before, now = ({s.segment_id: s for s in case.segments} for case in (old, new))
    same = {i for i in now.keys() & before.keys() if now[i] is before[i] or _seen(now[i]) == _seen(before[i])}
    return tuple(i for i in now | before if i not in same)


def _seen(segment: SegmentScore) -> list[object]:
    shown = (s for s in all_slices(segment) if s.has_mask or s.missed)
    return [
        segment.name, segment.structure, segment.status, segment.n_slices,
        *map(_rounded, (segment.predicted_dsc, segment.dsc_low, segment.dsc_high)), *map(_seen_of_slice, shown),
    ]  # fmt: skip


def _seen_of_slice(score: SliceScore) -> tuple[object, ...]:
    seen = score.k, score.position_mm, _rounded(score.predicted_dsc)
    if not score.has_mask:
        return seen
    return *seen, score.digest, score.area_mm2, score.flagged, _rounded(score.dsc_low), _rounded(score.dsc_high)


def _rounded(dsc: float | None) -> float | None:
    return None if dsc is None else round(dsc, SAME_DECIMALS)
