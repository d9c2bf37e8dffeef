"""Needs ``slicer``. Scoring nodes of the scene in steps so short that the application stays alive between them.

torch and the model are loaded inside the steps: nothing here imports them at file scope.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..options import ScoringOptions
from ..review.cases import all_slices
from ..scores import CaseScore, Progress, SegmentScore, Stage
from ..steps import Steps, paced
from .ct_node import LastCt
from .importing import full_collections_later, import_steps
from .layer_memory import LayerMemory
from .segmentation_node import segmentation_steps
from .tags import READ_TAGS, read_tags

if TYPE_CHECKING:
    from ..checkpoint import QualityModel
    from ..review import ReviewSession
    from ..suggestions import Drawings

STEP_SECONDS = 0.03
"""A step takes about as long. Twice that is the most that nobody notices."""

_HEAVY = tuple(f"{__package__.rpartition('.')[0]}.{room}" for room in ("checkpoint", "scorer"))
"""What brings PyTorch with it."""

_last_ct = LastCt()


@dataclass
class _Read:
    """What was read for a scoring that came to its end. It is only trusted where the scores under review are those of
    that reading, so that it does not matter when the scene becomes another."""

    # the segmentation's id, and what its scores depend on beside the masks: the model's fingerprint, the slices chosen
    what: tuple
    memory: LayerMemory  # the layers
    segments: dict[str, tuple]  # by id what the scores were made of: name, tags, and the digests of the slices


_last_read: _Read | None = None


def score_steps(
    volume_node,
    segmentation_node,
    load: Callable[[], QualityModel],
    options: ScoringOptions,
    *,
    previous: CaseScore | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    drawings: Drawings | None = None,
) -> Iterator[Progress]:
    """Score a segmentation step by step: a generator to be driven from the event loop. The scene is not changed.

    Every progress says what comes *next* (``Progress.stage``), so that a view can show it before it happens. PyTorch is
    imported in a thread, once in a session, and the steps meanwhile wait for it. Loading a published checkpoint is one
    long step, and so is the conversion of a segmentation that has closed surfaces alone.

    Args:
        volume_node: the CT, a vtkMRMLScalarVolumeNode in Hounsfield units.
        segmentation_node: a vtkMRMLSegmentationNode. It may be edited meanwhile: what counts is what was read.
        load: gives the model, in a step of its own.
        options: how, but for the model. A step takes about :data:`STEP_SECONDS` where they do not say.
        previous, cancelled, drawings: as :meth:`~..scorer.Scorer.run` takes them.

    Yields:
        progress; the last one is ``finished`` or ``cancelled``. ``score`` has no segments until they are read.

    Raises:
        QualitySentinelError: what is wrong with the inputs or the model, in one line.
    """
    blank = CaseScore([], options.threshold)
    with full_collections_later():
        yield from _scored(volume_node, segmentation_node, load, options, blank, previous, cancelled, drawings)


def rescore(
    volume_node,
    segmentation_node,
    load: Callable[[], QualityModel],
    session: ReviewSession,
    segment_ids: Iterable[str] | None,
    options: ScoringOptions,
    *,
    cancelled: Callable[[], bool] = lambda: False,
    drawings: Drawings | None = None,
) -> Iterator[Progress]:
    """Score again after an edit, step by step: only these segments are read, only slices that changed are run.

    Args:
        volume_node, segmentation_node, load, options, cancelled, drawings: as in :func:`score_steps`; those of the
            scoring before, or what they changed is scored, too. The threshold is the session's.
        session: the review; it is not changed. Give it the score of the last step: ``session.update(...)``.
        segment_ids: those that were edited, as :class:`~.edits.SegmentationEdits` tells them; ids that are gone do no
            harm. Segments that the session does not know are read in any case. ``None``: all may have been edited.

    Yields:
        progress, as in :func:`score_steps`; ``score`` has every segment of the segmentation node, in its order: those
        that are not read keep the scores of the session, those that are gone are left out.
    """
    options = replace(options, threshold=session.threshold, segments=None)
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
    if not wanted:
        yield Progress(0, 0, 0.0, None, unchanged, cancelled())
        return
    with full_collections_later():
        yield from _scored(
            volume_node, segmentation_node, load, options, unchanged, unchanged, cancelled, drawings, wanted, merged
        )


class _Cancelled(Exception):
    """Asked before a step; with the last progress."""


def _scored(
    volume_node, segmentation_node, load, options: ScoringOptions, blank: CaseScore, previous: CaseScore | None,
    cancelled, drawings: Drawings | None, wanted: list[str] | None = None, merged=lambda case: case,
) -> Iterator[Progress]:  # fmt: skip
    """Import torch, load the model, warm it up, read both nodes and score, in steps.

    Args:
        blank: what is told before there are scores.
        wanted: ids of the segments that may be others than in ``previous``; of these, only those that are others are
            read. ``None``: all segments are read.
        merged: makes of the scores of what was read what is told.
    """
    started = time.perf_counter()
    options = replace(options, step_seconds=options.step_seconds or STEP_SECONDS)

    def coming(stage: Stage) -> Progress:
        progress = Progress(0, 0, time.perf_counter() - started, None, blank, cancelled(), stage)
        if progress.cancelled:
            raise _Cancelled(progress)
        return progress

    try:
        yield from _driven(import_steps(_HEAVY), Stage.LOADING, coming)
        from ..scorer import Scorer

        yield coming(Stage.LOADING)
        scorer = Scorer(load(), options)
        drawings = drawings if scorer.model.draws else None
        yield from _driven(scorer.warm_up_steps(), Stage.LOADING, coming)
        ct = yield from _driven(paced(_last_ct.steps(volume_node), options.step_seconds), Stage.READING, coming)
        memory, sure = LayerMemory(), set[str]()
        if wanted is not None:
            memory, sure = _recalled(segmentation_node, previous, scorer.model.sha256, options.slices)
        if drawings is not None and drawings.complete:  # masks that are as they were may still lack drawings
            sure = set()
        reading = paced(segmentation_steps(segmentation_node, volume_node, wanted, memory, sure), options.step_seconds)
        segmentation = yield from _driven(reading, Stage.READING, coming)
    except _Cancelled as stopped:
        yield stopped.args[0]
        return
    if not len(segmentation):  # every mask is as it was
        segmentation.warnings.clear()
    if wanted is None and previous is not None:  # segments may be gone since
        there = {segment.id for segment in segmentation}
        previous = replace(previous, segments=[s for s in previous.segments if s.segment_id in there])
    for progress in scorer.run(ct, segmentation, previous=previous, cancelled=cancelled, drawings=drawings):
        score = merged(progress.score)
        if progress.finished:
            _remember(segmentation_node, memory, score, options.slices)
        yield replace(progress, score=score, seconds=time.perf_counter() - started)


def _driven(steps: Steps, stage: Stage, coming: Callable[[Stage], Progress]):
    """Run steps to their end, telling of each; returns what they return."""
    try:
        while True:
            yield coming(stage)
            try:
                next(steps)
            except StopIteration as end:
                return end.value
    finally:
        steps.close()


def _remember(segmentation_node, memory: LayerMemory, case: CaseScore, slices: int | str) -> None:
    global _last_read
    what = segmentation_node.GetID(), case.model.get("sha256"), slices
    _last_read = _Read(what, memory, _made_of(segmentation_node, case))


def _recalled(segmentation_node, case: CaseScore, sha256: str, slices: int | str) -> tuple[LayerMemory, set[str]]:
    """What was read for these scores, and ids of the segments whose scores still hold if their voxels do."""
    what = segmentation_node.GetID(), case.model.get("sha256"), slices
    if _last_read is None or not sha256 or _last_read.what != what or case.model.get("sha256") != sha256:
        return LayerMemory(), set()
    now = _made_of(segmentation_node, case)
    return LayerMemory(_last_read.memory), {i for i, made_of in now.items() if _last_read.segments.get(i) == made_of}


def _made_of(segmentation_node, case: CaseScore) -> dict[str, tuple]:
    segmentation = segmentation_node.GetSegmentation()
    made_of = {}
    for score in case.segments:
        segment = segmentation.GetSegment(score.segment_id)
        if segment is not None:
            digests = tuple((s.k, s.digest) for s in all_slices(score))
            tags = read_tags(segment, READ_TAGS)
            made_of[score.segment_id] = segment.GetName(), tags, score.name, score.structure, digests
    return made_of
