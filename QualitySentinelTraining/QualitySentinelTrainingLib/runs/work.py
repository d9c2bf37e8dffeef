"""What is done with each item of a run, wherever an engine does it, and how many workers one machine has room for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from QualitySentinelLib.errors import ModelError, QualitySentinelError, reason_of
from QualitySentinelLib.files import sha256_of
from QualitySentinelLib.setup.memory import available_memory
from QualitySentinelLib.threads import usable_cores

from .record import DONE, FAILED, Record

_WORKER_BYTES = 5 << 29
"""2.5 GiB: a worker's libraries, and two CTs of 512 x 512 x 500 voxels with their masks, one scored, one read."""
_WORKERS_PER_GPU = 2
"""One prepares slices while the other's run."""


class Item(Protocol):
    """Anything with a name, unique in its run, that can be sent to another process."""

    @property
    def name(self) -> str:
        """Its name."""


@dataclass
class Result:
    """What the work gives for an item."""

    facts: Mapping = field(default_factory=dict)  # for the record's head
    lines: Iterable = ()  # for the record, plain JSON each
    # files that were written whole for the item, by path in the run's folder
    files: Mapping[str, Path] = field(default_factory=dict)


class Work:
    """What is done with an item; a copy is sent to each worker. Override what you need.

    A :class:`ModelError`, and any error of :meth:`start`, ends the run; other errors fail the item.

    Attributes:
        device: where it runs: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
    """

    device = "cpu"

    def start(self, device: str) -> None:
        """Load in a worker what all items need, such as a model."""

    def fingerprint(self, item: Any) -> str:
        """Digest of the item's inputs. The item is done again when it changes."""
        return ""

    def facts(self, item: Any) -> dict:
        """What the record's head says of the item, also when it fails."""
        return {}

    def read(self, item: Any) -> object:
        """The item's data. Runs in a thread of its own while another item is worked on."""
        return item

    def do(self, item: Any, data: Any) -> Result:
        """The item's results; ``data`` is from :meth:`read`."""
        raise NotImplementedError

    def reason(self, item: Any, text: str) -> str:
        """What the record may say of an error."""
        return text


@dataclass
class FunctionWork(Work):
    """A function of an item as :class:`Work`; with several workers it must be importable, not a lambda."""

    function: Callable[[Item], Result]

    def do(self, item: Any, data: Any) -> Result:
        return self.function(item)


@dataclass(frozen=True)
class Finished:
    """An item that an engine is done with."""

    head: dict  # of its record
    content: bytes  # the record, as it is kept

    @property
    def failed(self) -> bool:
        return self.head["status"] == FAILED


class Worker:
    """Does the work of items one after the other, in whatever process; a thread reads the next one meanwhile."""

    def __init__(self, work: Work) -> None:
        self._work, self._reading = work, ThreadPoolExecutor(1, "reading")
        self._ahead: Future | None = None

    def answer(self, what: str, *arguments: Any) -> Any:
        """What :meth:`start` or :meth:`do` gives, or the error that ends the run, as another process is told it."""
        try:
            return getattr(self, what)(*arguments)
        except QualitySentinelError as error:
            return error

    def start(self, device: str) -> bool:
        """``True`` when it is ready; raises what :meth:`Work.start` does."""
        self._work.start(device)
        return True

    def do(self, item: Any, following: Any = None) -> Finished:
        """What the work gives for the item, or why there is nothing; ``following`` is the item of the next call.

        Raises:
            ModelError: the model is at fault, so no item can be done.
        """
        fingerprint, data, error, seconds = (self._ahead or self._reading.submit(self._read, item)).result()
        self._ahead = None if following is None else self._reading.submit(self._read, following)
        started, result = time.perf_counter(), Result()
        if error is None:
            try:
                result = self._work.do(item, data)
            except ModelError:
                raise
            except Exception as problem:
                error = problem
        spent = {"read": seconds, "work": time.perf_counter() - started}
        return _finished(self._work, item, fingerprint, result, error, spent)

    def _read(self, item: Any) -> tuple[str, Any, Exception | None, float]:
        """The item's fingerprint and data, or what is wrong with it, and the seconds that took."""
        started, fingerprint, data, error = time.perf_counter(), self._work.fingerprint(item), None, None
        try:
            data = self._work.read(item)
        except Exception as problem:
            error = problem
        return fingerprint, data, error, time.perf_counter() - started


def given_up(work: Work, item: Any, reason: str) -> Finished:
    """An item that takes its workers with it."""
    return _finished(work, item, work.fingerprint(item), Result(), QualitySentinelError(reason), {})


def _finished(
    work: Work, item: Any, fingerprint: str, result: Result, error: Exception | None, seconds: dict
) -> Finished:
    head = {
        "item": item.name, "status": FAILED if error else DONE,
        "reason": work.reason(item, _reason(error)) if error else "", "fingerprint": fingerprint, "seconds": seconds,
        "files": {name: [path.stat().st_size, sha256_of(path)] for name, path in result.files.items()},
        **work.facts(item), **result.facts,
    }  # fmt: skip
    return Finished(head, Record(head, list(result.lines)).to_bytes())


def _reason(error: Exception) -> str:
    if isinstance(error, QualitySentinelError):
        return str(error)
    if isinstance(error, MemoryError):
        return "not enough memory"
    return f"{type(error).__name__}: {reason_of(error)}"


def default_workers(device: str, items: int) -> int:
    """How many workers suit this machine: one for each core, or some for each GPU, as far as memory and items go."""
    if device != "cpu":
        from QualitySentinelLib.scorer.device import choose_device

        device = choose_device(device).type
    if device == "cuda":
        import torch

        room = _WORKERS_PER_GPU * torch.cuda.device_count()
    else:
        room = usable_cores() if device == "cpu" else 1
    free = available_memory()
    if free is not None:
        room = min(room, free // _WORKER_BYTES)
    return max(1, min(room, items))
