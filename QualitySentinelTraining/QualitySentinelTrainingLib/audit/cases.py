"""A case of a data set to audit: where its CT and its segmentation lie, and what is known of its patient."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from QualitySentinelLib.reading import read_ct, read_segmentation
from QualitySentinelLib.reading.ct import ct_from_image
from QualitySentinelLib.volume import CtVolume, Segmentation

NAMELESS = "DICOM data set"
"""What a data set is called whose folder may be named after a patient."""


@dataclass(frozen=True)
class AuditCase:
    """A case not yet read. It can be sent to another process, or to another machine that sees the same files.

    Attributes:
        name: unique in the data set.
        ct: file or DICOM folder; relative to the data set's folder, with forward slashes.
        seg: label map, DICOM SEG, or folder of masks; likewise. Empty when there is none.
        ct_files: the files of the DICOM series to read, likewise, when ``ct`` is a folder that holds more than it.
        names: what label values, file stems or segment ids mean, as ``read_segmentation`` takes it.
        metadata: what is known of the case, as text by column: ``sex``, ``age``, ...
        identifying: paths and texts of the case may name the patient (DICOM).
        secrets: texts that identify the patient; they are blotted out of whatever is written.
        problem: why it cannot be scored, when that is known before it is read.
    """

    name: str
    ct: str
    seg: str
    ct_files: tuple[str, ...] = ()
    names: str | Mapping[str, str] | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    identifying: bool = False
    secrets: tuple[str, ...] = field(default=(), repr=False)
    problem: str = ""


@dataclass
class DataSet:
    """The cases of a data set.

    Attributes:
        root: folder that the cases' paths are relative to.
        layout: how it is laid out, by name.
        cases: sorted by name (as text).
        notes: what a user should know of how the cases were found, one line each.
        manifest: name of the CSV file in ``root`` that lists the cases, where one does.
        title: what the user calls the data set.
        hidden: its folder may be named after a patient, and is to be seen in no output.
    """

    root: Path
    layout: str
    cases: list[AuditCase]
    notes: list[str] = field(default_factory=list)
    manifest: str | None = None
    title: str = ""
    hidden: bool = False

    @property
    def name(self) -> str:
        """What it is called in tables and report: as the user says, else as its manifest without suffix, or folder."""
        if self.title or self.hidden:
            return self.title or NAMELESS
        return Path(self.manifest).stem if self.manifest else self.root.resolve().name


def read_case(
    case: AuditCase, root: Path, names: str | Mapping | None = None, segments: list[str] | None = None
) -> tuple[CtVolume, Segmentation]:
    """Read a case's CT and segmentation.

    Args:
        names: instead of the case's own.
        segments: ids, names or structures of the segments to read, all by default.

    Raises:
        QualitySentinelError: as ``read_ct`` and ``read_segmentation`` do.
    """
    if case.ct_files:
        from QualitySentinelLib.reading.dicom_series import read_dicom_series

        ct = ct_from_image(read_dicom_series(root / case.ct, [root / file for file in case.ct_files]))
    else:
        ct = read_ct(root / case.ct)
    return ct, read_segmentation(root / case.seg, ct, names if names is not None else case.names, segments)


def fingerprint(case: AuditCase, root: Path) -> str:
    """Digest of what a case's files are called, how large they are and when they were changed; hex digits.

    It changes when a file is edited, added or taken away. The files are not opened.
    """
    digest = hashlib.sha256(json.dumps([case.names, case.problem], sort_keys=True).encode())
    for called, path in _files(case, root):
        try:
            status = path.stat()
            told = f"{status.st_size} {status.st_mtime_ns}"
        except OSError:
            told = "missing"
        digest.update(f"{called}\0{told}\0".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _files(case: AuditCase, root: Path) -> Iterator[tuple[str, Path]]:
    """Every file and folder of a case, and what to call it."""
    for file in case.ct_files:
        yield file, root / file
    for place in (case.seg,) if case.ct_files else (case.ct, case.seg):
        if place:
            path = root / place
            yield place, path
            inner = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else ()
            yield from ((f"{place}/{p.relative_to(path).as_posix()}", p) for p in inner)
