"""A case of a data set: where its CT and its segmentations are, and what is known of its patient."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import InputError
from ..reading import read_ct, read_segmentation
from ..reading.ct import ct_from_image
from ..reading.image import files_below
from ..volume import CtVolume, Segmentation

NAMELESS = "DICOM data set"
"""Name of a data set whose folder may be named after a patient."""


@dataclass(frozen=True)
class Case:
    """A case not yet read. It can be sent to another process, or to another machine that sees the same files."""

    name: str  # unique in the data set
    ct: str  # file or DICOM folder; relative to ``root``, with forward slashes. Empty when there is none
    seg: str  # label map, DICOM SEG, or folder of masks; likewise. In most data sets it is the reference
    reference: str = ""  # the reference segmentation, likewise, where ``seg`` is another one
    # the files of the DICOM series to read, likewise, when ``ct`` is a folder that holds more than it
    ct_files: tuple[str, ...] = ()
    # meaning of label values, file stems or segment ids, as ``read_segmentation`` takes it
    names: str | Mapping[str, str] | None = field(default=None, hash=False)
    # what is known of the case, as text by column: ``sex``, ``age``, ...
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False)
    patient: str = ""  # who was scanned; cases of one patient share it. Empty when the data set does not tell
    site: str = ""  # the institution; empty when unknown
    split: str = ""  # ``train``, ``val``, ``test`` or what else the data set says; empty when it says nothing
    identifying: bool = False  # paths and texts of the case may name the patient (DICOM)
    # texts that identify the patient; they are removed from all outputs
    secrets: tuple[str, ...] = field(default=(), repr=False)
    problem: str = ""  # why the case cannot be read, when that is known beforehand
    root: Path = Path()  # absolute path of the data set's folder


@dataclass
class DataSet:
    """The cases of a data set."""

    root: Path  # folder that the cases' paths are relative to
    layout: str  # how it is laid out, by name
    cases: list[Case]  # sorted by name (as text)
    notes: list[str] = field(default_factory=list)  # what a user should know of how the cases were found, one line each
    manifest: str | None = None  # name of the CSV file in ``root`` that lists the cases, where one does
    title: str = ""  # what the user calls the data set
    hidden: bool = False  # its folder may be named after a patient, and must not appear in any output

    @property
    def name(self) -> str:
        """Its name in tables and reports: as the user says, else its manifest without suffix, or its folder."""
        if self.title or self.hidden:
            return self.title or NAMELESS
        return Path(self.manifest).stem if self.manifest else self.root.name


def read_case(
    case: Case, names: str | Mapping | None = None, segments: Iterable[str] | None = None
) -> tuple[CtVolume, Segmentation]:
    """Read a case's CT and its segmentation on the CT's grid.

    Args:
        names: used instead of the case's own.
        segments: ids, names or structures of the segments to read, all by default.

    Raises:
        QualitySentinelError: as ``read_ct`` and ``read_segmentation`` do, or the case has a ``problem``.
    """
    ct = read_case_ct(case)
    return ct, read_segmentation(case.root / case.seg, ct, case.names if names is None else names, segments)


def read_case_ct(case: Case) -> CtVolume:
    """Read a case's CT; an ``InputError`` as ``read_ct`` raises it, or if the case has a ``problem``."""
    if case.problem:
        raise InputError(f"{case.name}: {case.problem}")
    if not case.ct_files:
        return read_ct(case.root / case.ct)
    from ..reading.dicom_series import read_dicom_series

    return ct_from_image(read_dicom_series(case.root / case.ct, [case.root / file for file in case.ct_files]))


def read_reference(case: Case, ct: CtVolume | None = None) -> Segmentation:
    """Read a case's ``reference``, or ``seg`` when there is only one; ``ct``: its CT, where that was read already."""
    ct = read_case_ct(case) if ct is None else ct
    return read_segmentation(case.root / (case.reference or case.seg), ct, case.names)


def fingerprint(case: Case) -> str:
    """Digest of names, sizes and modification times of a case's files; hex digits.

    It changes when a file is edited, added or removed. The files are not opened.
    """
    digest = hashlib.sha256(json.dumps([case.names, case.problem], sort_keys=True).encode())
    for called, path in _files(case):
        try:
            status = path.stat()
            told = f"{status.st_size} {status.st_mtime_ns}"
        except OSError:
            told = "missing"
        digest.update(f"{called}\0{told}\0".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _files(case: Case) -> Iterator[tuple[str, Path]]:
    """Every file and folder of a case, and what to call it."""
    for file in case.ct_files:
        yield file, case.root / file
    for place in (case.seg,) if case.ct_files else (case.ct, case.seg):
        if place:
            path = case.root / place
            yield place, path
            yield from ((f"{place}/{p.relative_to(path).as_posix()}", p) for p in sorted(files_below(path)))
