"""Scoring beside a page that stays alive: each step of the scorer runs in a thread, the page is told in between."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Set
from typing import TYPE_CHECKING

from ..errors import CancelledError
from ..review import ReviewSession

if TYPE_CHECKING:
    from ..scorer import Scorer
    from ..suggestions import Drawings
    from ..volume import CtVolume, Segmentation

_TELL_SECONDS = 0.25
"""The page's table is not drawn anew more often than this while scoring."""


class LoopTimer:
    """Calls a function in the event loop, so many seconds after the last :meth:`start`."""

    def __init__(self, seconds: float, function: Callable[[], object]) -> None:
        self._seconds, self._function = seconds, function
        self._handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self.stop()
        self._handle = asyncio.get_running_loop().call_later(self._seconds, self._function)

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()


class Scoring:
    """The scorings of one case, one at a time; each takes over what the last one left.

    Only arrays go to the thread, never nodes of the scene. Between steps nothing runs there, so that scores can be
    given to the session in the event loop.

    ``tell`` is called after every step, and when a scoring begins.

    Attributes:
        running: whether slices are being scored.
        cancelled: the scoring is to end after the step that runs; what is scored stays.
        done, total: slices of this scoring.
        seconds: what those done took.
        failure: why the last scoring ended early, one line; empty otherwise.
    """

    def __init__(
        self, scorer: Scorer, session: ReviewSession, drawings: Drawings | None, tell: Callable[[], None]
    ) -> None:
        self._scorer, self._session, self._drawings, self._tell = scorer, session, drawings, tell
        self.running = self.cancelled = False
        self.done, self.total, self.seconds = 0, 0, 0.0
        self.failure = ""

    def cancel(self) -> None:
        self.cancelled = True

    async def run(self, ct: CtVolume, segmentation: Segmentation, segment_ids: Set[str]) -> None:
        """Score what is not scored yet, or changed, of these segments.

        Raises:
            CancelledError: before all of it was scored.
            QualitySentinelError: what the model refuses.
        """
        if not segment_ids:
            return
        self.running, self.done, self.total, self.seconds = True, 0, 0, 0.0
        self._tell()
        told, progress = time.monotonic(), None
        steps = self._scorer.run(
            ct, segmentation, segments=[s.id for s in segmentation if s.id in segment_ids],
            previous=self._session.case, cancelled=lambda: self.cancelled, drawings=self._drawings,
        )  # fmt: skip
        try:
            while (step := await asyncio.to_thread(next, steps, None)) is not None:
                progress = step
                self.done, self.total, self.seconds = step.done, step.total, step.seconds
                if time.monotonic() - told > _TELL_SECONDS:
                    self._session.update(step.score)
                    told = time.monotonic()
                self._tell()
        finally:
            self.running = False
            if progress is not None:
                self._session.update(progress.score)
        if progress is not None and progress.cancelled:
            raise CancelledError("Canceled: some slices are not scored")
