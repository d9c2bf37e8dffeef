"""Needs ``qt`` and ``slicer``. Results and Review: a view of one review, its reader's actions, the Segment Editor."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from types import SimpleNamespace

import slicer
from slicer.i18n import tr as _

from ..review import Changed, ReviewEvent, ReviewPresenter, ReviewSession
from .open_review import OpenReview
from .qt_tools import ActionButtons, Shortcuts
from .results_table import ResultsTable
from .slice_profile import SliceProfile

TOGGLES = ("accept", "accept_segment")
"""Actions whose button says what it does now."""


class ReviewPanel:
    """Draws a review, and makes clicks its actions; ``on_correct`` is called with it when the reader wants to correct.

    Attributes:
        review: what is shown, if anything.
    """

    def __init__(self, ui: SimpleNamespace, on_correct: Callable[[OpenReview], object]) -> None:
        self._ui, self._on_correct = ui, on_correct
        self.review: OpenReview | None = None
        self._unsubscribe: Callable[[], object] = lambda: None
        self.table = ResultsTable(ui.resultsTable, lambda segment_id: self._act("select", segment_id))
        self.slice_profile = SliceProfile(lambda k: self._act("go_to", k))
        ui.sliceProfileFrame.layout().addWidget(self.slice_profile)
        self._buttons = ActionButtons(ui, ReviewPresenter.ACTIONS, self._act)
        ui.correctButton.connect("clicked(bool)", lambda *_checked: self._correct())
        self.show(None)

    @property
    def presenter(self) -> ReviewPresenter | None:
        return None if self.review is None else self.review.presenter

    @property
    def session(self) -> ReviewSession | None:
        return None if self.review is None else self.review.session

    def show(self, review: OpenReview | None) -> None:
        self._unsubscribe()
        self.review = review
        self._unsubscribe = (lambda: None) if review is None else review.session.observe(self._on_event)
        self.draw()

    def draw(self) -> None:
        self.table.show(self.presenter)
        self._draw_counts()
        self._draw_current()

    def _on_event(self, event: ReviewEvent) -> None:
        if event.changed is Changed.CURRENT:
            self.table.select(self.session.selected)
        else:
            self.table.show(self.presenter, event.segments)
            self._draw_counts()
        self._draw_current()

    def _draw_counts(self) -> None:
        bar, session = self._ui.reviewProgressBar, self.session
        bar.maximum, bar.value, bar.format = 1, 0, _("Nothing to review")
        if session is None:
            self._ui.summaryLabel.text = _("Not scored yet")
            return
        self._ui.thresholdSliderWidget.toolTip = self.presenter.threshold_note
        box, own = self._ui.ownThresholdsCheckBox, self.presenter.own_thresholds
        box.enabled, box.toolTip = own.enabled, own.reason or own.text
        counts = session.counts
        text = _("<b>{flagged}</b> flagged and <b>{missed}</b> missed slices in {segments} of {all} segments")
        if counts.done:
            text += _("; {accepted} accepted, {corrected} corrected, {open} open")
        self._ui.summaryLabel.text = text.format(**vars(counts), all=len(session.segments))
        if counts.total:
            bar.maximum, bar.value = counts.total, counts.done
            bar.format = _("{done} of {total} reviewed").format(done=counts.done, total=counts.total)
        else:
            bar.value = 1

    def _draw_current(self) -> None:
        ui, presenter = self._ui, self.presenter
        self._buttons.draw(presenter.actions() if presenter else {}, TOGGLES)
        ui.correctButton.enabled = presenter is not None and presenter.session.selected is not None
        if presenter is None:
            self.slice_profile.show_bars((), 0.0, None)
            ui.acceptButton.checked = False
            ui.currentLabel.text = _("Press Apply to score the segmentation, then review its slices here")
            return
        current = presenter.current()
        k = None if presenter.session.current is None else current.k
        self.slice_profile.show_bars(presenter.bars(), presenter.threshold, k)
        ui.acceptButton.checked = current.accepted
        where = ", ".join(filter(None, (f"<b>{escape(current.segment)}</b>" * bool(current.segment), current.place)))
        ui.currentLabel.text = ": ".join(filter(None, (where, escape(current.told))))

    def _act(self, action: str, *arguments: object) -> None:
        if self.presenter is not None:
            getattr(self.presenter, action)(*arguments)
            self._draw_current()  # also when nothing has changed: Qt has toggled the button

    def _correct(self) -> None:
        if self.review is not None and self.session.selected is not None:
            self._on_correct(self.review)


def segment_editor() -> slicer.qMRMLSegmentEditorWidget:
    """The widget of the Segment Editor; the module is opened, and its widget made, when it was not yet."""
    slicer.util.selectModule("SegmentEditor")
    return slicer.modules.SegmentEditorWidget.editor


class Correcting:
    """Opens the Segment Editor with the segment of a review that is selected, and lets it follow the review.

    There, N and Shift+N go to the next and previous flagged slice. Space is the Segment Editor's own key. Segments that
    are hidden keep their voxels where the reader paints: nobody would see them go. The views stay where they are.
    """

    def __init__(self, review: OpenReview) -> None:
        self.review, self._session = review, review.session
        self._unsubscribe: Callable[[], object] = lambda: None
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
