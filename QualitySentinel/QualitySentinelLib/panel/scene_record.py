"""Needs ``qt`` and ``slicer``. What of a review is written into the scene, so that it is saved with it."""

from __future__ import annotations

import logging

from ..review import Changed, ReviewEvent, ReviewSession
from ..scene import tables, tags
from ..scene.kept_review import keep_review, keep_review_steps
from ..scene.plots import update_plot
from ..steps import Steps, run_to_end
from .qt_tools import StepRun, single_shot_timer

DELAY_MS = 1000
"""After the last change, before tags, tables and plot are written: in a large case the reader would wait for them.
The review itself does not wait. Slicer does not tell before it saves: nothing in it invokes ``StartSaveEvent``."""


class SceneRecord:
    """Writes a review into the scene at once, and segment tags, the two tables and the plot a little later.

    Attributes:
        due: whether something is still to be written.
    """

    def __init__(self, segmentation_node, session: ReviewSession, edits) -> None:
        self._node, self._session, self._edits = segmentation_node, session, edits
        self._tags_due = self.due = False
        self._timer = single_shot_timer(DELAY_MS, lambda: self._begin(self._parts()))
        self._run: StepRun | None = None

    def follow(self, event: ReviewEvent) -> None:
        """Keep what the reader has done, now: the scene may be saved next. The rest follows soon."""
        if event.changed is Changed.SCORES:
            self.touch()
        else:
            keep_review(self._node, self._session)
            self._put_off(tags_too=event.changed is not Changed.CURRENT)

    def touch(self) -> None:
        """Say that all is to be written: the scores of many segments from the event loop, the rest a little later."""
        self._put_off(tags_too=True)
        self._begin(keep_review_steps(self._node, self._session))

    def _begin(self, steps: Steps[None]) -> None:
        self._run = StepRun(steps, self._on_end)

    def _put_off(self, tags_too: bool) -> None:
        self._pause()
        self.due = True
        self._tags_due |= tags_too
        self._timer.start()

    def write(self) -> None:
        """Write what is due, now."""
        self._pause()
        run_to_end(self._parts())

    def close(self) -> None:
        """Write nothing any more."""
        self._pause()
        self.due = self._tags_due = False

    def _pause(self) -> None:
        self._timer.stop()
        if self._run is not None:
            self._run.stop()
            self._run = None

    def _on_end(self, error: Exception | None) -> None:
        self._run = None
        if error is not None:  # nobody has asked for it now: no message box
            logging.error("the review could not be written into the scene", exc_info=error)

    def _parts(self) -> Steps[None]:
        """Write, a part at a time: together they would hold up the reader of a large case."""
        if not self.due or not self._node.GetScene():
            return
        yield from keep_review_steps(self._node, self._session)
        yield
        if self._tags_due:
            with self._edits.paused():
                tags.write_score_tags(self._node, self._session.case, self._session)
            self._tags_due = False
            yield
        yield from tables.update_tables_steps(self._node, self._session.case, self._session)
        if self._session.selected is not None:
            update_plot(self._node, self._session.segment(self._session.selected))
        self.due = False
