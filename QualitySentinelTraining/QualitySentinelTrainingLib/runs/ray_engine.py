"""The engine ``ray``: actors of a Ray cluster, each on a GPU (or a core); nodes may die.

Each actor runs the same code per item as the engine ``local``, and reads the next item while it works on one. An item
whose actor dies is given out again; one whose actors die time after time is given up. Records come back to this
process, which writes them; nodes need to see the run's folder only if the work itself writes files.
"""

from __future__ import annotations

import os
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

from QualitySentinelLib.errors import InputError, QualitySentinelError, UsageError, not_installed, reason_of

from .work import Finished, Item, Work, Worker, given_up, raise_stopped, stopped, usable_cores

_TRIES = 3
"""Actors that may die over an item before it is given up; from the second on it has an actor to itself."""
_KILLED = "every process that worked on it was killed, perhaps for want of memory"
_OWN_CLUSTER = {"include_dashboard": False, "object_store_memory": 128 << 20}
"""A cluster of our own is small: only records pass through its object store."""
_ACTORS_PER_GPU = 2


class RayEngine:
    """Does the items of a run on a Ray cluster, whose nodes must all see the files that the work names.

    Args:
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
        actors: set = set()
        try:
            yield from self._drive(deque(items), actors)
        except ray.exceptions.RayError as error:
            raise InputError(f"the Ray cluster failed ({type(error).__name__}); the same command goes on") from error
        finally:
            for actor in actors:
                ray.kill(actor)
            if ours:
                ray.shutdown()

    def _drive(self, waiting: deque[Item], actors: set) -> Iterator[Finished]:
        """Give out the items; ``actors`` are those that live. Only those that have started are given items."""
        import ray

        remote, device = self._actor_class()
        running: dict = {}  # by what was asked of an actor: the actor, its item and the one that it reads meanwhile
        deaths: Counter[str | None] = Counter()
        worked, began = 0.0, time.perf_counter()

        def hire() -> None:
            actor = remote.remote(self._work, device)
            actors.add(actor)
            running[actor.start.remote()] = actor, None, None

        def give(actor, item: Item) -> None:
            following = waiting.popleft() if waiting and not deaths[item.name] + deaths[waiting[0].name] else None
            running[actor.do.remote(item, following)] = actor, item, following

        for _ in range(self.workers):
            hire()
        while waiting or any(item is not None for _, item, _ in running.values()):
            (reference,), _ = ray.wait([*running], num_returns=1)
            actor, item, following = running.pop(reference)
            try:
                what, *values = ray.get(reference)
            except (ray.exceptions.RayActorError, ray.exceptions.OutOfMemoryError, ray.exceptions.WorkerCrashedError):
                actors.discard(actor)
                deaths[item and item.name] += 1
                if deaths[None] >= _TRIES * self.workers:
                    raise InputError(
                        "the Ray actors die when they start; is Quality Sentinel installed on every node?"
                    ) from None
                if item is not None and deaths[item.name] >= _TRIES:
                    yield given_up(self._work, item, _KILLED)
                elif item is not None:
                    waiting.append(item)
                waiting.extendleft([following] if following else [])
                hire()
                continue
            if what == "stopped":
                raise_stopped(*values)
            if item is None:
                began = began if worked else time.perf_counter()
            if following or waiting:
                give(actor, following or waiting.popleft())
            if what == "done":
                finished = Finished(*values)
                worked += finished.head["seconds"].get("work", 0.0)
                self.busy_share = worked / (self.workers * (time.perf_counter() - began))
                yield finished

    def _actor_class(self):
        """The class of the actors, with what each needs of a node, and its device; sets how many there are."""
        import ray

        room = ray.cluster_resources()
        on_gpu = self._work.device == "cuda" or (self._work.device == "auto" and room.get("GPU", 0) > 0)
        what, per_unit = ("GPU", _ACTORS_PER_GPU) if on_gpu else ("CPU", 1)
        most = int(room.get(what, 0) * per_unit)
        if most < 1:
            raise InputError(f"the Ray cluster has no {what} to work on; give it one, or another --device")
        self.workers = min(self._wanted or most, most)
        needs = {"num_cpus": 1, "num_gpus": 1 / per_unit} if on_gpu else {"num_cpus": 1}
        return ray.remote(_Actor).options(**needs), "cuda" if on_gpu else self._work.device


class _Actor:
    """Does items on a node, one after the other; a thread reads the next."""

    def __init__(self, work: Work, device: str) -> None:
        self._work, self._device, self._worker = work, device, Worker(work)
        self._pool, self._read = ThreadPoolExecutor(1), None

    def start(self) -> tuple:
        """``("ready",)``, or ``("stopped", class of the error, its line)`` when no item can be done."""
        try:
            self._work.start(self._device)
        except QualitySentinelError as error:
            return stopped(error)
        return ("ready",)

    def do(self, item: Item, following: Item | None) -> tuple:
        """``("done", head, record)``, or as :meth:`start` says. ``following`` is the item of the next call."""
        read, self._read = self._read or self._pool.submit(self._worker.read, item), None
        item_read = read.result()
        if following is not None:
            self._read = self._pool.submit(self._worker.read, following)
        try:
            finished = self._worker.finish(item_read)
        except QualitySentinelError as error:
            return stopped(error)
        return "done", finished.head, finished.content


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
                where = address or "this machine"
                raise InputError(
                    f"{where}: no Ray cluster could be joined or started ({reason_of(error, 120)})"
                ) from error
    return True
