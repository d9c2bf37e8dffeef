"""Scoring a case: a generator of progress that runs batches of slices through the network."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from ..anatomy.sides import WRONG_SIDE, mistaken_sides
from ..checkpoint import QualityModel, load_model
from ..errors import CancelledError, UsageError
from ..options import ScoringOptions
from ..scores import CaseScore, Progress, SegmentScore, SliceScore, Stage, Status, flag
from ..scores.aggregation import aggregate, calibration_for
from ..slices import SliceBatch, make_batch
from ..slices.place import body_of
from ..steps import Steps, TimeBudget, in_thread
from ..suggestions.drawing import WHOLE, Drawing, Drawings
from ..volume import CtVolume, Segment, Segmentation
from ..volume.segmentation import chosen_segments
from .device import BatchSizer, MadeAhead, batch_size_for, choose_device, is_out_of_memory
from .plan import REACH_MM, empty_slices, plan_slices

Item = tuple[Segment, int, int | None]
"""A segment, the canonical slice to score, and, where the segment is empty in it, the nearest slice of its mask."""

_NAMED = 5
"""Structures that a warning names."""
_WHOLE = 0.5
"""Share of the slices in which the body should not leave the picture sideways."""


def score(
    ct: CtVolume, segmentation: Segmentation, model: QualityModel | str | os.PathLike = "bundled", **options
) -> CaseScore:
    """Predict the DSC of every slice and every segment of a segmentation.

    To score many cases, load the model once and make a :class:`Scorer` of it.

    Args:
        ct: what :func:`QualitySentinelLib.read_ct` gives.
        segmentation: what :func:`QualitySentinelLib.read_segmentation` gives.
        model: what :func:`QualitySentinelLib.load_model` takes.
        options: other fields of :class:`~..options.ScoringOptions`, such as ``device``, ``slices`` and ``segments``.
    """
    how = ScoringOptions(model, **options)
    return Scorer(load_model(how.model, how.embeddings), how).score(ct, segmentation)


class Scorer:
    """Scores segmentations with one model on one device.

    Args:
        model: what :func:`QualitySentinelLib.checkpoint.load_model` gives.
        options: how; its ``model`` and ``embeddings`` are not looked at.
        changes: fields of :class:`~..options.ScoringOptions` in their place, such as ``device`` and ``threshold``.

    Example::

        scorer = Scorer(load_model("bundled"))
        for progress in scorer.run(ct, segmentation):
            print(progress.done, "of", progress.total)
        progress.score.worst_first()[0].name
    """

    def __init__(self, model: QualityModel, options: ScoringOptions | None = None, **changes) -> None:
        self.options = options = replace(options or ScoringOptions(), **changes)
        model.backend, model.precision = options.backend or model.backend, options.precision or model.precision
        self.model = model
        if options.own_thresholds and not CaseScore([], options.threshold, self.summary()).structure_thresholds:
            raise UsageError(f"{model.name} has no thresholds by structure; omit --own-thresholds, or calibrate it")
        self.device = choose_device(options.device)
        self._batches = self._batch_sizer(options.batch_size)

    def _batch_sizer(self, most: int | None = None) -> BatchSizer:
        fitting = most or batch_size_for(self.device, self.model.preset.size**2)
        return BatchSizer(fitting, self.options.step_seconds)

    def _bring_network(self) -> None:
        if self.model.device != self.device:  # asking each of its parts takes long
            self.model.network.to(self.device)

    def warm_up_steps(self) -> Steps[Scorer]:
        """What the first slice would have to wait for: bring the network to the device, run it once; returns self."""
        try:
            self._bring_network()
            yield
            yield from in_thread(self.model.chosen_backend, "prepares the network")
            self.model.chosen_backend()(self.model.example(1))
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):  # the run itself finds room, or says that there is none
                raise
        return self

    def score(self, ct: CtVolume, segmentation: Segmentation, **how) -> CaseScore:
        """Run :meth:`run`, which takes the same, to its end.

        Raises:
            CancelledError: ``cancelled`` said so.
        """
        *_, progress = self.run(ct, segmentation, **how)
        if progress.cancelled:
            raise CancelledError("scoring was canceled")
        return progress.score

    def run(
        self,
        ct: CtVolume,
        segmentation: Segmentation,
        *,
        segments: Iterable[str] | None = None,
        previous: CaseScore | None = None,
        cancelled: Callable[[], bool] = lambda: False,
        drawings: Drawings | None = None,
    ) -> Iterator[Progress]:
        """Score a case batch by batch, yielding progress before the first batch and after each.

        With ``step_seconds``, progress of the stage ``PLANNING`` comes before that whenever the time is over.

        Args:
            ct, segmentation: on one grid (``segmentation.frame`` has the CT's shape).
            segments: those to score in this run, instead of the options' own.
            previous: an earlier score of the same CT by the same model: a slice whose mask has not changed since
                keeps its score, only the others are run.
            cancelled: asked between batches; when it says yes the run ends with ``Progress.cancelled``.
            drawings: filled with the reference that the model expects in each slice, from the pass that scores it. If
                they are to be complete, slices without one are run, whatever ``previous`` says. A model that draws
                nothing (``QualityModel.draws``) leaves them as they are.

        Raises:
            UsageError: unknown segment, or the two volumes do not share a grid.
        """
        started = time.perf_counter()
        if segmentation.frame.shape != ct.frame.shape:
            raise UsageError(f"{segmentation.source}: the segmentation is not on the CT's grid; resample it first")
        wanted = chosen_segments(segmentation, self.options.segments if segments is None else segments)
        warnings = [*ct.warnings, *segmentation.warnings, *_mistaken_sides(segmentation)]
        structures = {s.structure for s in segmentation if s.id in wanted and not s.is_empty}
        if previous is not None:  # what is not scored in this run keeps its scores, and the doubts about them
            structures |= {s.structure for s in previous.segments if s.slices and s.segment_id not in wanted}
        warnings += self._doubts(ct, {name for name in structures if name})
        if drawings is not None and not self.model.draws:
            warnings.append(f"model {self.model.name} draws no reference: there are no error maps")
            drawings = None
        in_file_order = self.model.preset.frame == "file"
        if in_file_order and ct.frame.plane_axis != 0:
            warnings.append(f"{ct.source}: stored slices are not axial; axial ones are scored, as the model expects")
        case = CaseScore(
            segments=[
                SegmentScore(s.id, s.name, s.structure, Status.EMPTY if s.is_empty else Status.NOT_SCORED)
                for s in segmentation
            ],
            threshold=self.options.threshold,
            own_thresholds=self.options.own_thresholds,
            model=self.summary(),
            device=str(self.device),
            warnings=warnings,
        )
        scores = {score.segment_id: score for score in case.segments}
        items: list[Item] = []

        def progress(
            done: int, segment_id: str | None, cancelled: bool = False, stage: Stage = Stage.SCORING
        ) -> Progress:
            case.seconds = time.perf_counter() - started
            total = len(items) if stage is Stage.SCORING else 0
            return Progress(done, total, case.seconds, segment_id, case, cancelled, stage)

        budget = TimeBudget(self.options.step_seconds)
        earlier = _Earlier(previous, self.model.sha256)
        from_top = in_file_order and ct.frame.flipped[0]
        missing = {}
        for segment in segmentation:
            score = scores[segment.id]
            score.n_slices = len(segment.occupied_slices())
            plan = self._plan(segment, ct, from_top) if segment.id in wanted else {}
            missing[segment.id] = len(plan)
            for k, near in plan.items():
                if budget.is_spent():
                    yield progress(0, None, stage=Stage.PLANNING)
                    if cancelled():
                        yield progress(0, None, cancelled=True)
                        return
                    budget.renew()
                kept = earlier.slice_score(segment, k, near)
                if kept is None or (drawings is not None and drawings.complete and drawings.of(kept) is None):
                    items.append((segment, k, near))
                else:
                    _add(score, kept)
                    missing[segment.id] -= 1
            if plan and not missing[segment.id]:
                self._finish(segment, score, case)

        def make(part: slice) -> SliceBatch:
            slices, neighbours = [(segment, k) for segment, k, _ in items[part]], [near for *_, near in items[part]]
            return make_batch(ct, slices, self.model.preset, self.device, neighbours=neighbours)

        yield progress(0, None)
        done, ahead = 0, MadeAhead(make)
        while done < len(items):
            if cancelled():
                yield progress(done, items[done][0].id, cancelled=True)
                return
            began = time.perf_counter()
            raw = self._predict(items, done, ahead, case, drawings)
            batch = items[done : done + len(raw)]  # memory may have allowed fewer than planned
            done += len(batch)
            for (segment, k, near), value in zip(batch, raw, strict=True):
                _add(scores[segment.id], _slice_score(ct, segment, k, near, float(value)))
                missing[segment.id] -= 1
                if not missing[segment.id]:
                    self._finish(segment, scores[segment.id], case)
            self._batches.took(len(batch), time.perf_counter() - began)
            case.device, case.model = str(self.device), self.summary()
            if (warning := self.model.backend_warning) and warning not in case.warnings:
                case.warnings.append(warning)
            yield progress(done, batch[-1][0].id)

    def summary(self) -> dict:
        """What a report says of the model, with what a reader must know of its calibration."""
        told = {key: self._calibration[key] for key in ("coverage", "missed", "flags") if key in self._calibration}
        return self.model.summary() | ({"calibration": told} if told else {})

    @property
    def _calibration(self) -> dict:
        return self.model.metadata.get("calibration") or {}

    def _doubts(self, ct: CtVolume, structures: set[str]) -> list[str]:
        """A line for what the model has not learned to judge: structures, and a CT without a whole body."""
        strange = {name for name in structures if not self._was_trained_on(name)}
        few, doubts = self._calibration.get("few"), []
        if strange:
            named = _named(strange)
            doubts.append(f"the model was never trained on {named}: trust these scores less; they have no ranges")
        if few and (rare := structures - strange - set(few["known"])):
            doubts.append(
                f"the model was trained on fewer than {few['patients']} patients with {_named(rare)}: trust these "
                "scores less; their ranges are wider"
            )
        if self.model.sees_places and body_of(ct).found[:, 0].mean() < _WHOLE:
            doubts.append(f"{ct.source}: the body is cut off at its sides: left and right are told apart less surely")
        return doubts

    def _was_trained_on(self, structure: str) -> bool:
        return not self.model.trained_structures or structure in self.model.trained_structures

    def _knows(self, segment: Segment) -> bool:
        return segment.structure is not None and segment.structure in self.model.table.names

    def _plan(self, segment: Segment, ct: CtVolume, from_top: bool) -> dict[int, int | None]:
        """Canonical k of the slices to score: those of the mask with ``None``, then empty ones with the nearest."""
        plan: dict[int, int | None] = dict.fromkeys(plan_slices(segment, self.options.slices, from_top))
        if self.options.slices == "all" and self.model.preset.neighbour and self._knows(segment):
            reach_mm = (self._calibration.get("missed") or {}).get("reach_mm", REACH_MM)
            plan |= empty_slices(segment.occupied_slices(), ct.frame.shape[0], ct.frame.spacing[0], reach_mm)
        return plan

    def _predict(
        self, items: Sequence[Item], done: int, ahead: MadeAhead, case: CaseScore, drawings: Drawings | None
    ) -> np.ndarray:
        """Raw outputs for the first of the ``items`` not ``done``: a batch, or as many as memory holds at once."""
        while True:
            try:
                self._bring_network()
                part, prepared = ahead.take(slice(done, min(done + self._batches.size, len(items))))
                batch = items[part]
                how: dict[str, Any] = {}
                if self.device.type == "cuda" and part.stop < len(items):
                    following = slice(part.stop, min(part.stop + self._batches.size, len(items)))
                    how["meanwhile"] = partial(ahead.make, following, self.device)
                names = [segment.structure for segment, _, _ in batch]
                given = prepared.images, names, prepared.pixel_mm, prepared.place, prepared.locator
                if drawings is None:
                    return self.model.score(*given, **how)
                raw, shares = self.model.draw(*given, **how)
                drawn = np.rint(shares * WHOLE).astype(np.uint8)
                for (segment, k, near), box, one in zip(batch, prepared.boxes, drawn, strict=True):
                    drawings.keep(segment.id, k, Drawing(box, one.copy(), _digest(segment, k, near)))
                return raw
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                problem = error.__class__.__name__
            self._make_room(problem, case)

    def _make_room(self, problem: str, case: CaseScore) -> None:
        """Halve the batch; when it cannot shrink, leave the GPU for the CPU."""
        if self._batches.size > 1:
            self._batches.most = self._batches.size // 2
            case.warnings.append(f"{self.device} ran out of memory: scoring {self._batches.most} slices at a time")
        elif self.device.type != "cpu":
            case.warnings.append(f"{self.device} ran out of memory even for one slice: continuing on the CPU")
            self.device = choose_device("cpu")
            self._batches = self._batch_sizer()
        else:
            raise MemoryError(f"not enough memory to score a single slice ({problem})")

    def _finish(self, segment: Segment, score: SegmentScore, case: CaseScore) -> None:
        score.slices.sort(key=lambda s: s.k)
        score.empty_slices.sort(key=lambda s: s.k)
        score.status = Status.SCORED if self._knows(segment) else Status.UNKNOWN_STRUCTURE
        aggregate(score, self.options.aggregation, self._applicable(score))
        flag(case, segments=[score])

    def _applicable(self, score: SegmentScore) -> dict:
        """The calibration measured for scores like this: of known structures, and of segments scored completely."""
        gone = set()
        if score.status is Status.UNKNOWN_STRUCTURE or not self._was_trained_on(score.structure or ""):
            gone = {"slice", "segment"}
        elif score.n_scored < score.n_slices:
            gone = {"segment"}
        own = calibration_for(score.structure, self._calibration)
        return {key: value for key, value in own.items() if key not in gone}


class _Earlier:
    """The scores of an earlier run that still hold: same model (by its ``sha256``), structure and (nearest) mask.

    Scores that no model made (``"given"``: label quality) hold for any model.
    """

    def __init__(self, previous: CaseScore | None, sha256: str) -> None:
        model = previous.model if previous is not None else {}
        same_model = bool(sha256 and model.get("sha256") == sha256) or model.get("given", False)
        self._segments = {}
        for score in previous.segments if same_model else ():
            by_k = {s.k: s for s in score.slices}, {s.k: s for s in score.empty_slices}
            self._segments[score.segment_id] = (score.structure, *by_k)

    def slice_score(self, segment: Segment, k: int, near: int | None) -> SliceScore | None:
        """A copy of the score of a planned slice, or ``None`` when it must be run."""
        structure, masked, empty = self._segments.get(segment.id, (None, {}, {}))
        same = (masked if near is None else empty).get(k)
        if same is None or structure != segment.structure or same.digest != _digest(segment, k, near):
            return None
        # flags are set anew; an edit farther away may have put an empty slice between slices of the mask
        return replace(same, inner=near is not None and _is_inner(segment, k))


def _named(structures: Iterable[str]) -> str:
    first = sorted(structures)
    more = f" and {len(first) - _NAMED} more" if len(first) > _NAMED else ""
    return ", ".join(first[:_NAMED]) + more


def _add(score: SegmentScore, slice_score: SliceScore) -> None:
    (score.slices if slice_score.has_mask else score.empty_slices).append(slice_score)


def _slice_score(ct: CtVolume, segment: Segment, k: int, near: int | None, raw: float) -> SliceScore:
    masked = k if near is None else near
    area = int(segment.areas[masked - segment.box[0].start])
    return SliceScore(
        segment.id, k, ct.frame.file_slice(k), ct.frame.position_mm(k), min(max(raw, 0.0), 1.0), raw,
        area * ct.frame.spacing[1] * ct.frame.spacing[2], _digest(segment, k, near),
        nearest_k=near, inner=near is not None and _is_inner(segment, k),
    )  # fmt: skip


def _mistaken_sides(segmentation: Segmentation) -> list[str]:
    """A line for each suspicion that left and right are mistaken, which a network does not see in a slice."""
    places = []
    for segment in segmentation:
        if segment.structure and not segment.is_empty:
            # Middles of boxes cost nothing. A stray voxel moves them far: only pairs are judged, not single structures.
            middle = [(side.start + side.stop - 1) / 2 for side in reversed(segment.box)]
            places.append((segment.structure, float((segmentation.frame.ijk_to_ras @ [*middle, 1.0])[0])))
    return [
        f"left and right may be mistaken, {one.kind}: {one.structures}: {one.evidence}"
        for one in mistaken_sides(places)
        if one.kind != WRONG_SIDE
    ]


def _digest(segment: Segment, k: int, near: int | None) -> str:
    """Fingerprint of what the network sees of the mask: that of the slice, or of the nearest one and its distance."""
    return segment.slice_digest(k) if near is None else f"{segment.slice_digest(near)}{k - near:+d}"


def _is_inner(segment: Segment, k: int) -> bool:
    first, last = segment.occupied_slices()[[0, -1]]
    return bool(first < k < last)
