"""A folder for each case: ``CASE/ct.nii.gz`` with ``CASE/segmentations/liver.nii.gz`` or ``CASE/seg.nii.gz``."""

from __future__ import annotations

import re
from pathlib import Path

from ...errors import QualitySentinelError
from ...reading.image import folders_in, image_stem, images_in, is_image_file
from ..case import Case
from .layout import Found, Layout, case_of, names_in

MASK_FOLDER = "segmentations"
LABEL_MAPS = ("seg", "label", "labels", "segmentation")
"""Names of a case's label map, without suffix; the first that is there counts."""
NAME_FILES = ("labels.json", "dataset.json")
"""Files that name label values; the first that is there counts."""


def named_folders(name: str, pattern: str, names: str | None = None, title: str = "") -> Layout:
    """The layout of folders of cases whose names match a pattern.

    Each such folder is a case; without CT or masks it is one that fails. Folders of other names that hold cases are
    counted in a note. ``names``: convention of the label values where no file of names is there.
    """
    expression = re.compile(pattern)

    def fits(root: Path) -> bool:
        return any(expression.fullmatch(folder.name) and holds_case(folder) for folder in folders_in(root))

    def find(root: Path) -> Found:
        inner = folders_in(root)
        cases = [case_in(root, f, names) for f in inner if expression.fullmatch(f.name)]
        others = [f.name for f in inner if not expression.fullmatch(f.name) and holds_case(f)]
        if not others:
            return Found(cases)
        what = "1 folder" if len(others) == 1 else f"{len(others)} folders"
        some = ", ".join(others[:3]) + ", ..." * (len(others) > 3)
        why = f"because of the name ({some}); use --layout folders to include all"
        return Found(cases, [f"{what} with CT and masks left out {why}"])

    return Layout(name, fits, find, title=title)


def case_in(root: Path, folder: Path, names: str | None = None, **known) -> Case:
    """The case in a folder, called by its path below ``root``; what is missing or cannot be read is its problem."""
    name = folder.relative_to(root).as_posix()
    try:
        ct, masks = ct_in(folder), masks_in(folder)
        given = name_file(folder, root)
        meaning = names_in(given) if given else None if masks is not None and masks.is_dir() else names
    except OSError as error:
        return Case(name, "", "", problem=f"its folder cannot be read ({error.strerror or error})", **known)
    except QualitySentinelError as error:
        if given.parent == root:
            raise
        return case_of(root, name, ct, masks, str(error), **known)
    problem = "has no CT (ct.nii.gz)" if ct is None else ""
    if ct is not None and masks is None:
        problem = f"has no segmentation ({MASK_FOLDER}/ or seg.nii.gz)"
    return case_of(root, name, ct, masks, problem, names=meaning, **known)


def name_file(*folders: Path) -> Path | None:
    """The file of names of label values in the first of some folders that has one."""
    return next((path for folder in folders for name in NAME_FILES if (path := folder / name).is_file()), None)


def holds_case(folder: Path) -> bool:
    """Whether a folder holds a CT and masks; one that cannot be read does not."""
    try:
        return ct_in(folder) is not None and masks_in(folder) is not None
    except OSError:
        return False


def ct_in(folder: Path) -> Path | None:
    """``ct.nii.gz``, in any format that is read; or the folder ``ct``, of a DICOM series."""
    for path in sorted(folder.iterdir()):
        if path.name.lower() == "ct" and path.is_dir():
            return path
        if path.is_file() and is_image_file(path) and image_stem(path).lower() == "ct":
            return path
    return None


def masks_in(folder: Path) -> Path | None:
    """The folder ``segmentations``, else a label map with one of :data:`LABEL_MAPS` as its name."""
    inner = folder / MASK_FOLDER
    if inner.is_dir():
        return inner
    files = images_in(folder)
    return next((path for name in LABEL_MAPS for path in files if image_stem(path).lower() == name), None)
