"""Journeys that survive a kill: one folder each, with a record of every visit.

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
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from QualitySentinelLib.errors import InputError, readable
from QualitySentinelLib.files import atomic_write

from ..dice import dice_by_structure
from ..pages import write_table
from ..runs import DONE, Kind, Record, Run
from .experiment import Experiment, Server, headline
from .models import SegmentationModel
from .protocol import Event, Fate, Journey, TravelOptions, TravelState, Visit

KIND = Kind("travel", "quality-sentinel-travel/1", "visit", ("sites.csv", "samples.csv", "report.html"))
FINAL = "final.csv"
_NSD_MM = 3.0
START = "start"
_TOO_MANY = (
    "more than half of all samples were rejected, hardly through their own fault; give more verification samples, a "
    "higher tolerance or drift, or a lower learning rate"
)
Say = Callable[[str], None]


def carry_on(
    experiment: Experiment, folder: Path, learner: Any, centers: Mapping[str, Sequence[str]],
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
        journey, lost, away = Journey(learner, centers, options, state), Counter[int](), False
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
        if folder.name != START and not (folder / FINAL).is_file():
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
    with readable(path, "give a .safetensors file", SafetensorError):
        weights = {name: array for name, array in load_file(path).items() if name.startswith("network.")}
    try:
        learner.restore(weights | {"updates": np.array([0])})
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
