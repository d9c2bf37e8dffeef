"""Which slices a reader edited: those whose mask is another than when they were first scored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from ..scores import SegmentScore, SliceScore
from .cases import NO_MASK, is_complete, mask_digest

SHOWN_DECIMALS = 2
"""A change that nobody sees in the figures is none."""


class Effect(StrEnum):
    """What an edit did to the predicted DSC of its slice."""

    BETTER = "better"
    WORSE = "worse"
    SAME = "same"
    UNKNOWN = "unknown"
    """There was no score before, or there is none now."""


@dataclass(frozen=True)
class Edit:
    """A slice whose mask was changed since its first score."""

    # segment_id, k: the slice
    segment_id: str
    k: int
    dsc_before: float | None  # predicted DSC at its first score; ``None`` when it had none by the model now in use
    dsc_after: float | None  # predicted DSC now; ``None`` when the slice has no score now, as where a mask was erased

    @property
    def effect(self) -> Effect:
        """What the edit did to the predicted DSC."""
        if self.dsc_before is None or self.dsc_after is None:
            return Effect.UNKNOWN
        change = round(self.dsc_after, SHOWN_DECIMALS) - round(self.dsc_before, SHOWN_DECIMALS)
        return Effect.BETTER if change > 0 else Effect.WORSE if change < 0 else Effect.SAME


@dataclass(frozen=True)
class FirstScore:
    """A slice when it was first scored."""

    digest: str  # of its mask, ``NO_MASK`` where there was none
    dsc: float | None = None  # predicted DSC, ``None`` when it had no score by the model now in use
    missed: bool = False  # it was a missed slice

    @classmethod
    def of(cls, score: SliceScore) -> FirstScore:
        """The slice as it is scored now."""
        return cls(score.digest if score.has_mask else NO_MASK, score.predicted_dsc, score.missed)

    def is_of(self, score: SliceScore | None) -> bool:
        """Whether the slice as it is scored now, or not at all, would be taken for this."""
        return self == (FirstScore(NO_MASK) if score is None else FirstScore.of(score))

    def was_doubtful(self, threshold: float) -> bool:
        """Whether it was missed, or would have been flagged with ``threshold``."""
        return self.missed if self.digest == NO_MASK else self.dsc is not None and self.dsc < threshold


class FirstScores:
    """The first score of every slice of a case; slices that are not ``known`` have it when they are first met."""

    def __init__(self, known: dict[str, dict[int, FirstScore]] | None = None) -> None:
        self._first = known or {}

    def learn(self, segment: SegmentScore, slices: Iterable[SliceScore], before: SegmentScore | None) -> None:
        """Take the scores of slices met for the first time.

        ``before`` is the segment as it was: when it was completely scored then, a slice with mask that is new was
        painted since.
        """
        first = self._first.setdefault(segment.segment_id, {})
        for score in slices:
            known = first.get(score.k)
            if known is None:
                painted = score.has_mask and before is not None and is_complete(before)
                first[score.k] = FirstScore(NO_MASK) if painted else FirstScore.of(score)
            elif known.dsc is None and known.digest == mask_digest(segment, score):
                first[score.k] = FirstScore.of(score)

    def forget_segments(self, segment_ids: Iterable[str]) -> None:
        for segment_id in segment_ids:
            self._first.pop(segment_id, None)

    def forget_dsc(self) -> None:
        """Keep the masks only: another model scores now, and DSC of two models must not be compared."""
        for first in self._first.values():
            for k, score in first.items():
                first[k] = replace(score, dsc=None)

    def edit(self, segment: SegmentScore, k: int, score: SliceScore | None) -> Edit | None:
        """What became of slice ``k``, if its mask is known to differ from the first; ``score``: the slice's, if any."""
        first = self._first.get(segment.segment_id, {}).get(k)
        now = mask_digest(segment, score)
        if first is None or now is None or now == first.digest:
            return None
        return Edit(segment.segment_id, k, first.dsc, None if score is None else score.predicted_dsc)

    def edits(
        self, segment: SegmentScore, slices: Mapping[int, SliceScore]
    ) -> Iterator[tuple[Edit, FirstScore, SliceScore | None]]:
        """(edit, first score, score now) of each edited slice of a segment, upwards; ``slices``: its slices by k."""
        first = self._first.get(segment.segment_id, {})
        for k in sorted(first):
            if edit := self.edit(segment, k, slices.get(k)):
                yield edit, first[k], slices.get(k)

    def differing(self, segment: SegmentScore, slices: Mapping[int, SliceScore]) -> dict[int, FirstScore]:
        """First scores that cannot be had from the segment's scores of now, by k, upwards."""
        first = self._first.get(segment.segment_id, {})
        return {k: first[k] for k in sorted(k for k in first if not first[k].is_of(slices.get(k)))}
