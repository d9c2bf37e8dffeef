"""Tables of other people: manifests and metadata, as spreadsheets of any country save them."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections import Counter
from dataclasses import replace
from pathlib import Path

from ..errors import InputError, UsageError, readable
from .case import Case

PATIENT_COLUMNS = (
    "person", "person_id", "patient", "patient_id", "patientid", "subject", "subject_id", "participant",
    "participant_id",
)  # fmt: skip
"""Metadata columns that tell who was scanned; the first that is there counts."""
SEXES = {
    "m": "M", "male": "M", "man": "M", "f": "F", "female": "F", "w": "F", "woman": "F", "o": "O", "other": "O",
}  # fmt: skip
"""Sexes as data sets write them, in lower case, and as our tables do."""
UNKNOWN = {
    "", "?", "-", "--", "nan", "na", "n/a", "null", "unk", "unknown", "missing", "not available", "not known",
    "not reported", "not specified", "unspecified", "undefined",
}  # fmt: skip
"""Values that say nothing, in lower case."""

_COLUMNS = {
    "gender": "sex", "patientsex": "sex", "patient_sex": "sex", "patient_age": "age", "patientage": "age",
    "institute": "institution", "institution_name": "institution", "site": "institution",
}  # fmt: skip
"""Columns that data sets call differently, so that two data sets can be compared."""
_MISSING = {"", "nan", "na", "n/a", "null"}
_PYTHONS_NONE = "None"
"""As a script writes what it does not know; ``none`` is a value: no contrast agent, no findings."""
_SEPARATOR_LINE = re.compile(r'"?sep=([,;|\t])', re.IGNORECASE)
"""First line that tells Excel the delimiter."""
_DECIMAL_COMMA = re.compile(r"[+-]?(?:\d+|\d{1,3}(?:[. ]\d{3})+)(?:,\d+)?")
_AGE = re.compile(r"(\d{1,3}(?:\.\d+)?)\s*(?:y|yrs?|years?)?|(\d{1,3})\s*([mwd])", re.IGNORECASE)
_IN_A_YEAR = {"m": 12, "w": 52, "d": 365}


def read_table(path: Path, notes: list[str] | None = None) -> list[dict[str, str]]:
    """Rows of a CSV file as dictionaries by column; all values are text without surrounding blanks.

    Commas, semicolons and tabs delimit cells; a line such as ``sep=;`` may come first. Files are UTF-8 or UTF-16, else
    taken for Windows-1252, which ``notes`` then says. Where commas do not delimit cells, a column of numbers with
    decimal commas is given with points.

    Raises:
        InputError: it cannot be read, or is not a table.
    """
    with readable(path):
        content = path.read_bytes()
    if content.startswith(b"PK\x03\x04"):
        raise InputError(f"{path}: is a spreadsheet, not a CSV file; save it as CSV in UTF-8")
    try:
        text = _decoded(content)
        if text is None:
            text = content.decode("cp1252")
            if notes is not None:
                notes.append(f"{path.name}: is not UTF-8 and was read as Windows-1252; save it as UTF-8 to be sure")
        lines = io.StringIO(text, newline=None)
        head = lines.readline()
        stated = _SEPARATOR_LINE.match(head)
        delimiter = stated[1] if stated else max(",;\t", key=re.sub(r'"[^"]*"', "", head).count)
        if not stated:
            lines.seek(0)
        rows = [
            {str(k).strip(): (v or "").strip() for k, v in row.items() if k is not None}
            for row in csv.DictReader(lines, delimiter=delimiter, strict=True)
        ]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: is not a table ({error}); save it as CSV in UTF-8") from error
    return rows if delimiter == "," else _with_points(rows)


def left_out(error: InputError, table: Path) -> str:
    """The note that a table of metadata could not be read; cases are found without it."""
    return f"{table.name}: {str(error).removeprefix(f'{table}: ')}; its metadata were left out"


def _decoded(content: bytes) -> str | None:
    """Unicode text; ``None`` when it is in an older encoding."""
    try:
        return content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError:
        return None


def _with_points(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    for column in rows[0] if rows else ():
        values = [row[column] for row in rows if row.get(column)]
        if any("," in value for value in values) and all(_DECIMAL_COMMA.fullmatch(value) for value in values):
            for row in rows:
                row[column] = re.sub("[. ]", "", row.get(column, "")).replace(",", ".")
    return rows


def metadata_of(row: dict[str, str], without: tuple[str, ...] = ()) -> dict[str, str]:
    """A row as metadata: common names for common columns, sex as M, F or O, DICOM ages in years, no empty values."""
    told = {}
    for column, value in row.items():
        if column in without or not column or value.lower() in _MISSING or value == _PYTHONS_NONE:
            continue
        name = re.sub(r"\W+", "_", column.lower()).strip("_")
        name = _COLUMNS.get(name, name)
        if name == "sex":
            value = SEXES.get(value.lower(), value)
        elif name == "age" and (years := age_in_years(value)) is not None:
            value = f"{years:g}"
        if name:
            told[name] = value
    return told


def age_in_years(text: str) -> float | None:
    """Years of ``63``, ``63.5``, ``063Y`` and ``7 years``, whole ones of ``018M``, ``030W`` and ``100D``.

    ``None`` for any other text.
    """
    match = _AGE.fullmatch(text)
    if match is None:
        return None
    return float(match[1]) if match[1] else float(int(match[2]) // _IN_A_YEAR[match[3].lower()])


def patient_column(columns: list[str]) -> str | None:
    """The metadata column that tells who was scanned, by its name."""
    called = {column.lower(): column for column in columns}
    return next((called[name] for name in PATIENT_COLUMNS if name in called), None)


def add_metadata(cases: list[Case], table: Path, notes: list[str], wanted: bool) -> list[Case]:
    """The cases with the rows of a table: those whose value in one column is the name of a case.

    Args:
        wanted: the user named the table, so it must fit.

    Raises:
        InputError: the table cannot be read.
        UsageError: ``wanted``, and no column names the cases.
    """
    rows = read_table(table, notes)
    names = {_spelled(case.name) for case in cases}
    columns = list(rows[0]) if rows else []
    named = {column: [_spelled(row.get(column, "")) for row in rows] for column in columns}
    key = max(columns, key=lambda column: len(names.intersection(named[column])), default=None)
    hits = 0 if key is None else len(names.intersection(named[key]))
    if not hits:
        if wanted:
            raise UsageError(f"{table}: no column matches the case names, such as {cases[0].name}")
        notes.append(f"{table.name}: no column matches the case names; the table was not used")
        return cases
    if hits < len(cases):
        notes.append(f"{table.name}: has no row for {len(cases) - hits} of {len(cases)} cases")
    of_case = {name: metadata_of(row, (key,)) for name, row in zip(named[key], rows, strict=True)}
    again = [name for name, rows_of_it in Counter(named[key]).items() if rows_of_it > 1 and name in names]
    if again:
        what = "1 case" if len(again) == 1 else f"{len(again)} cases"
        notes.append(f"{table.name}: has several rows for {what} ({again[0]}); the last one is used")
    return [replace(case, metadata={**case.metadata, **of_case.get(_spelled(case.name), {})}) for case in cases]


def _spelled(name: str) -> str:
    """A name as it is compared: folders that macOS made spell ``é`` otherwise than tables do."""
    return unicodedata.normalize("NFC", name).strip()
