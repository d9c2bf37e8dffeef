"""The engine ``local``: workers of this machine.

On a CPU a worker uses one thread: items side by side use all cores, without the waiting of threads for each
other that a single network run on all cores costs.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from multiprocessing import connection, get_context, parent_process
from typing import Any

from QualitySentinelLib.threads import new_processes_use

from .engine import Engine
from .work import Finished, Item, Work, Worker


class LocalEngine(Engine):
    """Does the items of a run on this machine, in ``workers`` processes; with one, this process does it all."""

    tries, starts, retries_alone = 2, 1, True
    killed = "the process that worked on it was killed, perhaps for want of memory"
    never_began = "a worker was killed before it could begin, perhaps for want of memory; give fewer --workers"

    def results(self, items: Iterable[Item]) -> Iterator[Finished]:
        if self.workers == 1:
            yield from self._here(items)
            return
        self._processes: list[_Process] = []
        try:
            yield from self._drive(deque(items))
        finally:
            for process in self._processes:
                process.stop()

    def _here(self, items: Iterable[Item]) -> Iterator[Finished]:
        with _torch_threads_kept():
            worker = Worker(self._work)
            worker.start(self._work.device)
            self._began = time.perf_counter()
            for item, following in pairwise([*items, None]):
                yield self._counted(worker.do(item, following))

    def _hire(self) -> _Process:
        self._processes.append(_Process(self._work, device_of_worker(self._work.device, len(self._processes))))
        return self._processes[-1]

    def _answer(self, asked: Iterable[_Process]) -> tuple[_Process, Any]:
        ready = connection.wait([process.channel for process in asked])[0]
        process = next(process for process in asked if process.channel is ready)
        try:
            return process, process.channel.recv()
        except (EOFError, OSError):
            return process, None


class _Process:
    """A process that does items, seen from the process that gives them to it."""

    def __init__(self, work: Work, device: str) -> None:
        context = get_context("spawn")
        self.channel, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, work, device), daemon=True)
        # One thread each, because results depend on their number; and no remarks for programmers.
        with new_processes_use(1, PYTHONWARNINGS="ignore"), _interrupts_ignored():
            self._process.start()
        theirs.close()

    def ask(self, item: Item, following: Item | None) -> None:
        with suppress(OSError):  # it died: its channel ends
            self.channel.send((item, following))

    def stop(self) -> None:
        """End the process, whatever it does: it writes nothing."""
        self.channel.close()
        self._process.terminate()
        self._process.join(5)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def device_of_worker(device: str, number: int) -> str:
    """The device of a worker: of several GPUs each serves as many workers as the others."""
    if device not in ("auto", "cuda"):
        return device
    import torch

    return f"cuda:{number % torch.cuda.device_count()}" if torch.cuda.is_available() else device


def _serve(channel: connection.Connection, work: Work, device: str) -> None:
    """A worker's life: do what comes, until nobody is there to send more, however that ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is for the process that gives the work
    threading.Thread(target=_end_with_parent, daemon=True).start()
    worker = Worker(work)
    with suppress(EOFError, ConnectionError):
        channel.send(worker.answer("start", device))
        while True:
            channel.send(worker.answer("do", *channel.recv()))


def _end_with_parent() -> None:
    parent_process().join()
    os._exit(0)


@contextmanager
def _torch_threads_kept() -> Iterator[None]:
    """Work that is done in this process may change the number of threads until it ends."""
    torch = sys.modules.get("torch")
    threads = torch.get_num_threads() if torch else None
    try:
        yield
    finally:
        if torch:
            torch.set_num_threads(threads)


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """A process started now never sees Ctrl+C, from its first instruction on."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
