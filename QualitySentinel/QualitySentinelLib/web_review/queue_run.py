"""Working through a list on the page: the next case is opened in place of the one before; what is done is saved."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from ..datasets import Case
from ..errors import UsageError, reason_of
from ..review.queue import ReviewQueue, run_now
from .controller import ReviewController


class QueueRun:
    """A list under review; ``read`` reads a case and gives a function that makes its review inside the event loop."""

    def __init__(self, queue: ReviewQueue, read: Callable[[Case], Callable[[], ReviewController]]) -> None:
        self.queue, self._read = queue, read
        self.page: Any = None  # the ReviewPage, when there is one
        self._opening = ""
        self._task: asyncio.Task | None = None

    def first(self) -> Callable[[], ReviewController] | None:
        """Read the first open case that can be read; ``None`` when there is none."""
        made = []

        async def read(what: str, of: Any) -> None:
            if what == "open":
                made.append(self._read(of))

        run_now(self.queue.act("next_case", read))
        return made[0] if made else None

    def act_on_list(self, action: str) -> None:
        """Begin an action of the list, one at a time: a key may be pressed twice."""
        if action not in ReviewQueue.ACTIONS:
            raise UsageError(f"{action}: no such action")
        if self._task is None:
            self._task = asyncio.ensure_future(self.queue.act(action, self._do))
            self._task.add_done_callback(self._ended)

    def look(self) -> None:
        """Look at the structure and slice of the row."""
        if (row := self.queue.current) is not None:
            self.page.look_at(row.structure, row.slice_index)

    def state(self) -> dict[str, object]:
        """What the page shows of the list."""
        queue = self.queue
        return {
            "place": f"Opening {self._opening} ..." if self._opening else queue.place,
            "tip": "\n".join([queue.counts, *queue.passed_over]),
            "passed_over": len(queue.problems),
            "command": "" if queue.current else queue.next_command,
            "actions": {name: vars(action) for name, action in queue.actions().items()},
            "busy": self._task is not None,
        }

    async def finish(self) -> None:
        """Wait for what is being opened or saved."""
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    async def _do(self, what: str, of: Any) -> None:
        if what == "save":
            if not self.queue.opened:
                raise UsageError("no case is open; press Previous or Open next")
            await self.page.review.save_masks(of)
        elif what == "look":
            self.look()
        else:
            self._opening = of.name
            self.page.review.changed()
            make = await asyncio.to_thread(self._read, of)
            await self.page.review.close()
            self.queue.opened = ""  # until the page shows the next one
            self.page.open(make(), of.name)
            self.page.review.score()

    def _ended(self, task: asyncio.Task) -> None:
        self._task, self._opening = None, ""
        error = None if task.cancelled() else task.exception()
        self.page.review.tell("" if error is None else reason_of(error, 500), "error")
