"""Scoring beside a page that stays alive: each step of the scorer runs in a thread, the page is told in between."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from ..errors import QualitySentinelError, reason_of
from ..review import ReviewSession

if TYPE_CHECKING:
    from ..scorer import Scorer
    from ..suggestions import Drawings
    from ..volume import CtVolume, Segmentation

_TELL_SECONDS = 0.25
"""The page's table is not drawn anew more often than this while scoring."""


class Scoring:
    """The scorings of one case, one at a time; each takes over what the last one left.

    Only arrays go to the thread, never nodes of the scene. Between steps nothing runs there, so that scores can be
    given to the session in the event loop.

    Args:
        scorer: with the model loaded.
        session: takes the scores.
        drawings: takes what the model draws, if it does.
        tell: called after every step, and when a scoring begins or ends.

    Attributes:
        running: whether slices are being scored.
        done, total: slices of this scoring.
        seconds: what those done took.
        failure: why the last scoring ended early, one line; empty otherwise.
    """

    def __init__(
        self, scorer: Scorer, session: ReviewSession, drawings: Drawings | None, tell: Callable[[], None]
    ) -> None:
        self._scorer, self._session, self._drawings, self._tell = scorer, session, drawings, tell
        self._cancel = False
        self._starting = asyncio.Lock()
        self._task: asyncio.Task | None = None
        self._wanted: set[str] = set()
        self._left: set[str] = set()
        self.running = False
        self.done, self.total, self.seconds = 0, 0, 0.0
        self.failure = ""

    @property
    def unfinished(self) -> bool:
        """Whether segments wait for a scoring that was cancelled, or failed."""
        return bool(self._left) and not self.running

    async def run(self, ct: CtVolume, segmentation: Segmentation, segment_ids: Iterable[str]) -> None:
        """Score what is not scored yet, or changed, of these segments.

        A scoring that goes on is stopped first; its finished slices are kept, and its segments are scored with these.
        """
        wanted = set(segment_ids)
        async with self._starting:
            if self.running and not self._cancel:
                wanted |= self._wanted
            await self.stop()
            if not wanted:
                return
            self._wanted, self._cancel, self.failure = wanted, False, ""
            self._task = task = asyncio.ensure_future(self._run(ct, segmentation))
        await asyncio.shield(task)

    def cancel(self) -> None:
        """End the scoring after the step that runs; what is scored stays."""
        self._cancel = True

    async def stop(self) -> None:
        """Cancel, and wait for the end."""
        self.cancel()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self, ct, segmentation) -> None:
        self.running, self.done, self.total, self.seconds = True, 0, 0, 0.0
        self._tell()
        told = time.monotonic()
        progress = None
        try:
            steps = self._scorer.run(
                ct,
                segmentation,
                segments=[s.id for s in segmentation if s.id in self._wanted],
                previous=self._session.case,
                cancelled=lambda: self._cancel,
                drawings=self._drawings,
            )
            while (step := await asyncio.to_thread(next, steps, None)) is not None:
                progress = step
                self.done, self.total, self.seconds = step.done, step.total, step.seconds
                if time.monotonic() - told > _TELL_SECONDS:
                    self._session.update(step.score)
                    told = time.monotonic()
                self._tell()
        except QualitySentinelError as error:
            self.failure = " ".join(str(error).split())
        except Exception as error:  # a page cannot show a trace; the reader goes on without scores
            self.failure = f"Scoring failed: {reason_of(error)}"
        self.running = False
        if progress is not None:
            self._session.update(progress.score)
            if progress.cancelled and not self.failure:
                self.failure = "Cancelled: some slices are not scored"
        self._left = self._left | self._wanted if self.failure else self._left - self._wanted
        self._tell()
