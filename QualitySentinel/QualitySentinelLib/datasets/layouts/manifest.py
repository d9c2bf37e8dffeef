"""A CSV manifest: columns ``case``, ``ct``, ``seg``, perhaps ``reference`` and ``names``; all others are metadata."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ...errors import UsageError
from ...reading.image import image_stem
from ...reading.names import name_presets
from ..case import Case
from ..table import metadata_of, patient_column, read_table
from .layout import Found, Layout, names_in

_COLUMNS = ("case", "ct", "seg")
_OWN = (*_COLUMNS, "reference", "names")


def fits(path: Path) -> bool:
    """Whether it is a CSV file."""
    return path.is_file() and path.suffix.lower() in (".csv", ".tsv", ".txt")


def find(path: Path) -> Found:
    """One case per row. A CT may have several rows, one for each of its segmentations.

    Paths are relative to the manifest's folder. Rows of one case are told apart by their segmentation's name:
    ``case@stem``; the case becomes the column ``subject``, unless another one tells patients.

    Raises:
        InputError: the manifest cannot be read.
        UsageError: a column or a value is missing, or two rows are the same case and segmentation.
    """
    notes: list[str] = []
    rows = read_table(path, notes)
    missing = [c for c in _COLUMNS if rows and c not in rows[0]]
    if missing:
        raise UsageError(f"{path}: has no column '{missing[0]}'; a manifest has the columns {', '.join(_COLUMNS)}")
    cases = []
    for number, row in enumerate(rows, start=2):
        if not any(row.values()):
            continue
        empty = [c for c in _COLUMNS if not row[c]]
        if empty:
            raise UsageError(f"{path}: line {number} has no '{empty[0]}'; fill it in, or delete the line")
        meaning: str | Mapping[str, str] | None = row.get("names") or None
        if isinstance(meaning, str) and meaning not in name_presets():
            meaning = names_in(path.parent / meaning)
        ct, seg, reference = (_relative(row.get(c, ""), path.parent) for c in ("ct", "seg", "reference"))
        cases.append(Case(row["case"], ct, seg, reference, names=meaning, metadata=metadata_of(row, _OWN)))
    often = Counter(case.name for case in cases)
    if len(often) < len(cases) and patient_column([column for case in cases for column in case.metadata]) is None:
        cases = [replace(c, metadata={**c.metadata, "subject": c.name}) for c in cases]
    several = [replace(c, name=f"{c.name}@{image_stem(c.seg)}") if often[c.name] > 1 else c for c in cases]
    again = next((name for name, count in Counter(c.name for c in several).items() if count > 1), None)
    if again is not None:
        raise UsageError(f"{path}: lists the case '{again}' twice; give each row another name")
    return Found(several, notes)


def _relative(place: str, folder: Path) -> str:
    """A path relative to the manifest's folder, as the tables show it: others need not learn where that is."""
    if not place:
        return ""
    try:
        return Path(os.path.relpath(folder / place, folder)).as_posix()
    except ValueError:  # another drive
        return Path(place).as_posix()


LAYOUT = Layout("csv", fits, find, tables=())
