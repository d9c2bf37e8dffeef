"""A tree of DICOM files: CT series, and SEG or RTSTRUCT objects that refer to them, found by their headers."""

from __future__ import annotations

import os
import re
import warnings
from collections import defaultdict
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from ...reading.dicom_files import RT_STRUCTURE_SET_STORAGE, SEGMENTATION_STORAGE, dicom_headers, is_ct, is_dicom
from ...reading.image import files_below
from ..case import Case
from ..table import age_in_years
from .layout import Found, Layout

_TOLD = {"PatientSex": "sex", "Manufacturer": "manufacturer", "ConvolutionKernel": "kernel"}
"""Keywords whose values become metadata as they are. With age and slice thickness, no others do."""
_PERSONS = (
    "PatientName", "OtherPatientNames", "ReferringPhysicianName", "OperatorsName", "PerformingPhysicianName",
)  # fmt: skip
_NUMBERS = (
    "PatientID", "PatientBirthDate", "AccessionNumber", "StudyID", "InstitutionName", "InstitutionAddress",
    "StationName", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID", "StudyDate",
)  # fmt: skip
_DESCRIPTIONS = ("SeriesDescription", "StudyDescription")
"""Keywords whose values must not be seen in any output; descriptions are blotted out where a message quotes them."""
_KEYWORDS = (
    *_TOLD, *_PERSONS, *_NUMBERS, *_DESCRIPTIONS, "SOPClassUID", "Modality", "ImageType", "PatientAge",
    "SliceThickness", "ReferencedSeriesSequence", "ReferencedFrameOfReferenceSequence",
)  # fmt: skip
_OLDEST = 90
"""Higher ages are given as this one: so few people are older that their age may tell who they are."""
_LOOKED_AT = 200
"""Files looked at to tell whether a folder holds DICOM."""


@dataclass
class _Series:
    files: list[Path] = field(default_factory=list)
    header: Any = None


def fits(root: Path) -> bool:
    """Whether one of the first files below it is DICOM."""
    return any(os.access(path, os.R_OK) and is_dicom(path) for path in islice(files_below(root), _LOOKED_AT))


def find(root: Path) -> Found:
    """Every SEG is a case, called by its path; in a tree without SEG, every RTSTRUCT is. CTs without are given apart.

    It belongs to the CT series it refers to; if it refers to none, to the CT series of its frame of reference when
    there is only one. Notes count what is left out.
    """
    series: dict[str, _Series] = defaultdict(_Series)
    files, segmentations, structure_sets, cases = sorted(files_below(root)), [], [], []
    damaged = [path for path in files if not os.access(path, os.R_OK)]
    files = [path for path in files if os.access(path, os.R_OK)] if damaged else files
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom remarks on odd values; readers say what matters
        for path, header in dicom_headers(root, _KEYWORDS, files, damaged):
            kind = str(header.get("SOPClassUID", ""))
            if kind in SEGMENTATION_STORAGE:
                segmentations.append((path, _referenced(header), header))
            elif kind == RT_STRUCTURE_SET_STORAGE:
                structure_sets.append((path, _referenced(header), header))
            elif is_ct(header) and "LOCALIZER" not in (header.get("ImageType") or ()):
                one = series[str(header.get("SeriesInstanceUID", ""))]
                one.files.append(path)
                one.header = one.header or header
        mixed, of_frame = _folders_of_several(series, root), defaultdict(list)
        for uid, one in series.items():
            of_frame[_frame_of_reference(one.header)].append(uid)
        used = set()
        for path, uid, header in segmentations or structure_sets:
            same = of_frame.get(_frame_of_reference(header), [])
            uid = uid if uid in series else same[0] if not uid and len(same) == 1 else ""
            used.add(uid)
            cases.append(_case(root, path, header, series[uid] if uid else None, mixed))
    cases = _with_patients(cases, [header for _, _, header in segmentations or structure_sets])
    unused = [one for uid, one in series.items() if uid not in used]
    bare = [replace(_case(root, one.files[0], one.header, one, mixed), seg="") for one in unused]
    notes = []
    if segmentations and structure_sets:
        notes.append(f"{len(structure_sets)} RTSTRUCT objects left out, because there are DICOM SEG objects")
    return Found(cases, notes, damaged, bare)


def _referenced(header) -> str:
    """UID of the CT series that a SEG or RTSTRUCT refers to; empty when it says none."""
    items = list(header.get("ReferencedSeriesSequence") or ())
    for frame in header.get("ReferencedFrameOfReferenceSequence") or ():
        for study in frame.get("RTReferencedStudySequence") or ():
            items += study.get("RTReferencedSeriesSequence") or ()
    return next((str(uid) for item in items if (uid := item.get("SeriesInstanceUID"))), "")


def _frame_of_reference(header) -> str:
    frames = header.get("ReferencedFrameOfReferenceSequence") or ()
    return str(header.get("FrameOfReferenceUID") or next((f.get("FrameOfReferenceUID", "") for f in frames), ""))


def _folders_of_several(series: dict[str, _Series], root: Path) -> set[Path]:
    """Folders in or below which files of more than one CT series lie."""
    inside = defaultdict(set)
    for uid, one in series.items():
        folders = {path.parent for path in one.files}
        for folder in {above for place in folders for above in (place, *place.parents) if above.is_relative_to(root)}:
            inside[folder].add(uid)
    return {folder for folder, uids in inside.items() if len(uids) > 1}


def _case(root: Path, path: Path, header, series: _Series | None, mixed: set[Path]) -> Case:
    seg = path.relative_to(root).as_posix()
    if series is None:
        secrets = _secrets(header)
        problem = "the CT series that its segmentation refers to is not in the data set"
        return Case(seg, "", seg, identifying=True, secrets=secrets, problem=problem)
    folder = Path(os.path.commonpath([p.parent for p in series.files]))
    files = tuple(p.relative_to(root).as_posix() for p in series.files) if folder in mixed else ()
    secrets = tuple(sorted({*_secrets(header), *_secrets(series.header)}))
    ct, metadata = folder.relative_to(root).as_posix(), _metadata(series.header)
    return Case(seg, ct, seg, ct_files=files, metadata=metadata, identifying=True, secrets=secrets)


def _with_patients(cases: list[Case], headers: list) -> list[Case]:
    """The cases, which are those of ``headers``, with a number for each patient where some have several cases.

    Patients are told apart by PatientID, which never appears in any output, and numbered in the order of their files.
    """
    ids = [_text(header.get("PatientID")) for header in headers]
    known = [one for one in ids if one]
    if len(set(known)) in (1, len(known)):  # one for all is what anonymizers write
        return cases
    first: dict[str, str] = {}
    for case, one in sorted(zip(cases, ids, strict=True), key=lambda pair: pair[0].name):
        first.setdefault(one or case.name, f"person_{len(first) + 1:04d}")
    return [
        replace(case, metadata={**case.metadata, "person": first[one or case.name]})
        for case, one in zip(cases, ids, strict=True)
    ]


def _metadata(header) -> dict[str, str]:
    """Sex, age in years, manufacturer, kernel and slice thickness: all that the tables may tell of a header."""
    told = {name: _text(header.get(keyword)) for keyword, name in _TOLD.items()}
    told["age"] = _age(header)
    try:
        told["slice_thickness_mm"] = f"{float(header.get('SliceThickness')):g}"
    except (TypeError, ValueError):
        pass
    return {name: value for name, value in told.items() if value}


def _text(value) -> str:
    """A header's value as text; of several values the first."""
    return str(next(iter(_values(value)), "")).strip()


def _age(header) -> str:
    """Age in whole years from ``063Y``, ``018M`` and so on, else from the dates of birth and study."""
    age = age_in_years(_text(header.get("PatientAge")))
    if age is None:
        born, seen = (_text(header.get(k)) for k in ("PatientBirthDate", "StudyDate"))
        if not (len(born) == len(seen) == 8 and (born + seen).isdecimal()):
            return ""
        age = int(seen[:4]) - int(born[:4]) - (seen[4:] < born[4:])
    return f"{min(int(age), _OLDEST)}" if age >= 0 else ""


def _secrets(header) -> tuple[str, ...]:
    """What a header says that may tell who the patient is; of names the parts, too."""
    names = [str(one) for keyword in _PERSONS for one in _values(header.get(keyword))]
    found = {part for name in names for part in (name, *re.split(r"[\^=\s,]+", name)) if len(part) > 1}
    found |= {str(one).strip() for keyword in _NUMBERS for one in _values(header.get(keyword)) if len(str(one)) > 2}
    found |= {f"'{one}'" for keyword in _DESCRIPTIONS for one in _values(header.get(keyword))}
    return tuple(sorted(text for text in found if text.strip()))


def _values(value) -> list:
    """The values of an element: none, one or several."""
    if value is None or value == "":
        return []
    several = hasattr(value, "__iter__") and not isinstance(value, str) and not hasattr(value, "family_name")
    return list(value) if several else [value]


LAYOUT = Layout("dicom", fits, find, tables=(), general=True)
