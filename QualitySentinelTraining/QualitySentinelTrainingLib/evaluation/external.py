"""Masks of unseen subjects spoiled step by step, and scored as a user would: does the score follow, and in order?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from zlib import crc32

import numpy as np
from scipy import ndimage

from QualitySentinelLib.checkpoint import QualityModel
from QualitySentinelLib.errors import UsageError
from QualitySentinelLib.scorer import Scorer, SliceChoice
from QualitySentinelLib.scores import SegmentScore
from QualitySentinelLib.volume import Segmentation
from QualitySentinelLib.volume.segmentation import boxes_of_labels, segment_from_mask

from ..candidates import Candidate
from ..dice import slice_dice, volume_dice
from ..stats import agreement, auroc, bootstrap_of
from ..subjects import Subject

KINDS = ("erosion", "dilation", "shift")
STEPS = (0, 1, 2, 3, 4, 5)
ORDERING = (("erosion", 2), ("dilation", 2), ("shift", 4))
"""What a perfect mask must score above: (kind, in-plane voxels)."""

_NEIGHBOURS = ndimage.generate_binary_structure(2, 1)[None]
"""The four in-plane neighbours of a voxel."""


def score_masks(
    model: QualityModel,
    subject: Subject,
    candidates: Sequence[Candidate],
    names: Sequence[str] | None = None,
    slices: SliceChoice = "all",
) -> list[SegmentScore]:
    """Score masks of one subject all at once, in the order given, as inference scores the segments of a file.

    Args:
        names: structures to score them as; by default their own.
        slices: which of them.
    """
    names = names or [subject.structures[c.value] for c in candidates]
    segments = [
        segment_from_mask(c.mask, c.corner, id=str(number), name=str(number), structure=name)
        for number, (c, name) in enumerate(zip(candidates, names, strict=True))
    ]
    return Scorer(model).score(subject.ct, Segmentation(segments, subject.ct.frame, subject.name), slices).segments


def spoiled(subject: Subject, value: int, kind: str, step: int) -> Candidate:
    """The reference mask of a structure, eroded, dilated or shifted in every slice by ``step`` in-plane voxels.

    Erosion and dilation work with the four neighbours of a voxel; what lies outside the scan counts as part of the
    structure for erosion, so that a mask is not eroded where the scan ends. A shift goes along one of the four in-plane
    directions, which subject and structure decide; what leaves the scan is lost.

    Raises:
        UsageError: there is no such kind.
    """
    if kind not in KINDS:
        raise UsageError(f"{kind}: no such way to spoil masks; choose one of {', '.join(KINDS)}")
    box = boxes_of_labels(subject.labels, [value])[value]
    sides = zip(box[1:], subject.labels.shape[1:], strict=True)
    grown = (box[0], *(slice(max(0, r.start - step), min(n, r.stop + step)) for r, n in sides))
    mask = subject.labels[grown] == value
    if step and kind == "erosion":
        mask = ndimage.binary_erosion(mask, _NEIGHBOURS, iterations=step, border_value=1)
    elif step and kind == "dilation":
        mask = ndimage.binary_dilation(mask, _NEIGHBOURS, iterations=step)
    elif step:
        mask = _shifted(mask, step, crc32(f"{subject.name}/{subject.structures[value]}".encode()) % 4)
    return Candidate(value, mask, tuple(r.start for r in grown), f"{kind} {step}" if step else "none", "external")


def _shifted(mask: np.ndarray, step: int, direction: int) -> np.ndarray:
    axis, forward = 1 + direction // 2, direction % 2
    moved = np.zeros_like(mask)
    ahead, behind = [slice(None)] * 3, [slice(None)] * 3
    ahead[axis], behind[axis] = slice(step, None), slice(None, -step)
    target, origin = (ahead, behind) if forward else (behind, ahead)
    moved[tuple(target)] = mask[tuple(origin)]
    return moved


@dataclass
class Series:
    """Spoiled masks with their true and predicted DSC, one row for each mask, arrays [N], and their slices, [M].

    Attributes:
        kind: the way of spoiling.
        subject, structure: text.
        step: in-plane voxels; 0 is the reference itself.
        predicted: the segment's predicted volumetric DSC as users see it; nan when nothing is left.
        aggregated: its area-weighted score.
        dsc: true volumetric DSC.
        slice_step, slice_predicted, slice_dsc: step, predicted and true DSC of every slice that holds mask voxels.
    """

    kind: str
    subject: np.ndarray
    structure: np.ndarray
    step: np.ndarray
    predicted: np.ndarray
    aggregated: np.ndarray
    dsc: np.ndarray
    slice_step: np.ndarray
    slice_predicted: np.ndarray
    slice_dsc: np.ndarray

    def figures(self) -> dict:
        """``segments`` and ``slices``: agreement over all masks; ``by_step``: means of predicted and true DSC."""
        left = np.isfinite(self.predicted)
        return {
            "kind": self.kind,
            "subjects": len(np.unique(self.subject)),
            "structures": len(np.unique(self.structure)),
            "segments": agreement(self.predicted[left], self.dsc[left]),
            "slices": agreement(self.slice_predicted, self.slice_dsc),
            "by_step": [
                {
                    "step": int(step),
                    "masks": int(np.sum(rows & left)),
                    "vanished": int(np.sum(rows & ~left)),
                    "predicted": _mean(self.predicted[rows & left]),
                    "predicted_sd": _sd(self.predicted[rows & left]),
                    "true": _mean(self.dsc[rows & left]),
                    "true_sd": _sd(self.dsc[rows & left]),
                }
                for step in np.unique(self.step)
                for rows in [self.step == step]
            ],
        }

    def rows(self) -> list[dict]:
        """One dictionary for each mask, for a table."""
        names = ("subject", "structure", "step", "predicted", "aggregated", "dsc")
        return [
            {"kind": self.kind, **dict(zip(names, values, strict=True))}
            for values in zip(*(getattr(self, name).tolist() for name in names), strict=True)
        ]


def series(
    model: QualityModel, subjects: Iterable[Subject], kind: str = "erosion", steps: Sequence[int] = STEPS
) -> Series:
    """Spoil every reference mask by each of ``steps`` in-plane voxels and score it (the paper's Fig. 3b, c).

    Args:
        subjects: never trained on; read one at a time.
        kind: one of :data:`KINDS`.
    """
    rows, slices = [], []
    for subject in subjects:
        candidates = [
            (step, spoiled(subject, value, kind, step)) for value in _values(subject) for step in steps
        ]  # fmt: skip
        scores = score_masks(model, subject, [c for _, c in candidates])
        for (step, candidate), score in zip(candidates, scores, strict=True):
            by_slice, volume = _true(subject, candidate)
            rows.append(
                (subject.name, subject.structures[candidate.value], step, _or_nan(score.predicted_dsc),
                 _or_nan(score.area_weighted_dsc), volume)
            )  # fmt: skip
            slices += [(step, s.predicted_dsc, by_slice[s.k]) for s in score.slices]
    names = ("subject", "structure", "step", "predicted", "aggregated", "dsc")
    slice_names = ("slice_step", "slice_predicted", "slice_dsc")
    return Series(
        kind,
        **{name: np.array([row[i] for row in rows]) for i, name in enumerate(names)},
        **{name: np.array([row[i] for row in slices], float) for i, name in enumerate(slice_names)},
    )


@dataclass
class Ordering:
    """Perfect masks beside spoiled ones, one row for each comparison, arrays [N].

    Attributes:
        subject, person, structure, kind: text.
        step: in-plane voxels.
        perfect, spoiled: aggregated score of either mask (before calibration, which keeps the order); ``spoiled`` is
            nan when nothing is left of the mask.
        dsc: true volumetric DSC of the spoiled mask.
    """

    subject: np.ndarray
    person: np.ndarray
    structure: np.ndarray
    kind: np.ndarray
    step: np.ndarray
    perfect: np.ndarray
    spoiled: np.ndarray
    dsc: np.ndarray

    def figures(self) -> dict:
        """Share of comparisons in which the perfect mask scores higher, ties counting half: ``all``, each kind apart,
        and ``by_structure``. Masks that vanished are counted as such and are in no share. The 95 % interval is by
        bootstrap over persons (``None`` for a single one).
        """
        kinds = np.char.add(np.char.add(self.kind.astype(str), " by "), self.step.astype(str))
        groups = {"all": np.ones(len(self.kind), bool), **{str(k): kinds == k for k in dict.fromkeys(kinds.tolist())}}
        return {
            **{name: self._share(rows) for name, rows in groups.items()},
            "by_structure": {str(s): self._share(self.structure == s) for s in np.unique(self.structure)},
        }

    def _share(self, rows: np.ndarray) -> dict:
        left = rows & np.isfinite(self.spoiled)
        better = np.where(self.perfect > self.spoiled, 1.0, np.where(self.perfect == self.spoiled, 0.5, 0.0))[left]
        return {
            "n": int(left.sum()),
            "vanished": int((rows & ~left).sum()),
            "perfect_above": _mean(better),
            "perfect_above_95ci": bootstrap_of(lambda w: float(np.average(better, weights=w)), self.person[left]),
            "true_dsc_of_spoiled": _mean(self.dsc[left]),
            "auroc": auroc(
                np.concatenate([self.perfect[left], self.spoiled[left]]), np.repeat([True, False], int(left.sum()))
            ),
        }  # fmt: skip

    def rows(self) -> list[dict]:
        """One dictionary for each comparison, for a table."""
        names = [f.name for f in fields(self)]
        return [
            dict(zip(names, values, strict=True))
            for values in zip(*(getattr(self, name).tolist() for name in names), strict=True)
        ]


def ordering(model: QualityModel, subjects: Iterable[Subject], tests: Sequence[tuple[str, int]] = ORDERING) -> Ordering:
    """Score the perfect mask of every structure and the same mask spoiled in each of ``tests``."""
    rows = []
    for subject in subjects:
        candidates = []
        for value in _values(subject):
            candidates += [spoiled(subject, value, "shift", 0), *(spoiled(subject, value, *test) for test in tests)]
        scores = score_masks(model, subject, candidates)
        for first in range(0, len(candidates), 1 + len(tests)):
            perfect = scores[first].area_weighted_dsc
            for number, (kind, step) in enumerate(tests, start=first + 1):
                _, volume = _true(subject, candidates[number])
                structure = subject.structures[candidates[number].value]
                score = _or_nan(scores[number].area_weighted_dsc)
                rows.append((subject.name, subject.person, structure, kind, step, perfect, score, volume))
    names = [f.name for f in fields(Ordering)]
    return Ordering(**{name: np.array([row[i] for row in rows]) for i, name in enumerate(names)})


def _values(subject: Subject) -> list[int]:
    """Label values of the structures that the subject has."""
    return list(boxes_of_labels(subject.labels, subject.structures))


def _true(subject: Subject, candidate: Candidate) -> tuple[dict[int, float], float]:
    """True DSC of the slices of a candidate by canonical k, and of the whole."""
    box = tuple(slice(c, c + n) for c, n in zip(candidate.corner, candidate.mask.shape, strict=True))
    reference = subject.labels[box] == candidate.value  # the candidate's box holds all of its reference
    by_slice = slice_dice(candidate.mask, reference)
    return {candidate.corner[0] + i: float(d) for i, d in enumerate(by_slice)}, volume_dice(candidate.mask, reference)


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value


def _mean(values: np.ndarray) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def _sd(values: np.ndarray) -> float:
    return float(np.std(values)) if len(values) else float("nan")
