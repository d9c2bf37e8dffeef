"""An experiment carried out: journeys that survive a kill, one folder each, and the report on all of them.

Layout of OUT::

    start/  clean/  dirty/      journeys of their own: cycles without harmful samples, and the baselines
    visits/                     one record per visit: what happened, and the state of the journey
    weights/000042.safetensors  the model after the last visit
    model.safetensors           the model at the end; final.csv: its figures on the test set
    sites.csv  samples.csv  report.html
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from QualitySentinelLib.datasets.table import read_table
from QualitySentinelLib.errors import InputError, UsageError, not_installed, reason_of
from QualitySentinelLib.files import atomic_write

from ..dice import dice_by_structure
from ..pages import write_table
from ..runs import DONE, Kind, Record, Run
from .experiment import Experiment, LocalLearner, Sample, Server, centers_of, headline, samples_of
from .models import SegmentationModel
from .protocol import Event, Fate, Journey, TravelOptions, TravelState, Visit

KIND = Kind("travel", "quality-sentinel-travel/1", "visit", ("sites.csv", "samples.csv", "report.html"))
FINAL = "final.csv"
_NSD_MM = 3.0
_START = "start"
_TOO_MANY = (
    "more than half of all samples were rejected: hardly by their own fault; give more verification samples, a higher "
    "tolerance or drift, or a lower learning rate"
)
Say = Callable[[str], None]


def travel(experiment: Experiment, out: Path, say: Say = print) -> Path:
    """Carry out an experiment, up to its report; what was done before a stop is not done again.

    Raises:
        InputError, UsageError: the data or the options make no sense, or ``out`` is of another experiment.
    """
    from .report import write_travel_report

    samples, cases = samples_of(experiment), {}
    if experiment.engine == "core":
        suspicious = suspects_of(experiment, samples, out, say)
        _travel_here(experiment, samples, out, suspicious, say)
    elif experiment.signals or experiment.clean_cycles:
        raise UsageError("signals and clean_cycles need names of samples, which do not leave sites; use engine core")
    else:
        try:
            from .federated import run_federated
        except ImportError as error:
            raise not_installed(f"engine {experiment.engine}", "NVFlare", "federated") from error
        cases, suspicious = run_federated(experiment, samples, out, say)
    return write_travel_report(experiment, samples, suspicious, out, cases)


def _travel_here(
    experiment: Experiment, samples: Sequence[Sample], out: Path, suspicious: Iterable[str], say: Say
) -> None:
    learner = LocalLearner(experiment, samples)
    options = experiment.travel_options
    centers = {c: [s for s in names if s in learner.looks] for c, names in centers_of(samples).items()}
    centers = {center: names for center, names in centers.items() if names}
    harmful = {sample.name for sample in samples if sample.harm}
    clean = {c: [s for s in names if s not in harmful] for c, names in centers.items()}
    clean = {center: names for center, names in clean.items() if names}
    trusting = replace(options, guarded_from=options.cycles)
    journeys = [("", centers, options, suspicious)]
    if experiment.baselines:
        journeys += [("clean", clean, trusting, ()), ("dirty", centers, trusting, ())]
    if experiment.start:
        start_from(experiment.start, learner)
    if experiment.clean_cycles:
        first = replace(options, cycles=experiment.clean_cycles, guarded_from=experiment.clean_cycles)
        carry_on(experiment, out / _START, learner, clean, first, (), say)
    start = learner.state()
    for folder, some, how, left_out in journeys:
        learner.restore(start)
        carry_on(experiment, out / folder, learner, some, how, left_out, say)


def carry_on(
    experiment: Experiment, folder: Path, learner: Server, centers: Mapping[str, Sequence[str]],
    options: TravelOptions, suspicious: Iterable[str], say: Say, rest: bool = False,
) -> None:  # fmt: skip
    """Travel from the last visit that was kept to the end; the learner has the last weights then.

    Args:
        rest: stop after a cycle in which a center was passed over, so that it can be started again.

    Raises:
        InputError, UsageError: as ``Run`` and ``Journey`` do.
    """
    with Run(folder, KIND, {"key": experiment.key()}) as run:
        state, done = _last(run, learner)
        if state is None and experiment.suspects == "revisit":
            here = {sample for names in centers.values() for sample in names}
            state = TravelState(due={s: options.revisit_after for s in suspicious if s in here})
        journey, lost, away = Journey(learner, centers, options, state), Counter(), False
        for visit in journey.visits():
            done += 1
            figures = [] if visit.center else learner.figures()
            atomic_write(weights_path(folder, done), lambda path: save_file(learner.state(), path))
            run.write(_name(done), _record(done, visit, journey.state, figures))
            weights_path(folder, done - 1).unlink(missing_ok=True)
            lost[visit.cycle] += sum(len(e.samples) for e in visit.events if e.fate in (Fate.REVISIT, Fate.ELIMINATED))
            if not visit.center:
                if lost[visit.cycle] > sum(map(len, centers.values())) / 2:
                    say(_TOO_MANY)
                say(_line(folder, visit, journey.state, figures))
            for event in visit.events:
                if event.note:
                    say(f"{event.center}: passed over: {event.note}")
            away |= any(event.fate is Fate.PASSED_OVER for event in visit.events)
            if rest and away and not visit.center and journey.state.cycle < options.cycles:
                return
        if folder.name != _START and not (folder / FINAL).is_file():
            _finish(folder, learner)
        run.finish(verifications=journey.state.verifications, cycles=journey.state.cycle)


def weights_path(folder: Path, visits: int) -> Path:
    """The model after so many visits."""
    return folder / "weights" / f"{_name(visits)}.safetensors"


def start_from(path: Path, learner: Server) -> None:
    """Start from the weights of a file; the optimizer starts anew.

    Raises:
        InputError: there are none, or they are of another network.
    """
    try:
        weights = {name: array for name, array in load_file(path).items() if name.startswith("network.")}
        learner.restore(weights | {"updates": np.array([0])})
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: cannot be read ({reason_of(error)}); give a .safetensors file") from error
    except InputError as error:
        raise InputError(f"{path}: holds {error}; give the same [network] options as when it was made") from error


def visits_of(folder: Path) -> list[Record]:
    """The records of a journey, in order; empty when there is none."""
    run = Run(folder, KIND)
    return [run.record(name) for name in run.names()] if run.records.is_dir() else []


def events_of(records: Iterable[Record], cases: Mapping[str, str] | None = None) -> list[Event]:
    """All events of a journey; ``cases`` names the samples that the records know by number."""
    lines = [line for record in records for line in record.lines if "fate" in line]
    names = [tuple((cases or {}).get(name, name) for name in line["samples"]) for line in lines]
    return [Event(**{**line, "samples": n, "fate": Fate(line["fate"])}) for line, n in zip(lines, names, strict=True)]


def figures_of(records: Iterable[Record]) -> dict[int, list[dict]]:
    """Figures of each test sample after each cycle, by cycle."""
    return {r.head["cycle"]: [line for line in r.lines if "case" in line] for r in records if not r.head["center"]}


def suspects_of(experiment: Experiment, samples: Sequence[Sample], out: Path, say: Say) -> dict[str, list[str]]:
    """Samples that a signal finds suspicious before any training, with the names of the signals."""
    from .quality import outliers, predicted_quality

    values: dict[str, tuple[dict[str, float], bool]] = {}
    if experiment.quality:
        if experiment.task != "segmentation":
            raise UsageError("quality = true predicts the DSC of masks; a whole CT's label has none")
        values["predicted DSC"] = predicted_quality(samples, out / "quality", say), True
    for signal in experiment.signals:
        rows = read_table(signal.table)
        if not rows or not {"case", signal.column} <= rows[0].keys():
            raise InputError(f"{signal.table}: has no columns 'case' and '{signal.column}'; name another column")
        # of a case with a row for each structure, the row of the whole case counts, or else the worst one
        table = pd.DataFrame(rows)
        if "structure" in table and (table["structure"] == "").any():
            table = table[table["structure"] == ""]
        numbers = pd.to_numeric(table.set_index("case")[signal.column], "coerce")
        by_case = numbers[np.isfinite(numbers)].groupby(level=0)
        values[signal.column] = (by_case.min() if signal.low_is_bad else by_case.max()).to_dict(), signal.low_is_bad
    found: dict[str, list[str]] = {}
    for name, (table, low_is_bad) in values.items():
        for sample in outliers({s.name: table[s.name] for s in samples if s.name in table}, low_is_bad):
            found.setdefault(sample, []).append(name)
    return found


def _name(visits: int) -> str:
    return f"{visits:06d}"


def _last(run: Run, learner: Server) -> tuple[TravelState | None, int]:
    """Where the journey stopped, and after how many visits; the learner gets the weights of then."""
    names = run.names()
    for name in reversed(names):
        path = weights_path(run.path, int(name))
        try:
            weights = load_file(path)
        except (OSError, SafetensorError):
            continue  # killed between two files: the visit before is whole
        learner.restore(weights)
        return TravelState(**run.record(name).head["state"]), int(name)
    if names:
        raise InputError(f"{run.path}: its weights are missing or damaged; choose another folder")
    return None, 0


def _record(number: int, visit: Visit, state: TravelState, figures: Sequence[dict]) -> Record:
    head = {
        "item": _name(number), "status": DONE, "reason": "", "fingerprint": "", "seconds": {}, "files": {},
        "cycle": visit.cycle, "center": visit.center, "state": asdict(state),
    }  # fmt: skip
    events = [asdict(event) | {"errors": _finite(event.errors)} for event in visit.events]
    return Record(head, [*events, *map(_finite, figures)])


def _finite(values: Mapping[str, Any]) -> dict[str, Any]:
    """Plain JSON knows no NaN."""
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()}


def _line(folder: Path, visit: Visit, state: TravelState, figures: Sequence[dict]) -> str:
    """What a user reads after each cycle."""
    what = "accuracy" if figures and "positive" in figures[0] else "mean DSC"
    away = f"{len(state.due)} left out, {len(state.eliminated)} eliminated"
    return f"{folder.name}: cycle {visit.cycle}: {what} on the test set {headline(figures):.3f}; {away}"


def _finish(folder: Path, server: Server) -> None:
    """Write the model, and its figures: of segmentation volumetric DSC and NSD on the grid of the CT."""
    model = server.model
    rows: list[list] = []
    if isinstance(model, SegmentationModel):
        model.network.save(folder / "model.safetensors")
        for name in server.test:
            subject = server.samples[name].read()
            labels = model.network.predict_labels(subject.ct)
            rows += [[name, *row] for row in dice_by_structure(labels, model.network.classes, subject, _NSD_MM)]
        write_table(folder / FINAL, ("case", "structure", "dsc", f"nsd_{_NSD_MM:g}mm"), rows)
        return
    weights = {n: a for n, a in model.state().items() if n.startswith("network.")}
    atomic_write(folder / "model.safetensors", lambda path: save_file(weights, path))
    rows = [[f["case"], f["probability"], f["positive"]] for f in server.figures()]
    write_table(folder / FINAL, ("case", "probability", "positive"), rows)
