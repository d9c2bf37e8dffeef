"""The anatomical structures: one row of ``structures.csv`` each.

The columns of the table:

- ``name``: canonical name, lower case, words separated by blanks, side last.
- ``dap_id``: class number of the DAP Atlas (2..144, Jaus et al. 2023), which the published model was trained on; empty
  for structures that atlas does not have.
- ``kind``: ``anatomy``, ``finding`` (cyst, tumor, effusion) or ``object`` (implant).
- ``side``: ``left``, ``right`` or empty. A paired organ also has a row without side, for masks of both organs and for
  names that do not tell the side.
- ``part_of``: wider structures of this table, separated by ``|``.
- ``totalsegmentator_v1``, ``totalsegmentator_v2``: class names of the task ``total`` of TotalSegmentator 1 and 2.
- ``codes``: terminology codes separated by blanks, each ``SCHEME:TYPE[+MODIFIER][@REGION[+REGION_MODIFIER]]``; SCT is
  SNOMED CT, SRT the older SNOMED-RT style codes of DICOM. The codes are those that TotalSegmentator and Slicer write.
- ``synonyms``: other names, separated by ``|``.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

_TABLE = Path(__file__).with_name("structures.csv")
LEVELS = 25
"""C1 to C7, T1 to T12, L1 to L5 and S1."""
_FIRST = {"C": 0, "T": 7, "L": 19, "S": 24}
_NAMED = re.compile(r"vertebra ([CTLS])(\d+)|costa (\d+) (?:left|right)")


@dataclass(frozen=True)
class Code:
    """What a segment is in a terminology, as in DICOM's segmented property type and anatomic region (PS3.3 C.8.20.4).
    """

    scheme: str  # coding scheme designator, ``SCT`` or ``SRT``
    value: str  # code of the property type, e.g. ``64033007`` (kidney)
    modifier: str = ""  # code of the type modifier, e.g. ``7771000`` (left); empty when there is none
    # region, region_modifier: where the property is found, e.g. the kidney of a cyst; empty when not needed
    region: str = ""
    region_modifier: str = ""


@dataclass(frozen=True)
class Structure:
    """An anatomical structure, or a finding or object that segmentations of CT hold."""

    name: str  # canonical name: lower case with blanks, side last (``kidney left``, ``vertebra T12``)
    dap_id: int | None = None  # DAP Atlas class number, or ``None``
    synonyms: tuple[str, ...] = ()  # other names in use, as people write them
    codes: tuple[Code, ...] = ()  # terminology codes, the one to write first
    kind: str = "anatomy"  # ``anatomy``, ``finding`` or ``object``
    side: str = ""  # ``left``, ``right`` or empty
    part_of: tuple[str, ...] = ()  # names of the wider structures it directly belongs to
    # totalsegmentator_v1, totalsegmentator_v2: class names there, or ``None``
    totalsegmentator_v1: str | None = None
    totalsegmentator_v2: str | None = None


def all_structures() -> tuple[Structure, ...]:
    """Every structure, those of the DAP Atlas roughly in its order first."""
    return tuple(_by_name().values())


def structure_named(name: str) -> Structure:
    """The structure with this canonical name.

    Raises:
        KeyError: there is none; :func:`~.matching.match_structure` understands other spellings.
    """
    return _by_name()[name]


@cache
def _by_name() -> dict[str, Structure]:
    with open(_TABLE, newline="", encoding="utf-8") as stream:
        structures = [_structure(row) for row in csv.DictReader(stream)]
    return {structure.name: structure for structure in structures}


def _structure(row: dict[str, str]) -> Structure:
    lists: dict[str, Any] = {key: tuple(filter(None, row[key].split("|"))) for key in ("synonyms", "part_of")}
    classes: dict[str, Any] = {key: row[key] or None for key in ("totalsegmentator_v1", "totalsegmentator_v2")}
    codes = tuple(_code(text) for text in row["codes"].split())
    dap_id = int(row["dap_id"]) if row["dap_id"] else None
    return Structure(row["name"], dap_id, codes=codes, kind=row["kind"], side=row["side"], **lists, **classes)


def _code(text: str) -> Code:
    scheme, _, rest = text.partition(":")
    return Code(scheme, *(part for pair in rest.partition("@")[::2] for part in pair.partition("+")[::2]))


def level_of(name: str) -> int | None:
    """Level of a vertebra or rib by its canonical name, 1 (C1) to :data:`LEVELS` (S1); ``None`` for other structures.

    A rib has the level of the thoracic vertebra of its number.
    """
    match = _NAMED.fullmatch(name)
    if match is None:
        return None
    return _FIRST[match[1] or "T"] + int(match[2] or match[3])
