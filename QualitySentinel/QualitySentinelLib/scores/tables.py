"""The tables ``segments.csv`` and ``slices.csv``. Their columns are documented in docs/OUTPUTS.md.

RFC 4180: comma, CRLF, quotes doubled; UTF-8 without a byte order mark; a missing value is an empty cell.

Segment names come from other people's files. A name that a spreadsheet would take for a formula (it begins with
``=``, ``+``, ``-``, ``@``, a tab or a line break) is written with an apostrophe before it, which spreadsheets show
as text; the read functions take it off again, so names survive unchanged.
"""

from __future__ import annotations

import csv
import io
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ..errors import InputError
from ..files import write_whole
from .labels import segment_labels
from .score import CaseScore

SEGMENT_COLUMNS = (
    "segment", "structure", "n_slices", "n_scored", "predicted_dsc", "dsc_low", "dsc_high", "n_flagged", "status",
)  # fmt: skip
SLICE_COLUMNS = ("segment", "structure", "slice_index", "position_mm", "predicted_dsc", "flagged")

DSC_DECIMALS = 4
"""One ten-thousandth: finer than any predictor is accurate, fine enough for ranks to agree with the raw numbers."""
POSITION_DECIMALS = 3

_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")  # spreadsheets in Japanese take the wide signs too
_INTEGERS = {"n_slices", "n_scored", "n_flagged", "slice_index"}
_FLOATS = {"predicted_dsc", "dsc_low", "dsc_high", "position_mm"}


def write_segments_csv(path: str | os.PathLike, case_score: CaseScore) -> Path:
    """Write one row per segment, in the segmentation's order.

    Raises:
        InputError: the file cannot be written.
    """
    labels = segment_labels(case_score.segments)
    rows = (
        (
            _text(labels[s.segment_id]), _text(s.structure), s.n_slices, s.n_scored, _dsc(s.predicted_dsc),
            _dsc(s.dsc_low), _dsc(s.dsc_high), s.n_flagged, str(s.status),
        )
        for s in case_score.segments
    )  # fmt: skip
    return _write(path, SEGMENT_COLUMNS, rows)


def write_slices_csv(path: str | os.PathLike, case_score: CaseScore) -> Path:
    """Write one row per scored slice: segments in the segmentation's order, slices from inferior to superior.

    Raises:
        InputError: the file cannot be written.
    """
    labels = segment_labels(case_score.segments)
    rows = (
        (
            _text(labels[segment.segment_id]), _text(segment.structure), s.slice_index,
            _number(s.position_mm, POSITION_DECIMALS), _dsc(s.predicted_dsc), int(s.flagged),
        )
        for segment in case_score.segments
        for s in segment.slices
    )  # fmt: skip
    return _write(path, SLICE_COLUMNS, rows)


def read_segments_csv(path: str | os.PathLike) -> list[dict]:
    """Rows of a ``segments.csv`` as dictionaries by column: counts as int, DSC as float, empty cells as ``None``.

    Raises:
        InputError: there is no such file, or it is not such a table.
    """
    return _read(path, SEGMENT_COLUMNS)


def read_slices_csv(path: str | os.PathLike) -> list[dict]:
    """Rows of a ``slices.csv`` as dictionaries by column: numbers as int or float, ``flagged`` as bool.

    Raises:
        InputError: there is no such file, or it is not such a table.
    """
    return _read(path, SLICE_COLUMNS)


def _write(path: str | os.PathLike, columns: Sequence[str], rows: Iterable[Sequence]) -> Path:
    table = io.StringIO(newline="")
    writer = csv.writer(table, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return write_whole(path, table.getvalue())


def _read(path: str | os.PathLike, columns: Sequence[str]) -> list[dict]:
    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:  # a spreadsheet may have saved it with a mark
            reader = csv.DictReader(stream, strict=True)
            if tuple(reader.fieldnames or ()) != tuple(columns):
                raise InputError(f"{path}: not a table with the columns {','.join(columns)}")
            return [_typed(row) for row in reader]
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); check the path") from error
    except (UnicodeDecodeError, csv.Error, ValueError, TypeError) as error:
        raise InputError(f"{path}: a damaged table ({error}); write it again") from error


def _typed(row: Mapping[str, str]) -> dict:
    typed: dict = {}
    for column, cell in row.items():
        if column in _INTEGERS:
            typed[column] = int(cell)
        elif column in _FLOATS:
            typed[column] = float(cell) if cell else None
        elif column == "flagged":
            typed[column] = bool(int(cell))
        else:
            typed[column] = cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell
            if column == "structure" and not cell:
                typed[column] = None
    return typed


def _text(text: str | None) -> str:
    """A text cell: no formula, and no lone surrogates (file names that are not UTF-8 have them)."""
    text = (text or "").encode("utf-8", "replace").decode("utf-8")
    return "'" + text if _FORMULA.match(text) else text


def _dsc(value: float | None) -> str:
    return _number(value, DSC_DECIMALS)


def _number(value: float | None, decimals: int) -> str:
    if value is None or not math.isfinite(value):
        return ""
    return f"{round(float(value), decimals) + 0.0:.{decimals}f}"  # + 0.0: no minus sign before zero
