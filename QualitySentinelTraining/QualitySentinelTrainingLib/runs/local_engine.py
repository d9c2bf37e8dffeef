"""The engine ``local``: workers of this machine, each reading the next item while it works on one.

On a CPU a worker uses one thread: items side by side use all cores, without the waiting of threads for each
other that a single network run on all cores costs. A worker that dies (no memory left, a crash in a library) takes no
other down: its items are tried again, one at a time, when all others are done.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import connection, get_context
from queue import SimpleQueue

from QualitySentinelLib.errors import InputError, QualitySentinelError, UsageError
from QualitySentinelLib.threads import new_processes_use

from .work import Finished, Item, ReadItem, Work, Worker, given_up, raise_stopped, stopped

_AHEAD = 2
"""Items that a worker has at once: one is worked on while the next is read."""
_KILLED = "the process that worked on it was killed, perhaps for want of memory"


class LocalEngine:
    """Does the items of a run on this machine, in ``workers`` processes; with one, this process does it all.

    ``busy_share`` is the share of the workers' time, since the first was ready, in which they worked on an item that
    was read; known when all items are done.
    """

    def __init__(self, work: Work, workers: int) -> None:
        if workers < 1:
            raise UsageError(f"--workers {workers}: give 1 or more")
        self._work, self.workers = work, workers
        self.busy_share: float | None = None
        self._began = 0.0

    def results(self, items: Iterable[Item]) -> Iterator[Finished]:
        """What each item gave, as they are done.

        Raises:
            ModelError: the model is at fault.
            InputError: workers cannot be started.
        """
        worked, source = 0.0, self._alone(items) if self.workers == 1 else self._side_by_side(items)
        for finished in source:
            worked += finished.head["seconds"].get("work", 0.0)
            self.busy_share = worked / (self.workers * (time.perf_counter() - self._began))
            yield finished

    def _alone(self, items: Iterable[Item]) -> Iterator[Finished]:
        with _torch_threads_kept():
            self._work.start(self._work.device)
            worker = Worker(self._work)
            self._began = time.perf_counter()
            pool = ThreadPoolExecutor(1, "reading")
            try:
                ahead: deque[Future[ReadItem]] = deque()
                for item in items:
                    ahead.append(pool.submit(worker.read, item))
                    if len(ahead) >= _AHEAD:
                        yield worker.finish(ahead.popleft().result())
                while ahead:
                    yield worker.finish(ahead.popleft().result())
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _side_by_side(self, items: Iterable[Item]) -> Iterator[Finished]:
        waiting, dropped, workers = deque(items), deque(), []

        def hire() -> _Process:
            workers.append(_Process(self._work, len(workers)))
            return workers[-1]

        try:
            yield from self._drive([hire() for _ in range(self.workers)], waiting, dropped, _AHEAD)
            while waiting:  # all workers died: one alone has more memory
                yield from self._drive([hire()], waiting, dropped, _AHEAD)
            alone = None
            while dropped:  # one of these was in the hands of a worker when it died: which, shows now
                item, lost = dropped.popleft(), deque()
                alone = alone or hire()
                yield from self._drive([alone], deque([item]), lost, 1)
                if lost:
                    alone = None
                    yield given_up(self._work, item, _KILLED)
        finally:
            for worker in workers:
                worker.stop()

    def _drive(
        self, workers: list[_Process], waiting: deque[Item], dropped: deque[Item], ahead: int
    ) -> Iterator[Finished]:
        """Give the workers items until there are no more, or no workers; ``dropped`` gets those of dead workers."""
        living = list(workers)
        for worker in living:
            if worker.ready:
                worker.fill(waiting, ahead)
        while living and (waiting or any(worker.items for worker in living)):
            for channel in connection.wait([worker.channel for worker in living]):
                worker = next(w for w in living if w.channel is channel)
                message = worker.receive()
                if message is None:
                    living.remove(worker)
                    dropped.extend(worker.items)
                    continue
                if isinstance(message, Finished):
                    yield message
                else:
                    self._began = self._began or time.perf_counter()
                worker.fill(waiting, ahead)
        if not any(worker.ready for worker in workers):
            raise InputError(
                "a worker was killed before it could begin, perhaps for want of memory; give fewer --workers"
            )


class _Process:
    """A process that does items, seen from the process that gives them to it."""

    def __init__(self, work: Work, number: int) -> None:
        self.ready = False
        self.items: deque[Item] = deque()
        context = get_context("spawn")
        self.channel, theirs = context.Pipe()
        device = device_of_worker(work.device, number)
        self._process = context.Process(target=_do, args=(theirs, work, device), daemon=True)
        # One thread each, because results depend on their number; and no remarks for programmers.
        with new_processes_use(1, PYTHONWARNINGS="ignore"), _interrupts_ignored():
            self._process.start()
        theirs.close()

    def receive(self) -> Finished | bool | None:
        """An item that is done; ``True`` when the worker is ready; ``None`` when it died.

        Raises:
            QualitySentinelError: what stopped it.
        """
        try:
            what, *values = self.channel.recv()
        except (EOFError, OSError):
            return None
        if what == "stopped":
            raise_stopped(*values)
        if what == "ready":
            self.ready = True
            return True
        self.items.popleft()
        return Finished(*values)

    def fill(self, waiting: deque[Item], ahead: int) -> None:
        """Give it items until it has ``ahead`` of them, or there are no more."""
        while waiting and len(self.items) < ahead:
            self.items.append(waiting.popleft())
            try:
                self.channel.send(self.items[-1])
            except OSError:  # it died: receive() will say so
                break

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


def _do(channel: connection.Connection, work: Work, device: str) -> None:
    """A worker's life: read and do what comes, until nobody is there to send more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is for the process that gives the work
    try:
        work.start(device)
        worker = Worker(work)
        channel.send(("ready",))
        reads: SimpleQueue[Future[ReadItem]] = SimpleQueue()
        threading.Thread(target=_take, args=(channel, worker, reads), daemon=True).start()
        while True:
            finished = worker.finish(reads.get().result())
            channel.send(("done", finished.head, finished.content))
    except QualitySentinelError as error:
        channel.send(stopped(error))
    except (BrokenPipeError, ConnectionError):
        os._exit(0)


def _take(channel: connection.Connection, worker: Worker, reads: SimpleQueue) -> None:
    """Read the items that come, one at a time; end the process when the other end is gone, however it ended."""
    pool = ThreadPoolExecutor(1, "reading")
    try:
        while True:
            reads.put(pool.submit(worker.read, channel.recv()))
    except (EOFError, OSError):
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
