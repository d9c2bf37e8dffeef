"""The folder of an audit: a file for each finished case, and ``audit.json`` that says how they were scored."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from QualitySentinelLib.errors import InputError, UsageError
from QualitySentinelLib.files import check_writable, locked_folder, write_whole

from .file_names import file_name
from .record import CaseRecord, head_of

CASES = "cases"
TABLES = ("cases", "segments", "slices")
REVIEWS = "reviews"
SUFFIX = ".jsonl"
RUN_FILE = "audit.json"
PLACE_FILE = "data_set.json"
"""In the folder of cases, which stays with who made the audit: where a data set lies that no other file may name."""
SCHEMA = "quality-sentinel-audit/1"
_UNFINISHED = ".writing-*"
"""What ``files.whole_file`` leaves when its process is killed."""


class AuditFolder:
    """The output folder of an audit.

    Args:
        folder: made when the first file is written.
    """

    def __init__(self, folder: str | os.PathLike) -> None:
        self.path = Path(folder)
        self._cases = self.path / CASES

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep a second audit out of the folder, and clear away what a killed one left half written.

        Raises:
            InputError: the folder cannot be written.
            UsageError: another audit is writing into it, or it holds tables that no audit wrote.
        """
        check_writable(self.path)
        if not (self.path / RUN_FILE).exists():
            foreign = next((p for t in TABLES if (p := self.path / f"{t}.csv").exists()), None)
            if foreign is not None:
                raise UsageError(f"{foreign}: is of no audit and would be written over; choose another folder")
        with locked_folder(self._cases, "another audit is writing there; wait for it, or choose another folder"):
            for folder in (self.path, self._cases):
                for left in folder.glob(_UNFINISHED):
                    _remove(left)
            yield

    def case_path(self, name: str) -> Path:
        """The file of a case."""
        return self._cases / f"{file_name(name)}{SUFFIX}"

    def review_path(self, name: str) -> Path:
        """The folder that keeps the review of a case, when it is opened from the audit."""
        return self.path / REVIEWS / file_name(name)

    def write(self, name: str, content: bytes) -> None:
        """Keep a case's record, whole.

        Raises:
            InputError: the disk is full, or the folder cannot be written.
        """
        write_whole(self.case_path(name), content)

    def head(self, name: str) -> dict | None:
        """What a case's record says of it; ``None`` when there is none, or it is damaged."""
        try:
            with open(self.case_path(name), "rb") as stream:
                head = head_of(stream.readline())
        except (OSError, ValueError):
            return None
        return head if head.get("case") == name else None

    def record(self, name: str) -> CaseRecord:
        """A case's record.

        Raises:
            InputError: there is none, it is damaged, or of another case.
        """
        path = self.case_path(name)
        try:
            record = CaseRecord.from_bytes(path.read_bytes())
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror or error}); run the audit again") from error
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
        if record.name != name:
            raise InputError(f"{path}: is the record of {record.name}; delete it and run the audit again")
        return record

    def names(self) -> list[str]:
        """The cases that have a record, sorted."""
        found = []
        for path in self._cases.glob(f"[!.]*{SUFFIX}"):  # not what is being written
            try:
                with open(path, "rb") as stream:
                    found.append(head_of(stream.readline())["case"])
            except (OSError, ValueError, KeyError):
                continue
        return sorted(found)

    def run(self) -> dict | None:
        """``audit.json``; ``None`` when there is none.

        Raises:
            InputError: it is damaged, or another version's.
        """
        path = self.path / RUN_FILE
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: cannot be read ({error}); choose another folder, or delete the file") from error
        if not isinstance(document, dict) or document.get("schema") != SCHEMA:
            raise InputError(f"{path}: is of another version; choose another folder for the results")
        return document

    def place(self) -> Path | None:
        """Where the data set lies, when ``audit.json`` does not say; ``None`` when that is not known."""
        try:
            return Path(json.loads((self._cases / PLACE_FILE).read_text(encoding="utf-8"))["dataset"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write_place(self, dataset: Path) -> None:
        """Keep where the data set lies beside the cases' records.

        Raises:
            InputError: it cannot be written.
        """
        write_whole(self._cases / PLACE_FILE, json.dumps({"dataset": str(dataset)}) + "\n")

    def write_run(self, document: dict) -> None:
        """Write ``audit.json``.

        Raises:
            InputError: it cannot be written.
        """
        write_whole(self.path / RUN_FILE, json.dumps({"schema": SCHEMA, **document}, indent=1, allow_nan=False) + "\n")


def _remove(left: Path) -> None:
    import shutil

    if left.is_dir():
        shutil.rmtree(left, ignore_errors=True)
    else:
        left.unlink(missing_ok=True)
