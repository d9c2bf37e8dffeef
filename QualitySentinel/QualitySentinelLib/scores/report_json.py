"""``report.json``: everything scoring a case gave, and what it was made from. Documented in docs/OUTPUTS.md."""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from ..errors import InputError, readable
from ..files import atomic_write, sha256_of
from .score import CaseScore, SegmentScore, SliceScore, Status, segment_labels

SCHEMA = "quality-sentinel-report/1"
"""The number goes up when a reader of the old form would misread the new one; new fields alone do not raise it."""
_PACKAGES = (
    "quality-sentinel", "torch", "torchvision", "numpy", "scipy", "SimpleITK", "nibabel", "pydicom", "safetensors",
    "openvino",
)  # fmt: skip


def write_report_json(
    path: str | os.PathLike,
    case_score: CaseScore,
    inputs: Mapping[str, str | os.PathLike | Mapping] | None = None,
    options: Mapping | None = None,
    total_seconds: float | None = None,
    review: Mapping | None = None,
) -> Path:
    """Write a case's scores with everything needed to know how they came about, and to take them up again.

    Args:
        case_score: all fields of every slice are kept, those of empty slices that are not missed too.
        inputs: what was read, by role (``"ct"``, ``"seg"``, ``"model"``, ...): a path, whose SHA-256 is taken now,
            or ``{"path": ..., "sha256": ...}`` when the caller has it already.
        options: of the run, JSON-able (paths become text).
        total_seconds: wall time of the whole run, reading and writing included.
        review: what a reader did with the scores (``review.review_document``); left out without one.

    Raises:
        InputError: the file cannot be written, or an input has gone.
    """
    document = {
        "schema": SCHEMA,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "inputs": {role: _input(entry) for role, entry in (inputs or {}).items()},
        "options": options or {},
        "versions": software_versions(),
        "total_seconds": total_seconds,
        **case_document(case_score),
    }
    if review is not None:
        document["review"] = review
    # ASCII with escapes: any name survives, even one that is not valid UTF-8
    return atomic_write(path, json.dumps(_plain(document), indent=1, allow_nan=False) + "\n")


def read_report_json(path: str | os.PathLike) -> CaseScore:
    """The scores in a ``report.json``, equal to those that were written; errors as :func:`read_report_document`."""
    try:
        return case_from_document(read_report_document(path))
    except ValueError as error:
        raise InputError(f"{path}: a damaged report ({error}); score the case again") from error


def case_document(case_score: CaseScore) -> dict:
    """The scores as ``report.json`` has them: dictionaries, lists, texts and numbers that ``json.dumps`` takes."""
    labels = segment_labels(case_score.segments)
    return _plain(
        {
            "model": case_score.model,
            "device": case_score.device,
            "seconds": case_score.seconds,
            "threshold": case_score.threshold,
            "own_thresholds": case_score.own_thresholds,
            "warnings": case_score.warnings,
            "segments": [_segment(s, labels[s.segment_id]) for s in case_score.segments],
        }
    )


def case_from_document(document: Mapping) -> CaseScore:
    """The scores in what :func:`case_document` gave, perhaps through JSON, or in a whole ``report.json``.

    Raises:
        ValueError: something is missing or of another kind.
    """
    try:
        return CaseScore(
            segments=[_segment_score(s) for s in document["segments"]],
            threshold=float(document["threshold"]),
            model=dict(document["model"]),
            device=document["device"],
            seconds=float(document["seconds"]),
            warnings=list(document["warnings"]),
            own_thresholds=document.get("own_thresholds") is True,  # older reports do not say
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(repr(error)) from error


def read_report_document(path: str | os.PathLike) -> dict:
    """A ``report.json`` as plain dictionaries and lists: for the inputs, options and versions.

    Raises:
        InputError: there is no such file, it is damaged, or its schema is another.
    """
    try:
        with readable(path):
            document = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:  # JSONDecodeError and UnicodeDecodeError are both
        raise InputError(f"{path}: not JSON ({error}); score the case again") from error
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema != SCHEMA:
        raise InputError(f"{path}: its schema is {schema!r}, not {SCHEMA!r}; score the case again with this version")
    return document


def _input(entry: str | os.PathLike | Mapping) -> dict:
    if isinstance(entry, Mapping):
        return dict(entry)
    with readable(entry, "was it moved?"):
        return {"path": os.fspath(entry), "sha256": sha256_of(entry)}


_SEGMENT_FIELDS, _SLICE_FIELDS, _EMPTY_FIELDS = (
    tuple(f.name for f in fields(kind) if f.name not in left_out)
    for kind, left_out in (
        (SegmentScore, ("slices", "empty_slices")),
        (SliceScore, ("segment_id", "nearest_k", "inner", "missed")),
        (SliceScore, ("segment_id", "flagged", "dsc_low", "dsc_high")),
    )
)


def _segment(segment: SegmentScore, label: str) -> dict:
    return {
        **{name: getattr(segment, name) for name in _SEGMENT_FIELDS},
        "label": label,  # as the tables call it
        **{name: getattr(segment, name) for name in ("n_scored", "n_flagged", "n_missed")},
        "slices": [{name: getattr(s, name) for name in _SLICE_FIELDS} for s in segment.slices],
        "empty_slices": [{name: getattr(s, name) for name in _EMPTY_FIELDS} for s in segment.empty_slices],
    }


def _segment_score(entry: Mapping) -> SegmentScore:
    values = {name: entry[name] for name in _SEGMENT_FIELDS}
    values["status"] = Status(values["status"])
    segment_id = values["segment_id"]
    return SegmentScore(
        **values,
        slices=[_slice_score(segment_id, s, _SLICE_FIELDS) for s in entry["slices"]],
        empty_slices=[_slice_score(segment_id, s, _EMPTY_FIELDS) for s in entry.get("empty_slices", [])],
    )


def _slice_score(segment_id: str, entry: Mapping, names: Sequence[str]) -> SliceScore:
    """Reports of earlier versions lack what came later, which has defaults."""
    values = {name: entry[name] for name in names if name in entry}
    return SliceScore(segment_id, **values | ({"raw": math.nan} if values["raw"] is None else {}))


def _plain(value):
    """``value`` as JSON has it: numpy scalars as numbers, paths as text, numbers that are not finite as null."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, (bool, int, type(None))):
        return value
    if hasattr(value, "tolist"):  # numpy scalars and arrays
        return _plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value)


def software_versions() -> dict[str, str]:
    """Versions by name of Python and of the packages that take part in scoring; absent ones are left out.

    Reads the installed packages' metadata and imports none of them.
    """
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions
