"""The folder of an audit: a run over the cases of a data set, and what only audits keep."""

from __future__ import annotations

import json
import os
from pathlib import Path

from QualitySentinelLib.files import atomic_write

from ..runs import Kind, Run
from .record import older_record

TABLES = ("cases", "segments", "slices")
REVIEWS = "reviews"
PLACE_FILE = "data_set.json"
"""Among the records, which stay with who made the audit: where a data set lies that no other file may name."""
AUDIT = Kind("audit", "quality-sentinel-audit/1", "case", tuple(f"{table}.csv" for table in TABLES), older_record)


class AuditFolder(Run):
    """The output folder of an audit: a :class:`Run` of the kind :data:`AUDIT`."""

    def __init__(self, folder: str | os.PathLike, document: dict | None = None) -> None:
        super().__init__(folder, AUDIT, document)

    def review_path(self, name: str) -> Path:
        """The folder that keeps the review of a case, when it is opened from the audit."""
        return self.path / REVIEWS / self.record_path(name).stem

    def place(self) -> Path | None:
        """Where the data set lies, when ``audit.json`` does not say; ``None`` when that is not known."""
        try:
            return Path(json.loads((self.records / PLACE_FILE).read_text(encoding="utf-8"))["dataset"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write_place(self, dataset: Path) -> None:
        """Keep where the data set lies among the records. Raises ``InputError``: it cannot be written."""
        atomic_write(self.records / PLACE_FILE, json.dumps({"dataset": str(dataset)}) + "\n")
