"""Predicted DSC of the masks of each sample, before any training: a signal of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from QualitySentinelLib.datasets import fingerprint
from QualitySentinelLib.errors import InputError
from QualitySentinelLib.volume import Segment, Segmentation
from QualitySentinelLib.volume.segmentation import boxes_of_labels

from ..pages import write_table
from ..runs import Kind, Result, Run, Work
from ..stats import outlier_limit
from .experiment import Sample
from .sites import TRAIN

KIND = Kind("quality", "quality-sentinel-travel-quality/1", item="case", tables=("quality.csv",))
_SLICES = 3


class _Scoring(Work):
    """Scores some slices of each mask of a sample with the bundled model."""

    def start(self, device: str) -> None:
        from QualitySentinelLib.checkpoint import load_model
        from QualitySentinelLib.scorer import Scorer

        self.scorer = Scorer(load_model("bundled"), device=device, slices=_SLICES)

    def fingerprint(self, sample: Sample) -> str:
        return f"{fingerprint(sample.case)} {sample.harm}"

    def do(self, sample: Sample, data: object) -> Result:
        subject = sample.read()
        boxes = boxes_of_labels(subject.labels, subject.structures)
        segments = [
            Segment(str(value), name, boxes[value], subject.labels[boxes[value]], value, name)
            for value, name in subject.structures.items()
            if value in boxes
        ]
        score = self.scorer.score(subject.ct, Segmentation(segments, subject.ct.frame))
        dsc = [s.predicted_dsc for s in score.segments if s.predicted_dsc is not None]
        return Result(facts={"dsc": float(np.mean(dsc)) if dsc else None})


def predicted_quality(samples: Sequence[Sample], out: Path, say: Callable[[str], None]) -> dict[str, float]:
    """Mean predicted DSC of the masks of each training sample that has any, by name; ``quality.csv`` in ``out``.

    What was scored before is not scored again.
    """
    training = [sample for sample in samples if sample.split == TRAIN]
    with Run(out, KIND, {"key": {"slices": _SLICES}}) as run:
        for finished in run.work(training, _Scoring(), workers=1):
            if finished.failed:
                say(f"{finished.head['item']}: no quality ({finished.head['reason']})")
        heads = {sample.name: run.head(sample.name) for sample in training}
        found = {name: head["dsc"] for name, head in heads.items() if head and head.get("dsc") is not None}
        if training and not found:
            raise InputError(f"{out}: no mask could be scored; set quality = false")
        rows = [(s.name, s.center, found.get(s.name)) for s in training]
        write_table(out / "quality.csv", ("case", "center", "predicted_dsc"), rows)
        run.finish()
    return found


def outliers(values: Mapping[str, float], low_is_bad: bool = True) -> list[str]:
    """Names whose value is suspicious: an outlier on the bad side."""
    if len(values) < 3:
        return []
    off = {name: -value if low_is_bad else value for name, value in values.items()}
    limit = outlier_limit(list(off.values()))
    return [name for name, value in off.items() if value > limit]
