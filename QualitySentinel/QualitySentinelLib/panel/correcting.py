"""Needs ``qt`` and ``slicer``. From the panel to the Segment Editor."""

from __future__ import annotations

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
        self._session = review.session
        self._editor = segment_editor()
        self._editor.setSegmentationNode(review.segmentation_node)
        self._editor.setSourceVolumeNode(review.volume_node)
        self._editor.setCurrentSegmentID(self._session.selected)
        self._unsubscribe = self._session.observe(self._on_event)
        self._shortcuts = Shortcuts(
            slicer.modules.SegmentEditorWidget.parent,
            {"N": self._session.next_flagged, "Shift+N": self._session.previous_flagged},
        )

    def end(self) -> None:
        """The reader is back in the panel."""
        self._unsubscribe()
        self._shortcuts.remove()

    def _on_event(self, event: ReviewEvent) -> None:
        if event.changed is Changed.CURRENT and self._session.selected is not None:
            if self._editor.currentSegmentID() != self._session.selected:
                self._editor.setCurrentSegmentID(self._session.selected)
