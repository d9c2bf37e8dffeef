"""Working through a list on the page: the next case is opened in place of the one before; what is done is saved."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

from ..datasets import Case
from ..errors import QualitySentinelError, reason_of
from ..review.queue import ReviewQueue, State
from .controller import ReviewController


class QueueRun:
    """A list under review.

    Args:
        queue: the list.
        read: reads a case; gives a function that makes its review inside the event loop.

    Attributes:
        ACTIONS: what the page offers; each goes on after it has returned.
        page: the page, which has :meth:`~.page.ReviewPage.open`; set when there is one.
        opening: name of the case that is being opened; empty otherwise.
    """

    ACTIONS = ReviewQueue.ACTIONS

    def __init__(self, queue: ReviewQueue, read: Callable[[Case], Callable[[], ReviewController]]) -> None:
        self.queue, self._read = queue, read
        self.page = None
        self.opening = self._shown = ""
        self._task: asyncio.Task | None = None

    def first(self) -> Callable[[], ReviewController] | None:
        """Read the first open case that can be read; ``None`` when there is none."""
        while (row := self.queue.step()) is not None:
            try:
                make, self._shown = self._read(self.queue.case), row.case
                return make
            except QualitySentinelError as error:
                self.queue.pass_over(str(error))
        return None

    def previous_case(self) -> None:
        """Look at the row before."""
        self._start(self._go(back=True))

    def next_case(self) -> None:
        """Look at the next open row."""
        self._start(self._go())

    def mark_done(self) -> None:
        """Save the masks beside the list, and go on; or take that back."""
        self._start(self._mark(State.DONE))

    def back_to_pool(self) -> None:
        """Leave the row to a later round, and go on; or take that back."""
        self._start(self._mark(State.BACK))

    def look(self) -> None:
        """Look at the structure and slice of the row."""
        if (row := self.queue.current) is not None:
            self.page.look_at(row.structure, row.slice_index)

    def state(self) -> dict[str, object]:
        """What the page shows of the list."""
        queue, finished = self.queue, self.queue.current is None
        return {
            "place": f"Opening {self.opening} ..." if self.opening else queue.place,
            "tip": "\n".join([queue.counts, *queue.passed_over]),
            "passed_over": len(queue.problems),
            "command": queue.next_command if finished else "",
            "actions": {name: vars(action) for name, action in queue.actions().items()},
            "busy": self._task is not None,
        }

    async def finish(self) -> None:
        """Wait for what is being opened or saved."""
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    def _start(self, doing: Coroutine) -> None:
        """One thing at a time: a key may be pressed twice."""
        if self._task is not None:
            doing.close()
            return
        self._task = asyncio.ensure_future(doing)
        self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task) -> None:
        self._task, self.opening = None, ""
        error = None if task.cancelled() else task.exception()
        self.page.review.tell("" if error is None else reason_of(error, 500), "error")

    async def _go(self, back: bool = False) -> None:
        while (row := self.queue.step(back)) is not None:
            if row.case == self._shown:
                break
            self.opening = row.case
            self.page.review.changed()
            try:
                make = await asyncio.to_thread(self._read, self.queue.case)
            except QualitySentinelError as error:
                self.queue.pass_over(str(error))
                continue
            await self.page.review.close()
            self.page.open(make(), row.case)
            self.page.review.score()
            self._shown = row.case
            break
        self.look()

    async def _mark(self, state: State) -> None:
        queue = self.queue
        if queue.current is None:
            return
        before = queue.state(queue.current)
        if state is State.DONE and before is not State.DONE:
            await self.page.review.save_masks(queue.corrected)
        queue.mark(state)
        if before is not state:
            await self._go()
