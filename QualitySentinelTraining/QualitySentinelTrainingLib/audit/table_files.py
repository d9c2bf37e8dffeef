"""The tables of an audit, in Parquet and CSV, written row by row: memory does not grow with them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path

from QualitySentinelLib.files import atomic_folder
from QualitySentinelLib.scores.columns import Column
from QualitySentinelLib.scores.tables import CsvTable, column_of, write_table

from ..runs import Record
from ..tables import META
from .store import SEGMENT_FIELDS, SLICE_FIELDS, slice_rows

CASE_COLUMNS = (
    "case", "dataset", "status", "reason", "ct", "seg", "n_segments", "device", "model_sha256", "warnings",
)  # fmt: skip
SEGMENT_COLUMNS = ("case", *SEGMENT_FIELDS)
SLICE_COLUMNS = ("case", "segment", "structure", *SLICE_FIELDS)
_ROWS_AT_ONCE = 1 << 16
"""Rows of a row group of Parquet: held in memory, and always as many, whatever way the cases came."""

_CODE = re.compile(r"[+-]?0[0-9]|.*_")
"""What Python takes for a number, though it tells things apart: ``007``, ``1_2``."""


def write_tables(folder: Path, records: Iterable[Record], dataset: str) -> list[dict]:
    """Write ``cases``, ``segments`` and ``slices`` as ``.parquet`` and ``.csv``, and ``timings.csv``: all or none.

    The same records, sorted by case, give the same bytes, but for ``timings.csv``. Returns the heads of the records.

    Raises:
        InputError: the folder cannot be written or the disk is full, or a record cannot be read.
    """
    heads, sizes = [], []
    with atomic_folder(folder) as new:
        with ExitStack() as stack:
            segments = stack.enter_context(_Table(new / "segments", SEGMENT_COLUMNS))
            slices = stack.enter_context(_Table(new / "slices", SLICE_COLUMNS))
            for record in records:
                heads.append(record.head)
                sizes.append(len(record.lines))
                for segment in record.lines:
                    segments.add((record.name, *(segment[field] for field in SEGMENT_FIELDS)))
                    for row in slice_rows(segment):
                        slices.add((record.name, *row))
        told = [head["metadata"] for head in heads]
        names = list(dict.fromkeys(name for one in told for name in one))
        numbers = {name for name in names if all(_is_number(one[name]) for one in told if name in one)}
        of_metadata = [Column(META + name, float if name in numbers else str, decimals=None) for name in names]
        with _Table(new / "cases", (*CASE_COLUMNS, *of_metadata)) as table:
            for head, size, one in zip(heads, sizes, told, strict=True):
                table.add((
                    head["item"], dataset, *(head[name] for name in ("status", "reason", "ct", "seg")), size,
                    head["device"], head["model_sha256"], " | ".join(head["warnings"]),
                    *(_value(one.get(name), name in numbers) for name in names),
                ))  # fmt: skip
        timings = ((head["item"], *(head["seconds"].get(part) for part in ("read", "work"))) for head in heads)
        write_table(new / "timings.csv", ("case", "read_seconds", "score_seconds"), timings)
    return heads


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text)) and not _CODE.match(text)
    except ValueError:
        return False


def _value(text: str | None, number: bool) -> str | float | None:
    return text if text is None or not number else float(text)


class _Table:
    """One table in both formats, written in groups of rows."""

    def __init__(self, stem: Path, columns: Sequence[str | Column]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        kinds = {int: pa.int64(), bool: pa.bool_(), float: pa.float64(), str: pa.string()}
        schema = pa.schema([(column.name, kinds[column.kind]) for column in map(column_of, columns)])
        self._rows: list[Sequence] = []
        self._stream = open(stem.with_suffix(".csv"), "w", encoding="utf-8", newline="")
        self._csv = CsvTable(self._stream, columns)
        self._parquet = pq.ParquetWriter(stem.with_suffix(".parquet"), schema, compression="zstd")

    def __enter__(self) -> _Table:
        return self

    def __exit__(self, *problem) -> None:
        try:
            if problem[0] is None:
                self._flush()
        finally:
            self._parquet.close()
            self._stream.close()

    def add(self, row: Sequence) -> None:
        self._rows.append(row)
        if len(self._rows) >= _ROWS_AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        if not self._rows:
            return
        self._csv.write(self._rows)
        schema = self._parquet.schema
        columns = zip(*self._rows, strict=True)
        arrays = [pa.array(_valid(c, field.type), field.type) for c, field in zip(columns, schema, strict=True)]
        self._parquet.write_table(pa.Table.from_arrays(arrays, schema=schema))
        self._rows = []


def _valid(values: Sequence, kind) -> list:
    if str(kind) == "bool":
        return [bool(v) for v in values]
    if str(kind) == "string":  # no lone surrogates: names that are not UTF-8 have them
        return [None if v is None else v.encode("utf-8", "replace").decode("utf-8") for v in values]
    return list(values)
