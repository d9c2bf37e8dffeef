"""Needs ``qt`` and ``slicer``. From the panel to the Segment Editor."""

from __future__ import annotations

from collections.abc import Callable

import slicer
from slicer.i18n import tr as _

from ..review import Changed, ReviewEvent
from .open_review import OpenReview
from .qt_tools import Shortcuts


def segment_editor() -> slicer.qMRMLSegmentEditorWidget:
    """The widget of the Segment Editor; the module is opened, and its widget made, when it was not yet."""
    slicer.util.selectModule("SegmentEditor")
    return slicer.modules.SegmentEditorWidget.editor


class Correcting:
    """Opens the Segment Editor with the segment of a review that is selected, and lets it follow the review.

    There, N and Shift+N go to the next and previous flagged slice. Space is the Segment Editor's own key. Segments that
    are hidden keep their voxels where the reader paints: nobody would see them go. The views stay where they are.

    Attributes:
        review: what is corrected.
    """

    def __init__(self, review: OpenReview) -> None:
        self.review, self._session = review, review.session
        self._unsubscribe: Callable[[], None] = lambda: None
        self._shortcuts: Shortcuts | None = None
        self._overwrote_all: slicer.vtkMRMLSegmentEditorNode | None = None

    def begin(self) -> None:
        """Open the Segment Editor. The panel's ``exit()`` is called meanwhile."""
        self._editor = segment_editor()
        self._editor.setSegmentationNode(self.review.segmentation_node)
        self._editor.setSourceVolumeNode(self.review.volume_node)
        self._editor.setCurrentSegmentID(self._session.selected)
        settings = self._editor.mrmlSegmentEditorNode()
        if settings.GetOverwriteMode() == settings.OverwriteAllSegments:  # as it is unless the user says otherwise
            settings.SetOverwriteMode(settings.OverwriteVisibleSegments)
            self._overwrote_all = settings
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
        settings, self._overwrote_all = self._overwrote_all, None
        if settings is not None and settings.GetOverwriteMode() == settings.OverwriteVisibleSegments:
            settings.SetOverwriteMode(settings.OverwriteAllSegments)

    def _on_event(self, event: ReviewEvent) -> None:
        if event.changed is Changed.CURRENT and self._session.selected is not None:
            if self._editor.currentSegmentID() != self._session.selected and not removed_text(self.review):
                self._editor.setCurrentSegmentID(self._session.selected)


def removed_text(review: OpenReview) -> str:
    """What is said when the selected segment was removed from the segmentation, one line; empty while it is there."""
    session, segmentation = review.session, review.segmentation_node.GetSegmentation()
    if session.selected is None or segmentation.GetSegment(session.selected) is not None:
        return ""
    return _("{segment} was removed from the segmentation, so there is nothing to correct").format(
        segment=session.labels[session.selected]
    )
