"""The engine ``local``: workers of this machine, each with a model, each reading the next case while it scores one.

On a CPU a worker uses one thread to score: cases side by side use all cores, without the waiting of threads for each
other that a single network run on all cores costs. A worker that dies (no memory left, a crash in a library) takes no
other down: its cases are tried again, one at a time, when all others are done.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import connection, get_context
from queue import SimpleQueue

from QualitySentinelLib import errors
from QualitySentinelLib.errors import InputError, QualitySentinelError, UsageError

from .cases import AuditCase, fingerprint
from .engine import Finished
from .privacy import Scrubber
from .record import FAILED
from .scoring import CaseReader, CaseScorer, ReadCase, ScoringSetup, case_record

_AHEAD = 2
"""Cases that a worker has at once: one is scored while the next is read."""
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


class LocalEngine:
    """Scores cases on this machine.

    Args:
        setup: how.
        workers: processes; with one, this process does it all.

    Attributes:
        scoring_share: of the workers' time since the first was ready, the share in which they scored; known when all
            cases are done.
    """

    def __init__(self, setup: ScoringSetup, workers: int) -> None:
        if workers < 1:
            raise UsageError(f"--workers {workers}: give 1 or more")
        self._setup, self.workers = setup, workers
        self.scoring_share: float | None = None

    def results(self, cases: Iterable[AuditCase]) -> Iterator[Finished]:
        """What each case gave, as they are done.

        Raises:
            ModelError: the model is at fault.
            InputError: workers cannot be started.
        """
        clock = _Clock(self.workers)
        source = self._alone(cases, clock) if self.workers == 1 else self._side_by_side(cases, clock)
        for finished in source:
            clock.scored += finished.head["seconds"].get("score", 0.0)
            self.scoring_share = clock.share()
            yield finished

    def _alone(self, cases: Iterable[AuditCase], clock: _Clock) -> Iterator[Finished]:
        with _one_thread():
            scorer, reader = CaseScorer(self._setup), CaseReader(self._setup)
            clock.start()
            pool = ThreadPoolExecutor(1, "reading")
            try:
                ahead: deque[Future[ReadCase]] = deque()
                for case in cases:
                    ahead.append(pool.submit(reader.read, case))
                    if len(ahead) >= _AHEAD:
                        yield Finished.of(scorer.score(ahead.popleft().result()))
                while ahead:
                    yield Finished.of(scorer.score(ahead.popleft().result()))
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def _side_by_side(self, cases: Iterable[AuditCase], clock: _Clock) -> Iterator[Finished]:
        waiting, dropped, workers = deque(cases), deque(), []

        def hire() -> _Worker:
            workers.append(_Worker(self._setup, len(workers)))
            return workers[-1]

        try:
            yield from self._drive([hire() for _ in range(self.workers)], waiting, dropped, clock, _AHEAD)
            while waiting:  # all workers died: one alone has more memory
                yield from self._drive([hire()], waiting, dropped, clock, _AHEAD)
            alone = None
            while dropped:  # one of these was in the hands of a worker when it died: which, shows now
                case, lost = dropped.popleft(), deque()
                alone = alone or hire()
                yield from self._drive([alone], deque([case]), lost, clock, 1)
                if lost:
                    alone = None
                    yield self._killed(case)
        finally:
            for worker in workers:
                worker.stop()

    def _drive(
        self, workers: list[_Worker], waiting: deque[AuditCase], dropped: deque[AuditCase], clock: _Clock, ahead: int
    ) -> Iterator[Finished]:
        """Give the workers cases until there are no more, or no workers; ``dropped`` gets those of workers that died.

        Raises:
            InputError: none of the workers ever started.
        """
        living = list(workers)
        for worker in living:
            if worker.ready:
                worker.fill(waiting, ahead)
        while living and (waiting or any(worker.cases for worker in living)):
            for channel in connection.wait([worker.channel for worker in living]):
                worker = next(w for w in living if w.channel is channel)
                message = worker.receive()
                if message is None:
                    living.remove(worker)
                    dropped.extend(worker.cases)
                    continue
                if isinstance(message, Finished):
                    yield message
                else:
                    clock.start()
                worker.fill(waiting, ahead)
        if not any(worker.ready for worker in workers):
            raise InputError(
                "a worker was killed before it could score, perhaps for want of memory; give fewer --workers"
            )

    def _killed(self, case: AuditCase) -> Finished:
        """The record of a case that takes its worker with it."""
        setup = self._setup
        scrub = Scrubber(case, setup.root, setup.keep_identifiers)
        reason = "the process that read and scored it was killed, perhaps for want of memory"
        return Finished.of(case_record(case, scrub, FAILED, fingerprint=fingerprint(case, setup.root), reason=reason))


class _Clock:
    def __init__(self, workers: int) -> None:
        self._workers, self._began, self.scored = workers, None, 0.0

    def start(self) -> None:
        self._began = self._began or time.perf_counter()

    def share(self) -> float:
        return self.scored / (self._workers * (time.perf_counter() - self._began))


class _Worker:
    """A process that scores cases, seen from the process that gives them to it."""

    def __init__(self, setup: ScoringSetup, number: int) -> None:
        self.ready = False
        self.cases: deque[AuditCase] = deque()
        context = get_context("spawn")
        self.channel, theirs = context.Pipe()
        setup = replace(setup, device=device_of_worker(setup.device, number))
        self._process = context.Process(target=_work, args=(theirs, setup), daemon=True)
        with _one_thread(), _interrupts_ignored():
            self._process.start()
        theirs.close()

    def receive(self) -> Finished | bool | None:
        """A case that is done; ``True`` when the worker is ready; ``None`` when it died.

        Raises:
            QualitySentinelError: what stopped it.
        """
        try:
            what, *values = self.channel.recv()
        except (EOFError, OSError):
            return None
        if what == "stopped":
            raise getattr(errors, values[0], QualitySentinelError)(values[1])
        if what == "ready":
            self.ready = True
            return True
        self.cases.popleft()
        return Finished(*values)

    def fill(self, waiting: deque[AuditCase], ahead: int) -> None:
        """Give it cases until it has ``ahead`` of them, or there are no more."""
        while waiting and len(self.cases) < ahead:
            self.cases.append(waiting.popleft())
            try:
                self.channel.send(self.cases[-1])
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


def _work(channel: connection.Connection, setup: ScoringSetup) -> None:
    """A worker's life: read and score what comes, until nobody is there to send more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is for the process that gives the work
    try:
        scorer, reader = CaseScorer(setup), CaseReader(setup)
        channel.send(("ready",))
        reads: SimpleQueue[Future[ReadCase]] = SimpleQueue()
        threading.Thread(target=_take, args=(channel, reader, reads), daemon=True).start()
        while True:
            finished = Finished.of(scorer.score(reads.get().result()))
            channel.send(("done", finished.head, finished.content))
    except QualitySentinelError as error:
        channel.send(("stopped", type(error).__name__, str(error)))
    except (BrokenPipeError, ConnectionError):
        os._exit(0)


def _take(channel: connection.Connection, reader: CaseReader, reads: SimpleQueue) -> None:
    """Read the cases that come, one at a time; end the process when the other end is gone, however it ended."""
    pool = ThreadPoolExecutor(1, "reading")
    try:
        while True:
            reads.put(pool.submit(reader.read, channel.recv()))
    except (EOFError, OSError):
        os._exit(0)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Numerical libraries that are loaded now, here or in a new process, use one thread."""
    import sys

    before = {name: os.environ.get(name) for name in _THREADS}
    torch = sys.modules.get("torch")
    threads = torch.get_num_threads() if torch else None
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
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
