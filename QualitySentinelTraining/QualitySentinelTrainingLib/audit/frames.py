"""The tables of an audit as data frames: ``read_audit(folder)``. docs/AUDIT_REPORT.md says what they hold."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from QualitySentinelLib.errors import InputError, UsageError, readable
from QualitySentinelLib.options import DEFAULT_THRESHOLD
from QualitySentinelLib.scores import CaseScore
from QualitySentinelLib.scores.columns import COLUMNS

from ..tables import META, REPEATED, read_frame
from .store import AuditFolder
from .table_files import CASE_COLUMNS, SEGMENT_COLUMNS, SLICE_COLUMNS

if TYPE_CHECKING:
    import pandas as pd

_MAY_LACK = {
    "device", "model_sha256", "warnings", "dsc_low", "dsc_high", "volume_ml", "centroid_r_mm", "centroid_a_mm",
    "centroid_s_mm", "area_mm2", "k",
}  # fmt: skip
"""Columns that the analysis can do without."""

_YES_OR_NO = {name for name, column in COLUMNS.items() if column.kind is bool}
_YES = {"1", "true", "yes", "1.0"}


@dataclass
class Audit:
    """The tables of one audit; read from its folder when first asked for."""

    folder: Path  # the audit's output folder
    # what ``audit.json`` says: options, versions, model, counts; empty when there is no such file
    run: Mapping = field(default_factory=dict)

    @cached_property
    def cases(self) -> pd.DataFrame:
        """One row per case, failed ones too; metadata in columns ``meta_*``."""
        return self._read("cases", CASE_COLUMNS)

    @cached_property
    def segments(self) -> pd.DataFrame:
        """One row per case and segment."""
        return self._read("segments", SEGMENT_COLUMNS)

    @cached_property
    def slices(self) -> pd.DataFrame:
        """One row per case, segment and slice, scored or missed. The large one: see :meth:`read_slices`."""
        return self.read_slices()

    def read_slices(self, columns: Iterable[str] | None = None) -> pd.DataFrame:
        """The slices table, or only some of its columns; names are categories, which keeps millions of rows small.

        Raises:
            InputError: the table is missing or damaged.
        """
        return self._read("slices", SLICE_COLUMNS, columns)

    @property
    def done(self) -> pd.DataFrame:
        """The cases that were scored."""
        return self.cases[self.cases["status"] == "done"]

    @property
    def threshold(self) -> float:
        """Slices predicted below it were flagged."""
        return float(self.option("threshold", DEFAULT_THRESHOLD))

    @cached_property
    def flagging(self) -> CaseScore:
        """How it was flagged: a case without segments that knows the threshold of each (``threshold_of``)."""
        model = self.option("model")
        own = self.option("own-thresholds") is True
        return CaseScore([], self.threshold, model if isinstance(model, dict) else {}, own_thresholds=own)

    @property
    def below(self) -> pd.Series:
        """Which segments are predicted below their threshold, bool."""
        own = self.segments["structure"].map(self.flagging.thresholds_in_use)
        return self.segments["predicted_dsc"] < own.fillna(self.threshold)

    @property
    def missed_sought(self) -> bool:
        """Whether missed slices were looked for: only when all slices are scored. Else their numbers are 0."""
        return str(self.option("slices", "all")) == "all"

    @property
    def name(self) -> str:
        """What to call the data set: its name in the tables, else its folder's."""
        names = sorted({str(n) for n in self.cases["dataset"].dropna() if str(n)})
        if len(names) == 1:
            return names[0]
        return self.dataset_folder.name if self.dataset_folder else self.folder.resolve().name

    @property
    def dataset_folder(self) -> Path | None:
        """The folder that ``ct`` and ``seg`` are relative to, as the audit was given it; ``None`` when not recorded."""
        folder = self.option("dataset")
        return Path(folder) if isinstance(folder, str) and folder else AuditFolder(self.folder).place()

    @property
    def metadata(self) -> list[str]:
        """Names of the metadata columns, without ``meta_``."""
        return [c.removeprefix(META) for c in self.cases.columns if c.startswith(META)]

    def case(self, name: str) -> pd.Series:
        """One row of the cases table. Raises ``UsageError``: there is no such case."""
        rows = self.cases[self.cases["case"] == name]
        if rows.empty:
            raise UsageError(f"{name}: no case of {self.folder}; see the column 'case' of cases.csv")
        return rows.iloc[0]

    def option(self, name: str, default=None):
        """An option of the run, as ``audit.json`` has it; ``default`` where it says nothing."""
        key = self.run.get("key")
        for place in (self.run, key if isinstance(key, Mapping) else {}):
            if place.get(name) is not None:
                return place[name]
        return default

    def _read(self, name: str, needed: Sequence[str], columns: Iterable[str] | None = None) -> pd.DataFrame:
        path = next((p for suffix in (".parquet", ".csv") if (p := self.folder / (name + suffix)).is_file()), None)
        if path is None:
            raise InputError(
                f"{self.folder}: holds no {name}.parquet or {name}.csv; give the output folder of an audit"
            )
        only = None if columns is None else list(dict.fromkeys([*REPEATED, *columns]))
        frame = read_frame(path, only, name == "slices")
        needed = only or [c for c in needed if c not in _MAY_LACK]
        missing = [c for c in needed if c not in frame.columns]
        if missing:
            raise InputError(f"{path}: lacks the column {missing[0]}; run the audit again with this version")
        for column in _YES_OR_NO.intersection(frame.columns):
            frame[column] = _as_bool(frame[column])
        if "structure" in frame.columns and name != "slices":
            frame["structure"] = frame["structure"].astype(object).where(frame["structure"].notna(), None)
        return frame


def read_audit(folder: str | os.PathLike, finished: bool = True) -> Audit:
    """The audit in an output folder: data frames ``.cases``, ``.segments`` and ``.slices``, read when asked for.

    Args:
        finished: refuse an audit that is not done: its tables are put in place one after the other, and may be of two
            runs. A single table is whole in any case.

    Raises:
        InputError: there is no audit, it is not done, or its ``audit.json`` is damaged.

    Example::

        read_audit("out").segments.groupby("structure").predicted_dsc.describe()
    """
    folder = Path(folder)
    if not any((folder / f"cases{suffix}").is_file() for suffix in (".parquet", ".csv")):
        raise InputError(f"{folder}: holds no cases.parquet or cases.csv; give the output folder of an audit")
    path = folder / "audit.json"
    with readable(path, "run the audit again", ValueError):
        run = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    run = run if isinstance(run, dict) else {}
    if finished and run.get("complete") is False:
        raise InputError(f"{folder}: its audit is not done, so its tables may be of two runs; run its command again")
    return Audit(folder, run)


def _as_bool(answers: pd.Series) -> pd.Series:
    """Yes or no, however the table says it; a missing answer is no."""
    if answers.dtype.kind in "biuf":
        return answers.fillna(0).astype(bool)
    return answers.astype(str).str.lower().isin(_YES)
