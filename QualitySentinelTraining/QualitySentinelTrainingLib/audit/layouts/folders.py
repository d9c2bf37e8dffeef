"""Layouts with a folder for each case: TotalSegmentator, AbdomenAtlas, OpenKBP, and any like them."""

from __future__ import annotations

import re
from pathlib import Path

from QualitySentinelLib.reading.image import image_stem, is_image_file

from ...case_folders import MASK_FOLDER, NAME_FILES, label_map_of
from ..cases import AuditCase
from .names import names_in

_TOTALSEGMENTATOR, _ABDOMENATLAS, _OPENKBP = re.compile(r"s\d{3,}"), re.compile(r"BDMAP_\w+"), re.compile(r"pt_\d+")
_DEEPEST = 3
"""Folders of cases may lie so deep in the folder of a data set (``train/hospital/case``)."""

Found = tuple[list[AuditCase], list[str]]


def is_totalsegmentator(root: Path) -> bool:
    """Folders s0001, s0002, ..."""
    return _some_case(root, _TOTALSEGMENTATOR)


def is_abdomenatlas(root: Path) -> bool:
    """Folders BDMAP_00000001, ..."""
    return _some_case(root, _ABDOMENATLAS)


def is_openkbp(root: Path) -> bool:
    """Folders pt_1, pt_2, ... with label maps."""
    return _some_case(root, _OPENKBP)


def is_folders(root: Path) -> bool:
    """Folders of any name that hold a CT and masks."""
    return any(_holds_case(folder) for folder in _folders(root, _DEEPEST))


def find_totalsegmentator(root: Path) -> Found:
    """Every folder of such a name is a case; without a CT it is one that fails."""
    return _named(root, _TOTALSEGMENTATOR)


def find_abdomenatlas(root: Path) -> Found:
    """Every folder of such a name is a case; without a CT it is one that fails."""
    return _named(root, _ABDOMENATLAS)


def find_openkbp(root: Path) -> Found:
    """Every folder of such a name is a case; label maps have OpenKBP's values where no file of names is there."""
    return _named(root, _OPENKBP, names="openkbp")


def find_folders(root: Path) -> Found:
    """Every folder that holds a CT or masks is a case, named by its path below ``root``."""
    return [_case(root, f) for f in _folders(root, _DEEPEST) if _holds_case(f) or _ct_of(f) or _masks_of(f)], []


def _named(root: Path, pattern: re.Pattern, names: str | None = None) -> Found:
    """The folders of such a name as cases; of others that hold cases a note, so that none is missed unseen."""
    inner = _inner(root)
    cases = [_case(root, f, names) for f in inner if pattern.fullmatch(f.name)]
    others = [f.name for f in inner if not pattern.fullmatch(f.name) and _holds_case(f)]
    if not others:
        return cases, []
    what = "1 folder" if len(others) == 1 else f"{len(others)} folders"
    some = ", ".join(others[:3]) + (", ..." if len(others) > 3 else "")
    return cases, [f"{what} with CT and masks left out for the name ({some}); --layout folders takes all"]


def _inner(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _some_case(root: Path, pattern: re.Pattern) -> bool:
    return any(pattern.fullmatch(folder.name) and _holds_case(folder) for folder in _inner(root))


def _folders(root: Path, deepest: int) -> list[Path]:
    """Folders below ``root``, not those inside a case."""
    found = []
    for folder in _inner(root):
        found.append(folder)
        if deepest > 1 and not (_ct_of(folder) or _masks_of(folder)):
            found += _folders(folder, deepest - 1)
    return found


def _holds_case(folder: Path) -> bool:
    return _ct_of(folder) is not None and _masks_of(folder) is not None


def _ct_of(folder: Path) -> Path | None:
    """``ct.nii.gz``, in any format that is read; or the folder ``ct``, of a DICOM series."""
    for path in sorted(folder.iterdir()):
        if path.name.lower() == "ct" and path.is_dir():
            return path
        if path.is_file() and is_image_file(path) and image_stem(path).lower() == "ct":
            return path
    return None


def _masks_of(folder: Path) -> Path | None:
    inner = folder / MASK_FOLDER
    return inner if inner.is_dir() else label_map_of(folder)


def _case(root: Path, folder: Path, names: str | None = None) -> AuditCase:
    ct, masks, problem = _ct_of(folder), _masks_of(folder), ""
    if ct is None:
        problem = "has no CT (ct.nii.gz)"
    elif masks is None:
        problem = f"has no segmentation ({MASK_FOLDER}/ or seg.nii.gz)"
    given = next((p for place in (folder, root) for n in NAME_FILES if (p := place / n).is_file()), None)
    where = [path.relative_to(root).as_posix() if path is not None else "" for path in (ct, masks)]
    if masks is not None and masks.is_dir():
        names = None
    name = folder.relative_to(root).as_posix()
    return AuditCase(name, *where, names=names_in(given) if given else names, problem=problem)
