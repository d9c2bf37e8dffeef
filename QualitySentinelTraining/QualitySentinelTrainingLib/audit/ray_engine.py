"""The engine ``ray``: actors of a Ray cluster, each with a model on a GPU (or a core); nodes may die.

Each actor runs the same code per case as the engine ``local``, and reads the next case while it scores one. A case in
the hands of an actor that dies is given out again; one whose actors die time after time is given up. Records come back
to this process, which writes them: nodes need to see the data set, not the results.
"""

from __future__ import annotations

import os
import platform
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import replace

from QualitySentinelLib import errors
from QualitySentinelLib.errors import InputError, QualitySentinelError, UsageError

from .cases import AuditCase, fingerprint
from .engine import Finished, usable_cores
from .privacy import Scrubber
from .record import FAILED
from .scoring import CaseReader, CaseScorer, ScoringSetup, case_record

_AHEAD = 2
_TRIES = 3
"""Actors that may die over a case before it is given up; the last has nothing else to do."""
_OWN_CLUSTER = {"include_dashboard": False, "object_store_memory": 128 << 20}
"""A cluster of our own is small: only records pass through its object store."""
_ACTORS_PER_GPU = 2


class RayEngine:
    """Scores cases on a Ray cluster.

    Args:
        setup: how; the data set's folder and the model must be seen by all nodes.
        workers: actors; by default as many as the cluster has room for.
        address: of a running cluster, ``"auto"`` to find it; ``None`` starts one on this machine, for this run.

    Raises:
        UsageError: Ray is not installed, or a device was asked for by number.
    """

    def __init__(self, setup: ScoringSetup, workers: int | None = None, address: str | None = None) -> None:
        if workers is not None and workers < 1:
            raise UsageError(f"--workers {workers}: give 1 or more")
        if setup.device.startswith("cuda:"):
            raise UsageError("--engine ray deals out GPUs itself; give --device cuda")
        try:
            import ray  # noqa: F401
        except ImportError as error:
            raise UsageError(
                "--engine ray needs Ray; install it with: pip install 'quality-sentinel[cluster]'"
            ) from error
        self._setup, self._wanted, self._address = setup, workers, address
        self.workers, self.scoring_share = workers or 0, None

    def results(self, cases: Iterable[AuditCase]) -> Iterator[Finished]:
        """What each case gave, as they are done.

        Raises:
            InputError: the cluster cannot be reached or has no room, or a node does not see the data set.
            ModelError: of the model, on any node.
        """
        import ray

        ours = _connect(self._address)
        crew = None
        try:
            crew = _Crew(self._setup, self._wanted)
            self.workers = crew.size
            yield from self._drive(crew, deque(cases))
        except ray.exceptions.RayError as error:
            raise InputError(f"the Ray cluster failed ({type(error).__name__}); the same command goes on") from error
        finally:
            if crew is not None:
                crew.dismiss()
            if ours:
                ray.shutdown()

    def _drive(self, crew: _Crew, waiting: deque[AuditCase]) -> Iterator[Finished]:
        """Give out the cases; those that cost two actors their lives come last, each with an actor to itself."""
        deaths, suspects, scored, began = Counter(), deque(), 0.0, None
        while waiting or suspects or crew.busy:
            if waiting:
                crew.give(waiting, _AHEAD)
            elif suspects and not crew.busy:
                crew.give(deque([suspects.popleft()]), 1)
            for what, case, *values in crew.news():
                if what == "ready":
                    began = began or time.perf_counter()
                elif what == "stopped":
                    raise getattr(errors, values[0], QualitySentinelError)(values[1])
                elif what == "done":
                    finished = Finished(*values)
                    scored += finished.head["seconds"].get("score", 0.0)
                    self.scoring_share = scored / (crew.size * (time.perf_counter() - began))
                    yield finished
                else:
                    deaths[case.name] += 1
                    if deaths[case.name] < _TRIES - 1:
                        waiting.append(case)
                    elif deaths[case.name] < _TRIES:
                        suspects.append(case)
                    else:
                        yield self._given_up(case)

    def _given_up(self, case: AuditCase) -> Finished:
        setup = self._setup
        scrub = Scrubber(case, setup.root, setup.keep_identifiers)
        reason = "every process that read and scored it was killed, perhaps for want of memory"
        return Finished.of(case_record(case, scrub, FAILED, fingerprint=fingerprint(case, setup.root), reason=reason))


class _Crew:
    """The actors of a run. Only those that have started are given cases; one that dies is replaced."""

    def __init__(self, setup: ScoringSetup, wanted: int | None) -> None:
        import ray

        room = ray.cluster_resources()
        on_gpu = setup.device == "cuda" or (setup.device == "auto" and room.get("GPU", 0) > 0)
        what, per_unit = ("GPU", _ACTORS_PER_GPU) if on_gpu else ("CPU", 1)
        most = int(room.get(what, 0) * per_unit)
        if most < 1:
            raise InputError(f"the Ray cluster has no {what} to score on; give it one, or another --device")
        self.size = min(wanted or most, most)
        needs = {"num_cpus": 1, "num_gpus": 1 / per_unit} if on_gpu else {"num_cpus": 1}
        self._remote = ray.remote(_Actor).options(max_concurrency=_AHEAD, **needs)
        self._setup = replace(setup, device="cuda" if on_gpu else setup.device)
        self._starting, self._running, self._load = {}, {}, {}
        self._false_starts = 0
        for _ in range(self.size):
            self._hire()

    @property
    def busy(self) -> bool:
        """Whether a case is with an actor."""
        return bool(self._running)

    def give(self, waiting: deque[AuditCase], ahead: int) -> None:
        """Give cases to actors that have started, until each has ``ahead`` of them."""
        while waiting and self._load:
            actor = min(self._load, key=self._load.get)
            if self._load[actor] >= ahead:
                return
            case = waiting.popleft()
            self._running[actor.score.remote(case)] = case, actor
            self._load[actor] += 1

    def news(self) -> Iterator[tuple]:
        """Wait for something: ``("ready", None)``, ``("died", case)``, or a case with what the actor said of it."""
        import ray

        (reference,), _ = ray.wait([*self._starting, *self._running], num_returns=1)
        actor = self._starting.pop(reference, None)
        case = None
        if actor is None:
            case, actor = self._running.pop(reference)
        try:
            said = ray.get(reference)
        except (ray.exceptions.RayActorError, ray.exceptions.OutOfMemoryError, ray.exceptions.WorkerCrashedError):
            yield from self._lost(actor, case)
            return
        if case is None:
            self._load[actor] = 0
            yield "ready", None
            return
        if actor in self._load:
            self._load[actor] -= 1
        what, *values = said
        yield what, case, *values

    def dismiss(self) -> None:
        """End all actors."""
        import ray

        for actor in {*self._load, *self._starting.values()}:
            ray.kill(actor)

    def _hire(self) -> None:
        actor = self._remote.remote(self._setup)
        self._starting[actor.ready.remote()] = actor

    def _lost(self, actor, case: AuditCase | None) -> Iterator[tuple]:
        """An actor died: another takes its place."""
        if case is None:
            self._false_starts += 1
            if self._false_starts >= _TRIES * self.size:
                raise InputError("the Ray actors die when they start; is Quality Sentinel installed on every node?")
        else:
            yield "died", case
        if case is None or self._load.pop(actor, None) is not None:
            self._hire()


class _Actor:
    """Scores cases on a node. Two calls may run at once: one reads, one scores."""

    def __init__(self, setup: ScoringSetup) -> None:
        self._setup, self._scorer = setup, None
        self._reader, self._scoring = CaseReader(setup), threading.Lock()

    def ready(self) -> bool:
        """Answers when the actor has started."""
        return True

    def score(self, case: AuditCase) -> tuple:
        """``("done", head, record)``, or ``("stopped", class of the error, its line)`` when no case can be scored."""
        try:
            if not self._setup.root.exists():
                raise InputError(f"{self._setup.root}: is not seen by the node {platform.node()}; share the folder")
            read = self._reader.read(case)
            with self._scoring:
                self._scorer = self._scorer or CaseScorer(self._setup)
                finished = Finished.of(self._scorer.score(read))
            return "done", finished.head, finished.content
        except QualitySentinelError as error:
            return "stopped", type(error).__name__, str(error)


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
