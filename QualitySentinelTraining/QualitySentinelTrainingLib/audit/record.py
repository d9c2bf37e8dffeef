"""What is kept of a case: its row, the rows of its segments and slices; a file of two lines of JSON.

The first line tells what is needed to go on with an audit, the second holds the rows. DSC are rounded as in
``segments.csv`` and ``slices.csv``: a thread more or less changes a score by some 1e-7, and tables should not differ
for that.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from QualitySentinelLib.errors import InputError
from QualitySentinelLib.scores import CaseScore, EmptySlice, SegmentScore, segment_labels
from QualitySentinelLib.scores.tables import DSC_DECIMALS, POSITION_DECIMALS
from QualitySentinelLib.volume import Segment, Segmentation

from .privacy import Scrubber

SCHEMA = "quality-sentinel-audit-case/1"
DONE, FAILED = "done", "failed"
_AREA_DECIMALS = _VOLUME_DECIMALS = 3
_CENTROID_DECIMALS = 2

SEGMENT_FIELDS = (
    "segment", "structure", "n_slices", "n_scored", "predicted_dsc", "dsc_low", "dsc_high", "n_flagged",
    "missed_slices", "status", "volume_ml", "centroid_r_mm", "centroid_a_mm", "centroid_s_mm",
)  # fmt: skip
SLICE_FIELDS = (
    "slice_index", "position_mm", "predicted_dsc", "dsc_low", "dsc_high", "flagged", "missed", "area_mm2", "k",
)  # fmt: skip


@dataclass
class CaseRecord:
    """A case that was scored, or failed.

    Attributes:
        head: ``case``, ``status``, ``reason``, ``fingerprint``, ``ct``, ``seg``, ``metadata``, ``warnings``,
            ``device``, ``model_sha256``, and seconds.
        segments: one dictionary per segment with ``SEGMENT_FIELDS`` and ``slices``: lists by ``SLICE_FIELDS``.
    """

    head: dict
    segments: list[dict]

    @property
    def name(self) -> str:
        """The case."""
        return self.head["case"]

    @property
    def failed(self) -> bool:
        """Whether it could not be scored."""
        return self.head["status"] == FAILED

    def to_bytes(self) -> bytes:
        """The file's content. ASCII with escapes: any name survives."""
        lines = ({"schema": SCHEMA, **self.head, "n_segments": len(self.segments)}, self.segments)
        return "".join(json.dumps(line, separators=(",", ":"), allow_nan=False) + "\n" for line in lines).encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> CaseRecord:
        """What :meth:`to_bytes` wrote.

        Raises:
            InputError: it is damaged, or another version's.
        """
        try:
            head, segments, end = content.split(b"\n")
            record = cls(head_of(head), json.loads(segments))
            if end or len(record.segments) != record.head["n_segments"]:
                raise ValueError("it ends too early")
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"the record of a case is damaged ({error}); delete it and run the audit again") from error
        return record

    def slice_rows(self) -> Iterator[tuple]:
        """``(segment, structure, *SLICE_FIELDS)`` of every slice in the tables."""
        for segment in self.segments:
            columns = [segment["slices"][field] for field in SLICE_FIELDS]
            for values in zip(*columns, strict=True):
                yield segment["segment"], segment["structure"], *values


def head_of(line: bytes) -> dict:
    """The first line of a record.

    Raises:
        ValueError: it is none.
    """
    head = json.loads(line)
    if not isinstance(head, dict) or head.get("schema") != SCHEMA:
        raise ValueError("not a record of a case of this version")
    return head


def segment_records(score: CaseScore, segmentation: Segmentation, scrub: Scrubber) -> list[dict]:
    """The segments' rows with their slices, in the segmentation's order."""
    labels = segment_labels(score.segments)
    return [
        _segment(one, segmentation[one.segment_id], segmentation, scrub(labels[one.segment_id]))
        for one in score.segments
    ]


def _segment(score: SegmentScore, segment: Segment, segmentation: Segmentation, label: str) -> dict:
    volume, centroid = _size_and_place(segment, segmentation)
    slices = sorted([*score.slices, *score.missed_slices], key=lambda s: s.k)
    rows = [
        (
            s.slice_index, _rounded(s.position_mm, POSITION_DECIMALS), _rounded(s.predicted_dsc), None, None,
            0, 1, 0.0, s.k,
        ) if isinstance(s, EmptySlice) else (
            s.slice_index, _rounded(s.position_mm, POSITION_DECIMALS), _rounded(s.predicted_dsc),
            _rounded(s.dsc_low), _rounded(s.dsc_high), int(s.flagged), 0, _rounded(s.area_mm2, _AREA_DECIMALS), s.k,
        )
        for s in slices
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
