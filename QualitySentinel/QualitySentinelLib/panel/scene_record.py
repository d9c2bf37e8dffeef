"""Needs ``qt`` and ``slicer``. What of a review is written into the scene, so that it is saved with it."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from ..review import Changed, ReviewEvent, ReviewSession
from ..scene import tables, tags
from ..scene.kept_review import keep_review, keep_review_steps
from ..scene.plots import update_plot
from .qt_tools import StepRun, single_shot_timer

DELAY_MS = 1000
"""After the last change, before tags, tables and plot are written: in a large case the reader would wait for them.
The review itself does not wait. Slicer does not tell before it saves: nothing in it invokes ``StartSaveEvent``."""


class SceneRecord:
    """Writes a review into the scene at once, and segment tags, the two tables and the plot a little later.

    Args:
        segmentation_node: what is reviewed.
        session: its review.
        edits: the ``SegmentationEdits`` to pause while tags are written, because these are no edits.
    """

    def __init__(self, segmentation_node, session: ReviewSession, edits) -> None:
        self._node, self._session, self._edits = segmentation_node, session, edits
        self._tags_due = self._due = False
        self._timer = single_shot_timer(DELAY_MS, self._start)
        self._run: StepRun | None = None

    @property
    def due(self) -> bool:
        """Whether something is still to be written."""
        return self._due

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
        self._run = StepRun(keep_review_steps(self._node, self._session), self._on_end)

    def _put_off(self, tags_too: bool) -> None:
        self._pause()
        self._due = True
        self._tags_due |= tags_too
        self._timer.start()

    def write(self) -> None:
        """Write what is due, now."""
        self._pause()
        for _part in self._parts():
            pass

    def close(self) -> None:
        """Write nothing any more."""
        self._pause()
        self._due = self._tags_due = False

    def _start(self) -> None:
        self._run = StepRun(self._parts(), self._on_end)

    def _pause(self) -> None:
        self._timer.stop()
        if self._run is not None:
            self._run.stop()
            self._run = None

    def _on_end(self, error: Exception | None) -> None:
        self._run = None
        if error is not None:  # nobody has asked for it now: no message box
            logging.error("the review could not be written into the scene", exc_info=error)

    def _parts(self) -> Iterator[None]:
        """Write, a part at a time: together they would hold up the reader of a large case."""
        if not self._due or not self._node.GetScene():
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
        self._due = False
