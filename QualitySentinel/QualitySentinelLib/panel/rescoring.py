"""Needs ``qt`` and ``slicer``. Scores again what was edited, shortly after it was."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator

from slicer.i18n import tr as _

from ..errors import QualitySentinelError
from ..scores import Progress
from .open_review import OpenReview
from .qt_tools import StepRun, single_shot_timer

DELAY_MS = 300
"""After the last edit: a stroke of a brush is one edit, the next one follows soon."""
MOST_NAMES = 4


class Rescoring:
    """Gathers edits and scores the edited segments again, one review at a time, in steps from the event loop.

    Args:
        steps: makes the steps of scoring some segments of a review again.
        on_change: called with a review when scoring it again begins, goes on, or ends.
    """

    def __init__(
        self, steps: Callable[[OpenReview, set[str]], Iterator[Progress]], on_change: Callable[[OpenReview], object]
    ) -> None:
        self._make_steps, self._on_change = steps, on_change
        self._waiting: dict[OpenReview, set[str]] = {}
        self._failed: dict[OpenReview, set[str]] = {}
        self._running: tuple[OpenReview, set[str], StepRun] | None = None
        self._held = False
        self._timer = single_shot_timer(DELAY_MS, self._start)

    @property
    def enabled(self) -> bool:
        """Whether edits are scored when they happen, or are gathered until this is true again."""
        return not self._held

    @enabled.setter
    def enabled(self, enabled: bool) -> None:
        self._held = not enabled
        if self._held:
            self._interrupt()
            self._timer.stop()
        elif self._waiting:
            self._timer.start()

    def edited(self, review: OpenReview, segment_ids: set[str]) -> None:
        """Segments of a review were edited."""
        if self._running is not None and self._running[0] is review:
            self._interrupt()  # its voxels are of before
        self._waiting.setdefault(review, set()).update(segment_ids)
        if not self._held:
            self._timer.start()

    def busy(self, review: OpenReview) -> bool:
        """Whether edits of a review are being scored, or are about to be."""
        return review in self._waiting or (self._running is not None and self._running[0] is review)

    def unscored(self, review: OpenReview) -> set[str]:
        """Ids of the edited segments that keep their scores of before: they wait to be enabled, or scoring failed."""
        waiting = self._waiting.get(review, set()) if self._held else set()
        return waiting | self._failed.get(review, set())

    def taken(self, review: OpenReview) -> set[str]:
        """Ids of all edited segments of a review that are not scored; they are dropped, as :meth:`forget` does."""
        running = self._running[1] if self._running is not None and self._running[0] is review else set()
        ids = self._waiting.get(review, set()) | self._failed.get(review, set()) | running
        self.forget(review)
        return ids

    def forget(self, review: OpenReview | None = None) -> None:
        """Drop what waits of a review, or of all: it has ended, or all of it was scored again."""
        if self._running is not None and review in (None, self._running[0]):
            self._running[2].stop()
            self._running = None
        if review is None:
            self._waiting.clear()
            self._failed.clear()
        else:
            self._waiting.pop(review, None)
            self._failed.pop(review, None)
        if self._waiting and not self._held:
            self._timer.start()
        elif not self._waiting:
            self._timer.stop()

    def _interrupt(self) -> None:
        if self._running is not None:
            review, segment_ids, run = self._running
            run.stop()
            self._running = None
            self._waiting.setdefault(review, set()).update(segment_ids)

    def _start(self) -> None:
        if self._held or self._running is not None or not self._waiting:
            return
        review = next(iter(self._waiting))
        segment_ids = self._waiting.pop(review) | self._failed.pop(review, set())
        run = StepRun(self._make_steps(review, segment_ids), self._on_end, lambda step: self._on_step(review, step))
        self._running = (review, segment_ids, run)
        self._on_change(review)

    def _on_step(self, review: OpenReview, progress: Progress) -> None:
        if progress.finished:
            review.session.update(progress.score)
            review.warnings = list(progress.score.warnings)

    def _on_end(self, error: Exception | None) -> None:
        review, segment_ids, _run = self._running
        self._running = None
        if error is not None:
            # No message box: the reader is drawing.
            self._failed[review] = segment_ids
            review.warnings = [reason(error)]
            if not isinstance(error, (QualitySentinelError, ModuleNotFoundError)):
                logging.error("scoring edits again failed", exc_info=error)
        self._on_change(review)
        if self._waiting:
            self._timer.start()


def reason(error: Exception) -> str:
    """Why edits were not scored, one line."""
    if isinstance(error, ModuleNotFoundError):  # nothing is installed without a click
        return _("Edits are not scored because {package} is not installed. Press Apply to install it").format(
            package=error.name
        )
    return str(error)


def outdated_text(review: OpenReview, segment_ids: Collection[str]) -> str:
    """What is said of segments that were edited and not scored again, one line; empty without any."""
    segmentation = review.segmentation_node.GetSegmentation()
    labels = review.session.labels
    names = [labels.get(i) or segmentation.GetSegment(i).GetName() for i in sorted(segment_ids) if _is_known(review, i)]
    if not names:  # added and removed
        return ""
    shown = ", ".join(names[:MOST_NAMES])
    if len(names) > MOST_NAMES:
        shown = _("{names} and {count} more").format(names=shown, count=len(names) - MOST_NAMES)
    return _("Edited since the last scoring: {names}. Press Apply to rescore the changes").format(names=shown)


def _is_known(review: OpenReview, segment_id: str) -> bool:
    there = review.segmentation_node.GetSegmentation().GetSegment(segment_id) is not None
    return there or segment_id in review.session.labels
