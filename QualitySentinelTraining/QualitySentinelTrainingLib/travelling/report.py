"""Tables and page of an experiment in multi-center training: what was found where, and what it was worth."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from QualitySentinelLib.datasets.table import read_table

from ..pages import Line, Section, line_chart, write_report, write_table
from ..people import age_groups, as_numbers, as_words
from ..runs import Record
from ..stats import auroc
from .experiment import Experiment, Sample, headline
from .journeys import FINAL, events_of, figures_of, visits_of
from .protocol import Event, Fate
from .sites import TRAIN

CLASSIFIED = ("accuracy", "sensitivity", "specificity", "F1", "AUROC")
SEGMENTED = ("DSC", "NSD (3 mm)")
DETECTION = ("found by", "of", "harmful", "sensitivity", "good", "specificity")
_SITES = ("cycle", "site", "samples", "accepted", "revisited", "eliminated", "passed_over")
_SAMPLES = (
    "sample", "site", "harm", "suspicious", "accepted", "rejected", "first_rejected", "eliminated_in", "fate",
)  # fmt: skip
_JOURNEYS = {"": "guarded", "clean": "clean baseline", "dirty": "dirty baseline"}


def write_travel_report(
    experiment: Experiment, samples: Sequence[Sample], suspicious: Mapping[str, Sequence[str]], out: Path,
    cases: Mapping[str, str],
) -> Path:  # fmt: skip
    """Write ``sites.csv``, ``samples.csv``, ``cycles.csv`` and ``report.html`` from what was kept of the journeys.

    Args:
        cases: the case of each sample that the records know by number.
    """
    records = {name: visits_of(out / name) for name in _JOURNEYS}
    events = events_of(records[""], cases)
    training = [sample for sample in samples if sample.split == TRAIN]
    sites, table = _site_rows(events, training), _sample_table(events, training, suspicious)
    write_table(out / "sites.csv", _SITES, sites)
    rows = table.astype(object).where(table.notna(), None).to_numpy().tolist()
    write_table(out / "samples.csv", _SAMPLES, rows)
    tested = [
        {"training": called, "cycle": cycle, **row}
        for name, called in _JOURNEYS.items()
        for cycle, figures in sorted(figures_of(records[name]).items())
        for row in figures
    ]
    columns = list(dict.fromkeys(key for row in tested for key in row))
    write_table(out / "cycles.csv", columns, [[row.get(key) for key in columns] for row in tested])
    cycles = sorted({row[0] for row in sites})
    lines = [
        Line(name, cycles, [float(sum(r[n] for r in sites if r[0] == c)) for c in cycles])
        for n, name in ((3, "accepted"), (4, "sent to revisit"), (5, "eliminated"))
    ]
    by_cycle = line_chart(lines, "cycle", "Samples accepted, revisited and eliminated")
    sections = [
        *_detection(table), Section("Samples by cycle", chart=by_cycle),
        *_figures(experiment, samples, records, out), *_cost(records[""]), *_one_class(training),
        Section("Samples", columns=_SAMPLES, rows=[r for r in rows if r[5] or r[2] or r[3]],
                note="Those that are harmful, suspicious, or were rejected at least once; samples.csv has all."),
    ]  # fmt: skip
    centers = len({sample.center for sample in training})
    lead = f"One model traveled through {centers} centers with {len(training)} samples; {experiment.task}."
    return write_report(out / "report.html", "Multi-center training", lead, sections)


def _site_rows(events: Iterable[Event], training: Iterable[Sample]) -> list[list]:
    """What became of the samples of each center in each cycle."""
    number = Counter(sample.center for sample in training)
    found: dict[tuple[int, str], Counter] = defaultdict(Counter)
    for event in events:
        if event.fate is not Fate.REJECTED:
            found[event.cycle, event.center][event.fate] += len(event.samples)
    fates = (Fate.ACCEPTED, Fate.REVISIT, Fate.ELIMINATED, Fate.PASSED_OVER)
    return [[cycle, site, number[site], *(c[f] for f in fates)] for (cycle, site), c in sorted(found.items())]


def _sample_table(events: Iterable[Event], training: Iterable[Sample], suspicious: Mapping) -> pd.DataFrame:
    """What became of each sample."""
    seen = defaultdict(list)
    for event in events:
        for name in event.samples:
            seen[name].append((event.cycle, event.fate))
    rows = []
    for s in training:
        rejected = [cycle for cycle, fate in seen[s.name] if fate in (Fate.REVISIT, Fate.ELIMINATED)]
        gone = [cycle for cycle, fate in seen[s.name] if fate is Fate.ELIMINATED]
        accepted = sum(fate is Fate.ACCEPTED for _, fate in seen[s.name])
        row = [s.name, s.center, s.harm, ", ".join(suspicious.get(s.name, ())), accepted, len(rejected)]
        rows.append([*row, *(min(c, default=None) for c in (rejected, gone)), "eliminated" if gone else "kept"])
    return pd.DataFrame(rows, columns=_SAMPLES).astype({"first_rejected": "Int64", "eliminated_in": "Int64"})


def found_by(samples: pd.DataFrame) -> list[list]:
    """Rows of :data:`DETECTION` from ``samples.csv``: what finds harmful samples and centers, alone and together."""
    suspected, rejected = samples["suspicious"] != "", samples["rejected"] > 0
    early, eliminated = samples["first_rejected"].eq(0).fillna(False), samples["fate"] == "eliminated"
    ways = {"eliminated": eliminated, "rejected in the first cycle": early, "rejected ever": rejected}
    for name in sorted({name for text in samples["suspicious"] for name in text.split(", ") if name}):
        ways[f"{name}, before any update"] = samples["suspicious"].map(lambda text, name=name: name in text.split(", "))
    if suspected.any():
        ways |= {
            "suspicious, or rejected in the first cycle": suspected | early,
            "suspicious, or eliminated": suspected | eliminated, "suspicious and rejected": suspected & rejected,
        }  # fmt: skip
    return [[way, *row] for way, found in ways.items() for row in detection(samples, found.astype(bool))]


def detection(samples: pd.DataFrame, found: pd.Series) -> list[list]:
    """Sensitivity and specificity of what was found, by sample and by center.

    A center is harmful when all its samples are; it is found when more than half of them are.

    Returns:
        Rows: what, how many harmful, sensitivity, how many good, specificity.
    """
    harmful = samples["harm"] != ""
    centers = harmful.groupby(samples["site"]).all()
    inside = samples["site"].map(centers)
    most = found.groupby(samples["site"]).mean() > 0.5
    return [
        [what, int(bad.sum()), float(said[bad].mean()), int(good.sum()), 1 - float(said[good].mean())]
        for what, said, bad, good in (
            ("samples of harmful centers", found, inside, ~harmful),
            ("harmful samples in good centers", found, harmful & ~inside, ~harmful),
            ("centers", most, centers, ~centers),
        )
    ]


def _detection(samples: pd.DataFrame) -> list[Section]:
    kinds = [
        [kind, len(some), float((some["fate"] == "eliminated").mean()),
         None if some["first_rejected"].isna().all() else int(some["first_rejected"].median())]
        for kind, some in samples[samples["harm"] != ""].groupby("harm")
    ]  # fmt: skip
    if not kinds:
        return []
    return [
        Section("Detection", "The harm was done on purpose, so it is known.", "", DETECTION, found_by(samples),
                "A center counts as harmful when all its samples are, and as found when more than half of them are."),
        Section("Kinds of harm", rows=kinds,
                columns=("harm", "samples", "eliminated", "median cycle of first rejection")),
    ]  # fmt: skip


def _figures(
    experiment: Experiment, samples: Sequence[Sample], records: Mapping[str, list[Record]], out: Path
) -> list[Section]:
    """Figures on the test set, by cycle, at the end, and by sex and age."""
    groups_of = _groups(samples)
    classes = experiment.task == "classification"
    lines, final, groups = [], [], []
    for name, called in _JOURNEYS.items():
        if by_cycle := figures_of(records[name]):
            cycles = sorted(by_cycle)
            lines.append(Line(called, cycles, [headline(by_cycle[c]) for c in cycles]))
        if (out / name / FINAL).is_file():
            rows = read_table(out / name / FINAL)
            final.append([called, *summary(rows, classes)])
            parts = defaultdict(list)
            for row in rows:
                for group in groups_of[row["case"]]:
                    parts[group].append(row)
            for group, some in sorted(parts.items()):
                groups.append([called, group, len({row["case"] for row in some}), *summary(some, classes)])
    what = CLASSIFIED if classes else SEGMENTED
    axis = "Accuracy" if classes else "Mean DSC on the slices looked at"
    text = f"{axis} on the test set after each cycle; it was not used for any decision."
    found = [
        Section("Test set by cycle", text, line_chart(lines, "cycle", axis, (0.0, 1.0))),
        Section("Test set at the end", columns=("training", *what), rows=final,
                note="" if classes else "Volumetric, on the CT's grid; mean over patients and structures."),
    ]  # fmt: skip
    if groups:
        found.append(Section("By sex and age", columns=("training", "group", "patients", *what), rows=groups))
    return found


def _groups(samples: Sequence[Sample]) -> dict[str, list[str]]:
    """Sex and age group of each sample, where known."""
    names = [sample.name for sample in samples]
    told = pd.DataFrame([sample.case.metadata for sample in samples], names, ["sex", "age"])
    sexes, ages = as_words(told["sex"], "sex"), as_numbers(told["age"], "age")
    groups = [sexes, *([] if ages is None else ["age " + age_groups(ages)])]
    return {name: [str(some[name]) for some in groups if pd.notna(some[name])] for name in names}


def summary(rows: Sequence[Mapping[str, str]], classes: bool) -> list[float]:
    """Figures of rows of ``final.csv``: :data:`CLASSIFIED`, at a threshold of 0.5, or means, :data:`SEGMENTED`."""
    if not classes:
        return [float(np.mean([float(r[n]) for r in rows if r[n]] or [np.nan])) for n in list(rows[0])[2:4]]
    probability = np.array([float(r["probability"] or "nan") for r in rows])
    said, truth = probability > 0.5, np.array([float(r["positive"]) for r in rows]) > 0
    both = said.sum() + truth.sum()
    f1 = float(2 * (said & truth).sum() / both) if both else float("nan")
    shares = [float(right.mean()) if len(right) else np.nan for right in (said == truth, said[truth], ~said[~truth])]
    return [*shares, f1, auroc(probability, truth)]


def _cost(records: Sequence[Record]) -> list[Section]:
    if not records:
        return []
    state = records[-1].head["state"]
    trained, verified = state["seconds_training"], state["seconds_verifying"]
    share = verified / (trained + verified) if trained + verified else float("nan")
    row = [state["verifications"], trained, verified, share]
    return [Section("Cost", columns=("verifications", "seconds training", "seconds verifying", "share"), rows=[row])]


def _one_class(training: Sequence[Sample]) -> list[Section]:
    """Centers that have one class only: their updates pull the model to it, without being harmful."""
    at = defaultdict(list)
    for sample in training:
        at[sample.center].append(sample.positive)
    alone = [[site, len(v), v[0]] for site, v in sorted(at.items()) if None not in v and len(set(v)) == 1]
    section = Section("Centers with one class only", columns=("center", "samples", "positive"), rows=alone)
    return [section] if alone else []
