"""Needs ``slicer``. Scoring nodes of the scene in steps so short that the application stays alive between them.

torch and the model are loaded inside the steps: nothing here imports them at file scope.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from ..scores import DEFAULT_THRESHOLD, CaseScore, Progress, SegmentScore, Stage
from ..steps import paced
from .ct_node import ct_steps
from .segmentation_node import segmentation_steps

if TYPE_CHECKING:
    import os

    from ..checkpoint import QualityModel
    from ..review import ReviewSession

STEP_SECONDS = 0.05
"""A step takes about as long. Twice that is the most that nobody notices."""


def score_steps(
    volume_node,
    segmentation_node,
    model: str | os.PathLike | QualityModel | Callable[[], QualityModel] = "bundled",
    *,
    threshold: float = DEFAULT_THRESHOLD,
    device: str = "auto",
    slices: int | str = "all",
    segments: Iterable[str] | None = None,
    previous: CaseScore | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    step_seconds: float = STEP_SECONDS,
) -> Iterator[Progress]:
    """Score a segmentation step by step: a generator to be driven from the event loop. The scene is not changed.

    Every progress says what comes *next* (``Progress.stage``), so that a view can show it before it happens. Loading
    PyTorch and the model, once in a session, are two steps of their own, which take seconds. Reading of a
    segmentation that has closed surfaces alone begins with their conversion, one long step, too.

    Args:
        volume_node: the CT, a vtkMRMLScalarVolumeNode in Hounsfield units.
        segmentation_node: a vtkMRMLSegmentationNode. It may be edited meanwhile: what counts is what was read.
        model: ``"bundled"``, a path, a model, or a function that gives one (called in a step of its own).
        threshold: slices predicted below it are flagged, 0..1.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        slices: ``"all"``, or how many of each segment.
        segments: ids, names or structures of the segments to score; by default all.
        previous: an earlier score: slices whose mask has not changed since keep theirs.
        cancelled: asked before each step whether to stop.
        step_seconds: about how long a step may take.

    Yields:
        progress; the last one is ``finished`` or ``cancelled``. ``score`` has no segments until they are read.

    Raises:
        QualitySentinelError: what is wrong with the inputs or the model, in one line.
    """
    started = time.perf_counter()
    blank = CaseScore([], threshold)

    def coming(stage: Stage) -> Progress:
        return Progress(0, 0, time.perf_counter() - started, None, blank, cancelled(), stage)

    scorer = yield from _scorer(model, device, threshold, step_seconds, coming)
    if scorer is None:
        return
    ct = yield from _read(paced(ct_steps(volume_node), step_seconds), coming)
    if ct is None:
        return
    reading = segmentation_steps(segmentation_node, volume_node)
    segmentation = yield from _read(paced(reading, step_seconds), coming)
    if segmentation is None:
        return
    for progress in scorer.run(ct, segmentation, slices, segments, previous, cancelled):
        yield replace(progress, seconds=time.perf_counter() - started)


def rescore(
    volume_node,
    segmentation_node,
    model: str | os.PathLike | QualityModel | Callable[[], QualityModel],
    session: ReviewSession,
    segment_ids: Iterable[str] | None = None,
    *,
    device: str = "auto",
    slices: int | str = "all",
    cancelled: Callable[[], bool] = lambda: False,
    step_seconds: float = STEP_SECONDS,
) -> Iterator[Progress]:
    """Score again after an edit, step by step: only these segments are read, only slices that changed are run.

    Args:
        volume_node, segmentation_node, model, device, slices, cancelled, step_seconds: as in :func:`score_steps`;
            those of the scoring before, or what they changed is scored, too.
        session: the review; it is not changed. Give it the score of the last step: ``session.update(...)``.
        segment_ids: those that were edited, as :class:`~.edits.SegmentationEdits` tells them; ids that are gone do no
            harm. Segments that the session does not know are read in any case. ``None``: all may have been edited.

    Yields:
        progress, as in :func:`score_steps`; ``score`` has every segment of the segmentation node, in its order: those
        that are not read keep the scores of the session, those that are gone are left out.

    Raises:
        QualitySentinelError: what is wrong with the inputs or the model, in one line.
    """
    started = time.perf_counter()
    known = {score.segment_id: score for score in session.case.segments}
    there = segmentation_node.GetSegmentation().GetSegmentIDs()
    edited = set(there if segment_ids is None else segment_ids)
    wanted = [segment_id for segment_id in there if segment_id in edited or segment_id not in known]

    def merged(case: CaseScore) -> CaseScore:
        """The new scores among those of the segments that were not read."""
        new: dict[str, SegmentScore] = known | {score.segment_id: score for score in case.segments}
        warnings = dict.fromkeys([*session.case.warnings, *case.warnings])
        return replace(case, segments=[new[i] for i in there if i in new], warnings=list(warnings))

    unchanged = replace(merged(session.case), seconds=0.0)

    def coming(stage: Stage) -> Progress:
        return Progress(0, 0, time.perf_counter() - started, None, unchanged, cancelled(), stage)

    if not wanted:
        yield coming(Stage.SCORING)
        return
    scorer = yield from _scorer(model, device, session.threshold, step_seconds, coming)
    if scorer is None:
        return
    ct = yield from _read(paced(ct_steps(volume_node), step_seconds), coming)
    if ct is None:
        return
    reading = segmentation_steps(segmentation_node, volume_node, wanted)
    segmentation = yield from _read(paced(reading, step_seconds), coming)
    if segmentation is None:
        return
    for progress in scorer.run(ct, segmentation, slices, None, session.case, cancelled):
        yield replace(progress, score=merged(progress.score), seconds=time.perf_counter() - started)


def _scorer(model, device: str, threshold: float, step_seconds: float, coming: Callable[[Stage], Progress]):
    """Import torch, load the model and warm it up, each in its own step; returns ``None`` when cancelled."""
    progress = coming(Stage.LOADING)
    yield progress
    if progress.cancelled:
        return None
    from ..checkpoint import QualityModel, load_model
    from ..scorer import Scorer

    progress = coming(Stage.LOADING)
    yield progress
    if progress.cancelled:
        return None
    if not isinstance(model, QualityModel):
        model = model() if callable(model) else load_model(model)
    scorer = Scorer(model, device, threshold=threshold, step_seconds=step_seconds)
    progress = coming(Stage.LOADING)
    yield progress
    if progress.cancelled:
        return None
    scorer.warm_up()
    return scorer


def _read(steps, coming: Callable[[Stage], Progress]):
    """Run a reader to its end, telling of each step; returns what it returns, ``None`` when cancelled."""
    try:
        while True:
            progress = coming(Stage.READING)
            yield progress
            if progress.cancelled:
                return None
            try:
                next(steps)
            except StopIteration as end:
                return end.value
    finally:
        steps.close()
