"""Needs ``qt`` and ``slicer``. Scoring that goes on while the application stays alive: on Apply, and after edits."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Generator
from types import SimpleNamespace

from slicer.i18n import tr as _

from ..errors import QualitySentinelError
from ..review import Rescoring, ReviewSession
from ..review.presenter import time_left
from ..scores import Progress, Stage, Status
from ..suggestions import Drawings
from .open_review import OpenReview, OpenReviews
from .qt_tools import StepRun, single_shot_timer

SHOW_SECONDS = 0.5
"""How often newly scored segments are shown while scoring goes on, at most: every time costs the views a moment."""

SHOW_SHARE = 0.1
"""The share of time that may be spent on it."""

DELAY_MS = 300
"""After the last edit: a stroke of a brush is one edit, the next one follows soon."""
MOST_NAMES = 4


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
        self._scored: tuple = ()
        self._shown, self._next_show = 0, 0.0
        self.cancelled = False
        self.warnings: list[str] = []
        self._draw()

    @property
    def running(self) -> bool:
        return self._run is not None

    def start(
        self, steps: Generator[Progress], segmentation_node, volume_node, volume_state: object, drawings: Drawings,
        warnings: list[str],
    ) -> None:  # fmt: skip
        """Begin; what the review is opened with, and ``warnings`` that are told meanwhile."""
        self.cancelled, self.warnings = False, warnings
        self._scored = (segmentation_node, volume_node, volume_state, drawings)
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
        self._run, self._scored, self.warnings = None, (), []
        self._draw()

    def _on_step(self, progress: Progress) -> None:
        self._draw_progress(progress)
        if not all(node.GetScene() for node in self._scored[:2]):  # removed meanwhile
            self.stop()
            self._on_scored(None, None)
        elif progress.finished or progress.cancelled:
            # Not only at the end of the steps: what they do after their last progress is nobody's business.
            review = self._take(progress)
            if review is not None:
                review.warnings, review.volume_state = list(progress.score.warnings), self._scored[2]
            self.stop()
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
        segmentation_node, volume_node, *others = self._scored
        review = self._reviews.of(segmentation_node)
        if review is None:
            review = self._reviews.open(segmentation_node, volume_node, ReviewSession(progress.score), *others)
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


def rescoring_in_steps(
    make_steps: Callable[[OpenReview, set[str]], Generator], on_change: Callable[[OpenReview], object]
) -> Rescoring:
    """Scores edited segments by ``make_steps``; ``on_change`` is called when scoring a review begins or has ended."""

    def start(review: OpenReview, segment_ids: set[str], end: Callable[[Exception | None], None]):
        def on_step(progress: Progress) -> None:
            if progress.finished:
                review.session.update(progress.score)
                review.warnings = list(progress.score.warnings)

        def stop() -> None:
            run.stop()
            end(None)

        run = StepRun(make_steps(review, segment_ids), end, on_step)
        return stop

    def changed(review: OpenReview, error: Exception | None) -> None:
        if error is not None:  # no message box: the reader is drawing
            review.warnings = [reason(error)]
            if not isinstance(error, (QualitySentinelError, ModuleNotFoundError)):
                logging.error("scoring edits again failed", exc_info=error)
        on_change(review)

    return Rescoring(lambda on_timeout: single_shot_timer(DELAY_MS, on_timeout), start, changed)


def reason(error: Exception) -> str:
    """Why edits were not scored, one line."""
    if isinstance(error, ModuleNotFoundError):  # nothing is installed without a click
        return _("Edits are not scored because {package} is not installed. Press Apply to install it").format(
            package=error.name
        )
    return str(error)


def outdated_text(review: OpenReview, segment_ids: Collection[str]) -> str:
    """What is said of segments that were edited and not scored again, one line; empty without any."""
    segmentation, labels = review.segmentation_node.GetSegmentation(), review.session.labels
    segments = ((labels.get(i), segmentation.GetSegment(i)) for i in sorted(segment_ids))
    names = [label or segment.GetName() for label, segment in segments if label or segment is not None]
    if not names:  # added and removed
        return ""
    shown = ", ".join(names[:MOST_NAMES])
    if len(names) > MOST_NAMES:
        shown = _("{names} and {count} more").format(names=shown, count=len(names) - MOST_NAMES)
    return _("Edited since the last scoring: {names}. Press Apply to rescore the changes").format(names=shown)
