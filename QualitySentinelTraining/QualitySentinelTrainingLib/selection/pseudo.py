"""Training with pseudo labels that are kept, weighted or dropped, by case, structure or slice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Literal

import numpy as np

from QualitySentinelLib.datasets import read_case_ct
from QualitySentinelLib.errors import InputError, UsageError
from QualitySentinelLib.reading import read_segmentation
from QualitySentinelLib.scorer import Scorer
from QualitySentinelLib.volume import CtVolume
from QualitySentinelLib.volume.frame import AxialFrame

from ..runs import Kind, Run
from ..segmentation.network import WINDOWS_HU, SegmentationNetwork
from ..segmentation.options import SegmentationOptions
from ..segmentation.probabilities import likeliest
from ..segmentation.training import Say, Training, stage_name, usable_device
from ..subjects import Subject, SubjectSource, check_names, subject_of
from .crf import checked_mask
from .image import PoolImage, segmentation_of
from .pool import PoolItem, network_stacks
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

    def stacks(need: str) -> Iterator[np.ndarray]:
        nonlocal stored
        for one in network_stacks(need, networks, ct, main):
            stored += one.nbytes
            yield one

    image = PoolImage(ct, [segmentation_of(labels, network.classes, ct)], stacks, network.classes, scorer)
    scores = CaseScores(name, strategy.measure(image), image.features if strategy.features else None)
    stored += labels.nbytes if strategy.needs == "masks" else 0
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
    index = {
        "none": lambda: good[:0],
        "best": lambda: most_trusted(units, share, rng),
        "random": lambda: rng.permutation(good)[: int(share * len(units) + 1e-9)],
        "dsal": lambda: (schedule or WeakLabeler()).choose(units, round_, rng),
    }.get(rule, lambda: good)()
    weighted = np.nan_to_num(np.clip(1 - units.score[index], 0, 1))
    return index, weighted if rule == "weighted" else np.ones(len(index))


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
        if case not in by_name or not by_name[case].masks:
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
        name, case = self.item.name, self.item.case
        ct, (path, names) = read_case_ct(case), self.item.masks[0]
        segmentation = read_segmentation(path, ct, names=names)
        subject = subject_of(ct, segmentation, f"pseudo {name}", "pseudo", case.patient or name)
        trust: Trust = {}
        rows = [(c, s, k if k == WHOLE else ct.frame.file_slice(k), w) for c, s, k, w in self.rows]
        add_trust(trust, rows, {name: dict.fromkeys(subject.structures.values(), ct.frame.shape[0])})
        return trusted_subject(subject, trust.get(name, {}))


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
    nothing = np.zeros((1, 1, 1), np.int16)
    ct = CtVolume(nothing, AxialFrame.from_affine(np.eye(4), nothing.shape), "structures")
    names = dict(enumerate(structures, start=1))
    return in_memory(Subject("all structures", ct, nothing.astype(np.uint8), names, "", "nobody"))


def in_memory(subject: Subject) -> SubjectSource:
    """The source of a subject that is read already."""
    return SubjectSource(subject.name, subject.patient, "", lambda: subject)
