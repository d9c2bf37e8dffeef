"""Tables of the cases that are done while others are still scored, written now and then."""

from __future__ import annotations

import time
from collections.abc import Iterable

from QualitySentinelLib.errors import InputError

from .store import AuditFolder
from .table_files import write_tables

_LEAST_SECONDS = 10.0
_TIMES_ITS_OWN = 20
"""Writing the tables of 100 000 000 slices takes minutes: it may cost this part of an audit, no more."""


class TablesSoFar:
    """Writes the tables of the cases that have a record: with the first of them, then when some time has passed.

    ``audit.json`` says meanwhile that the audit is not done.

    Args:
        folder: of the audit.
        dataset: what it is called in the tables.
    """

    def __init__(self, folder: AuditFolder, dataset: str) -> None:
        self._folder, self._dataset, self._due = folder, dataset, 0.0

    def write_when_due(self, cases: Iterable[str]) -> None:
        """Write the tables of these cases, sorted by name, unless that was done a short time ago."""
        began = time.monotonic()
        if began < self._due:
            return
        try:
            write_tables(self._folder.path, (self._folder.record(case) for case in cases), self._dataset)
        except InputError:  # a spreadsheet may hold a table open, on Windows; what is wrong for good shows at the end
            pass
        now = time.monotonic()
        self._due = now + max(_LEAST_SECONDS, _TIMES_ITS_OWN * (now - began))
