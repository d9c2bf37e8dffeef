"""What a review tells those who watch it."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Changed(StrEnum):
    """What a :class:`ReviewEvent` is about."""

    THRESHOLD = "threshold"
    CURRENT = "current"
    """Another segment or slice is looked at."""
    ACCEPTED = "accepted"
    SCORES = "scores"


@dataclass(frozen=True)
class ReviewEvent:
    """One change of a review, told after it is complete."""

    changed: Changed  # what it is about
    segments: tuple[str, ...] = ()  # ids of those to draw anew: whose flags, accepts or scores changed


Observer = Callable[[ReviewEvent], object]


class Observers:
    """Functions called with every event, in the order they came.

    One that raises is logged and keeps nobody from hearing. One that acts on the review causes further events: they
    wait until everybody has heard of the present one, so that all see all events in one order.
    """

    def __init__(self) -> None:
        self._callbacks: dict[object, Observer] = {}
        self._waiting: deque[ReviewEvent] = deque()
        self._telling = False

    def add(self, callback: Observer) -> Callable[[], object]:
        """Call ``callback`` from the next event on; returns a function that ends this, and may be called twice."""
        key = object()
        self._callbacks[key] = callback
        return lambda: self._callbacks.pop(key, None)

    def tell(self, event: ReviewEvent) -> None:
        """Call everybody with ``event``, or let it wait when another one is being told."""
        self._waiting.append(event)
        if self._telling:
            return
        self._telling = True
        try:
            while self._waiting:
                self._tell_all(self._waiting.popleft())
        finally:
            self._telling = False
            self._waiting.clear()  # only an interruption leaves some

    def _tell_all(self, event: ReviewEvent) -> None:
        for key, callback in list(self._callbacks.items()):
            if key in self._callbacks:  # no observer before it has removed it
                try:
                    callback(event)
                except Exception:
                    logging.getLogger(__name__).exception("an observer failed at: %s changed", event.changed)
