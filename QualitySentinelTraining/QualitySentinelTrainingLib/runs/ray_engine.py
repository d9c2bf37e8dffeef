"""The engine ``ray``: actors of a Ray cluster, each on a GPU (or a core); nodes may die.

Each actor runs the same code per item as the engine ``local``, and reads the next item while it works on one. An item
in the hands of an actor that dies is given out again; one whose actors die time after time is given up. Records come
back to this process, which writes them; nodes need to see the run's folder only if the work itself writes files.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator

from QualitySentinelLib import errors
from QualitySentinelLib.errors import InputError, QualitySentinelError, UsageError, not_installed

from .work import Finished, Item, Work, Worker, given_up, raise_stopped, stopped, usable_cores

_AHEAD = 2
_TRIES = 3
"""Actors that may die over an item before it is given up; the last has nothing else to do."""
_KILLED = "every process that worked on it was killed, perhaps for want of memory"
_OWN_CLUSTER = {"include_dashboard": False, "object_store_memory": 128 << 20}
"""A cluster of our own is small: only records pass through its object store."""
_ACTORS_PER_GPU = 2


class RayEngine:
    """Does the items of a run on a Ray cluster.

    Args:
        work: what to do with each; all nodes must see the files that it names.
        workers: actors; by default as many as the cluster has room for.
        address: of a running cluster, ``"auto"`` to find it; ``None`` starts one on this machine, for this run.

    Raises:
        UsageError: Ray is not installed, or a device was asked for by number.
    """

    def __init__(self, work: Work, workers: int | None = None, address: str | None = None) -> None:
        if workers is not None and workers < 1:
            raise UsageError(f"--workers {workers}: give 1 or more")
        if work.device.startswith("cuda:"):
            raise UsageError("--engine ray deals out GPUs itself; give --device cuda")
        try:
            import ray  # noqa: F401
        except ImportError as error:
            raise not_installed("--engine ray", "Ray", "cluster") from error
        self._work, self._wanted, self._address = work, workers, address
        self.workers, self.busy_share = workers or 0, None

    def results(self, items: Iterable[Item]) -> Iterator[Finished]:
        """What each item gave, as they are done.

        Raises:
            InputError: the cluster cannot be reached or has no room, or a node does not see the files.
            ModelError: of the model, on any node.
        """
        import ray

        ours = _connect(self._address)
        crew = None
        try:
            crew = _Crew(self._work, self._wanted)
            self.workers = crew.size
            yield from self._drive(crew, deque(items))
        except ray.exceptions.RayError as error:
            raise InputError(f"the Ray cluster failed ({type(error).__name__}); the same command goes on") from error
        finally:
            if crew is not None:
                crew.dismiss()
            if ours:
                ray.shutdown()

    def _drive(self, crew: _Crew, waiting: deque[Item]) -> Iterator[Finished]:
        """Give out the items; those that cost two actors their lives come last, each with an actor to itself."""
        deaths, suspects, worked, began = Counter(), deque(), 0.0, None
        while waiting or suspects or crew.busy:
            if waiting:
                crew.give(waiting, _AHEAD)
            elif suspects and not crew.busy:
                crew.give(deque([suspects.popleft()]), 1)
            for what, item, *values in crew.news():
                if what == "ready":
                    began = began or time.perf_counter()
                elif what == "stopped":
                    raise_stopped(*values)
                elif what == "done":
                    finished = Finished(*values)
                    worked += finished.head["seconds"].get("work", 0.0)
                    self.busy_share = worked / (crew.size * (time.perf_counter() - began))
                    yield finished
                else:
                    deaths[item.name] += 1
                    if deaths[item.name] < _TRIES - 1:
                        waiting.append(item)
                    elif deaths[item.name] < _TRIES:
                        suspects.append(item)
                    else:
                        yield given_up(self._work, item, _KILLED)


class _Crew:
    """The actors of a run. Only those that have started are given items; one that dies is replaced."""

    def __init__(self, work: Work, wanted: int | None) -> None:
        import ray

        room = ray.cluster_resources()
        on_gpu = work.device == "cuda" or (work.device == "auto" and room.get("GPU", 0) > 0)
        what, per_unit = ("GPU", _ACTORS_PER_GPU) if on_gpu else ("CPU", 1)
        most = int(room.get(what, 0) * per_unit)
        if most < 1:
            raise InputError(f"the Ray cluster has no {what} to work on; give it one, or another --device")
        self.size = min(wanted or most, most)
        needs = {"num_cpus": 1, "num_gpus": 1 / per_unit} if on_gpu else {"num_cpus": 1}
        self._remote = ray.remote(_Actor).options(max_concurrency=_AHEAD, **needs)
        self._work, self._device = work, "cuda" if on_gpu else work.device
        self._starting, self._running, self._load = {}, {}, {}
        self._false_starts = 0
        for _ in range(self.size):
            self._hire()

    @property
    def busy(self) -> bool:
        """Whether an item is with an actor."""
        return bool(self._running)

    def give(self, waiting: deque[Item], ahead: int) -> None:
        """Give items to actors that have started, until each has ``ahead`` of them."""
        while waiting and self._load:
            actor = min(self._load, key=self._load.get)
            if self._load[actor] >= ahead:
                return
            item = waiting.popleft()
            self._running[actor.do.remote(item)] = item, actor
            self._load[actor] += 1

    def news(self) -> Iterator[tuple]:
        """Wait for something: ``("ready", None)``, ``("died", item)``, or an item with what the actor said of it."""
        import ray

        (reference,), _ = ray.wait([*self._starting, *self._running], num_returns=1)
        actor = self._starting.pop(reference, None)
        item = None
        if actor is None:
            item, actor = self._running.pop(reference)
        try:
            said = ray.get(reference)
        except (ray.exceptions.RayActorError, ray.exceptions.OutOfMemoryError, ray.exceptions.WorkerCrashedError):
            yield from self._lost(actor, item)
            return
        if item is None:
            self._load[actor] = 0
            yield "ready", None
            return
        if actor in self._load:
            self._load[actor] -= 1
        what, *values = said
        yield what, item, *values

    def dismiss(self) -> None:
        """End all actors."""
        import ray

        for actor in {*self._load, *self._starting.values()}:
            ray.kill(actor)

    def _hire(self) -> None:
        actor = self._remote.remote(self._work, self._device)
        self._starting[actor.ready.remote()] = actor

    def _lost(self, actor, item: Item | None) -> Iterator[tuple]:
        """An actor died: another takes its place."""
        if item is None:
            self._false_starts += 1
            if self._false_starts >= _TRIES * self.size:
                raise InputError("the Ray actors die when they start; is Quality Sentinel installed on every node?")
        else:
            yield "died", item
        if item is None or self._load.pop(actor, None) is not None:
            self._hire()


class _Actor:
    """Does items on a node. Two calls may run at once: one reads, one works."""

    def __init__(self, work: Work, device: str) -> None:
        self._work, self._device, self._worker = work, device, Worker(work)
        self._starting, self._working, self._started = threading.Lock(), threading.Lock(), False

    def ready(self) -> bool:
        """Answers when the actor has started."""
        return True

    def do(self, item: Item) -> tuple:
        """``("done", head, record)``, or ``("stopped", class of the error, its line)`` when no item can be done."""
        try:
            with self._starting:
                if not self._started:
                    self._work.start(self._device)
                    self._started = True
            read = self._worker.read(item)
            with self._working:
                finished = self._worker.finish(read)
            return "done", finished.head, finished.content
        except QualitySentinelError as error:
            return stopped(error)


def _connect(address: str | None) -> bool:
    """Join a cluster, or start one on this machine; whether it is this run's own, to be ended with it."""
    import ray

    if ray.is_initialized():
        return False
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray tells its makers of its use: nothing may leave
    options = {"address": address} if address is not None else {"num_cpus": usable_cores(), **_OWN_CLUSTER}
    for last in (address is not None, True):  # on a busy machine a cluster of our own may take too long, once
        try:
            ray.init(log_to_driver=False, logging_level="ERROR", **options)
            break
        except Exception as error:  # Ray raises plain exceptions, too
            ray.shutdown()
            if last:
                reason = errors.reason_of(error, 120)
                where = address or "this machine"
                raise InputError(f"{where}: no Ray cluster could be joined or started ({reason})") from error
    return True
