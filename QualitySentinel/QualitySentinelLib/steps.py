"""Long work in short steps: generators that yield often and return what they made.

An application drives them from its event loop; everybody else runs them to their end.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Generator
from typing import TypeVar

Made = TypeVar("Made")
Steps = Generator[None, None, Made]
"""Work in steps: yields between them, returns what it made."""


class TimeBudget:
    """Tells a long loop when to let others run: after so many seconds, or never (``None``)."""

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._since = time.perf_counter()

    def is_spent(self) -> bool:
        """Whether the time is over."""
        return self._seconds is not None and time.perf_counter() - self._since >= self._seconds

    def renew(self) -> None:
        """Others have run: the time begins anew."""
        self._since = time.perf_counter()


def run_to_end(steps: Steps[Made]) -> Made:
    """What the steps make, without a pause."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def at_once(make_steps: Callable[..., Steps[Made]]) -> Callable[..., Made]:
    """The same function without a pause: it returns what the steps of ``make_steps`` make."""

    @functools.wraps(make_steps)
    def made(*arguments, **options):
        return run_to_end(make_steps(*arguments, **options))

    return made


def paced(steps: Steps[Made], seconds: float | None) -> Steps[Made]:
    """The same work in fewer steps: as many of ``steps`` at once as go into ``seconds``; all of them with ``None``."""
    budget = TimeBudget(seconds)
    try:
        while True:
            try:
                next(steps)
            except StopIteration as end:
                return end.value
            if budget.is_spent():
                yield
                budget.renew()
    finally:
        steps.close()


def in_thread(work: Callable[[], Made], name: str, wait_seconds: float = 0.02) -> Steps[Made]:
    """Do ``work`` in a thread, and yield until it is done; returns or raises what it does.

    Slicer's main thread holds Python's lock while it waits for events, so that another thread runs only when Python
    code of the main thread lets it: each step here waits for the thread, and no longer than a user may not notice. Who
    stops between two steps leaves the work to come to its end alone.
    """
    done: list[Made] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            done.append(work())
        except BaseException as error:  # whoever waits for the thread raises it
            errors.append(error)

    # No daemon: a thread that dies while libraries are loaded takes a closing application with it.
    thread = threading.Thread(target=run, name=f"Quality Sentinel {name}")
    thread.start()
    while thread.is_alive():
        thread.join(wait_seconds)
        yield
    if errors:
        raise errors[0]
    return done[0]
