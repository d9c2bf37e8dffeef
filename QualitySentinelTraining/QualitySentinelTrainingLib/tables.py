"""Tables of scores as data frames, whoever wrote them: an audit, ``score`` or ``find-errors``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from QualitySentinelLib.errors import readable
from QualitySentinelLib.scores.columns import COLUMNS
from QualitySentinelLib.scores.tables import unescaped

if TYPE_CHECKING:
    import pandas as pd

META = "meta_"
"""Columns of an audit's cases that begin so are metadata of the data set: ``meta_sex``, ``meta_age``."""
REPEATED = ["case", "segment", "structure"]
"""Columns whose names stand in many rows."""
_WORDS = {name for name, column in COLUMNS.items() if column.kind is str}


def read_frame(path: Path, columns: list[str] | None = None, categories: bool = True) -> pd.DataFrame:
    """A table, Parquet or CSV; repeated names as categories.

    Raises:
        InputError: it cannot be read.
    """
    import pandas as pd

    with readable(path, "write the table again", ValueError, KeyError):  # pyarrow's and pandas' own are ValueErrors
        if path.suffix == ".parquet":
            import pyarrow.parquet as pq

            return pq.read_table(path, columns=columns, read_dictionary=REPEATED if categories else None).to_pandas()
        head = pd.read_csv(path, nrows=0, encoding="utf-8-sig").columns
        words = [c for c in head if c in _WORDS or c.startswith(META)]
        types = dict.fromkeys(words, "category" if categories else "str")
        wanted = None if columns is None else [c for c in columns if c in head]
        # a case may be called NA, and a blank name is one: only empty cells are missing
        frame = pd.read_csv(
            path, usecols=wanted, dtype=types, keep_default_na=False, na_values=[""], encoding="utf-8-sig"
        )
    for column in words:
        if column in frame.columns:
            frame[column] = _without_apostrophe(frame[column])
    return frame


def _without_apostrophe(names: pd.Series) -> pd.Series:
    """Names without the apostrophe that keeps spreadsheets from taking them for formulas."""
    if names.dtype.name == "category":
        return names.cat.rename_categories({c: unescaped(c) for c in names.cat.categories})
    return names.map(unescaped, na_action="ignore")
