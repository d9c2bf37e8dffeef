"""Tables of scores: their rows, and how every table of ours is written as CSV.

RFC 4180: comma, CRLF, quotes doubled; UTF-8 without a byte order mark; a missing value is an empty cell; yes and no are
1 and 0. Names come from other people's files: one that a spreadsheet would take for a formula gets an apostrophe before
it, which spreadsheets show as text, and which ``unescaped`` takes off.
"""

from __future__ import annotations

import csv
import io
import math
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ..files import atomic_write
from .columns import COLUMNS, SEGMENT_COLUMNS, SLICE_COLUMNS, Column
from .score import CaseScore, segment_labels

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
