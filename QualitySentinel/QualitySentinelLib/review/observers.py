"""Calling those who watch a review."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable

from .events import ReviewEvent

Observer = Callable[[ReviewEvent], object]


class Observers:
    """Functions to be called with every event, in the order they came.

    An observer that raises is logged and does not keep the others from hearing of the event. One that acts on the
    review causes further events: they wait until everybody has heard of the present one, so that all observers see
    all events in one order.
    """

    def __init__(self) -> None:
        self._callbacks: dict[int, Observer] = {}
        self._number = 0
        self._waiting: deque[ReviewEvent] = deque()
        self._telling = False

    def add(self, callback: Observer) -> Callable[[], None]:
        """Call ``callback`` from the next event on; returns a function that ends this, and may be called twice."""
        self._number += 1
        number = self._number
        self._callbacks[number] = callback

        def remove() -> None:
            self._callbacks.pop(number, None)

        return remove

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
        for number, callback in list(self._callbacks.items()):
            if number not in self._callbacks:  # an observer before it has removed it
                continue
            try:
                callback(event)
            except Exception:
                logging.getLogger(__name__).exception("an observer of the review failed at: %s changed", event.changed)
