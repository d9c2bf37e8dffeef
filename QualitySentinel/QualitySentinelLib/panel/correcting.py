"""Needs ``qt`` and ``slicer``. From the panel to the Segment Editor."""

from __future__ import annotations

from collections.abc import Callable

import slicer

from ..review import Changed, ReviewEvent
from .open_review import OpenReview
from .shortcuts import Shortcuts


def segment_editor() -> slicer.qMRMLSegmentEditorWidget:
    """The widget of the Segment Editor; the module is opened, and its widget made, when it was not yet."""
    slicer.util.selectModule("SegmentEditor")
    return slicer.modules.SegmentEditorWidget.editor


class Correcting:
    """Opens the Segment Editor with the segment of a review that is selected, and lets it follow the review.

    There, N and Shift+N go to the next and previous flagged slice. Space is the Segment Editor's own key.

    Args:
        review: what is corrected. The views stay where they are.
    """

    def __init__(self, review: OpenReview) -> None:
        self._review, self._session = review, review.session
        self._unsubscribe: Callable[[], None] = lambda: None
        self._shortcuts: Shortcuts | None = None

    @property
    def review(self) -> OpenReview:
        """What is corrected."""
        return self._review

    def begin(self) -> None:
        """Open the Segment Editor. The panel's ``exit()`` is called meanwhile."""
        self._editor = segment_editor()
        self._editor.setSegmentationNode(self._review.segmentation_node)
        self._editor.setSourceVolumeNode(self._review.volume_node)
        self._editor.setCurrentSegmentID(self._session.selected)
        self._unsubscribe = self._session.observe(self._on_event)
        self._shortcuts = Shortcuts(
            slicer.modules.SegmentEditorWidget.parent,
            {"N": self._session.next_flagged, "Shift+N": self._session.previous_flagged},
        )

    def end(self) -> None:
        """The reader is back in the panel, or what was corrected is gone."""
        self._unsubscribe()
        if self._shortcuts is not None:
            self._shortcuts.remove()
            self._shortcuts = None

    def _on_event(self, event: ReviewEvent) -> None:
        if event.changed is Changed.CURRENT and self._session.selected is not None:
            if self._editor.currentSegmentID() != self._session.selected:
                self._editor.setCurrentSegmentID(self._session.selected)
