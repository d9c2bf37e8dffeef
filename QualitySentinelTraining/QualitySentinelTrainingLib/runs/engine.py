"""What the engines share: they give the items of a run to workers, which may die.

Each worker has one item to work on and one to read meanwhile. The item that a dead worker was at is done again when all
others are, by a worker that reads nothing beside it, and is given up when it takes one worker after the other with it.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from typing import Any

from QualitySentinelLib.errors import InputError, QualitySentinelError, UsageError

from .work import Finished, Item, Work, given_up


class Engine(ABC):
    """Does the items of a run with several workers.

    Attributes:
        workers: how many there are.
        busy_share: share of the workers' time, since the first was ready, in which they worked on an item that was
            read; ``None`` before one is done.
    """

    tries: int  # workers that may die over an item before it is given up
    starts: int  # times the number of workers, that may die before they are ready
    replaces = False  # whether each dead worker is replaced; else one is started when all have died: it has more memory
    retries_alone = False  # whether items are done again one at a time
    killed: str  # what is said of an item that is given up
    never_began: str  # what is said when workers die before they are ready

    def __init__(self, work: Work, workers: int | None) -> None:
        if workers is not None and workers < 1:
            raise UsageError(f"--workers {workers}: give 1 or more")
        self._work, self.workers = work, workers or 0
        self.busy_share: float | None = None
        self._worked = self._began = 0.0

    @abstractmethod
    def results(self, items: Iterable[Item]) -> Iterator[Finished]:
        """What each item gave, as they are done.

        Raises:
            ModelError: the model is at fault.
            InputError: workers cannot be started.
        """

    @abstractmethod
    def _hire(self) -> Any:
        """A new worker, asked to start; its ``ask(item, following)`` gives it an item, and one to read meanwhile."""

    @abstractmethod
    def _answer(self, asked: Iterable[Any]) -> tuple[Any, Any]:
        """The first of some workers to answer, and its answer: of :meth:`.work.Worker.answer`; ``None``: it died."""

    def _drive(self, waiting: deque[Item]) -> Iterator[Finished]:
        again: deque[Item] = deque()
        deaths: Counter[str | None] = Counter()
        idle: list[Any] = []
        asked: dict[Any, tuple[Item | None, Item | None]] = {self._hire(): (None, None) for _ in range(self.workers)}

        def give(worker: Any, item: Item) -> None:
            asked[worker] = item, waiting.popleft() if len(waiting) > len(idle) else None
            worker.ask(*asked[worker])

        while waiting or again or any(item is not None for item, _ in asked.values()):
            while idle and (waiting or (again and not (self.retries_alone and asked))):
                give(idle.pop(), (waiting or again).popleft())
            if not asked:
                asked[self._hire()] = None, None
            worker, answer = self._answer(asked)
            item, following = asked.pop(worker)
            if isinstance(answer, QualitySentinelError):
                raise answer
            if answer is None:
                waiting.extendleft([] if following is None else [following])
                deaths[None if item is None else item.name] += 1
                if deaths[None] >= self.starts * self.workers:
                    raise InputError(self.never_began)
                if item is not None and deaths[item.name] >= self.tries:
                    yield given_up(self._work, item, self.killed)
                elif item is not None:
                    again.append(item)
                if self.replaces:
                    asked[self._hire()] = None, None
                continue
            if following is None:
                idle.append(worker)
            else:
                give(worker, following)
            if item is None:
                self._began = self._began or time.perf_counter()
            else:
                yield self._counted(answer)

    def _counted(self, finished: Finished) -> Finished:
        self._worked += finished.head["seconds"].get("work", 0.0)
        self.busy_share = self._worked / (self.workers * (time.perf_counter() - self._began))
        return finished
