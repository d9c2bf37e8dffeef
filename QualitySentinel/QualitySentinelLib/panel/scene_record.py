"""Needs ``qt`` and ``slicer``. What of a review is written into the scene, so that it is saved with it."""

from __future__ import annotations

import qt

from ..review import Changed, ReviewEvent, ReviewSession
from ..scene import tables, tags
from ..scene.kept_review import keep_review
from ..scene.plots import update_plot

DELAY_MS = 1000
"""After the last change: the reader is looking, not clicking, and does not notice the work."""


class SceneRecord:
    """Writes segment tags, the two tables, the plot and the review itself into the scene, a little after changes.

    Args:
        segmentation_node: what is reviewed.
        session: its review.
        edits: the ``SegmentationEdits`` to pause while tags are written, because these are no edits.
    """

    def __init__(self, segmentation_node, session: ReviewSession, edits) -> None:
        self._node, self._session, self._edits = segmentation_node, session, edits
        self._tags_due = self._due = False
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(DELAY_MS)
        self._timer.connect("timeout()", self.write)

    def follow(self, event: ReviewEvent) -> None:
        """Write what has changed, soon."""
        self.touch(tags_too=event.changed in (Changed.SCORES, Changed.THRESHOLD), now=False)

    def touch(self, tags_too: bool = True, now: bool = True) -> None:
        """Say that something is to be written, at once or soon."""
        self._due = True
        self._tags_due |= tags_too
        if now:
            self.write()
        else:
            self._timer.start()

    def write(self) -> None:
        """Write what is due now: before the scene is saved, or when nothing else happens."""
        self._timer.stop()
        if not self._due or not self._node.GetScene():
            return
        if self._tags_due:
            with self._edits.paused():
                tags.write_score_tags(self._node, self._session.case)
        self._due = self._tags_due = False
        tables.update_tables(self._node, self._session.case, session=self._session)
        if self._session.selected is not None:
            update_plot(self._node, self._session.selected)
        keep_review(self._node, self._session)

    def close(self) -> None:
        """Write nothing any more."""
        self._timer.stop()
        self._due = self._tags_due = False
