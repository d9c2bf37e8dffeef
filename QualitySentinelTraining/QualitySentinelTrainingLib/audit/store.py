"""The folder of an audit: a run over the cases of a data set, what is kept of each, and what only audits keep.

A case's record has a line for each segment, with its slices. DSC are rounded as in ``segments.csv`` and ``slices.csv``:
a thread more or less changes a score by some 1e-7, and tables should not differ for that.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from QualitySentinelLib.files import atomic_write
from QualitySentinelLib.scores import CaseScore
from QualitySentinelLib.scores.columns import COLUMNS
from QualitySentinelLib.scores.tables import segment_rows
from QualitySentinelLib.volume import Segment, Segmentation

from ..runs import Kind, Record, Run
from .privacy import Deidentifier

TABLES = ("cases", "segments", "slices")
REVIEWS = "reviews"
PLACE_FILE = "data_set.json"
"""Among the records, which stay with who made the audit: where a data set lies that no other file may name."""
_OLDER_SCHEMA = "quality-sentinel-audit-case/1"
_SCORE_FIELDS = (
    "segment", "structure", "n_slices", "n_scored", "predicted_dsc", "dsc_low", "dsc_high", "n_flagged",
    "missed_slices", "status",
)  # fmt: skip
_MASK_FIELDS = ("volume_ml", "centroid_r_mm", "centroid_a_mm", "centroid_s_mm")
SEGMENT_FIELDS = (*_SCORE_FIELDS, *_MASK_FIELDS)
SLICE_FIELDS = (
    "slice_index", "position_mm", "predicted_dsc", "dsc_low", "dsc_high", "flagged", "missed", "area_mm2", "k",
)  # fmt: skip
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
            numbers = [segment[name] for name in SEGMENT_FIELDS if COLUMNS[name].kind is not str]
            numbers += [value for _, _, *values in slice_rows(segment) for value in values]
            if not all(isinstance(value, int | float | None) for value in numbers):
                raise ValueError("a number is none")
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("a part is missing") from error
    return Record(head, segments)


def segment_records(score: CaseScore, segmentation: Segmentation, scrub: Deidentifier) -> list[dict]:
    """The segments' rows with their slices, in the segmentation's order."""
    records = []
    for one, (label, *values) in zip(score.segments, segment_rows(score, _SCORE_FIELDS), strict=True):
        mask = _size_and_place(segmentation[one.segment_id], segmentation)
        row = dict(zip(SEGMENT_FIELDS, (scrub(label), *values, *mask), strict=True))
        listed = one.listed_slices
        slices = {field: [_kept(field, COLUMNS[field].of(s)) for s in listed] for field in SLICE_FIELDS}
        records.append({field: _kept(field, value) for field, value in row.items()} | {"slices": slices})
    return records


def _size_and_place(segment: Segment, segmentation: Segmentation) -> tuple[float | None, ...]:
    """Values of ``_MASK_FIELDS``: volume, and center of mass in RAS; zero and nowhere when the mask is empty."""
    if segment.is_empty:
        return 0.0, None, None, None
    mask, frame = segment.voxels(), segmentation.frame
    plane = mask.sum(axis=0, dtype=np.int64)
    counts = (segment.areas, plane.sum(axis=1), plane.sum(axis=0))
    total = int(segment.areas.sum())
    kji = [float(c @ (np.arange(len(c)) + side.start)) / total for c, side in zip(counts, segment.box, strict=True)]
    place = (frame.ijk_to_ras @ [*kji[::-1], 1.0])[:3]
    return total * math.prod(frame.spacing) / 1000.0, *place.tolist()


def _kept(field: str, value):
    """A value as JSON has it, rounded as in the tables."""
    if COLUMNS[field].kind is float:
        ok = value is not None and math.isfinite(value)
        return round(float(value), COLUMNS[field].decimals) + 0.0 if ok else None  # no minus before zero
    return int(value) if isinstance(value, bool) else value


AUDIT = Kind("audit", "quality-sentinel-audit/1", "case", tuple(f"{table}.csv" for table in TABLES), older_record)


class AuditFolder(Run):
    """The output folder of an audit: a :class:`Run` of the kind :data:`AUDIT`."""

    def __init__(self, folder: str | os.PathLike, document: dict | None = None) -> None:
        super().__init__(folder, AUDIT, document)

    def review_path(self, name: str) -> Path:
        """The folder that keeps the review of a case, when it is opened from the audit."""
        return self.path / REVIEWS / self.record_path(name).stem

    def place(self) -> Path | None:
        """Where the data set lies, when ``audit.json`` does not say; ``None`` when that is not known."""
        try:
            return Path(json.loads((self.records / PLACE_FILE).read_text(encoding="utf-8"))["dataset"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write_place(self, dataset: Path) -> None:
        """Keep where the data set lies among the records. Raises ``InputError``: it cannot be written."""
        atomic_write(self.records / PLACE_FILE, json.dumps({"dataset": str(dataset)}) + "\n")
