"""Tables of metadata: one row per case, in CSV with commas, semicolons or tabs."""

from __future__ import annotations

import csv
import re
import unicodedata
from collections import Counter
from dataclasses import replace
from pathlib import Path

from QualitySentinelLib.errors import InputError, UsageError

from ..cases import AuditCase
from ..people import SEXES

_COLUMNS = {
    "gender": "sex", "patientsex": "sex", "patient_sex": "sex", "patient_age": "age", "patientage": "age",
    "institute": "institution", "institution_name": "institution", "site": "institution",
}  # fmt: skip
"""Columns that data sets call differently, so that two data sets can be compared."""
_MISSING = {"", "nan", "na", "n/a", "null"}
_PYTHONS_NONE = "None"
"""As a script writes what it does not know; ``none`` is a value: no contrast agent, no findings."""


def read_table(path: Path) -> list[dict[str, str]]:
    """Rows of a table as dictionaries by column; the delimiter is found in its first line.

    Raises:
        InputError: it cannot be read, or is no table.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            head = stream.readline()
            stream.seek(0)
            delimiter = max(",;\t", key=head.count)
            return [
                {str(k).strip(): (v or "").strip() for k, v in row.items() if k is not None}
                for row in csv.DictReader(stream, delimiter=delimiter, strict=True)
            ]
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); check the path") from error
    except (UnicodeDecodeError, csv.Error, AttributeError) as error:
        raise InputError(f"{path}: is no table ({error}); save it as CSV in UTF-8") from error


def metadata_of(row: dict[str, str], without: tuple[str, ...] = ()) -> dict[str, str]:
    """A row as metadata: usual names for usual columns, sex as M, F or O, and no empty values."""
    told = {}
    for column, value in row.items():
        if column in without or not column or value.lower() in _MISSING or value == _PYTHONS_NONE:
            continue
        name = re.sub(r"\W+", "_", column.lower()).strip("_")
        name = _COLUMNS.get(name, name)
        if name:
            told[name] = SEXES.get(value.lower(), value) if name == "sex" else value
    return told


def add_metadata(cases: list[AuditCase], table: Path, notes: list[str], wanted: bool) -> list[AuditCase]:
    """The cases with the rows of a table: those whose value in one column is the name of a case.

    Args:
        wanted: the user named the table, so it must fit.

    Raises:
        InputError: the table cannot be read.
        UsageError: ``wanted``, and no column names the cases.
    """
    rows = read_table(table)
    names = {_spelled(case.name) for case in cases}
    columns = list(rows[0]) if rows else []
    named = {column: [_spelled(row.get(column, "")) for row in rows] for column in columns}
    key = max(columns, key=lambda column: len(names.intersection(named[column])), default=None)
    hits = 0 if key is None else len(names.intersection(named[key]))
    if not hits:
        if wanted:
            raise UsageError(f"{table}: no column of it names the cases, such as {cases[0].name}")
        notes.append(f"{table.name}: no column of it names the cases; it was not used")
        return cases
    if hits < len(cases):
        notes.append(f"{table.name}: has no row for {len(cases) - hits} of {len(cases)} cases")
    of_case = {name: metadata_of(row, (key,)) for name, row in zip(named[key], rows, strict=True)}
    again = [name for name, rows_of_it in Counter(named[key]).items() if rows_of_it > 1 and name in names]
    if again:
        what = "1 case" if len(again) == 1 else f"{len(again)} cases"
        notes.append(f"{table.name}: has several rows for {what} ({again[0]}); the last one counts")
    return [replace(case, metadata={**case.metadata, **of_case.get(_spelled(case.name), {})}) for case in cases]


def _spelled(name: str) -> str:
    """A name as it is compared: folders that macOS made spell ``é`` otherwise than tables do."""
    return unicodedata.normalize("NFC", name).strip()
