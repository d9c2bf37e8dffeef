"""How many slices to run at once, so that a batch takes about as long as somebody who waits for it can bear."""

from __future__ import annotations

import time


class Pace:
    """The size of the next batch, from how long the last ones took.

    Sizes are powers of two, because each size that is new to it costs the network some preparation.

    Args:
        most: the largest batch that the device can hold.
        step_seconds: how long a batch may take; ``None``: always the largest batch.

    Attributes:
        most: may be lowered, as when memory runs out.
    """

    def __init__(self, most: int, step_seconds: float | None = None) -> None:
        self.most = most
        self._seconds = step_seconds
        self._size = most if step_seconds is None else min(most, 4)  # not so few that the first says nothing

    @property
    def size(self) -> int:
        """How many slices to run next, at least 1."""
        return max(1, min(self._size, self.most))

    def took(self, slices: int, seconds: float) -> None:
        """Learn that a batch of ``slices`` took ``seconds``."""
        if self._seconds is None or slices < self.size:  # a last, smaller batch says little
            return
        if seconds > self._seconds:
            self._size = max(1, self.size // 2)
        elif 2.2 * seconds < self._seconds:  # twice as many still fit, with some room
            self._size = min(self.most, 2 * self.size)


class Breath:
    """Tells a long loop when to let others run.

    Args:
        seconds: how long the loop may go on at a time; ``None``: always.
    """

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._since = time.perf_counter()

    def is_due(self) -> bool:
        """Whether the time is over."""
        return self._seconds is not None and time.perf_counter() - self._since >= self._seconds

    def begin(self) -> None:
        """Others have run: the time begins anew."""
        self._since = time.perf_counter()
