"""Training with pseudo labels that are kept, weighted or dropped, by case, structure or slice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Literal

import numpy as np

from QualitySentinelLib.errors import InputError, UsageError
from QualitySentinelLib.reading import read_segmentation
from QualitySentinelLib.scorer import Scorer
from QualitySentinelLib.volume import CtVolume
from QualitySentinelLib.volume.frame import AxialFrame

from ..runs import Kind, Run
from ..segmentation.network import WINDOWS_HU, SegmentationNetwork
from ..segmentation.options import SegmentationOptions
from ..segmentation.training import Say, Training, stage_name, usable_device
from ..subjects import Subject, SubjectSource, check_names, subject_of
from .crf import checked_mask
from .image import PASSES, PoolImage, likeliest, segmentation_of
from .pool import PoolItem, case_scores, result_of
from .strategies import Strategy
from .units import WHOLE, CaseScores, Units, WeakLabeler, most_trusted

_NETWORK = Kind("train-pseudo", "quality-sentinel-train-pseudo/1")
Weak = Literal["none", "all", "best", "random", "weighted", "dsal"]
Trust = dict[str, dict[str, np.ndarray]]
"""By case and structure, how far each slice's label is trusted, 0..1, float ``[k]``; what is not there is not."""


@dataclass
class Look:
    """What a network says of a CT: scores by a strategy, its label map, and bytes of what the strategy looked at."""

    scores: CaseScores
    labels: np.ndarray
    stored: int


def look_at(
    name: str, ct: CtVolume, networks: Sequence[SegmentationNetwork], strategy: Strategy, scorer: Scorer | None,
    crf: bool = False,
) -> Look:  # fmt: skip
    """Judge what the last of some networks (stages of one training) predicts of a CT.

    Args:
        scorer: for strategies of predicted quality.
        crf: give the label map that DSAL's CRF check leaves.
    """
    network, stored = networks[-1], 0
    main = network.predict_probabilities(ct)
    labels = likeliest(main)

    def stacks(need: str) -> Iterable[np.ndarray]:
        nonlocal stored
        made = {
            "passes": lambda: (network.predict_probabilities(ct, dropout_seed=seed) for seed in range(PASSES)),
            "levels": lambda: (main if level == 0 else network.predict_probabilities(ct, level) for level in (0, 2, 1)),
            "networks": lambda: (main if one is network else one.predict_probabilities(ct) for one in networks),
            "probabilities": lambda: iter([main]),
        }
        for one in made[need]():
            stored += one.nbytes
            yield one

    masks = [segmentation_of(labels, network.classes, ct)]
    result = result_of(strategy, PoolImage(ct, masks, stacks, network.classes, scorer))
    scores = case_scores(name, dict(result.facts), list(result.lines))
    if strategy.needs == "masks":
        stored += labels.nbytes
    return Look(scores, _checked(main, ct) if crf else labels, stored)


def _checked(probabilities: np.ndarray, ct: CtVolume) -> np.ndarray:
    low, high = WINDOWS_HU[0]
    labels = np.zeros(ct.frame.shape, np.uint8)
    for value in range(1, len(probabilities)):
        for k in np.flatnonzero((probabilities[value] > 0.5).any(axis=(1, 2))):
            gray = ((ct.hu[k].astype(np.float32) - low) / (high - low)).clip(0, 1) * 255
            labels[k][checked_mask(probabilities[value, k].astype(np.float32), gray)] = value
    return labels


def choose_weak(
    units: Units, rule: Weak, share: float, round_: int, rng: np.random.Generator, schedule: WeakLabeler | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the units to pseudo-label, and how far each is trusted; never empty ones.

    - ``best``: the ``share`` with the lowest scores; ``random``: as many, by chance; ``all``: every one;
    - ``weighted``: every one, trusted by one minus its score;
    - ``dsal``: by its schedule and confidence (:class:`.units.WeakLabeler`).
    """
    good = np.flatnonzero(~units.empty)
    if rule == "best":
        index = most_trusted(units, share, rng)
    elif rule == "random":
        index = rng.permutation(good)[: int(share * len(units) + 1e-9)]
    elif rule == "dsal":
        index = (schedule or WeakLabeler()).choose(units, round_)
    else:
        index = good if rule in ("all", "weighted") else good[:0]
    trust = np.ones(len(index))
    if rule == "weighted":
        trust = np.nan_to_num(np.clip(1 - units.score[index], 0, 1))
    return index, trust


def add_trust(trust: Trust, rows: Iterable[tuple[str, str, int, float]], structures: Mapping[str, Mapping[str, int]]):
    """Enter units into a :data:`Trust`.

    Args:
        rows: case, structure (empty for all), slice (or ``WHOLE``) and trust.
        structures: slices of the CT by case and structure that has a label.
    """
    for case, structure, k, weight in rows:
        for name, slices in structures[case].items():
            if structure in ("", name):
                of = trust.setdefault(case, {}).setdefault(name, np.zeros(slices))
                of[slice(None) if k == WHOLE else k] = weight


def trusted_subject(subject: Subject, trust: Mapping[str, np.ndarray]) -> Subject:
    """A pseudo-labeled subject of which only the labels that are trusted count."""
    nothing = np.zeros(len(subject.labels))
    return replace(subject, trust={v: trust.get(n, nothing) for v, n in subject.structures.items()})


def pseudo_sources(
    items: Sequence[PoolItem], trusted: Sequence[tuple[str, str, int, float]], weighted: bool = False
) -> list[SubjectSource]:
    """The cases of a list of ``select``, with the masks of the pool as labels.

    Args:
        trusted: what ``pool.units_in`` gives.
        weighted: trust a unit by one minus its score; else all in the list alike.

    Raises:
        InputError: a case of the list is not in the pool, or has no masks.
    """
    by_name = {item.name: item for item in items}
    of_case: dict[str, list[tuple[str, str, int, float]]] = {}
    for case, structure, k, score in trusted:
        if case not in by_name or not (by_name[case].predictions or by_name[case].case.seg):
            raise InputError(f"{case}: is in the list but has no masks in the pool; give --predictions or another list")
        weight = float(np.nan_to_num(np.clip(1 - score, 0, 1))) if weighted else 1.0
        of_case.setdefault(case, []).append((case, structure, k, weight))
    return [
        SubjectSource(f"pseudo {case}", by_name[case].case.patient or case, "pseudo", _Read(by_name[case], tuple(rows)))
        for case, rows in of_case.items()
    ]


@dataclass(frozen=True)
class _Read:
    item: PoolItem
    rows: tuple[tuple[str, str, int, float], ...]

    def __call__(self) -> Subject:
        from QualitySentinelLib.datasets import read_case_ct

        case, ct = self.item.case, read_case_ct(self.item.case)
        path, names = (case.root / case.seg, case.names)
        if self.item.predictions:
            path, names = self.item.predictions[0].path, self.item.predictions[0].names
        segmentation, patient = read_segmentation(path, ct, names=names), case.patient or self.item.name
        subject = subject_of(ct, segmentation, f"pseudo {self.item.name}", "pseudo", patient)
        trust: Trust = {}
        there = {self.item.name: dict.fromkeys(subject.structures.values(), ct.frame.shape[0])}
        rows = [(c, s, k if k == WHOLE else ct.frame.file_slice(k), w) for c, s, k, w in self.rows]
        add_trust(trust, rows, there)
        return trusted_subject(subject, trust.get(self.item.name, {}))


def train_pseudo(
    labeled: Sequence[SubjectSource], pseudo: Sequence[SubjectSource], out: Path, options: SegmentationOptions,
    device: str = "auto", say: Say = print,
) -> SegmentationNetwork:  # fmt: skip
    """A network trained on references and on pseudo labels as far as they are trusted; resumes.

    Raises:
        UsageError: a patient is among both, or ``out`` holds a network of other labels or options.
        ModelError, InputError: as :class:`~..segmentation.training.Training` does.
    """
    check_names([*labeled, *pseudo])
    both = {s.patient for s in labeled} & {s.patient for s in pseudo}
    if both:
        raise UsageError(f"patient {min(both)} has a reference and pseudo labels; leave one of them out")
    key = {"references": _told(labeled), "pseudo labels": _told(pseudo)} | options.shaping()
    networks = tuple(f"{stage_name(epochs)}.safetensors" for epochs in options.epochs)
    with Run(out, replace(_NETWORK, tables=networks), {"key": key}):
        training = Training([*labeled, *pseudo], (), out, options, usable_device(device), say)
        return training.up_to(options.epochs[-1])


def _told(sources: Sequence[SubjectSource]) -> str:
    """How many there are, and a digest of who they are and of what is trusted of them."""
    what = [(s.name, getattr(s.read, "rows", ())) for s in sources]
    return f"{len(what)}, {sha256(repr(what).encode()).hexdigest()[:12]}"


def all_structures_source(structures: Sequence[str]) -> SubjectSource:
    """A subject that shows nothing, so that every network of an experiment has the same classes."""
    frame = AxialFrame.from_affine(np.diag([-1.0, -1.0, 1.0, 1.0]), (1, 1, 1))
    ct = CtVolume(np.zeros((1, 1, 1), np.int16), frame, "structures")
    names = dict(enumerate(structures, start=1))
    subject = Subject("all structures", ct, np.zeros((1, 1, 1), np.uint8), names, "", "nobody")
    return SubjectSource(subject.name, "nobody", "", lambda: subject)
