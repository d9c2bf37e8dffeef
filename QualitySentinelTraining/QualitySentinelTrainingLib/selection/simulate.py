"""The closed loop on a labeled data set: choose, let the reference annotate, train, measure; as a run.

Layout of the run's folder::

    simulate.json, steps/             the run and a record of each step, so that it resumes after a kill
    subjects/                         the data set at the experiment's resolution
    networks/                         the networks of each step
    rounds.csv, summary.csv, differences.csv, corrections.csv, report.html
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from QualitySentinelLib.errors import InputError, UsageError
from QualitySentinelLib.files import atomic_write
from QualitySentinelLib.scorer import Scorer
from QualitySentinelLib.volume import AxialFrame, CtVolume

from ..dice import dice_by_structure
from ..pages.page import count
from ..phantom import FIRST_UNSEEN_SEED
from ..runs import Kind, Result, Run, Work
from ..segmentation.field import Field
from ..segmentation.network import SegmentationNetwork
from ..segmentation.training import Training, stage_name
from ..subjects import Subject, SubjectSource, check_names, find_subjects, phantom_sources
from .experiment import Experiment
from .image import PoolImage
from .outcome import write_outcome
from .pseudo import (
    Look,
    Trust,
    Weak,
    add_trust,
    all_structures_source,
    choose_weak,
    in_memory,
    look_at,
    trusted_subject,
)  # fmt: skip
from .strategies import STRATEGIES
from .units import correction_curve, units_of

SIMULATE = Kind("simulate", "quality-sentinel-simulate/1", "step", ("rounds.csv", "summary.csv", "report.html"))
_CURVE = 40
_EPOCHS = (10, 20, 30, 40, 50, 100, 200, 300, 400, 500)
"""What the keys of the first runs have for the network's epochs, which are not used here."""


@dataclass(frozen=True)
class Step:
    """One round of one strategy and one seed; round 0 trains the first network, which all strategies share."""

    name: str  # of its record and folder
    seed: int
    round: int
    strategy: str = ""
    weak: Weak = "none"
    roles: dict[str, str] = field(default_factory=dict, hash=False)  # by case
    annotated: tuple[str, ...] = ()  # cases whose reference is known
    corrected: tuple[tuple[str, str, int], ...] = ()  # case, structure and slice
    before: str = ""  # name of the step before
    structures: tuple[str, ...] = ()  # of the data set

    def next(self, head: dict, strategy: str, weak: Any) -> Step:
        """The step after this one, given the head of this one's record."""
        name, corrected = f"seed{self.seed}-{strategy}-{weak}-round{self.round + 1}", map(tuple, head["corrected"])
        return replace(
            self, name=name, round=self.round + 1, strategy=strategy, weak=weak, annotated=tuple(head["annotated"]),
            corrected=tuple(corrected), before=self.name,
        )  # fmt: skip


class PrepareWork(Work):
    """Writes subjects at the experiment's resolution."""

    def __init__(self, experiment: Experiment, out: Path) -> None:
        self.experiment, self.out = experiment, out

    def do(self, item: SubjectSource, data: SubjectSource) -> Result:
        """The CT in the field of view around the body, and its labels."""
        subject, e = item.read(), self.experiment.network
        view = Field.on_body(subject.ct, e.size, e.pixel_mm)
        slices = view.training_slices(subject.ct, e.slice_mm)
        if not len(slices):
            raise InputError(f"{item.name}: shows no body; are its CT in Hounsfield units?")
        mm = float(np.diff(slices).mean()) * subject.ct.frame.spacing[0] if len(slices) > 1 else e.slice_mm
        hu, labels = view.look(subject.ct, slices), view.look_at_labels(subject.labels, slices)
        path, wanted = self.out / "subjects" / f"{item.name}.npz", self.experiment.structures
        names = {str(v): n for v, n in subject.structures.items() if not wanted or n in wanted}
        labels[~np.isin(labels, np.array([*names], int))] = 0
        facts = {"structures": names, "mm": mm, "person": subject.patient, "slices": len(slices)}
        atomic_write(path, lambda file: np.savez_compressed(file, hu=hu, labels=labels, facts=json.dumps(facts)))
        return Result(facts, files={f"subjects/{item.name}.npz": path})


def read_prepared(path: Path, pixel_mm: float) -> Subject:
    """A subject that :class:`PrepareWork` wrote."""
    with np.load(path, allow_pickle=False) as file:
        hu, labels, facts = file["hu"], file["labels"], json.loads(str(file["facts"]))
    frame = AxialFrame.from_affine(np.diag([-pixel_mm, -pixel_mm, facts["mm"], 1.0]), hu.shape)
    names = {int(v): n for v, n in facts["structures"].items()}
    return Subject(path.stem, CtVolume(hu, frame, path.stem), labels, names, "", facts["person"])


class StepWork(Work):
    """Does one step: choose, annotate, train, measure."""

    def __init__(self, experiment: Experiment, out: Path) -> None:
        self.experiment, self.out = experiment, out
        self._last: tuple = (None, {}, {})

    def start(self, device: str) -> None:
        """One thread: workers are many. Subjects are kept in memory."""
        import torch

        torch.set_num_threads(1)
        pixel_mm = self.experiment.network.pixel_mm
        self.subject = cache(lambda name: read_prepared(self.out / "subjects" / f"{name}.npz", pixel_mm))

    @cached_property
    def _scorer(self) -> Scorer:
        from QualitySentinelLib.checkpoint import load_model

        return Scorer(load_model("bundled"), device="cpu")

    def do(self, item: Step, data: Step) -> Result:
        """The network after the step, and its DSC and NSD on the test patients."""
        facts: dict[str, Any] = {}
        annotated, corrected, pseudo = item.annotated, item.corrected, []
        if item.round:
            (looks, facts), rng = self._look(item), np.random.default_rng([item.seed, item.round])
            started = time.process_time()
            annotated, corrected, cost = self._choose(item, looks, rng)
            facts = facts | {"choosing_seconds": facts["looking_seconds"] + time.process_time() - started, "cost": cost}
            if item.round == 1 and not STRATEGIES[item.strategy].features:
                facts["curve"] = self._correction_curve(looks, item, rng)
            pseudo = self._pseudo(item, looks, annotated, corrected, rng)
        started = time.process_time()
        network = self._train(item, annotated, pseudo)
        facts |= {"training_seconds": time.process_time() - started, "annotated": list(annotated)}
        facts |= {"corrected": list(corrected), "pseudo": len(pseudo)}
        lines = [row for n, role in item.roles.items() if role == "test" for row in self._measure(network, n)]
        folder = self.out / "networks" / item.name
        return Result(facts, lines, {f"networks/{item.name}/{p.name}": p for p in folder.glob("*.safetensors")})

    def _look(self, item: Step) -> tuple[dict[str, Look], dict]:
        """What the strategy says of the pool, and its cost; kept for steps that only differ in their pseudo labels."""
        key = (item.before, item.strategy)
        if self._last[0] != key:
            strategy, stages = STRATEGIES[item.strategy], self.experiment.stages(item.round - 1)
            files = [self.out / "networks" / item.before / f"{stage_name(stage)}.safetensors" for stage in stages]
            networks = [SegmentationNetwork.load(file) for file in files[0 if strategy.needs == "networks" else -1 :]]
            pool = [n for n, role in item.roles.items() if role == "pool" and n not in item.annotated]
            cts = {n: self.subject(n).ct for n in pool}  # what is read and loaded is not the strategy's time
            scorer, crf = self._scorer if strategy.needs == "masks" else None, self.experiment.crf
            peak, started = _reset_peak(), time.process_time()
            looks = {n: look_at(n, ct, networks, strategy, scorer, crf) for n, ct in cts.items()}
            facts = {"looking_seconds": time.process_time() - started, "peak": _peak() if peak else None}
            facts |= {"stored": sum(look.stored for look in looks.values()), "looked": len(looks)}
            self._last = (key, looks, facts)
        return self._last[1:]

    def _choose(
        self, item: Step, looks: dict[str, Look], rng: np.random.Generator
    ) -> tuple[tuple[str, ...], tuple[tuple[str, str, int], ...], float]:
        """Who is annotated and what is corrected after this round, and its cost."""
        budget, strategy = self.experiment.strong(), STRATEGIES[item.strategy]
        if budget is None:
            return item.annotated, item.corrected, 0.0
        units, known = units_of((look.scores for look in looks.values()), budget.level), set(item.corrected)
        units = units.take(np.array([n for n, key in enumerate(units.keys) if key not in known], int))
        costs, features = budget.costs(units.count), None
        budget.check(costs, f"round {item.round}")
        if strategy.features and budget.level == "case":
            features = np.stack([PoolImage(self.subject(n).ct).features for n in item.annotated])
        chosen = budget.spend(strategy.order(units, features, rng), costs)
        new, cost = units.take(chosen), float(costs[chosen].sum())
        if budget.level == "case":
            return (*item.annotated, *new.case), item.corrected, cost
        return item.annotated, (*item.corrected, *new.keys), cost

    def _pseudo(
        self, item: Step, looks: dict[str, Look], annotated: Sequence[str], corrected: Sequence,
        rng: np.random.Generator,
    ) -> list[Subject]:  # fmt: skip
        """What is trusted of the pool: pseudo labels, and slices that were corrected in them."""
        e, names = self.experiment, ("", *item.structures)
        left = {n: look for n, look in looks.items() if n not in annotated}
        labels = {n: look.labels.copy() for n, look in left.items()}
        found = {n: {names[v]: len(voxels) for v in np.unique(voxels) if v} for n, voxels in labels.items()}
        units = units_of((look.scores for look in left.values()), e.weak_by)
        index, weight = choose_weak(units, item.weak, e.weak_share, item.round, rng, e.schedule())
        trust: Trust = {}
        add_trust(trust, [(*key, w) for key, w in zip(units.take(index).keys, weight, strict=True)], found)
        for case, structure, k in corrected:
            if case not in left:
                continue
            truth, value = self.subject(case), names.index(structure)
            real = [v for v, n in truth.structures.items() if n == structure]
            labels[case][k][labels[case][k] == value] = 0
            labels[case][k][np.isin(truth.labels[k], real)] = value
            found[case].setdefault(structure, len(labels[case]))
            add_trust(trust, [(case, structure, k, 1.0)], {case: {structure: len(labels[case])}})
        return [
            trusted_subject(
                replace(self.subject(case), name=f"pseudo {case}", labels=labels[case],
                        structures={names.index(n): n for n in found[case]}), of,
            )
            for case, of in trust.items()
        ]  # fmt: skip

    def _train(self, item: Step, annotated: Sequence[str], pseudo: Sequence[Subject]) -> SegmentationNetwork:
        folder, options = self.out / "networks" / item.name, self.experiment.training(item.seed, item.round)
        subjects = [*(self.subject(n) for n in annotated), *pseudo]
        assert not any(item.roles[s.name.removeprefix("pseudo ")] == "test" for s in subjects)
        sources = [in_memory(s) for s in subjects]
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        if item.before:
            last = f"{stage_name(self.experiment.stages(item.round - 1)[-1])}.safetensors"
            shutil.copyfile(self.out / "networks" / item.before / last, folder / last)
        everything = [all_structures_source(item.structures)]
        network = Training(sources, everything, folder, options, "cpu", lambda line: None).up_to(options.epochs[-1])
        if item.before:
            (folder / last).unlink()
        return network

    def _measure(self, network: SegmentationNetwork, name: str) -> list:
        """Structure, DSC and NSD of a case; structures that its reference holds."""
        subject, mm = self.subject(name), self.experiment.tolerance_mm
        found = dice_by_structure(network.predict_labels(subject.ct), network.classes, subject, mm)
        return [[name, structure, round(dsc, 5), round(nsd, 5)] for structure, dsc, nsd in found]

    def _correction_curve(self, looks: dict[str, Look], item: Step, rng: np.random.Generator) -> list[float]:
        """Mean DSC of the pool's masks against the share of slices corrected, worst first by the strategy."""
        counts = slice_counts({n: (look.labels, self.subject(n)) for n, look in looks.items()}, item.structures)
        units = units_of((look.scores for look in looks.values()), "slice")
        order = np.fromiter(STRATEGIES[item.strategy].order(units, None, rng), int)
        place, last = {key: n for n, key in enumerate(units.take(order).keys)}, len(order) + rng.random(len(counts))
        ranks = [place.get(key, drawn) for key, drawn in zip(counts.index, last, strict=True)]
        curve = correction_curve(counts.iloc[np.argsort(ranks)])
        return curve[np.linspace(0, len(counts), _CURVE + 1).round().astype(int)].round(5).tolist()


def slice_counts(cases: dict[str, tuple[np.ndarray, Subject]], structures: Sequence[str]) -> pd.DataFrame:
    """Voxels of every slice in which a structure is predicted or true, by case, structure and slice.

    Returns:
        what :func:`.units.correction_curve` takes.
    """
    rows = {}
    for case, (labels, subject) in cases.items():
        for real, structure in subject.structures.items():
            p, g = labels == structures.index(structure) + 1, subject.labels == real
            shared, predicted, true = (np.count_nonzero(a, axis=(1, 2)) for a in (p & g, p, g))
            for k in np.flatnonzero(predicted + true):
                rows[case, structure, int(k)] = f"{case} {structure}", shared[k], predicted[k] + true[k], true[k]
    return pd.DataFrame.from_dict(rows, "index", columns=["mask", "shared", "total", "truth"])


def _reset_peak() -> bool:
    """Start measuring this process's peak memory anew, where the system can."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _peak() -> int:
    """Bytes of memory that this process held at most since :func:`_reset_peak`."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def run_simulate(
    experiment: Experiment, out: Path, workers: int | None = 1, say: Callable[[str], None] = lambda line: None
) -> dict[str, str]:
    """Run an experiment, as far as it is not done, and write its tables and its page.

    Returns:
        Reasons of the cases and steps that failed, by name.

    Raises:
        UsageError: the data have too few patients, the budget is larger than the pool, or ``out`` holds another
            experiment.
        InputError: the data cannot be read, or ``out`` cannot be written.
    """
    e = experiment
    if e.data is None:
        sources = phantom_sources(range(FIRST_UNSEEN_SEED, FIRST_UNSEEN_SEED + e.phantoms))
    else:
        sources = find_subjects(e.data, names=e.names, patient=e.patient, layout=e.layout)
    check_names(sources)
    roles = {seed: e.roles(sources, seed) for seed in e.seeds}
    free = ("rounds", "seeds", "strategies", "weak", *(n for n in ("phantoms", "structures") if not getattr(e, n)))
    key = {n: str(v) for n, v in sorted(vars(e).items()) if n not in free}
    told = "\n".join(f"{source.name}\0{source.patient}" for source in sources)  # others would change who is tested on
    cases = f"{len(sources)}, {sha256(told.encode()).hexdigest()[:8]}"
    network = replace(e.network, epochs=_EPOCHS)
    key |= {"data": str(e.data and e.data.resolve()), "cases": cases, "network": str(network)}
    with Run(out, SIMULATE, {"key": key}) as run:
        items = [s for s in sources if any(s.name in of_seed for of_seed in roles.values())]
        for finished in run.work(items, PrepareWork(e, out), workers=workers):
            say(f"{finished.head['item']}: {finished.head['reason'] or 'ready'}")
        heads = {i.name: run.head(i.name) for i in items if i.name not in run.failed}
        structures = tuple(sorted({s for head in heads.values() for s in head["structures"].values()}))
        states = {}
        for seed in e.seeds:
            ready = {n: r for n, r in roles[seed].items() if n in heads}
            pool = [heads[n].get("slices", 1e9) * len(structures) for n, r in ready.items() if r == "pool"]
            _check_budget(e, np.array(pool))
            initial = tuple(n for n, r in ready.items() if r == "initial")
            states[seed, "", ""] = Step(f"seed{seed}", seed, 0, "", "none", ready, initial, (), "", structures)
        for round_ in range(e.rounds + 1):
            for finished in run.work(list(states.values()), StepWork(e, out), workers=workers, retry_failed=True):
                say(f"{finished.head['item']}: {finished.head['reason'] or 'done'}")
            done = {key: step for key, step in states.items() if step.name not in run.failed}
            if round_ == 0:
                done = {(seed, *arm): step for (seed, *_), step in done.items() for arm in e.arms()}
            states = {key: step.next(run.head(step.name), *key[1:]) for key, step in done.items()}
        failed = dict(run.failed)
        write_outcome(e, run)
        run.finish(failed=len(failed))
    return failed


def _check_budget(experiment: Experiment, slices: np.ndarray) -> None:
    """Refuse a budget that the pool cannot use, before anything is trained.

    Args:
        slices: of each case of the pool, at most.

    Raises:
        UsageError: it is larger than the pool.
    """
    budget, rounds = experiment.strong(), experiment.rounds
    if budget is not None and budget.amount * rounds > (most := budget.costs(slices).sum()):
        told = f"{count(rounds, 'round')} of {budget}: the pool has {budget.told(most)} at most"
        raise UsageError(f"{told}; give a smaller budget or a larger pool")
