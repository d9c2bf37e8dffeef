"""Needs ``qt`` and ``slicer``. The sections Results and Review: a view of one review, and its reader's actions."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from types import SimpleNamespace

from slicer.i18n import tr as _

from ..review import Changed, ReviewEvent, ReviewPresenter, ReviewSession
from .open_review import OpenReview
from .qt_tools import ActionButtons
from .results_table import ResultsTable
from .slice_profile import SliceProfile

BUTTONS = {
    "next_flagged": "nextButton",
    "previous_flagged": "previousButton",
    "accept": "acceptButton",
    "accept_segment": "acceptSegmentButton",
    "undo": "undoButton",
    "redo": "redoButton",
}
"""The presenter's actions, and the buttons that do them."""

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
        self._buttons = ActionButtons(ui, BUTTONS, self._act)
        ui.correctButton.connect("clicked(bool)", lambda *_checked: self._correct())
        self.show(None)

    @property
    def presenter(self) -> ReviewPresenter | None:
        """Of the review that is shown."""
        return None if self.review is None else self.review.presenter

    @property
    def session(self) -> ReviewSession | None:
        """Of the review that is shown."""
        return None if self.review is None else self.review.session

    def show(self, review: OpenReview | None) -> None:
        """Show a review, or that there is none."""
        self._unsubscribe()
        self.review = review
        self._unsubscribe = (lambda: None) if review is None else review.session.observe(self._on_event)
        self.draw()

    def draw(self) -> None:
        """Draw everything anew."""
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
        self.slice_profile.show_bars(presenter.bars(), presenter.session.threshold, k)
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
