"""The tables ``segments.csv`` and ``slices.csv``. Their columns are documented in docs/OUTPUTS.md.

RFC 4180: comma, CRLF, quotes doubled; UTF-8 without a byte order mark; a missing value is an empty cell.

Segment names come from other people's files. A name that a spreadsheet would take for a formula (it begins with
``=``, ``+``, ``-``, ``@``, a tab or a line break) is written with an apostrophe before it, which spreadsheets show
as text; the read functions take it off again, so names survive unchanged.
"""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from ..errors import InputError
from ..files import atomic_write
from .csv_text import csv_text, escaped, unescaped
from .labels import segment_labels
from .score import CaseScore

SEGMENT_COLUMNS = (
    "segment", "structure", "n_slices", "n_scored", "predicted_dsc", "dsc_low", "dsc_high", "n_flagged", "status",
    "missed_slices",
)  # fmt: skip
SLICE_COLUMNS = (
    "segment", "structure", "slice_index", "position_mm", "predicted_dsc", "flagged", "dsc_low", "dsc_high", "missed",
)  # fmt: skip

DSC_DECIMALS = 4
"""One ten-thousandth: finer than any predictor is accurate, fine enough for ranks to agree with the raw numbers."""
POSITION_DECIMALS = 3

_INTEGERS = {
    "n_slices", "n_scored", "n_flagged", "slice_index", "missed_slices", "n_accepted", "n_corrected", "n_open",
}  # fmt: skip
_FLOATS = {"predicted_dsc", "dsc_low", "dsc_high", "position_mm", "first_dsc"}
_YES_OR_NO = {"flagged", "missed", "accepted", "edited", "corrected"}

_FIRST_SEGMENT_COLUMNS = SEGMENT_COLUMNS[:9]
_FIRST_SLICE_COLUMNS = SLICE_COLUMNS[:6]
"""Columns of the first version, which every file has. Others came later, or belong to a review: read when there."""


def segment_rows(case_score: CaseScore) -> Iterator[tuple]:
    """Values of ``SEGMENT_COLUMNS``, one row per segment, in the segmentation's order; missing ones are ``None``."""
    labels = segment_labels(case_score.segments)
    for s in case_score.segments:
        yield (
            labels[s.segment_id], s.structure, s.n_slices, s.n_scored, s.predicted_dsc, s.dsc_low, s.dsc_high,
            s.n_flagged, str(s.status), s.n_missed,
        )  # fmt: skip


def slice_rows(case_score: CaseScore) -> Iterator[tuple]:
    """Values of ``SLICE_COLUMNS``, one row per scored slice of the mask and per missed slice; missing ones ``None``.

    Segments in the segmentation's order, slices from inferior to superior.
    """
    labels = segment_labels(case_score.segments)
    for segment in case_score.segments:
        name = labels[segment.segment_id], segment.structure
        for s in segment.listed_slices:
            place = s.slice_index, s.position_mm, s.predicted_dsc
            yield *name, *place, int(s.flagged), s.dsc_low, s.dsc_high, int(s.missed)


def write_segments_csv(path: str | os.PathLike, case_score: CaseScore) -> Path:
    """Write one row per segment, in the segmentation's order.

    Raises:
        InputError: the file cannot be written.
    """
    return write_table(path, SEGMENT_COLUMNS, segment_rows(case_score))


def write_slices_csv(path: str | os.PathLike, case_score: CaseScore) -> Path:
    """Write one row per scored slice and per missed one: segments in the segmentation's order, slices upwards.

    Raises:
        InputError: the file cannot be written.
    """
    return write_table(path, SLICE_COLUMNS, slice_rows(case_score))


def read_segments_csv(path: str | os.PathLike) -> list[dict]:
    """Rows of a ``segments.csv`` as dictionaries by column: counts as int, DSC as float, empty cells as ``None``.

    Files of earlier versions lack ``missed_slices``, which is ``None`` then. Columns of a review, and any that
    others have added, are read when they are there.

    Raises:
        InputError: there is no such file, or it is not such a table.
    """
    return _read(path, _FIRST_SEGMENT_COLUMNS, SEGMENT_COLUMNS)


def read_slices_csv(path: str | os.PathLike) -> list[dict]:
    """Rows of a ``slices.csv`` as dictionaries by column: numbers as int or float, ``flagged`` and ``missed`` as bool.

    Files of earlier versions lack ``dsc_low``, ``dsc_high`` and ``missed``, which are ``None`` then. Columns of a
    review, and any that others have added, are read when they are there.

    Raises:
        InputError: there is no such file, or it is not such a table.
    """
    return _read(path, _FIRST_SLICE_COLUMNS, SLICE_COLUMNS)


def write_table(path: str | os.PathLike, columns: Sequence[str], rows: Iterable[Sequence]) -> Path:
    """Write a table as the others are written; what a value is follows from its column's name.

    Raises:
        InputError: the file cannot be written.
    """
    cells = ([_cell(column, value) for column, value in zip(columns, row, strict=True)] for row in rows)
    return atomic_write(path, csv_text(columns, cells))


def _read(path: str | os.PathLike, required: Sequence[str], columns: Sequence[str]) -> list[dict]:
    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:  # a spreadsheet may have saved it with a mark
            reader = csv.DictReader(stream, strict=True)
            names = list(reader.fieldnames or ())
            if len(set(names)) < len(names) or not set(required) <= set(names):
                raise InputError(f"{path}: not a table with the columns {','.join(columns)}")
            absent = {column: None for column in columns if column not in names}
            return [_typed(row) | absent for row in reader]
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); check the path") from error
    except (UnicodeDecodeError, csv.Error, ValueError, TypeError) as error:
        raise InputError(f"{path}: a damaged table ({error}); write it again") from error


def _typed(row: Mapping[str, str]) -> dict:
    typed: dict = {}
    for column, cell in row.items():
        if column is None or cell is None:
            raise ValueError("a row is shorter or longer than the first")
        if column in _INTEGERS:
            typed[column] = int(cell)
        elif column in _FLOATS:
            typed[column] = float(cell) if cell else None
        elif column in _YES_OR_NO:
            typed[column] = bool(int(cell))
        else:
            typed[column] = unescaped(cell)
            if column == "structure" and not cell:
                typed[column] = None
    return typed


def _cell(column: str, value) -> str | int:
    if column in _FLOATS:
        return _number(value, POSITION_DECIMALS if column == "position_mm" else DSC_DECIMALS)
    return value if column in _INTEGERS or column in _YES_OR_NO else escaped(value or "")


def _number(value: float | None, decimals: int) -> str:
    if value is None or not math.isfinite(value):
        return ""
    return f"{round(float(value), decimals) + 0.0:.{decimals}f}"  # + 0.0: no minus sign before zero
