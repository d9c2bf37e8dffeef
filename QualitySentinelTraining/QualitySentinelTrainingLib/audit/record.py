"""What is kept of a case: the rows of its segments with their slices, a line of the record each.

DSC are rounded as in ``segments.csv`` and ``slices.csv``: a thread more or less changes a score by some 1e-7, and
tables should not differ for that.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator

import numpy as np

from QualitySentinelLib.scores import CaseScore, SegmentScore, segment_labels
from QualitySentinelLib.scores.tables import DSC_DECIMALS, POSITION_DECIMALS
from QualitySentinelLib.volume import Segment, Segmentation

from ..runs import Record
from .privacy import Scrubber

_OLDER_SCHEMA = "quality-sentinel-audit-case/1"
_AREA_DECIMALS = _VOLUME_DECIMALS = 3
_CENTROID_DECIMALS = 2

SEGMENT_FIELDS = (
    "segment", "structure", "n_slices", "n_scored", "predicted_dsc", "dsc_low", "dsc_high", "n_flagged",
    "missed_slices", "status", "volume_ml", "centroid_r_mm", "centroid_a_mm", "centroid_s_mm",
)  # fmt: skip
SLICE_FIELDS = (
    "slice_index", "position_mm", "predicted_dsc", "dsc_low", "dsc_high", "flagged", "missed", "area_mm2", "k",
)  # fmt: skip
_TEXTS = {"segment", "structure", "status"}
_HEAD = {"status", "reason", "fingerprint", "ct", "seg", "metadata", "warnings", "device", "model_sha256"}


def slice_rows(segment: dict) -> Iterator[tuple]:
    """``(segment, structure, *SLICE_FIELDS)`` of every slice of a segment."""
    for values in zip(*(segment["slices"][field] for field in SLICE_FIELDS), strict=True):
        yield segment["segment"], segment["structure"], *values


def older_record(content: bytes) -> Record:
    """A case's record as versions before 0.2 wrote it: a line for the case, one for its segments, no checksum.

    Raises:
        ValueError: it is damaged, or no such record.
    """
    lines = content.split(b"\n")
    if len(lines) != 3 or lines[2]:
        raise ValueError("it ends too early")
    head, segments = (json.loads(line) for line in lines[:2])
    try:
        if head.pop("schema") != _OLDER_SCHEMA or head.pop("n_segments") != len(segments):
            raise ValueError("it is of another version, or segments are missing")
        head |= {"item": head.pop("case"), "files": {}}
        seconds = head["seconds"]
        head["seconds"] = {"read": seconds.get("read"), "work": seconds.get("score")}
        if not head.keys() >= _HEAD:
            raise ValueError("a part is missing")
        for segment in segments:
            numbers = [segment[name] for name in SEGMENT_FIELDS if name not in _TEXTS]
            numbers += [value for _, _, *values in slice_rows(segment) for value in values]
            if not all(isinstance(value, int | float | None) for value in numbers):
                raise ValueError("a number is none")
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("a part is missing") from error
    return Record(head, segments)


def segment_records(score: CaseScore, segmentation: Segmentation, scrub: Scrubber) -> list[dict]:
    """The segments' rows with their slices, in the segmentation's order."""
    labels = segment_labels(score.segments)
    return [
        _segment(one, segmentation[one.segment_id], segmentation, scrub(labels[one.segment_id]))
        for one in score.segments
    ]


def _segment(score: SegmentScore, segment: Segment, segmentation: Segmentation, label: str) -> dict:
    volume, centroid = _size_and_place(segment, segmentation)
    rows = [
        (
            s.slice_index, _rounded(s.position_mm, POSITION_DECIMALS), _rounded(s.predicted_dsc), _rounded(s.dsc_low),
            _rounded(s.dsc_high), int(s.flagged), int(s.missed),
            _rounded(s.area_mm2, _AREA_DECIMALS) if s.has_mask else 0.0, s.k,
        )
        for s in score.listed_slices
    ]  # fmt: skip
    columns = zip(*rows, strict=True) if rows else ((),) * len(SLICE_FIELDS)
    values = (
        label, score.structure, score.n_slices, score.n_scored, _rounded(score.predicted_dsc),
        _rounded(score.dsc_low), _rounded(score.dsc_high), score.n_flagged, score.n_missed, str(score.status),
        volume, *centroid,
    )  # fmt: skip
    slices_by_field = {field: list(column) for field, column in zip(SLICE_FIELDS, columns, strict=True)}
    return {**dict(zip(SEGMENT_FIELDS, values, strict=True)), "slices": slices_by_field}


def _size_and_place(segment: Segment, segmentation: Segmentation) -> tuple[float, tuple]:
    """Volume in ml and centre of mass in RAS mm of a mask; nought and nowhere when it is empty."""
    if segment.is_empty:
        return 0.0, (None, None, None)
    mask, frame = segment.voxels(), segmentation.frame
    plane = mask.sum(axis=0, dtype=np.int64)
    counts = (segment.areas, plane.sum(axis=1), plane.sum(axis=0))
    total = int(segment.areas.sum())
    kji = [float(c @ (np.arange(len(c)) + side.start)) / total for c, side in zip(counts, segment.box, strict=True)]
    place = (frame.ijk_to_ras @ [*kji[::-1], 1.0])[:3]
    volume = total * math.prod(frame.spacing) / 1000.0
    return _rounded(volume, _VOLUME_DECIMALS), tuple(_rounded(p, _CENTROID_DECIMALS) for p in place)


def _rounded(value: float | None, decimals: int = DSC_DECIMALS) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    return round(float(value), decimals) + 0.0  # no minus before nought
