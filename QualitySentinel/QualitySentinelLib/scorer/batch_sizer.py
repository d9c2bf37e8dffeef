"""How many slices to run at once, so that a batch takes about as long as somebody who waits for it can bear."""

from __future__ import annotations


class BatchSizer:
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
