"""The closed loop on a labeled data set: choose, let the reference annotate, train, measure; as a run.

Layout of the run's folder::

    simulate.json, steps/             the run and a record of each step, so that it resumes after a kill
    subjects/                         the data set at the experiment's resolution
    networks/                         the networks of each step
    rounds.csv, summary.csv, corrections.csv, report.html
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from QualitySentinelLib.errors import InputError
from QualitySentinelLib.files import atomic_write
from QualitySentinelLib.scorer import Scorer
from QualitySentinelLib.volume import AxialFrame, CtVolume

from ..dice import volume_dice
from ..runs import Kind, Result, Run, Work
from ..segmentation.field import Field
from ..segmentation.network import SegmentationNetwork
from ..segmentation.training import Training, stage_name
from ..subjects import Subject, SubjectSource, check_names, find_subjects
from .experiment import Experiment
from .pseudo import Look, add_trust, all_structures_source, choose_weak, look_at, trusted_subject
from .strategies import STRATEGIES
from .units import Correction, units_of

SIMULATE = Kind("simulate", "quality-sentinel-simulate/1", "step", ("rounds.csv", "summary.csv", "report.html"))
_CURVE = 40


@dataclass(frozen=True)
class Prepare:
    """A case to be brought to the experiment's resolution."""

    name: str
    source: SubjectSource


@dataclass(frozen=True)
class Step:
    """One round of one strategy and one seed.

    Attributes:
        name: of its record and folder.
        round: 0 trains the first network, which all strategies of a seed share.
        roles: by case.
        annotated: cases whose reference is known.
        corrected: case, structure and slice that were corrected.
        before: name of the step before; empty in round 0.
        structures: of the data set.
    """

    name: str
    seed: int
    round: int
    strategy: str = ""
    weak: str = "none"
    roles: dict[str, str] = field(default_factory=dict, hash=False)
    annotated: tuple[str, ...] = ()
    corrected: tuple[tuple[str, str, int], ...] = ()
    before: str = ""
    structures: tuple[str, ...] = ()


class PrepareWork(Work):
    """Writes subjects at the experiment's resolution."""

    def __init__(self, experiment: Experiment, out: Path) -> None:
        self.experiment, self.out = experiment, out

    def do(self, item: Prepare, data: Prepare) -> Result:
        """The CT in the field of view around the body, and its labels."""
        subject, e = item.source.read(), self.experiment.network
        view = Field.on_body(subject.ct, e.size, e.pixel_mm)
        slices = view.training_slices(subject.ct, e.slice_mm)
        if not len(slices):
            raise InputError(f"{item.name}: shows no body; are its CT in Hounsfield units?")
        mm = float(np.diff(slices).mean()) * subject.ct.frame.spacing[0] if len(slices) > 1 else e.slice_mm
        hu, labels = view.look(subject.ct, slices), view.look_at_labels(subject.labels, slices)
        path = self.out / "subjects" / f"{item.name}.npz"
        names = {str(v): n for v, n in subject.structures.items()}
        facts = {"structures": names, "mm": mm, "person": subject.patient}
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
        self._subjects: dict[str, Subject] = {}
        self._last: Any = None

    def start(self, device: str) -> None:
        """One thread: workers are many."""
        import torch

        torch.set_num_threads(1)

    @cached_property
    def _scorer(self) -> Scorer:
        from QualitySentinelLib.checkpoint import load_model

        return Scorer(load_model("bundled"), device="cpu")

    def subject(self, name: str) -> Subject:
        """A case at the experiment's resolution; kept in memory."""
        if name not in self._subjects:
            path = self.out / "subjects" / f"{name}.npz"
            self._subjects[name] = read_prepared(path, self.experiment.network.pixel_mm)
        return self._subjects[name]

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
        test = [name for name, role in item.roles.items() if role == "test"]
        lines = [row for name in test for row in self._measure(network, name)]
        folder = self.out / "networks" / item.name
        files = {f"networks/{item.name}/{p.name}": p for p in sorted(folder.glob("*.safetensors"))}
        return Result(facts, lines, files)

    def _look(self, item: Step) -> tuple[dict[str, Look], dict]:
        """What the strategy says of the pool, and its cost; kept for steps that only differ in their pseudo labels."""
        key = (item.before, item.strategy)
        if self._last is None or self._last[0] != key:
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
        units = units_of((look.scores for look in looks.values()), budget.level)
        keys, known = zip(units.case, units.structure, units.slices.tolist(), strict=True), set(item.corrected)
        units = units.take(np.array([n for n, key in enumerate(keys) if key not in known], int))
        costs = budget.costs(units)
        budget.check(costs, f"round {item.round}")
        features = self._features(item.annotated) if strategy.features and budget.level == "case" else None
        chosen = budget.spend(strategy.order(units, features, rng), costs)
        new, cost = units.take(chosen), float(costs[chosen].sum())
        if budget.level == "case":
            return (*item.annotated, *new.case.tolist()), item.corrected, cost
        return item.annotated, (*item.corrected, *zip(new.case, new.structure, new.slices.tolist(), strict=True)), cost

    def _features(self, names: Sequence[str]) -> np.ndarray:
        from .image import PoolImage

        return np.stack([PoolImage(self.subject(n).ct).features for n in names])

    def _pseudo(
        self, item: Step, looks: dict[str, Look], annotated: Sequence[str], corrected: Sequence,
        rng: np.random.Generator,
    ) -> list[Subject]:  # fmt: skip
        """What is trusted of the pool: pseudo labels, and slices that were corrected in them."""
        e, trust = self.experiment, {}
        left = {n: look for n, look in looks.items() if n not in annotated}
        names = ("", *item.structures)
        found: dict[str, dict[str, int]] = {
            n: {names[v]: len(look.labels) for v in np.unique(look.labels) if v} for n, look in left.items()
        }
        units = units_of((look.scores for look in left.values()), e.weak_by)
        index, weight = choose_weak(units, item.weak, e.weak_share, item.round, rng, e.schedule())
        rows = zip(units.case[index], units.structure[index], units.slices[index], weight, strict=True)
        add_trust(trust, rows, found)
        labels = {n: look.labels.copy() for n, look in left.items()}
        for case, structure, k in corrected:
            if case not in left:
                continue
            truth, value = self.subject(case), names.index(structure)
            real = next((v for v, n in truth.structures.items() if n == structure), None)
            labels[case][k][labels[case][k] == value] = 0
            if real is not None:
                labels[case][k][truth.labels[k] == real] = value
            found[case].setdefault(structure, len(labels[case]))
            add_trust(trust, [(case, structure, k, 1.0)], {case: {structure: len(labels[case])}})
        pseudo = []
        for case, of in trust.items():
            subject = self.subject(case)
            held = {names.index(n): n for n in found[case]}
            as_labeled = Subject(f"pseudo {case}", subject.ct, labels[case], held, "", subject.patient)
            pseudo.append(trusted_subject(as_labeled, of))
        return pseudo

    def _train(self, item: Step, annotated: Sequence[str], pseudo: Sequence[Subject]) -> SegmentationNetwork:
        folder, options = self.out / "networks" / item.name, self.experiment.training(item.seed, item.round)
        subjects = [*(self.subject(n) for n in annotated), *pseudo]
        assert not any(item.roles[s.name.removeprefix("pseudo ")] == "test" for s in subjects)
        sources = [SubjectSource(s.name, s.patient, "", partial(_same, s)) for s in subjects]
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
        subject = self.subject(name)
        labels = network.predict_labels(subject.ct)
        spacing, rows = subject.ct.frame.spacing, []
        for value, structure in subject.structures.items():
            truth, mask = subject.labels == value, labels == network.classes.index(structure)
            if truth.any():
                nsd = surface_dice(mask, truth, spacing, self.experiment.tolerance_mm)
                rows.append([name, structure, round(volume_dice(mask, truth), 5), round(nsd, 5)])
        return rows

    def _correction_curve(self, looks: dict[str, Look], item: Step, rng: np.random.Generator) -> list[float]:
        """Mean DSC of the pool's masks against the share of slices corrected, worst first by the strategy."""
        counts, names = slice_counts({n: (look.labels, self.subject(n)) for n, look in looks.items()}, item.structures)
        place = {name: n for n, name in enumerate(names)}
        units = units_of((look.scores for look in looks.values()), "slice")
        keys = list(zip(units.case, units.structure, units.slices.tolist(), strict=True))
        ranked = [place[keys[n]] for n in STRATEGIES[item.strategy].order(units, None, rng) if keys[n] in place]
        rest = np.setdiff1d(np.arange(len(names)), ranked)
        curve = counts.curve(np.array([*ranked, *rng.permutation(rest)], int))
        return curve[np.linspace(0, len(names), _CURVE + 1).round().astype(int)].round(5).tolist()


def _same(subject: Subject) -> Subject:
    return subject


def slice_counts(
    cases: dict[str, tuple[np.ndarray, Subject]], structures: Sequence[str]
) -> tuple[Correction, list[tuple[str, str, int]]]:
    """Voxels of every slice in which a structure is predicted or true, and case, structure and slice of each."""
    rows, names, mask = [], [], 0
    for case, (labels, subject) in cases.items():
        for real, structure in subject.structures.items():
            p, g = labels == structures.index(structure) + 1, subject.labels == real
            shared, predicted, true = (np.count_nonzero(a, axis=(1, 2)) for a in (p & g, p, g))
            for k in np.flatnonzero(predicted + true):
                rows.append((mask, shared[k], predicted[k] + true[k], true[k]))
                names.append((case, structure, int(k)))
            mask += 1
    columns = np.array(rows, int).reshape(-1, 4).T
    return Correction(*columns), names


def surface_dice(mask: np.ndarray, truth: np.ndarray, spacing: tuple[float, float, float], tolerance: float) -> float:
    """Normalized surface Dice of two masks ``[k, j, i]``, as MONAI computes it; ``truth`` is not empty.

    Args:
        spacing: mm, of (k, j, i).
        tolerance: mm.
    """
    import torch
    from monai.metrics import compute_surface_dice

    if not mask.any():
        return 0.0
    box = ndimage.find_objects((mask | truth).astype(np.uint8))[0]
    grown = tuple(slice(max(0, s.start - 1), s.stop + 1) for s in box)
    both = [torch.from_numpy(np.pad(a[grown], 1)[None, None].astype(np.float32)) for a in (mask, truth)]
    return float(compute_surface_dice(*both, [tolerance], include_background=True, spacing=spacing)[0, 0])


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
        UsageError: the data have too few patients, or ``out`` holds another experiment.
        InputError: the data cannot be read, or ``out`` cannot be written.
    """
    from .outcome import write_outcome

    e = experiment
    sources = find_subjects(e.data, names=e.names, patient=e.patient, layout=e.layout)
    check_names(sources)
    roles = {seed: experiment.roles(sources, seed) for seed in experiment.seeds}
    wanted = {name for of_seed in roles.values() for name in of_seed}
    key = {n: str(v) for n, v in sorted(vars(e).items()) if n not in ("rounds", "seeds", "strategies", "weak")}
    told = "\n".join(f"{source.name}\0{source.patient}" for source in sources)  # others would change who is tested on
    key |= {"data": str(e.data.resolve()), "cases": f"{len(sources)}, {sha256(told.encode()).hexdigest()[:8]}"}
    with Run(out, SIMULATE, {"key": key}) as run:
        items = [Prepare(s.name, s) for s in sources if s.name in wanted]
        for finished in run.work(items, PrepareWork(experiment, out), workers=workers):
            say(f"{finished.head['item']}: {finished.head['reason'] or 'ready'}")
        ready = {i.name for i in items if i.name not in run.failed}
        structures = sorted({s for n in ready for s in run.head(n)["structures"].values()})
        states = {
            (seed, "", ""): Step(
                f"seed{seed}", seed, 0, roles={n: r for n, r in roles[seed].items() if n in ready},
                annotated=tuple(n for n, r in roles[seed].items() if r == "initial" and n in ready),
                structures=tuple(structures),
            )
            for seed in experiment.seeds
        }  # fmt: skip
        arms = e.arms()
        for round_ in range(experiment.rounds + 1):
            steps = list(states.values())
            for finished in run.work(steps, StepWork(experiment, out), workers=workers, retry_failed=True):
                say(f"{finished.head['item']}: {finished.head['reason'] or 'done'}")
            done = {key: step for key, step in states.items() if step.name not in run.failed}
            if round_ == 0:
                done = {(seed, s, w): step for (seed, _, _), step in done.items() for s, w in arms}
            states = {key: _next(step, run.head(step.name), *key) for key, step in done.items()}
        failed = dict(run.failed)
        write_outcome(experiment, run, arms)
        run.finish(failed=len(failed))
    return failed


def _next(step: Step, head: dict, seed: int, strategy: str, weak: str) -> Step:
    name = f"seed{seed}-{strategy}-{weak}-round{step.round + 1}"
    corrected = tuple((c, s, k) for c, s, k in head["corrected"])
    return Step(
        name, seed, step.round + 1, strategy, weak, step.roles, tuple(head["annotated"]), corrected, step.name,
        step.structures,
    )  # fmt: skip

