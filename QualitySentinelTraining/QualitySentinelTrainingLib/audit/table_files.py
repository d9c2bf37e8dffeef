"""The tables of an audit, in Parquet and CSV, written row by row: memory does not grow with them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path

from QualitySentinelLib.files import atomic_folder
from QualitySentinelLib.scores.csv_text import escaped, writer_to
from QualitySentinelLib.scores.tables import DSC_DECIMALS, POSITION_DECIMALS

from ..runs import Record
from .record import SEGMENT_FIELDS, SLICE_FIELDS, slice_rows

META = "meta_"
CASE_COLUMNS = (
    "case", "dataset", "status", "reason", "ct", "seg", "n_segments", "device", "model_sha256", "warnings",
)  # fmt: skip
SEGMENT_COLUMNS = ("case", *SEGMENT_FIELDS)
SLICE_COLUMNS = ("case", "segment", "structure", *SLICE_FIELDS)
_ROWS_AT_ONCE = 1 << 16
"""Rows of a row group of Parquet: held in memory, and always as many, whatever way the cases came."""

_CODE = re.compile(r"[+-]?0[0-9]|.*_")
"""What Python takes for a number, though it tells things apart: ``007``, ``1_2``."""
_INTEGERS = {"n_segments", "n_slices", "n_scored", "n_flagged", "missed_slices", "slice_index", "k"}
_YES_OR_NO = {"flagged", "missed"}
_DECIMALS = {
    "predicted_dsc": DSC_DECIMALS, "dsc_low": DSC_DECIMALS, "dsc_high": DSC_DECIMALS,
    "position_mm": POSITION_DECIMALS, "volume_ml": 3, "area_mm2": 3, "centroid_r_mm": 2, "centroid_a_mm": 2,
    "centroid_s_mm": 2,
}  # fmt: skip


def write_tables(folder: Path, records: Iterable[Record], dataset: str) -> None:
    """Write ``cases``, ``segments`` and ``slices`` as ``.parquet`` and ``.csv``, and ``timings.csv``: all or none.

    The same records in the same order give the same bytes, but for ``timings.csv``.

    Args:
        records: sorted by case; read one after the other.
        dataset: the column of that name.

    Raises:
        InputError: the folder cannot be written or the disk is full, or a record cannot be read.
    """
    cases, metadata, timings = [], [], []
    with atomic_folder(folder) as new:
        with ExitStack() as stack:
            segments = stack.enter_context(_Table(new / "segments", SEGMENT_COLUMNS))
            slices = stack.enter_context(_Table(new / "slices", SLICE_COLUMNS))
            for record in records:
                head = record.head
                cases.append(
                    (
                        record.name, dataset, head["status"], head["reason"], head["ct"], head["seg"],
                        len(record.lines), head["device"], head["model_sha256"], " | ".join(head["warnings"]),
                    )
                )  # fmt: skip
                metadata.append(head["metadata"])
                timings.append((record.name, head["seconds"].get("read"), head["seconds"].get("work")))
                for segment in record.lines:
                    segments.add((record.name, *(segment[field] for field in SEGMENT_FIELDS)))
                    for row in slice_rows(segment):
                        slices.add((record.name, *row))
        names = list(dict.fromkeys(name for one in metadata for name in one))
        numbers = {name for name in names if all(_is_number(one[name]) for one in metadata if name in one)}
        columns = (*CASE_COLUMNS, *(META + name for name in names))
        with _Table(new / "cases", columns, {META + name for name in numbers}) as table:
            for row, told in zip(cases, metadata, strict=True):
                table.add((*row, *(_value(told.get(name), name in numbers) for name in names)))
        with _Csv(new / "timings.csv", ("case", "read_seconds", "score_seconds"), frozenset()) as table:
            table.write(timings)


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text)) and not _CODE.match(text)
    except ValueError:
        return False


def _value(text: str | None, number: bool) -> str | float | None:
    return text if text is None or not number else float(text)


class _Table:
    """One table in both formats, written in groups of rows."""

    def __init__(self, stem: Path, columns: Sequence[str], numbers: set[str] = frozenset()) -> None:
        self._columns, self._rows, self._numbers = columns, [], numbers
        self._csv, self._stem = _Csv(stem.with_suffix(".csv"), columns, numbers), stem

    def __enter__(self) -> _Table:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._csv.__enter__()
        self._schema = pa.schema([(name, self._type(name)) for name in self._columns])
        self._parquet = pq.ParquetWriter(self._stem.with_suffix(".parquet"), self._schema, compression="zstd")
        return self

    def __exit__(self, *problem) -> None:
        try:
            if problem[0] is None:
                self._flush()
        finally:
            self._parquet.close()
            self._csv.__exit__(*problem)

    def add(self, row: Sequence) -> None:
        """Add a row."""
        self._rows.append(row)
        if len(self._rows) >= _ROWS_AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        if not self._rows:
            return
        self._csv.write(self._rows)
        columns = zip(*self._rows, strict=True)
        arrays = [pa.array(self._valid(c, f), f.type) for c, f in zip(columns, self._schema, strict=True)]
        self._parquet.write_table(pa.Table.from_arrays(arrays, schema=self._schema))
        self._rows = []

    def _type(self, name: str):
        import pyarrow as pa

        if name in _INTEGERS:
            return pa.int64()
        if name in _YES_OR_NO:
            return pa.bool_()
        return pa.float64() if name in _DECIMALS or name in self._numbers else pa.string()

    def _valid(self, values: Iterable, field) -> list:
        if field.name in _YES_OR_NO:
            return [bool(v) for v in values]
        if str(field.type) == "string":  # no lone surrogates: names that are not UTF-8 have them
            return [None if v is None else v.encode("utf-8", "replace").decode("utf-8") for v in values]
        return list(values)


class _Csv:
    """A CSV file: RFC 4180, UTF-8, names kept from becoming formulas."""

    def __init__(self, path: Path, columns: Sequence[str], numbers: set[str] | frozenset[str]) -> None:
        self._path, self._columns, self._numbers = path, columns, numbers

    def __enter__(self) -> _Csv:
        self._stream = open(self._path, "w", encoding="utf-8", newline="")
        self._writer = writer_to(self._stream)
        self._writer.writerow(self._columns)
        return self

    def __exit__(self, *problem) -> None:
        self._stream.close()

    def write(self, rows: Iterable[Sequence]) -> None:
        """Write rows."""
        self._writer.writerows(
            [self._cell(name, value) for name, value in zip(self._columns, row, strict=True)] for row in rows
        )

    def _cell(self, column: str, value) -> str | int:
        if value is None:
            return ""
        if column in _DECIMALS:
            return f"{value:.{_DECIMALS[column]}f}"
        if isinstance(value, float):
            return f"{value:.10g}"
        return escaped(value) if isinstance(value, str) else value
