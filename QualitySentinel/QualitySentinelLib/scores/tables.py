"""Tables of scores: their rows, and how every table of ours is written as CSV and read again.

RFC 4180: comma, CRLF, quotes doubled; UTF-8 without a byte order mark; a missing value is an empty cell; yes and no are
1 and 0. Names come from other people's files: one that a spreadsheet would take for a formula gets an apostrophe before
it, which spreadsheets show as text, and which is taken off when it is read.
"""

from __future__ import annotations

import csv
import io
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from ..errors import InputError, readable
from ..files import atomic_write
from .columns import (
    COLUMNS,
    REVIEW_SEGMENT_COLUMNS,
    REVIEW_SLICE_COLUMNS,
    SEGMENT_COLUMNS,
    SLICE_COLUMNS,
    Column,
)
from .score import CaseScore, segment_labels

_OURS = {*REVIEW_SEGMENT_COLUMNS, *REVIEW_SLICE_COLUMNS}
_FIRST_SEGMENT_COLUMNS = SEGMENT_COLUMNS[:9]
_FIRST_SLICE_COLUMNS = SLICE_COLUMNS[:6]
"""Columns of the first version, which every file has. Others came later, or belong to a review: read when there."""
_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")  # spreadsheets in Japanese take the wide signs too


def segment_rows(case_score: CaseScore, columns: Sequence[str] = SEGMENT_COLUMNS) -> Iterator[tuple]:
    """One row per segment, in the segmentation's order; missing values are ``None``."""
    labels = segment_labels(case_score.segments)
    for s in case_score.segments:
        yield labels[s.segment_id], *(COLUMNS[name].of(s) for name in columns[1:])


def slice_rows(case_score: CaseScore, columns: Sequence[str] = SLICE_COLUMNS) -> Iterator[tuple]:
    """One row per scored slice of the mask and per missed slice; missing values are ``None``.

    Segments in the segmentation's order, slices from inferior to superior.
    """
    labels = segment_labels(case_score.segments)
    own = [COLUMNS[name] for name in columns[2:]]
    for segment in case_score.segments:
        name = labels[segment.segment_id], segment.structure
        for s in segment.listed_slices:
            yield *name, *(column.of(s) for column in own)


def read_segments_csv(path: str | os.PathLike) -> list[dict]:
    """Rows of a ``segments.csv`` as dictionaries by column: counts as int, DSC as float, empty cells as ``None``.

    Files of earlier versions lack ``missed_slices``, which is ``None`` then. Columns of a review, and any that
    others have added, are read when they are there.

    Raises:
        InputError: there is no such file, or it is not such a table.
    """
    return _read(path, _FIRST_SEGMENT_COLUMNS, SEGMENT_COLUMNS)


def read_slices_csv(path: str | os.PathLike) -> list[dict]:
    """Rows of a ``slices.csv``, as :func:`read_segments_csv`; ``flagged`` and ``missed`` are bool.

    Files of earlier versions lack ``dsc_low``, ``dsc_high`` and ``missed``, which are ``None`` then.
    """
    return _read(path, _FIRST_SLICE_COLUMNS, SLICE_COLUMNS)


def write_table(path: str | os.PathLike, columns: Sequence[str | Column], rows: Iterable[Sequence]) -> Path:
    """Write a table as CSV; numbers of columns that ``columns.COLUMNS`` does not know have four decimals."""
    table = io.StringIO(newline="")
    CsvTable(table, columns).write(rows)
    return atomic_write(path, table.getvalue())


class CsvTable:
    """Writes a CSV table to a text stream that was opened with ``newline=""``; its head at once."""

    def __init__(self, stream, columns: Sequence[str | Column]) -> None:
        self._columns = [column_of(c) for c in columns]
        self._writer = csv.writer(stream, lineterminator="\r\n")
        self._writer.writerow([column.name for column in self._columns])

    def write(self, rows: Iterable[Sequence]) -> None:
        """Write rows."""
        self._writer.writerows([_cell(c, value) for c, value in zip(self._columns, row, strict=True)] for row in rows)


def column_of(column: str | Column) -> Column:
    """The column of a name; one that ``COLUMNS`` does not know holds whatever its values are."""
    return column if isinstance(column, Column) else COLUMNS.get(column, Column(column))


def escaped(text: str) -> str:
    """A name as a cell: no formula, and no lone surrogates (file names that are not UTF-8 have them)."""
    text = text.encode("utf-8", "replace").decode("utf-8")
    return "'" + text if _FORMULA.match(text) else text


def unescaped(cell: str) -> str:
    """The name in a cell.

    Example:
        >>> unescaped(escaped("=1+1"))
        '=1+1'
    """
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def _cell(column: Column, value) -> str | int:
    if hasattr(value, "item"):  # numpy
        value = value.item()
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if column.kind is float or isinstance(value, float):
        if column.decimals is None:
            return f"{value:.10g}"
        return f"{round(value, column.decimals) + 0.0:.{column.decimals}f}"  # + 0.0: no minus sign before zero
    return escaped(str(value)) if not isinstance(value, int) else int(value)


def _read(path: str | os.PathLike, required: Sequence[str], columns: Sequence[str]) -> list[dict]:
    try:
        # utf-8-sig: a spreadsheet may have saved it with a mark
        with readable(path), open(path, encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, strict=True)
            names = list(reader.fieldnames or ())
            if len(set(names)) < len(names) or not set(required) <= set(names):
                raise InputError(f"{path}: not a table with the columns {','.join(columns)}")
            absent = {column: None for column in columns if column not in names}
            return [_typed(row) | absent for row in reader]
    except (UnicodeDecodeError, csv.Error, ValueError, TypeError) as error:
        raise InputError(f"{path}: a damaged table ({error}); write it again") from error


def _typed(row: Mapping[str, str]) -> dict:
    if None in row or None in row.values():
        raise ValueError("a row is shorter or longer than the first")
    return {name: _value(name, cell) for name, cell in row.items()}


def _value(name: str, cell: str) -> object:
    kind = COLUMNS[name].kind if name in _OURS else str
    if kind is str:
        return unescaped(cell) if cell or name != "structure" else None
    if kind is float:
        return float(cell) if cell else None
    return kind(int(cell))
