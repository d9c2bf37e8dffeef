"""What a review does with all scores of a case: its own copy of them, and what another scoring changed."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

from ..scores import CaseScore, SegmentScore, SliceScore
from .refs import all_slices, is_scored

SAME_DECIMALS = 6
"""DSC that agree so far count as the same: the same slice in another batch differs by rounding, and nobody sees it."""


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
    return tuple(i for i in (now | before) if i not in now or i not in before or not _is_alike(before[i], now[i]))


def _is_alike(old: SegmentScore, new: SegmentScore) -> bool:
    return old is new or _seen(old) == _seen(new)


def _seen(segment: SegmentScore) -> list[object]:
    """All of a segment that anybody sees."""
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
