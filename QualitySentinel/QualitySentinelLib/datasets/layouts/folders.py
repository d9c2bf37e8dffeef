"""Folders of any name and depth that hold a CT and masks."""

from __future__ import annotations

from pathlib import Path

from ...reading.image import folders_in
from .case_folders import case_in, ct_in, holds_case, masks_in
from .layout import Found, Layout

_DEEPEST = 3
"""Folders of cases may lie so deep in the folder of a data set (``train/hospital/case``)."""


def fits(root: Path) -> bool:
    """Whether a folder holds a CT and masks."""
    return any(holds_case(folder) for folder in _folders(root, _DEEPEST))


def find(root: Path) -> Found:
    """Every folder that holds a CT or masks, or cannot be read, is a case, called by its path below ``root``."""
    return Found([case_in(root, folder) for folder in _folders(root, _DEEPEST) if _is_case(folder)])


def _folders(root: Path, deepest: int) -> list[Path]:
    """Folders below ``root``, not those inside a case."""
    found = []
    for folder in folders_in(root):
        found.append(folder)
        if deepest > 1 and not _is_case(folder):
            found += _folders(folder, deepest - 1)
    return found


def _is_case(folder: Path) -> bool:
    try:
        return ct_in(folder) is not None or masks_in(folder) is not None
    except OSError:
        return True


LAYOUT = Layout("folders", fits, find, general=True)
