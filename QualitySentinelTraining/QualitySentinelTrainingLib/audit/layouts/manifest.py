"""A CSV manifest: columns ``case``, ``ct``, ``seg``, perhaps ``names``; every other one is metadata."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

from QualitySentinelLib.errors import UsageError
from QualitySentinelLib.reading.image import image_stem
from QualitySentinelLib.reading.names import name_presets

from ..cases import AuditCase
from ..people import person_column
from .metadata import metadata_of, read_table
from .names import names_in

_COLUMNS = ("case", "ct", "seg")
_OWN = (*_COLUMNS, "names")


def fits(path: Path) -> bool:
    """Whether it is a CSV file."""
    return path.is_file() and path.suffix.lower() in (".csv", ".tsv", ".txt")


def find(path: Path) -> tuple[list[AuditCase], list[str]]:
    """One case per row. A CT may have several rows, one for each of its segmentations.

    Paths are relative to the manifest's folder. Rows of one case are told apart by their segmentation's name:
    ``case@stem``; the case becomes the column ``subject``, unless another one tells persons.

    Raises:
        InputError: the manifest cannot be read.
        UsageError: a column or a value is missing, or two rows are the same case and segmentation.
    """
    rows = read_table(path)
    missing = [c for c in _COLUMNS if rows and c not in rows[0]]
    if missing:
        raise UsageError(f"{path}: has no column '{missing[0]}'; a manifest has the columns {', '.join(_COLUMNS)}")
    cases = []
    for number, row in enumerate(rows, start=2):
        if not any(row.values()):
            continue
        empty = [c for c in _COLUMNS if not row[c]]
        if empty:
            raise UsageError(f"{path}: line {number} has no '{empty[0]}'; fill it, or take the line away")
        names = row.get("names") or None
        if names is not None and names not in name_presets():
            names = names_in(path.parent / names)
        ct, seg = (_relative(row[c], path.parent) for c in ("ct", "seg"))
        cases.append(AuditCase(row["case"], ct, seg, names=names, metadata=metadata_of(row, _OWN)))
    often = Counter(case.name for case in cases)
    if len(often) < len(cases) and person_column([column for case in cases for column in case.metadata]) is None:
        cases = [replace(c, metadata={**c.metadata, "subject": c.name}) for c in cases]
    several = [replace(c, name=f"{c.name}@{image_stem(c.seg)}") if often[c.name] > 1 else c for c in cases]
    again = next((name for name, count in Counter(c.name for c in several).items() if count > 1), None)
    if again is not None:
        raise UsageError(f"{path}: has the case '{again}' twice; give each row of it another name")
    return several, []


def _relative(place: str, folder: Path) -> str:
    """A path relative to the manifest's folder, as the tables show it: others need not learn where that is."""
    try:
        return Path(os.path.relpath(folder / place, folder)).as_posix()
    except ValueError:  # another drive
        return Path(place).as_posix()
