"""The engine ``ray``: actors of a Ray cluster, each on a GPU (or a core); nodes may die.

Records come back to this process, which writes them; nodes need to see the run's folder only if the work itself writes
files.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

from QualitySentinelLib.errors import InputError, UsageError, not_installed, reason_of
from QualitySentinelLib.threads import usable_cores

from .engine import Engine
from .work import Finished, Item, Work, Worker

_OWN_CLUSTER = {"include_dashboard": False, "object_store_memory": 128 << 20}
"""A cluster of our own is small: only records pass through its object store."""
_ACTORS_PER_GPU = 2


class RayEngine(Engine):
    """Does the items of a run on a Ray cluster, whose nodes must all see the files that the work names.

    Args:
        workers: actors; by default as many as the cluster has room for.
        address: of a running cluster, ``"auto"`` to find it; ``None`` starts one on this machine, for this run.

    Raises:
        UsageError: Ray is not installed, or a device was asked for by number.
    """

    tries, starts, replaces = 3, 3, True
    killed = "every process that worked on it was killed, perhaps for want of memory"
    never_began = "the Ray actors die when they start; is Quality Sentinel installed on every node?"

    def __init__(self, work: Work, workers: int | None = None, address: str | None = None) -> None:
        super().__init__(work, workers)
        if work.device.startswith("cuda:"):
            raise UsageError("--engine ray deals out GPUs itself; give --device cuda")
        try:
            import ray  # noqa: F401
        except ImportError as error:
            raise not_installed("--engine ray", "Ray", "cluster") from error
        self._address = address
        self._actors: set[_Actor] = set()

    def results(self, items: Iterable[Item]) -> Iterator[Finished]:
        """See :meth:`Engine.results`; an ``InputError`` where the cluster cannot be reached or has no room, too."""
        import ray

        ours = _connect(self._address)
        try:
            self._plan()
            yield from self._drive(deque(items))
        except ray.exceptions.RayError as error:
            raise InputError(f"the Ray cluster failed ({type(error).__name__}); the same command goes on") from error
        finally:
            for actor in self._actors:
                ray.kill(actor.handle)
            if ours:
                ray.shutdown()

    def _plan(self) -> None:
        """What each actor needs of a node, its device, and how many there are."""
        import ray

        room = ray.cluster_resources()
        on_gpu = self._work.device == "cuda" or (self._work.device == "auto" and room.get("GPU", 0) > 0)
        what, per_unit = ("GPU", _ACTORS_PER_GPU) if on_gpu else ("CPU", 1)
        most = int(room.get(what, 0) * per_unit)
        if most < 1:
            raise InputError(f"the Ray cluster has no {what} to work on; give it one, or another --device")
        self.workers = min(self.workers or most, most)
        needs = {"num_cpus": 1, "num_gpus": 1 / per_unit} if on_gpu else {"num_cpus": 1}
        self._remote, self._device = ray.remote(Worker).options(**needs), "cuda" if on_gpu else self._work.device

    def _hire(self) -> _Actor:
        self._actors.add(actor := _Actor(self._remote.remote(self._work), self._device))
        return actor

    def _answer(self, asked: Iterable[_Actor]) -> tuple[_Actor, Any]:
        import ray
        from ray.exceptions import OutOfMemoryError, RayActorError, WorkerCrashedError

        by_promise = {actor.promise: actor for actor in asked}
        (promise,), _ = ray.wait([*by_promise], num_returns=1)
        try:
            return by_promise[promise], ray.get(promise)
        except (RayActorError, OutOfMemoryError, WorkerCrashedError):
            self._actors.discard(by_promise[promise])
            return by_promise[promise], None


class _Actor:
    """A :class:`.work.Worker` on a node, and the ``promise`` of its next answer."""

    def __init__(self, handle: Any, device: str) -> None:
        self.handle, self.promise = handle, handle.answer.remote("start", device)

    def ask(self, item: Item, following: Item | None) -> None:
        self.promise = self.handle.answer.remote("do", item, following)


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
