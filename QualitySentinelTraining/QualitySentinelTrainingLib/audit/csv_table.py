"""CSV tables of an audit's lists: RFC 4180, UTF-8, names kept from becoming formulas, as L's score tables are."""

from __future__ import annotations

import csv
import io
import math
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from QualitySentinelLib.files import write_whole

_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")
_DECIMALS = 4


def escaped(text: str) -> str:
    """A name as a cell: with an apostrophe where a spreadsheet would take it for a formula, without lone surrogates."""
    text = text.encode("utf-8", "replace").decode("utf-8")
    return "'" + text if _FORMULA.match(text) else text


def unescaped(cell: str) -> str:
    """The name in a cell.

    Example:
        >>> unescaped(escaped("=1+1"))
        '=1+1'
    """
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def write_table(path: str | os.PathLike, columns: Sequence[str], rows: Iterable[Sequence]) -> Path:
    """Write rows; numbers with four decimals, yes and no as 1 and 0, missing values empty.

    Raises:
        InputError: the file cannot be written.
    """
    table = io.StringIO(newline="")
    writer = csv.writer(table, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return write_whole(path, table.getvalue())


def _cell(value) -> str | int:
    if hasattr(value, "item"):
        value = value.item()
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if isinstance(value, bool | int):
        return int(value)
    return f"{round(value, _DECIMALS) + 0.0:.{_DECIMALS}f}" if isinstance(value, float) else escaped(str(value))
