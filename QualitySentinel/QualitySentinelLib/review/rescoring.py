"""When edited segments are scored again, and which of them: after a pause, one review at a time, by any executor."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Set
from typing import Any, Protocol


class Timer(Protocol):
    """Calls a function once, some time after the last :meth:`start`."""

    def start(self) -> object: ...
    def stop(self) -> object: ...


class Rescoring:
    """Gathers edits, waits for a pause in them, and has the edited segments scored, one review at a time.

    An edit stops the scoring of its review: its voxels are of before. What was stopped, or failed, is scored with the
    next edit. Reviews may be any hashable objects.

    Args:
        timer: makes the clock: a timer that calls what it is given when the pause is over.
        start: begins to score, ``start(review, segment_ids, end)``, and returns a function that stops it.
            ``end(error)`` is to be called once, also when it was stopped; nothing else begins before that.
        on_change: called with a review and ``None`` when scoring it again begins or has ended, with the error if it
            has failed; not when it was stopped.
    """

    def __init__(
        self,
        timer: Callable[[Callable[[], None]], Timer],
        start: Callable[[Any, set[str], Callable[[Exception | None], None]], Callable[[], object]],
        on_change: Callable[[Any, Exception | None], object],
    ) -> None:
        self._timer, self._start, self._on_change = timer(self.begin), start, on_change
        self._waiting: dict[Hashable, set[str]] = {}
        self._failed: dict[Hashable, set[str]] = {}
        self._running: tuple[Hashable, set[str]] | None = None
        self._stop: Callable[[], object] = lambda: None
        self._held = self._pausing = self._stopping = False

    @property
    def enabled(self) -> bool:
        """Whether edits are scored when they happen, or are gathered until this is true again."""
        return not self._held

    @enabled.setter
    def enabled(self, enabled: bool) -> None:
        if enabled is self._held:
            self._held = not enabled
            self._pause()
            if self._held and self._running is not None:
                self._interrupt()

    def edited(self, review: Hashable, segment_ids: Set[str]) -> None:
        self._waiting.setdefault(review, set()).update(segment_ids)
        self._pause()
        if self._is_running(review):
            self._interrupt()

    def busy(self, review: Hashable) -> bool:
        """Whether edits of a review are being scored, or are about to be."""
        return review in self._waiting or self._is_running(review)

    def unscored(self, review: Hashable) -> set[str]:
        """Ids of the edited segments that keep their scores of before: they wait to be enabled, or scoring failed."""
        return (self._waiting.get(review, set()) if self._held else set()) | self._failed.get(review, set())

    def taken(self, review: Hashable) -> set[str]:
        """Ids of all edited segments of a review that are not scored; they are dropped, as :meth:`forget` does."""
        ids = self._waiting.get(review, set()) | self._failed.get(review, set())
        ids |= self._running[1] if self._running is not None and self._is_running(review) else set()
        self.forget(review)
        return ids

    def forget(self, review: Hashable = None) -> None:
        """Stop and drop the edits of a review, or of all: it has ended, or all of it is scored again."""
        for edits in (self._waiting, self._failed):
            for one in [one for one in edits if review in (None, one)]:
                del edits[one]
        self._pause()
        if self._running is not None and review in (None, self._running[0]) and not self._stopping:
            self._stopping = True
            self._stop()

    def begin(self) -> None:
        """Do not wait for a pause any longer."""
        self._pausing = False
        self._timer.stop()
        if self._held or self._running is not None or not self._waiting:
            return
        review = next(iter(self._waiting))
        self._running = review, self._waiting.pop(review) | self._failed.pop(review, set())
        self._stopping = False
        try:
            self._stop = self._start(*self._running, self._end)
        except Exception as error:  # else nothing would ever be scored again
            self._end(error)
        else:
            self._on_change(review, None)

    def _is_running(self, review: Hashable) -> bool:
        return self._running is not None and self._running[0] == review

    def _pause(self) -> None:
        self._pausing = bool(self._waiting) and not self._held
        (self._timer.start if self._pausing else self._timer.stop)()

    def _interrupt(self) -> None:
        review, segment_ids = self._running
        self._waiting.setdefault(review, set()).update(segment_ids)
        if not self._stopping:
            self._stopping = True
            self._stop()

    def _end(self, error: Exception | None) -> None:
        (review, segment_ids), self._running = self._running, None
        if not self._stopping:
            if error is not None:
                self._failed[review] = segment_ids
            self._on_change(review, error)
        if not self._pausing:
            self.begin()
