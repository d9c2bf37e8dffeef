"""The folder of a run: a file for each finished item, and a document that says how they were done."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

from QualitySentinelLib.errors import InputError, UsageError, readable
from QualitySentinelLib.files import atomic_write, check_writable, locked_folder

from .file_names import file_name
from .record import FAILED, Record
from .work import Finished, FunctionWork, Item, Result, Work, default_workers

SUFFIX = ".jsonl"
_UNFINISHED = ".writing-*"
"""What ``files.atomic_file`` leaves when its process is killed."""
_LEAST_SECONDS = 10.0
_TIMES_ITS_OWN = 20
"""Writing the tables of 100,000,000 slices takes minutes: it may cost this part of a run, no more."""


@dataclass(frozen=True)
class Kind:
    """What all runs of one kind share."""

    name: str  # of the kind, such as ``audit``; the run's document is ``audit.json``
    schema: str  # of the document
    item: str = "item"  # what an item is called, such as ``case``; the records lie in ``cases``
    # names of files that a run writes into its folder. Where they lie without a document, they are others'
    tables: tuple[str, ...] = ()
    # reads a record's file as earlier versions wrote it, or raises a ``ValueError``
    older: Callable[[bytes], Record] | None = None


@dataclass
class Plan:
    """What is to do, and what is there."""

    todo: list[Any] = field(default_factory=list)  # items to do, in the order given
    kept: dict[str, dict] = field(default_factory=dict)  # heads of the records of all others, by name
    # changed, damaged: names of items done again, because their inputs have changed or their record is damaged
    changed: list[str] = field(default_factory=list)
    damaged: dict[str, Path] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)  # names of items that have a record but are not asked for
    item: str = "item"  # what an item is called

    @property
    def failed(self) -> dict[str, str]:
        """Reasons of the kept items that failed, by name."""
        return {name: head["reason"] for name, head in self.kept.items() if head["status"] == FAILED}

    @property
    def notes(self) -> list[str]:
        """What a user should read, one line each."""
        notes = [f"{path}: is damaged; {self.item} {name} is done again" for name, path in self.damaged.items()]
        if self.changed:
            notes.append(f"{self._count(self.changed)} done again, because input files have changed")
        if self.failed:
            notes.append(f"{self._count(self.failed)} failed before; --retry-failed tries again")
        if self.gone:
            are = "is" if len(self.gone) == 1 else "are"
            notes.append(f"{self._count(self.gone)} of an earlier run {are} left out: no longer in the data set")
        return notes

    def _count(self, names: Iterable[str]) -> str:
        number = len(list(names))
        return f"{number} {self.item}{'' if number == 1 else 's'}"


class Run:
    """A run's folder. Read it as it is, or enter it as a context to write: then no other process can.

    Args:
        folder: made when it is entered.
        kind: of the run.
        document: how the work is done, plain JSON, for a run that writes. What its ``key`` holds must be the same in
            all runs into one folder.

    Example::

        with Run(out, KIND, {"key": {"model": sha256}}) as run:
            for finished in run.work(items, function):
                print(finished.head["item"], finished.head["reason"])
            run.finish()
    """

    def __init__(self, folder: str | os.PathLike, kind: Kind, document: dict | None = None) -> None:
        self.path, self.kind, self._own = Path(folder), kind, document
        self.records = self.path / f"{kind.item}s"
        self.document_path = self.path / f"{kind.name}.json"
        self.failed: dict[str, str] = {}
        self.engine: Any = None

    def check(self) -> None:
        """Refuse, before any work, a folder that this run cannot have; nothing is written.

        Raises:
            InputError: the folder cannot be written, or its document is damaged.
            UsageError: it was made with another key, or it holds tables of others.
        """
        self._check_own()
        self._check_same()

    def _check_own(self) -> None:
        check_writable(self.path)
        if not self.document_path.exists():
            foreign = next((p for name in self.kind.tables if (p := self.path / name).exists()), None)
            if foreign is not None:
                raise UsageError(
                    f"{foreign}: is of no {self.kind.name} and would be written over; choose another folder"
                )
            if any(self.records.glob(f"[!.]*{SUFFIX}")):
                raise UsageError(f"{self.records}: holds {self.kind.item}s of another run; choose another folder")

    def __enter__(self) -> Self:
        """Keep other processes out of the folder, clear what a killed one left half written, write the document.

        Raises:
            InputError: as :meth:`check` does.
            UsageError: as :meth:`check` does; another run is writing into it.
        """
        self._check_own()
        with ExitStack() as stack:
            taken = f"another {self.kind.name} run is writing there; wait for it, or choose another folder"
            stack.enter_context(locked_folder(self.records, taken))
            self._clear()
            stack.callback(self._clear)
            self._check_same()
            self._stack = stack.pop_all()
        if self._own is not None:
            self._write_document(complete=False)
        return self

    def __exit__(self, *problem) -> None:
        self._stack.close()

    def finish(self, **facts) -> None:
        """Say in the document that all is done, and more of it."""
        self._own |= facts
        self._write_document(complete=True)

    def plan(self, items: Iterable[Item], work: Work | None = None, retry_failed: bool = False) -> Plan:
        """What is to do of some items: those without a sound record, with changed inputs, or, if wanted, failed."""
        plan, work = Plan(item=self.kind.item), work or Work()
        names = set(self.names())
        for item in items:
            names.discard(item.name)
            path = self.record_path(item.name)
            head = self.head(item.name)
            if head is None and path.exists():
                plan.damaged[item.name] = path
            elif head is not None and head["fingerprint"] != work.fingerprint(item):
                plan.changed.append(item.name)
            elif head is not None and (head["status"] != FAILED or not retry_failed):
                plan.kept[item.name] = head
                continue
            plan.todo.append(item)
        plan.gone = sorted(names)
        return plan

    def work(
        self, items: Iterable[Item], work: Work | Callable[[Any], Result], *, workers: int | None = None,
        engine: str = "local", ray_address: str | None = None, retry_failed: bool = False,
    ) -> Iterator[Finished]:  # fmt: skip
        """Do the items that are not done yet, each whole or not at all; what each gave, after its record is written.

        Args:
            workers: processes of this machine, by default as many as suit it; or actors of the cluster.
            engine: ``local`` or ``ray``.
            ray_address: of a running cluster; ``"auto"`` finds it; one on this machine when ``None``.
            retry_failed: try again the items that failed before.

        Raises:
            InputError: workers cannot be started, or a record not written.
            UsageError: there is no such engine, or it is not installed.
            ModelError: the model or device is at fault.
        """
        plan = self.plan(items, work if isinstance(work, Work) else None, retry_failed)
        return self.carry_out(plan, work, workers, engine, ray_address)

    def carry_out(
        self, plan: Plan, work: Work | Callable[[Any], Result], workers: int | None = None, engine: str = "local",
        ray_address: str | None = None,
    ) -> Iterator[Finished]:  # fmt: skip
        """What :meth:`work` does, for a plan that is already made."""
        self.failed |= plan.failed
        if not plan.todo:
            return
        work = work if isinstance(work, Work) else FunctionWork(work)
        self.engine = _engine(engine, work, workers, ray_address, len(plan.todo))
        results = self.engine.results(plan.todo)
        self._stack.callback(results.close)  # ends the workers, too, when something else goes wrong
        for finished in results:
            self.write(finished.head["item"], finished.content)
            self.failed.pop(finished.head["item"], None)
            if finished.failed:
                self.failed[finished.head["item"]] = finished.head["reason"]
            yield finished

    def record_path(self, name: str) -> Path:
        return self.records / f"{file_name(name)}{SUFFIX}"

    def write(self, name: str, record: Record | bytes) -> None:
        """Keep an item's record, whole. Raises ``InputError``: the disk is full, or the folder cannot be written."""
        atomic_write(self.record_path(name), record if isinstance(record, bytes) else record.to_bytes())

    def head(self, name: str) -> dict | None:
        """The head of an item's record; ``None`` without one, or when it or one of its files is damaged."""
        try:
            head = self._record(self.record_path(name).read_bytes(), with_lines=False).head
            whole = all((self.path / file).stat().st_size == size for file, (size, _) in head["files"].items())
        except (OSError, ValueError):
            return None
        return head if whole and head["item"] == name else None

    def record(self, name: str) -> Record:
        """An item's record. Raises ``InputError``: there is none, it is damaged, or of another item."""
        path = self.record_path(name)
        try:
            with readable(path, self._again):
                record = self._record(path.read_bytes())
        except ValueError as error:
            raise InputError(f"{path}: is damaged ({error}); {self._again}") from error
        if record.name != name:
            raise InputError(f"{path}: is the record of {record.name}; delete it and {self._again}")
        return record

    def names(self) -> list[str]:
        """The items that have a record, sorted."""
        found = []
        for path in self.records.glob(f"[!.]*{SUFFIX}"):  # not what is being written
            try:
                found.append(self._record(path.read_bytes(), with_lines=False).name)
            except (OSError, ValueError):
                continue
        return sorted(found)

    def document(self) -> dict | None:
        """The run's document; ``None`` when there is none. ``InputError``: it is damaged, or another version's."""
        path = self.document_path
        if not path.exists():
            return None
        with readable(path, "choose another folder, or delete the file", ValueError):
            document = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(document, dict) or document.get("schema") != self.kind.schema:
            raise InputError(f"{path}: is of another version; choose another folder for the results")
        return document

    @property
    def _again(self) -> str:
        return f"run the {self.kind.name} again"

    def _record(self, content: bytes, with_lines: bool = True) -> Record:
        try:
            return Record.from_bytes(content, with_lines)
        except ValueError:
            if self.kind.older is None:
                raise
            return self.kind.older(content)

    def _clear(self) -> None:
        """Remove what killed processes left half written."""
        for left in (*self.path.glob(_UNFINISHED), *self.records.glob(_UNFINISHED)):
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)

    def _check_same(self) -> None:
        document = self.document() if self._own is not None else None
        if document is None:
            return
        before, now = document.get("key", {}), self._own["key"]
        name = first_difference(before, now)
        if name is not None:
            was, wanted = ("none" if key.get(name) is None else str(key[name])[:60] for key in (before, now))
            raise UsageError(
                f"{self.path}: was made with {name} {was}, not {wanted}; choose another folder for the results"
            )

    def _write_document(self, complete: bool) -> None:
        document = {"schema": self.kind.schema, **self._own, "complete": complete}
        atomic_write(self.document_path, json.dumps(document, indent=1, allow_nan=False) + "\n")


def first_difference(before: dict, now: dict) -> str | None:
    """The first thing in which the keys of two runs differ, by name."""
    return next((name for name in {**now, **before} if before.get(name) != now.get(name)), None)


def _engine(name: str, work: Work, workers: int | None, ray_address: str | None, items: int):
    if name == "local":
        from .local_engine import LocalEngine

        return LocalEngine(work, default_workers(work.device, items) if workers is None else min(workers, items))
    if name == "ray":
        from .ray_engine import RayEngine

        return RayEngine(work, workers, ray_address)
    raise UsageError(f"--engine {name}: give local or ray")


@dataclass(frozen=True)
class Shard:
    """One of several parts of a run; an item's name decides which it belongs to."""

    number: int  # 1 to ``count``
    count: int  # how many parts

    @classmethod
    def parse(cls, text: str) -> Shard:
        """From ``3/20``. Raises ``UsageError``: it is no such text."""
        number, _, count = text.partition("/")
        if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
            raise UsageError(f"--shard {text}: give the number of the part and of all parts, from 1/20 to 20/20")
        return cls(int(number), int(count))

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def holds(self, item: Item) -> bool:
        """Whether an item belongs to this part; items that come or go do not move the others."""
        digest = sha256(item.name.encode("utf-8", "surrogateescape")).digest()
        return int.from_bytes(digest[:8], "big") % self.count == self.number - 1


class Throttle:
    """Calls a function the first time it is asked to, then when some time has passed.

    An :class:`InputError` of the function is ignored: on Windows, a spreadsheet may hold a table open. What is wrong
    for good shows at the end of the run.
    """

    def __init__(self, function: Callable[[], object]) -> None:
        self._function, self._due = function, 0.0

    def __call__(self) -> None:
        began = time.monotonic()
        if began < self._due:
            return
        try:
            self._function()
        except InputError:
            pass
        now = time.monotonic()
        self._due = now + max(_LEAST_SECONDS, _TIMES_ITS_OWN * (now - began))
