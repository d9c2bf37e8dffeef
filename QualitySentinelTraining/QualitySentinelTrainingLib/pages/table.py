"""CSV tables, with names as the score tables write them."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from QualitySentinelLib.files import atomic_write
from QualitySentinelLib.scores.csv_text import csv_text, escaped

_DECIMALS = 4


def write_table(path: str | os.PathLike, columns: Sequence[str], rows: Iterable[Sequence]) -> Path:
    """Write rows; numbers with four decimals, yes and no as 1 and 0, missing values empty.

    Raises:
        InputError: the file cannot be written.
    """
    return atomic_write(path, csv_text(columns, ([_cell(value) for value in row] for row in rows)))


def _cell(value) -> str | int:
    if hasattr(value, "item"):
        value = value.item()
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if isinstance(value, bool | int):
        return int(value)
    return f"{round(value, _DECIMALS) + 0.0:.{_DECIMALS}f}" if isinstance(value, float) else escaped(str(value))
