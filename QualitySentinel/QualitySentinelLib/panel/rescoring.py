"""Needs ``qt`` and ``slicer``. Scores again what was edited, shortly after it was, in steps from the event loop."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator

from slicer.i18n import tr as _

from ..errors import QualitySentinelError
from ..review import Rescoring
from ..scores import Progress
from .open_review import OpenReview
from .qt_tools import StepRun, single_shot_timer

DELAY_MS = 300
"""After the last edit: a stroke of a brush is one edit, the next one follows soon."""
MOST_NAMES = 4


def rescoring_in_steps(
    make_steps: Callable[[OpenReview, set[str]], Iterator[Progress]], on_change: Callable[[OpenReview], object]
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
