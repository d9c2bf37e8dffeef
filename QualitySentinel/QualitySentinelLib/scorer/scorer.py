"""Scoring a case: a generator of progress that runs batches of slices through the network."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..checkpoint import QualityModel
from ..errors import CancelledError, UsageError
from ..scores import CaseScore, SegmentScore, SliceScore, Status
from ..scores.aggregation import aggregate
from ..scores.flags import DEFAULT_THRESHOLD, check_threshold, flag
from ..slices import make_batch
from ..volume import CtVolume, Segment, Segmentation
from ..volume.collector import one_line
from ..volume.segmentation import is_called
from .device import batch_size_for, choose_device, is_out_of_memory
from .plan import SliceChoice, parse_slice_choice, plan_slices

Item = tuple[Segment, int]
"""A segment and the canonical slice of it to score."""


@dataclass
class Progress:
    """How far scoring has come.

    Attributes:
        done, total: slices scored, and to score, in this run (slices kept from a previous score count in neither).
        seconds: wall time so far.
        segment_id: the segment of the slice scored last; ``None`` before the first.
        score: the scores so far; segments that have all their slices are complete, the rest ``not scored`` yet.
        cancelled: the run ended because the user asked for it.
    """

    done: int
    total: int
    seconds: float
    segment_id: str | None
    score: CaseScore
    cancelled: bool = False


class Scorer:
    """Scores segmentations with one model on one device.

    Args:
        model: what :func:`QualitySentinelLib.checkpoint.load_model` gives.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        batch_size: slices at once; by default as many as suit the device.
        threshold: slices predicted below it are flagged.

    Example::

        scorer = Scorer(load_model("bundled"))
        for progress in scorer.run(ct, segmentation):
            print(progress.done, "of", progress.total)
        progress.score.worst_first()[0].name
    """

    def __init__(
        self,
        model: QualityModel,
        device: str = "auto",
        batch_size: int | None = None,
        threshold: float = DEFAULT_THRESHOLD,
    ) -> None:
        if batch_size is not None and batch_size < 1:
            raise UsageError(f"batch size must be at least 1, not {batch_size}")
        self.model = model
        self.device = choose_device(device)
        self.threshold = check_threshold(threshold)
        self._batch_size = batch_size or batch_size_for(self.device, model.preset.size**2)

    def score(
        self,
        ct: CtVolume,
        segmentation: Segmentation,
        slices: SliceChoice = "all",
        segments: Iterable[str] | None = None,
        previous: CaseScore | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> CaseScore:
        """Run :meth:`run` to its end.

        Raises:
            CancelledError: ``cancelled`` said so.
        """
        *_, progress = self.run(ct, segmentation, slices, segments, previous, cancelled)
        if progress.cancelled:
            raise CancelledError("scoring was cancelled")
        return progress.score

    def run(
        self,
        ct: CtVolume,
        segmentation: Segmentation,
        slices: SliceChoice = "all",
        segments: Iterable[str] | None = None,
        previous: CaseScore | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Iterator[Progress]:
        """Score a case batch by batch, yielding progress before the first batch and after each.

        Args:
            ct, segmentation: on one grid (``segmentation.frame`` has the CT's shape).
            slices: ``"all"``, a number of slices per segment, or ``"published"``.
            segments: ids, names or structures of the segments to score; by default every one.
            previous: an earlier score of the same CT by the same model: a slice whose mask has not changed since
                keeps its score, only the others are run.
            cancelled: asked between batches; when it says yes the run ends with ``Progress.cancelled``.

        Raises:
            UsageError: unknown segment or slice choice, or the two volumes do not share a grid.
        """
        started = time.perf_counter()
        slices = parse_slice_choice(slices)
        if segmentation.frame.shape != ct.frame.shape:
            raise UsageError(f"{segmentation.source}: the segmentation is not on the CT's grid; resample it first")
        wanted = _chosen_segments(segmentation, segments)
        warnings = [*ct.warnings, *segmentation.warnings]
        in_file_order = self.model.preset.frame == "file"
        if in_file_order and not ct.frame.is_axial_file_order:
            warnings.append(f"{ct.source}: stored slices are not axial; axial ones are scored, as the model expects")
        case = CaseScore(
            segments=[self._blank(segment) for segment in segmentation],
            threshold=self.threshold,
            model=self.model.summary(),
            device=str(self.device),
            warnings=warnings,
        )
        scores = {score.segment_id: score for score in case.segments}
        from_top = in_file_order and ct.frame.flipped[0]
        plan = {s.id: plan_slices(s, slices, from_top) if s.id in wanted else [] for s in segmentation}
        kept = self._kept(segmentation, plan, previous)
        items = [(s, k) for s in segmentation for k in plan[s.id] if (s.id, k) not in kept]
        missing = {s.id: len(plan[s.id]) for s in segmentation}
        for (segment_id, _), slice_score in kept.items():
            scores[segment_id].slices.append(slice_score)
            missing[segment_id] -= 1
        for segment in segmentation:
            if plan[segment.id] and not missing[segment.id]:
                self._finish(segment, scores[segment.id])

        def progress(done: int, segment_id: str | None, cancelled: bool = False) -> Progress:
            case.seconds = time.perf_counter() - started
            return Progress(done, len(items), case.seconds, segment_id, case, cancelled)

        yield progress(0, None)
        done = 0
        while done < len(items):
            if cancelled():
                yield progress(done, items[done][0].id, cancelled=True)
                return
            batch = items[done : done + self._batch_size]
            raw = self._predict(ct, batch, case)
            batch = batch[: len(raw)]  # memory may have allowed fewer than planned
            done += len(batch)
            for (segment, k), value in zip(batch, raw, strict=True):
                scores[segment.id].slices.append(_slice_score(ct, segment, k, float(value)))
                missing[segment.id] -= 1
                if not missing[segment.id]:
                    self._finish(segment, scores[segment.id])
            case.device = str(self.device)
            yield progress(done, batch[-1][0].id)

    def _blank(self, segment: Segment) -> SegmentScore:
        return SegmentScore(
            segment_id=segment.id,
            name=segment.name,
            structure=segment.structure,
            status=Status.EMPTY if segment.is_empty else Status.NOT_SCORED,
            n_slices=len(segment.occupied_slices()),
        )

    def _kept(
        self, segmentation: Segmentation, plan: dict[str, list[int]], previous: CaseScore | None
    ) -> dict[tuple[str, int], SliceScore]:
        """The planned slices whose previous score still holds: same model, structure and mask."""
        if previous is None or not self.model.sha256 or previous.model.get("sha256") != self.model.sha256:
            return {}  # a model without a fingerprint cannot be told from another
        before = {score.segment_id: score for score in previous.segments}
        kept = {}
        for segment in segmentation:
            old = before.get(segment.id)
            if old is None or old.structure != segment.structure:
                continue
            old_slices = {s.k: s for s in old.slices}
            for k in plan[segment.id]:
                if k in old_slices and old_slices[k].digest == segment.slice_digest(k):
                    kept[segment.id, k] = replace(old_slices[k])  # a copy: flags are set anew
        return kept

    def _predict(self, ct: CtVolume, items: Sequence[Item], case: CaseScore) -> np.ndarray:
        """Raw outputs for the first of ``items``: all of them, or as many as the device's memory holds at once."""
        while True:
            batch = items[: self._batch_size]
            try:
                self.model.network.to(self.device)
                prepared = make_batch(ct, batch, self.model.preset, self.device)
                names = [segment.structure for segment, _ in batch]
                return self.model.score(prepared.images, names, prepared.pixel_mm)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                problem = error.__class__.__name__
            self._make_room(problem, case)

    def _make_room(self, problem: str, case: CaseScore) -> None:
        """Halve the batch; when it cannot shrink, leave the GPU for the CPU."""
        if self._batch_size > 1:
            self._batch_size //= 2
            case.warnings.append(f"{self.device} ran out of memory: going on with {self._batch_size} slices at once")
        elif self.device.type != "cpu":
            case.warnings.append(f"{self.device} ran out of memory even for one slice: going on with the CPU")
            self.device = choose_device("cpu")
            self._batch_size = batch_size_for(self.device, self.model.preset.size**2)
        else:
            raise MemoryError(f"not enough memory to score a single slice ({problem})")

    def _finish(self, segment: Segment, score: SegmentScore) -> None:
        score.slices.sort(key=lambda s: s.k)
        known = segment.structure is not None and segment.structure in self.model.table.names
        score.status = Status.SCORED if known else Status.UNKNOWN_STRUCTURE
        aggregate(score, calibration=self.model.metadata.get("calibration"))
        flag(score.slices, self.threshold)


def _slice_score(ct: CtVolume, segment: Segment, k: int, raw: float) -> SliceScore:
    area = int(segment.areas[k - segment.box[0].start])
    return SliceScore(
        segment_id=segment.id,
        k=k,
        slice_index=ct.frame.file_slice(k),
        position_mm=ct.frame.position_mm(k),
        predicted_dsc=min(max(raw, 0.0), 1.0),
        raw=raw,
        area_mm2=area * ct.frame.spacing[1] * ct.frame.spacing[2],
        digest=segment.slice_digest(k),
    )


def _chosen_segments(segmentation: Segmentation, wanted: Iterable[str] | None) -> set[str]:
    """Ids of the segments that the user's ids, names or structures mean."""
    if wanted is None:
        return {segment.id for segment in segmentation}
    wanted = list(wanted)
    if not wanted:
        raise UsageError(f"{segmentation.source}: no segment was named to be scored")
    chosen = set()
    for word in wanted:
        matching = {s.id for s in segmentation if is_called(word, s.id, s.name, s.structure)}
        if not matching:
            names = [one_line(s.name) for s in segmentation.segments[:8]] + ["..."] * (len(segmentation) > 8)
            raise UsageError(f"{segmentation.source}: no segment is called {word!r}; there are {', '.join(names)}")
        chosen |= matching
    return chosen
