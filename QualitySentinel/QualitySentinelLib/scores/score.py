"""The data model of results: scores of slices, of segments, and of a case; how they are called, flagged and made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from ..options import check_threshold


class Status(StrEnum):
    """What became of a segment."""

    SCORED = "scored"
    EMPTY = "empty"
    UNKNOWN_STRUCTURE = "unknown structure"
    """Scored, but with the neutral embedding, because the name matches no structure the model knows."""
    NOT_SCORED = "not scored"
    """Left out by the user's choice of segments, or scoring was canceled before it."""


@dataclass
class SliceScore:
    """The score of one slice of one segment, with mask voxels or, where it was searched for missed parts, without."""

    segment_id: str  # the segment it belongs to
    k: int  # canonical slice index
    slice_index: int  # the file's own 0-based slice number along its axial axis
    position_mm: float  # patient S coordinate of the slice, mm
    # predicted Dice coefficient, clamped to 0..1. Without mask it is the predicted probability that nothing is missed:
    # the DSC of two empty masks counts as 1, that of an empty one and a structure that is there is 0
    predicted_dsc: float
    raw: float  # the network's output before clamping and calibration
    area_mm2: float  # mask area in the slice, mm2; without mask, that in the nearest slice with one
    # fingerprint of the mask it was made from (``Segment.slice_digest``); without mask, of the nearest one and its
    # distance
    digest: str
    flagged: bool = False  # it has a mask, predicted below the segment's threshold
    # dsc_low, dsc_high: interval around the predicted DSC, or ``None`` when the model gives none
    dsc_low: float | None = None
    dsc_high: float | None = None
    # without mask: the segment's slice nearest to this one, which shows the network where to look
    nearest_k: int | None = None
    inner: bool = False  # without mask: it lies between slices of the mask, not beyond its ends
    missed: bool = False  # without mask, and so low that the structure is expected here (``calibration["missed"]``)

    @property
    def has_mask(self) -> bool:
        """The segment has voxels in the slice."""
        return self.nearest_k is None

    @property
    def own_area_mm2(self) -> float:
        """Mask area in the slice itself, mm2."""
        return self.area_mm2 if self.has_mask else 0.0

    @property
    def is_doubtful(self) -> bool:
        """A reader should look at it: predicted below the threshold, or missed."""
        return self.flagged or self.missed


@dataclass
class SegmentScore:
    """The score of one segment, with those of its slices in ascending canonical order."""

    segment_id: str
    name: str
    structure: str | None
    status: Status
    n_slices: int = 0  # slices that hold mask voxels
    # the segment's predicted volumetric Dice (:func:`.aggregation.aggregate`), or ``None`` when it has no scored slice
    predicted_dsc: float | None = None
    # dsc_low, dsc_high: interval around it, or ``None`` when the model gives none
    dsc_low: float | None = None
    dsc_high: float | None = None
    # mean_dsc, area_weighted_dsc: both aggregates before calibration, whichever of them is the default
    mean_dsc: float | None = None
    area_weighted_dsc: float | None = None
    slices: list[SliceScore] = field(default_factory=list)  # those that hold mask voxels and were scored
    # those without, inside and just beyond the mask, that were asked for missed parts; ascending
    empty_slices: list[SliceScore] = field(default_factory=list)

    @property
    def is_unknown(self) -> bool:
        """Scored without knowing what structure it is: its score deserves less trust."""
        return self.status is Status.UNKNOWN_STRUCTURE

    @property
    def n_scored(self) -> int:
        """Slices of the mask that were scored."""
        return len(self.slices)

    @property
    def n_flagged(self) -> int:
        """Slices predicted below the threshold."""
        return sum(s.flagged for s in self.slices)

    @property
    def missed_slices(self) -> list[SliceScore]:
        """Slices where the mask is missing though the structure is expected, ascending."""
        return [s for s in self.empty_slices if s.missed]

    @property
    def listed_slices(self) -> list[SliceScore]:
        """What tables and pictures show: the scored slices of the mask and the missed ones, ascending."""
        return sorted([*self.slices, *self.missed_slices], key=lambda s: s.k)

    @property
    def n_missed(self) -> int:
        return len(self.missed_slices)


@dataclass
class CaseScore:
    """Everything that scoring one case gave."""

    segments: list[SegmentScore]
    threshold: float  # slices predicted below it are flagged
    # what made the scores: ``name``, ``sha256``, ``preset``, ``architecture`` and so on
    model: dict = field(default_factory=dict)
    device: str = ""  # where it ran, e.g. ``cpu`` or ``cuda:0``
    seconds: float = 0.0  # wall time of scoring
    warnings: list[str] = field(default_factory=list)  # one line each, in the order met
    own_thresholds: bool = False  # structures that have one in :attr:`structure_thresholds` are flagged below that

    @property
    def structure_thresholds(self) -> Mapping[str, float]:
        """Thresholds of structures, of the model's calibration; empty when it has none."""
        return ((self.model.get("calibration") or {}).get("flags") or {}).get("structures") or {}

    @property
    def thresholds_in_use(self) -> Mapping[str, float]:
        """Those of :attr:`structure_thresholds` if structures are flagged below their own; else empty."""
        return self.structure_thresholds if self.own_thresholds else {}

    def threshold_of(self, segment: SegmentScore) -> float:
        """The DSC below which slices of a segment are flagged."""
        return self.thresholds_in_use.get(segment.structure or "", self.threshold)

    def __getitem__(self, segment_id: str) -> SegmentScore:
        for segment in self.segments:
            if segment.segment_id == segment_id:
                return segment
        raise KeyError(segment_id)

    @property
    def n_missed(self) -> int:
        """Missed slices of all segments."""
        return sum(s.n_missed for s in self.segments)

    def worst_first(self) -> list[SegmentScore]:
        """Segments by ascending predicted DSC; those without a score last."""
        return sorted(self.segments, key=lambda s: (s.predicted_dsc is None, s.predicted_dsc or 0.0))


def segment_labels(segments: Iterable[SegmentScore]) -> dict[str, str]:
    """Label of each segment by its id: its name; where names repeat (or are blank) ``name [id]``, all different.

    Example:
        >>> from QualitySentinelLib.scores import Status
        >>> segments = [SegmentScore(i, n, None, Status.EMPTY) for i, n in (("1", "liver"), ("2", "a"), ("3", "a"))]
        >>> segment_labels(segments)
        {'1': 'liver', '2': 'a [2]', '3': 'a [3]'}
    """
    segments = list(segments)
    names = Counter(s.name for s in segments)
    labels: dict[str, str] = {}
    taken = {name for name, count in names.items() if count == 1 and name.strip()}
    for segment in segments:
        label = segment.name
        if names[label] > 1 or not label.strip():
            label = f"{label} [{segment.segment_id}]".strip()
            while label in taken:  # another segment is really called so
                label = f"{label} [{segment.segment_id}]"
            taken.add(label)
        labels[segment.segment_id] = label
    return labels


def flag(case: CaseScore, threshold: float | None = None, segments: Iterable[SegmentScore] | None = None) -> None:
    """Flag the slices predicted strictly below their segment's threshold, and only those; nothing is scored again.

    The case is changed in place: its ``threshold``, if one is given, and every slice's ``flagged``; with ``segments``
    only theirs, as when one has just been scored.

    Raises:
        UsageError: the threshold is not a number in 0..1.
    """
    case.threshold = check_threshold(case.threshold if threshold is None else threshold)
    for segment in case.segments if segments is None else segments:
        below = case.threshold_of(segment)
        for slice_score in segment.slices:
            slice_score.flagged = slice_score.predicted_dsc < below


class Stage(StrEnum):
    """What scoring is busy with."""

    LOADING = "loading the model"
    READING = "reading the volumes"
    PLANNING = "planning"
    SCORING = "scoring"


@dataclass
class Progress:
    """How far scoring has come."""

    # done, total: slices scored, and to score, in this run: those of the masks and empty ones that may have been missed
    # (slices kept from a previous score count in neither). ``total`` is 0 until all are planned
    done: int
    total: int
    seconds: float  # wall time so far
    segment_id: str | None  # the segment of the slice scored last; ``None`` before the first
    # the scores so far; segments that have all their slices are complete, the rest ``not scored`` yet. It has no
    # segments before they are read
    score: CaseScore
    cancelled: bool = False  # the run ended because the user asked for it
    stage: Stage = Stage.SCORING  # what comes next: a view can say so before it happens

    @property
    def finished(self) -> bool:
        """Everything is scored: nothing comes after this, and ``score`` is complete."""
        return self.stage is Stage.SCORING and self.done == self.total and not self.cancelled
