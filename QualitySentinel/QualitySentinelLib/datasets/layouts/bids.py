"""BIDS-like data: ``sub-*/[ses-*/]ct/*_ct.nii.gz`` and ``derivatives/PIPELINE/sub-*/**/*_dseg.nii.gz``."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from ...errors import InputError
from ...reading.image import files_below, image_stem, is_image_file
from ..case import Case
from ..table import left_out, metadata_of, read_table
from .layout import Found, Layout, case_of

_ENTITY = re.compile(r"(sub|ses|acq|rec|run)-([a-zA-Z0-9]+)")
_LABEL = re.compile(r"_label-([a-zA-Z0-9]+)_(?:.+_)?mask$")
"""What a mask of a single structure shows: ``sub-01_label-liver_mask``."""
_CT, _SEGMENTATION = ("ct", "CT"), ("dseg", "mask", "seg")


def fits(root: Path) -> bool:
    """Folders ``sub-*`` and ``derivatives``, and a CT in one of the former."""
    return (root / "derivatives").is_dir() and any(True for _ in _cts(root))


def find(root: Path) -> Found:
    """Every CT with every segmentation of it is a case; a CT without one fails.

    A case is named by its entities (``sub-01_ses-1``), and by the segmentation's pipeline and file where there are
    several of a CT.
    """
    of_subject = defaultdict(list)
    for path in sorted(files_below(root / "derivatives")):
        if is_image_file(path) and image_stem(path).rpartition("_")[2] in _SEGMENTATION:
            of_subject[_entities(path).get("sub")].append(path)
    notes: list[str] = []
    patients = _participants(root, notes)
    cases, names_seen = [], defaultdict[str, int](int)
    for ct in _cts(root):
        entities = _entities(ct)
        name = "_".join(f"{key}-{value}" for key, value in entities.items())
        names_seen[name] += 1
        if names_seen[name] > 1:
            name = image_stem(ct)
        metadata = {**patients.get(entities["sub"], {}), "subject": f"sub-{entities['sub']}"}
        metadata |= {"session": s} if (s := entities.get("ses")) else {}
        found = [p for p in of_subject[entities["sub"]] if _belongs(_entities(p), entities)]
        if not found:
            cases.append(case_of(root, name, ct, None, "has no segmentation in derivatives/", metadata=metadata))
        for seg in found:
            pipeline = seg.relative_to(root / "derivatives").parts[0]
            own = name if len(found) == 1 else f"{name}@{pipeline}/{image_stem(seg)}"
            cases.append(_case(root, own, ct, seg, metadata))
    return Found(cases, notes)


def _case(root: Path, name: str, ct: Path, seg: Path, metadata: dict[str, str]) -> Case:
    try:
        return case_of(root, name, ct, seg, names=_names(seg, root), metadata=metadata)
    except InputError as error:  # the table of its names
        return case_of(root, name, ct, seg, str(error), metadata=metadata)


def _cts(root: Path):
    for subject in sorted(root.glob("sub-*")):
        for path in sorted(files_below(subject)):
            if is_image_file(path) and image_stem(path).rpartition("_")[2] in _CT and "sub" in _entities(path):
                yield path


def _entities(path: Path) -> dict[str, str]:
    """Entities of a file's name, in BIDS' order."""
    return dict(_ENTITY.findall(image_stem(path)))


def _belongs(segmentation: dict[str, str], ct: dict[str, str]) -> bool:
    """Whether no entity of the segmentation contradicts the CT's, and none of subject and session is missing."""
    if any(segmentation.get(key) != ct.get(key) for key in ("sub", "ses")):
        return False
    return all(ct.get(key) == value for key, value in segmentation.items())


def _participants(root: Path, notes: list[str]) -> dict[str, dict[str, str]]:
    """Metadata by subject, from ``participants.tsv``; ``notes`` tells when it cannot be read."""
    path = root / "participants.tsv"
    if not path.is_file():
        return {}
    key = "participant_id"
    try:
        return {r.get(key, "").removeprefix("sub-"): metadata_of(r, (key,)) for r in read_table(path, notes)}
    except InputError as error:
        notes.append(left_out(error, path))
        return {}


def _names(seg: Path, root: Path) -> dict[str, str] | None:
    """Names by label value: a mask's own label, the table beside the file, or the nearest above it (inheritance)."""
    if label := _LABEL.search(image_stem(seg)):
        return {"1": label[1]}
    own = seg.with_name(image_stem(seg) + ".tsv")
    tables = [own] if own.is_file() else []
    folder = seg.parent
    while not tables and folder != root:
        tables = sorted(folder.glob("*dseg.tsv"))
        folder = folder.parent
    if not tables:
        return None
    rows = read_table(tables[0])
    return {r["index"]: r["name"] for r in rows if r.get("index", "").isdecimal() and r.get("name")} or None


LAYOUT = Layout("bids", fits, find, tables=())
