"""How items are given to workers that may die, whatever the workers are."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass

import pytest

from QualitySentinelLib.errors import InputError, ModelError
from QualitySentinelTrainingLib.runs import Finished, Work
from QualitySentinelTrainingLib.runs.engine import Engine


@dataclass(frozen=True)
class Item:
    name: str


class InMemory(Engine):
    """Workers that die over some items, worked on or read; ``never`` start; or end the run over one."""

    tries, starts, killed, never_began = 2, 1, "killed", "never began"

    def __init__(self, workers, deadly=(), never=False, fatal=""):
        super().__init__(Work(), workers)
        self.deadly, self.never, self.fatal, self.hired, self.given = {*deadly}, never, fatal, [], []

    def results(self, items):
        return self._drive(deque(items))

    def _hire(self):
        self.hired.append(worker := Worker(self))
        return worker

    def _answer(self, asked):
        worker = next(iter(asked))
        if self.never or self.deadly & {one.name for one in worker.at if one}:
            return worker, None
        name = worker.at[0] and worker.at[0].name
        if name and name == self.fatal:
            return worker, ModelError("no model")
        head = {"item": name, "status": "done", "seconds": {"work": 0.1}}
        return worker, Finished(head, b"") if name else True


class Worker:
    def __init__(self, engine):
        self.engine, self.at = engine, (None, None)

    def ask(self, item, following):
        self.at = item, following
        self.engine.given.append((item.name, following and following.name, len(self.engine.hired)))


def done(engine, number):
    return Counter((one.head["item"], one.failed) for one in engine.results([Item(f"n{n}") for n in range(number)]))


@pytest.mark.parametrize("replaces", [False, True])
@pytest.mark.parametrize("workers", [1, 2, 5])
def test_an_item_that_kills_its_workers_is_the_only_one_that_fails(workers, replaces):
    engine = InMemory(workers, deadly=["n3"])
    engine.replaces, engine.retries_alone = replaces, not replaces
    assert done(engine, 8) == {(f"n{n}", n == 3): 1 for n in range(8)}
    assert 0 < engine.busy_share
    last = [given for given in engine.given if given[0] == "n3"][-1]
    assert last[1] is None  # nothing is read beside an item that is tried again


def test_without_deaths_no_worker_is_hired_later_and_none_waits_beside_another_that_holds_two_items():
    engine = InMemory(3)
    assert sum(done(engine, 3).values()) == 3 and len(engine.hired) == 3


def test_workers_that_never_begin_end_the_run_and_so_does_a_model_at_fault():
    with pytest.raises(InputError, match="never began"):
        done(InMemory(4, never=True), 8)
    with pytest.raises(ModelError, match="no model"):
        done(InMemory(2, fatal="n1"), 8)
