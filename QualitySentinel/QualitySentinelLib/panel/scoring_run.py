"""Needs ``qt`` and ``slicer``. Apply and Cancel: a scoring that goes on while the application stays alive."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace

from slicer.i18n import tr as _

from ..review import ReviewSession
from ..review.presenter import time_left
from ..scores import Progress, Stage, Status
from .open_review import OpenReview, OpenReviews
from .qt_tools import StepRun

SHOW_SECONDS = 0.5
"""How often newly scored segments are shown while scoring goes on, at most: every time costs the views a moment."""

SHOW_SHARE = 0.1
"""The share of time that may be spent on it."""


class ScoringRun:
    """Scores one segmentation at a time and gives the scores to its review, which is opened when there is none yet.

    ``on_scored`` is called with the review, or ``None``, and ``None`` when it has new scores and when scoring has
    ended; with the exception when it has failed.

    Attributes:
        cancelled: whether the user has asked to stop.
        warnings: what was said before scoring began, one line each.
    """

    def __init__(
        self,
        ui: SimpleNamespace,
        reviews: OpenReviews,
        on_scored: Callable[[OpenReview | None, Exception | None], object],
    ) -> None:
        self._ui, self._reviews, self._on_scored = ui, reviews, on_scored
        self._run: StepRun | None = None
        self._nodes: tuple = (None, None, None)
        self._shown, self._next_show = 0, 0.0
        self.cancelled = False
        self.warnings: list[str] = []
        self._draw()

    @property
    def running(self) -> bool:
        """Whether scoring goes on."""
        return self._run is not None

    def start(self, steps: Iterator[Progress], segmentation_node, volume_node, volume_state, warnings) -> None:
        """Begin; ``volume_state`` tells later whether the CT is still the same, ``warnings`` are told meanwhile."""
        self.cancelled, self.warnings = False, list(warnings)
        self._nodes = (segmentation_node, volume_node, volume_state)
        self._shown, self._next_show = 0, 0.0
        self._run = StepRun(steps, self._on_end, self._on_step)
        self._draw()

    def cancel(self) -> None:
        """Stop soon; segments that are finished keep their scores."""
        self.cancelled = True

    def stop(self) -> None:
        """Drop what is left to score, at once; nobody is told."""
        if self._run is not None:
            self._run.stop()
        self._run, self._nodes = None, (None, None, None)
        self.warnings = []
        self._draw()

    def _on_step(self, progress: Progress) -> None:
        self._draw_progress(progress)
        if not self._nodes[0].GetScene() or not self._nodes[1].GetScene():  # removed meanwhile
            self.stop()
            self._on_scored(None, None)
        elif progress.finished or progress.cancelled:
            # Not only at the end of the steps: what they do after their last progress is nobody's business.
            review = self._take(progress)
            nodes = self._nodes
            self.stop()
            if review is not None:
                review.warnings = list(progress.score.warnings)
                review.volume_state = nodes[2]
            self._on_scored(review, None)
        elif self._has_more_to_show(progress):
            started = time.monotonic()
            self._on_scored(self._take(progress), None)
            took = time.monotonic() - started
            self._next_show = started + max(SHOW_SECONDS, took / SHOW_SHARE)

    def _on_end(self, error: Exception | None) -> None:
        self.stop()
        self._on_scored(None, error)

    def _has_more_to_show(self, progress: Progress) -> bool:
        if not progress.score.segments:
            return False
        finished = sum(s.status not in (Status.NOT_SCORED, Status.EMPTY) for s in progress.score.segments)
        if finished == self._shown or time.monotonic() < self._next_show:
            return False
        self._shown = finished
        return True

    def _take(self, progress: Progress) -> OpenReview | None:
        """Give the scores so far to the review."""
        if not progress.score.segments:
            return None
        segmentation_node, volume_node, volume_state = self._nodes
        review = self._reviews.of(segmentation_node)
        if review is None:
            session = ReviewSession(progress.score)
            review = self._reviews.open(segmentation_node, volume_node, session, volume_state)
            review.record.touch()
        else:
            review.session.update(progress.score)
        return review

    def _draw(self) -> None:
        self._ui.cancelButton.enabled = self.running
        self._ui.progressBar.visible = self.running
        if self.running:
            self._ui.progressBar.maximum, self._ui.progressBar.value = 1, 0
            self._ui.progressBar.format = _("Starting...")

    def _draw_progress(self, progress: Progress) -> None:
        bar = self._ui.progressBar
        bar.maximum, bar.value = max(progress.total, 1), progress.done
        if progress.stage is not Stage.SCORING or not progress.total:
            bar.format = STAGES.get(progress.stage, _("Scoring..."))
            return
        text = _("{done} of {total} slices").format(done=progress.done, total=progress.total)
        bar.format = ", ".join(filter(None, (text, time_left(progress.done, progress.total, progress.seconds, _))))


STAGES = {
    Stage.LOADING: _("Loading the model..."),
    Stage.READING: _("Reading the volumes..."),
    Stage.PLANNING: _("Finding slices..."),
}
