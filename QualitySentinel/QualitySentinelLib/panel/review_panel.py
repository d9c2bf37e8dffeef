"""Needs ``qt`` and ``slicer``. The sections Results and Review: a view of one review, and its reader's actions."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import qt
from slicer.i18n import tr as _

from ..errors import QualitySentinelError
from ..review import Changed, ReviewCounts, ReviewEvent, ReviewSession, verdict
from ..scores.colors import DEFAULT_SCALE
from .figures import Figures
from .open_review import OpenReview
from .results_table import ResultsTable
from .strip_plot import StripPlot


class ReviewPanel:
    """Draws a review into the widgets of the ``.ui`` file, and makes clicks its actions.

    Args:
        ui: the widgets by name.
        on_correct: called with the review when the reader wants to correct the slice that is looked at.
    """

    def __init__(self, ui: SimpleNamespace, on_correct: Callable[[OpenReview], object]) -> None:
        self._ui, self._on_correct = ui, on_correct
        self._review: OpenReview | None = None
        self._unsubscribe: Callable[[], None] = lambda: None
        self._figures = Figures()
        self.scale = DEFAULT_SCALE
        self.table = ResultsTable(ui.resultsTable, self._on_segment)
        self.strip_plot = StripPlot(self._on_bar)
        ui.stripPlotFrame.layout().addWidget(self.strip_plot)
        on_click(ui.previousButton, self.previous)
        on_click(ui.nextButton, self.next)
        on_click(ui.acceptButton, self.accept)
        on_click(ui.acceptSegmentButton, self.accept_segment)
        on_click(ui.undoButton, self.undo)
        on_click(ui.redoButton, self.redo)
        on_click(ui.correctButton, self.correct)
        self.show(None)

    # What is shown

    @property
    def review(self) -> OpenReview | None:
        """The review that is shown."""
        return self._review

    @property
    def session(self) -> ReviewSession | None:
        """Its session."""
        return None if self._review is None else self._review.session

    def show(self, review: OpenReview | None) -> None:
        """Show a review, or that there is none."""
        self._unsubscribe()
        self._review = review
        self._unsubscribe = (lambda: None) if review is None else review.session.observe(self._on_event)
        self.draw()

    def show_scale(self, scale: str) -> None:
        """Use another color scale, a name of ``scores.colors.SCALES``."""
        self.scale = scale
        self.table.show_scale(scale, self.session)
        self._draw_current()

    def draw(self) -> None:
        """Draw everything anew."""
        self._figures.update(self.session)
        self.table.show(self.session, self._figures)
        self._draw_figures()
        self._draw_current()

    def _on_event(self, event: ReviewEvent) -> None:
        if event.changed is Changed.CURRENT:
            self.table.select(self.session.selected)
        else:
            self._figures.update(self.session, event.segments)
            self.table.update(self.session, self._figures, event.segments)
            self._draw_figures()
        self._draw_current()

    def _draw_figures(self) -> None:
        bar = self._ui.reviewProgressBar
        if self.session is None:
            self._ui.summaryLabel.text = _("Not scored yet")
            bar.maximum, bar.value, bar.format = 1, 0, _("Nothing to review")
            return
        counts = self._figures.total
        self._ui.summaryLabel.text = summary(counts, len(self.session.segments))
        progress = counts.progress
        bar.maximum, bar.value = max(progress.total, 1), progress.done if progress.total else 1
        if progress.total:
            bar.format = _("{done} of {total} reviewed").format(done=progress.done, total=progress.total)
        else:
            bar.format = _("Nothing to review")

    def _draw_current(self) -> None:
        session = self.session
        ui = self._ui
        selected = None if session is None else session.selected
        current = None if session is None else session.current
        points = session.strip(selected) if selected is not None else ()
        threshold = 0.0 if session is None else session.threshold
        k = None if current is None else current.k
        self.strip_plot.show_strip(points, threshold, k, self.scale)
        ui.currentLabel.text = self._current_text(points, k)
        scored = current is not None and session.slice_score(*current) is not None
        accepted = current is not None and session.is_accepted(*current)
        counts = self._figures.of(selected)
        ui.previousButton.enabled = ui.nextButton.enabled = self._figures.total.open > 0
        ui.acceptButton.enabled, ui.acceptButton.checked = scored, accepted
        ui.acceptButton.text = _("Accepted") if accepted else _("Accept")
        undoes = not counts.open and counts.progress.accepted > 0
        ui.acceptSegmentButton.enabled = counts.open > 0 or undoes
        ui.acceptSegmentButton.text = _("Undo accepts") if undoes else _("Accept segment")
        ui.undoButton.enabled = session is not None and session.can_undo
        ui.redoButton.enabled = session is not None and session.can_redo
        ui.correctButton.enabled = selected is not None

    def _current_text(self, points, k: int | None) -> str:
        if self.session is None:
            return _("Press Apply to score the segmentation, then review its slices here")
        if self.session.selected is None:
            return _("Select a segment in the table, or press Next")
        label = self.session.labels[self.session.selected]
        point = next((p for p in points if p.k == k), None)
        if point is None:
            return _("<b>{segment}</b>: no score at this slice").format(segment=escaped(label))
        return _("<b>{segment}</b>, slice {index} (S {position:.1f} mm): {verdict}").format(
            segment=escaped(label), index=point.slice_index, position=point.position_mm, verdict=verdict(point, _)
        )

    # What a reader does

    def next(self) -> None:
        """Go to the next open slice."""
        if self.session is not None:
            self.session.next_flagged()

    def previous(self) -> None:
        """Go to the previous open slice."""
        if self.session is not None:
            self.session.previous_flagged()

    def accept(self) -> None:
        """Accept the current slice, or undo that."""
        if self.session is None or self.session.current is None:
            return
        current = self.session.current
        try:
            if self.session.is_accepted(*current):
                self.session.unaccept(*current)
            else:
                self.session.accept(*current)
        except QualitySentinelError:  # it has no score: there is nothing to accept
            pass
        self._draw_current()  # Qt has toggled the button

    def accept_segment(self) -> None:
        """Accept all open slices of the selected segment; when there is none, undo its accepts."""
        if self.session is None or self.session.selected is None:
            return
        if not self.session.accept_segment(self.session.selected):
            self.session.unaccept_segment(self.session.selected)

    def undo(self) -> None:
        """Undo the last accept."""
        if self.session is not None:
            self._look(self.session.undo())

    def redo(self) -> None:
        """Accept again what was undone."""
        if self.session is not None:
            self._look(self.session.redo())

    def correct(self) -> None:
        """Edit the selected segment."""
        if self._review is not None and self.session.selected is not None:
            self._on_correct(self._review)

    def _look(self, changed) -> None:
        """Let the reader see what an undo has changed."""
        if changed and self.session.current not in changed:
            self.session.go_to(*changed[0])

    def _on_segment(self, segment_id: str) -> None:
        if self.session is not None:
            self.session.select(segment_id)

    def _on_bar(self, k: int) -> None:
        if self.session is not None and self.session.selected is not None:
            self.session.go_to(self.session.selected, k)


def on_click(button: qt.QPushButton, action: Callable[[], object]) -> None:
    """Do something when a button is clicked, however its key was pressed."""
    button.connect("clicked(bool)", lambda *_checked: action())


def summary(counts: ReviewCounts, segments: int) -> str:
    """The figures of a case on a line or two."""
    text = _("<b>{flagged}</b> flagged and <b>{missed}</b> missed slices in {doubtful} of {segments} segments").format(
        flagged=counts.flagged, missed=counts.missed, doubtful=counts.segments, segments=segments
    )
    progress = counts.progress
    if not progress.done:
        return text
    return text + _("; {accepted} accepted, {corrected} corrected, {open} open").format(
        accepted=progress.accepted, corrected=progress.corrected, open=progress.open
    )


def escaped(text: str) -> str:
    """Text for a label that reads HTML."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
