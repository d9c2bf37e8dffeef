"""What another scoring changed, so that a view draws only this anew."""

from __future__ import annotations

from dataclasses import dataclass

from ..scores import CaseScore, SegmentScore, SliceScore
from .refs import SliceRef

SAME_DECIMALS = 6
"""DSC that agree so far count as the same: the same slice in another batch differs by rounding, and nobody sees it."""


@dataclass(frozen=True)
class SliceChange:
    """A slice that is another than before: its score, its interval, its mask, or whether it is missed.

    Attributes:
        segment_id, k: the slice.
        old_dsc, new_dsc: predicted DSC; ``None`` where there was, or is, neither a score of a mask nor a missed slice.
    """

    segment_id: str
    k: int
    old_dsc: float | None
    new_dsc: float | None


@dataclass(frozen=True)
class SegmentChange:
    """A segment that is another than before.

    Attributes:
        segment_id: the segment.
        old_dsc, new_dsc: the segment's predicted DSC, ``None`` without one.
        slices: what changed in it, inferior to superior; empty when only the segment's own values changed.
    """

    segment_id: str
    old_dsc: float | None
    new_dsc: float | None
    slices: tuple[SliceChange, ...] = ()


@dataclass(frozen=True)
class ScoreChanges:
    """Everything that another scoring changed. False when nothing did.

    Attributes:
        segments: those that changed, and new ones, in the case's order.
        added, removed: ids of segments that came, and that went.
        reordered: the segments, worst first, are in another order than before, or are others.
        accepts_lost: slices that had been accepted; their mask is another now, so they are not any more.
    """

    segments: tuple[SegmentChange, ...] = ()
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    reordered: bool = False
    accepts_lost: tuple[SliceRef, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.segments or self.added or self.removed or self.reordered or self.accepts_lost)

    @property
    def slices(self) -> tuple[SliceChange, ...]:
        """The changed slices of all segments."""
        return tuple(change for segment in self.segments for change in segment.slices)


def changes_between(old: CaseScore, new: CaseScore, accepts_lost: tuple[SliceRef, ...] = ()) -> ScoreChanges:
    """What ``new`` has that ``old`` has not, and the other way round. Both have the same threshold."""
    before = {s.segment_id: s for s in old.segments}
    now = {s.segment_id for s in new.segments}
    changed = (_segment_change(before.get(s.segment_id), s) for s in new.segments)
    return ScoreChanges(
        segments=tuple(change for change in changed if change is not None),
        added=tuple(s.segment_id for s in new.segments if s.segment_id not in before),
        removed=tuple(segment_id for segment_id in before if segment_id not in now),
        reordered=_order(old) != _order(new),
        accepts_lost=accepts_lost,
    )


def _order(case: CaseScore) -> list[str]:
    return [s.segment_id for s in case.worst_first()]


def _segment_change(old: SegmentScore | None, new: SegmentScore) -> SegmentChange | None:
    if old is new:
        return None
    before, now = {} if old is None else _shown(old), _shown(new)
    ks = sorted(k for k in before.keys() | now.keys() if _seen(before.get(k)) != _seen(now.get(k)))
    slices = tuple(SliceChange(new.segment_id, k, _dsc(before.get(k)), _dsc(now.get(k))) for k in ks)
    if old is not None and not slices and _of_segment(old) == _of_segment(new):
        return None
    return SegmentChange(new.segment_id, None if old is None else old.predicted_dsc, new.predicted_dsc, slices)


def _shown(segment: SegmentScore) -> dict[int, SliceScore]:
    """Slices with mask and missed ones, by k: what tables, plots and pictures show."""
    return {s.k: s for s in segment.listed_slices}


def _seen(score: SliceScore | None) -> tuple[object, ...] | None:
    """All of a slice that anybody sees."""
    if score is None:
        return None
    if not score.has_mask:
        return score.position_mm, _rounded(score.predicted_dsc)
    return (
        score.position_mm, score.digest, score.area_mm2, score.flagged,
        _rounded(score.predicted_dsc), _rounded(score.dsc_low), _rounded(score.dsc_high),
    )  # fmt: skip


def _of_segment(segment: SegmentScore) -> tuple[object, ...]:
    return (
        segment.name, segment.structure, segment.status, segment.n_slices,
        _rounded(segment.predicted_dsc), _rounded(segment.dsc_low), _rounded(segment.dsc_high),
    )  # fmt: skip


def _rounded(dsc: float | None) -> float | None:
    return None if dsc is None else round(dsc, SAME_DECIMALS)


def _dsc(score: SliceScore | None) -> float | None:
    return None if score is None else score.predicted_dsc
