"""An experiment carried out, in this process or on NVFlare, and reported on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from QualitySentinelLib.datasets.table import read_table
from QualitySentinelLib.errors import InputError, UsageError, not_installed

from .experiment import Experiment, LocalLearner, Sample, centers_of, samples_of
from .journeys import START, Say, carry_on, start_from
from .quality import outliers, predicted_quality
from .report import write_travel_report


def travel(experiment: Experiment, out: Path, say: Say = print) -> Path:
    """Carry out an experiment, up to its report; what was done before a stop is not done again.

    Raises:
        InputError, UsageError: the data or the options make no sense, or ``out`` is of another experiment.
    """
    samples, cases = samples_of(experiment), dict[str, Any]()
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
        carry_on(experiment, out / START, learner, clean, first, (), say)
    start = learner.state()
    for folder, some, how, left_out in journeys:
        learner.restore(start)
        carry_on(experiment, out / folder, learner, some, how, left_out, say)


def suspects_of(experiment: Experiment, samples: Sequence[Sample], out: Path, say: Say) -> dict[str, list[str]]:
    """Samples that a signal finds suspicious before any training, with the names of the signals."""
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
