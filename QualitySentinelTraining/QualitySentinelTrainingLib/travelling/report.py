"""Tables and page of an experiment in multi-center training: what was found where, and what it was worth."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from QualitySentinelLib.datasets.table import age_in_years, read_table

from ..pages import Line, Section, line_chart, write_report, write_table
from ..runs import Record
from ..stats import auroc
from .experiment import Experiment, Sample, headline
from .protocol import Event, Fate
from .sites import TRAIN
from .travel import FINAL, events_of, figures_of, visits_of

SITES_COLUMNS = ("cycle", "site", "samples", "accepted", "revisited", "eliminated", "passed_over")
SAMPLES_COLUMNS = (
    "sample", "site", "harm", "suspicious", "accepted", "rejected", "first_rejected", "eliminated_in", "fate",
)  # fmt: skip
_JOURNEYS = {"": "guarded", "clean": "clean baseline", "dirty": "dirty baseline"}
_AGES = (18, 40, 60, 80)


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
    sites, rows = site_rows(events, training), sample_rows(events, training, suspicious)
    write_table(out / "sites.csv", SITES_COLUMNS, sites)
    write_table(out / "samples.csv", SAMPLES_COLUMNS, rows)
    tested = [
        {"training": called, "cycle": cycle, **row}
        for name, called in _JOURNEYS.items()
        for cycle, figures in sorted(figures_of(records[name]).items())
        for row in figures
    ]
    columns = list(dict.fromkeys(key for row in tested for key in row))
    write_table(out / "cycles.csv", columns, [[row.get(key) for key in columns] for row in tested])
    sections = [
        *_detection(rows, suspicious), _eliminations(sites), *_figures(experiment, samples, records, out),
        *_cost(records[""]), _one_class(training),
        Section("Samples", columns=SAMPLES_COLUMNS, rows=[r for r in rows if r[5] or r[2] or r[3]],
                note="Those that are harmful, suspicious, or were rejected at least once; samples.csv has all."),
    ]  # fmt: skip
    centers = len({sample.center for sample in training})
    lead = f"One model traveled through {centers} centers with {len(training)} samples; {experiment.task}."
    return write_report(out / "report.html", "Multi-center training", lead, [s for s in sections if s])


def site_rows(events: Iterable[Event], training: Iterable[Sample]) -> list[list]:
    """Rows of ``sites.csv``: what became of the samples of each center in each cycle."""
    center_of = {sample.name: sample.center for sample in training}
    number = Counter(center_of.values())
    found: dict[tuple[int, str], Counter] = defaultdict(Counter)
    for event in events:
        if event.fate is not Fate.REJECTED:
            found[event.cycle, event.center][event.fate] += len(event.samples)
    fates = (Fate.ACCEPTED, Fate.REVISIT, Fate.ELIMINATED, Fate.PASSED_OVER)
    return [[cycle, site, number[site], *(c[f] for f in fates)] for (cycle, site), c in sorted(found.items())]


def sample_rows(events: Iterable[Event], training: Iterable[Sample], suspicious: Mapping) -> list[list]:
    """Rows of ``samples.csv``."""
    accepted: Counter = Counter()
    rejected: Counter = Counter()
    first: dict[str, int] = {}
    gone: dict[str, int] = {}
    for event in events:
        for name in event.samples:
            accepted[name] += event.fate is Fate.ACCEPTED
            if event.fate in (Fate.REVISIT, Fate.ELIMINATED):
                rejected[name] += 1
                first.setdefault(name, event.cycle)
            if event.fate is Fate.ELIMINATED:
                gone[name] = event.cycle
    return [
        [s.name, s.center, s.harm, ", ".join(suspicious.get(s.name, ())), accepted[s.name], rejected[s.name],
         first.get(s.name), gone.get(s.name), "eliminated" if s.name in gone else "kept"]
        for s in training
    ]  # fmt: skip


def detection(rows: Sequence[Sequence], found: Mapping[str, bool]) -> list[list]:
    """Sensitivity and specificity of what was found, by sample and by center.

    A center is harmful when all its samples are; it is found when more than half of them are.

    Returns:
        Rows: what, how many harmful, sensitivity, how many good, specificity.
    """
    at = defaultdict(list)
    for row in rows:
        at[row[1]].append((bool(row[2]), bool(found[row[0]])))
    harmful = {site for site, some in at.items() if all(harm for harm, _ in some)}
    single = [f for site, some in at.items() if site not in harmful for harm, f in some if harm]
    good = [f for some in at.values() for harm, f in some if not harm]
    inside = [f for site in harmful for _, f in at[site]]
    centers = {site: np.mean([f for _, f in some]) > 0.5 for site, some in at.items()}
    sites = [centers[s] for s in harmful], [centers[s] for s in at if s not in harmful]
    return [
        ["samples of harmful centers", len(inside), _share(inside), len(good), 1 - _share(good)],
        ["harmful samples in good centers", len(single), _share(single), len(good), 1 - _share(good)],
        ["centers", len(sites[0]), _share(sites[0]), len(sites[1]), 1 - _share(sites[1])],
    ]


def _share(values: Sequence[bool]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def _detection(rows: Sequence[Sequence], suspicious: Mapping) -> list[Section]:
    if not any(row[2] for row in rows):
        return []
    ways = {"eliminated": {r[0]: r[8] == "eliminated" for r in rows}, "rejected once": {r[0]: r[5] > 0 for r in rows}}
    signals = sorted({name for names in suspicious.values() for name in names})
    for name in signals:
        ways[f"{name}, before training"] = {r[0]: name in suspicious.get(r[0], ()) for r in rows}
    if signals:
        ways["suspicious or eliminated"] = {r[0]: bool(r[3]) or r[8] == "eliminated" for r in rows}
        ways["suspicious and rejected"] = {r[0]: bool(r[3]) and r[5] > 0 for r in rows}
    first = defaultdict(list)
    for row in rows:
        if row[2] and row[6] is not None:
            first[row[2]].append(row[6])
    kinds = [
        [kind, len(some), _share([r[8] == "eliminated" for r in some]),
         int(np.median(first[kind])) if first[kind] else None]
        for kind in sorted({r[2] for r in rows if r[2]})
        for some in [[r for r in rows if r[2] == kind]]
    ]  # fmt: skip
    return [
        Section(
            "Detection", "What is harmful is known here, because it was made so.",
            columns=("found by", "of", "harmful", "sensitivity", "good", "specificity"),
            rows=[[way, *row] for way, found in ways.items() for row in detection(rows, found)],
            note="A center counts as harmful when all its samples are, and as found when more than half of them are.",
        ),
        Section("Kinds of harm", rows=kinds,
                columns=("harm", "samples", "eliminated", "median cycle of first rejection")),
    ]  # fmt: skip


def _eliminations(sites: Sequence[Sequence]) -> Section:
    cycles = sorted({row[0] for row in sites})
    lines = [
        Line(name, cycles, [float(sum(r[n] for r in sites if r[0] == c)) for c in cycles])
        for n, name in ((3, "accepted"), (4, "sent to revisit"), (5, "eliminated"))
    ]
    return Section("Samples by cycle", chart=line_chart(lines, "cycle", "Samples accepted, revisited and eliminated"))


def _figures(
    experiment: Experiment, samples: Sequence[Sample], records: Mapping[str, list[Record]], out: Path
) -> list[Section]:
    """Figures on the test set, by cycle, at the end, and by sex and age."""
    of_case = {sample.name: sample for sample in samples}
    classes = experiment.task == "classification"
    lines, final, groups = [], [], []
    for name, called in _JOURNEYS.items():
        by_cycle = figures_of(records[name])
        if by_cycle:
            cycles = sorted(by_cycle)
            lines.append(Line(called, cycles, [headline(by_cycle[c]) for c in cycles]))
        if (out / name / FINAL).is_file():
            rows = read_table(out / name / FINAL)
            final.append([called, *_summary(rows, classes)])
            parts = defaultdict(list)
            for row in rows:
                for group in _groups(of_case[row["case"]]):
                    parts[group].append(row)
            for group, some in sorted(parts.items()):
                groups.append([called, group, len({row["case"] for row in some}), *_summary(some, classes)])
    what = ("accuracy", "sensitivity", "specificity", "F1", "AUROC") if classes else ("DSC", "NSD (3 mm)")
    axis = "Accuracy" if classes else "Mean DSC on the slices looked at"
    text = f"{axis} on the test set after each cycle; no decision was made by it."
    found = [
        Section("Test set by cycle", text, line_chart(lines, "cycle", axis, (0.0, 1.0))),
        Section("Test set at the end", columns=("training", *what), rows=final,
                note="" if classes else "Volumetric, on the grid of the CT; mean over patients and structures."),
    ]  # fmt: skip
    if groups:
        found.append(Section("By sex and age", columns=("training", "group", "patients", *what), rows=groups))
    return found


def _groups(sample: Sample) -> list[str]:
    told = sample.case.metadata
    age = age_in_years(told.get("age", ""))
    groups = [f"sex {told['sex']}"] if told.get("sex") else []
    if age is not None:
        bound = sum(age >= limit for limit in _AGES)
        groups.append(f"age {(0, *_AGES)[bound]} to {(*_AGES, 120)[bound]}")
    return groups


def _summary(rows: Sequence[Mapping[str, str]], classes: bool) -> list[float]:
    if not classes:
        nsd = next(name for name in rows[0] if name.startswith("nsd"))
        return [float(np.mean([float(r[n]) for r in rows if r[n]] or [np.nan])) for n in ("dsc", nsd)]
    probability = np.array([float(r["probability"] or "nan") for r in rows])
    truth = np.array([float(r["positive"]) for r in rows]) > 0
    return binary_figures(probability, truth)


def binary_figures(probability: np.ndarray, truth: np.ndarray) -> list[float]:
    """Accuracy, sensitivity, specificity, F1 at a threshold of 0.5, and AUROC; NaN where a class is missing."""
    said = probability > 0.5
    hits = int((said & truth).sum())
    f1 = 2 * hits / (said.sum() + truth.sum()) if said.sum() + truth.sum() else float("nan")
    return [_share(said == truth), _share(said[truth]), _share(~said[~truth]), float(f1), auroc(probability, truth)]


def _cost(records: Sequence[Record]) -> list[Section]:
    if not records:
        return []
    state = records[-1].head["state"]
    trained, verified = state["seconds_training"], state["seconds_verifying"]
    share = verified / (trained + verified) if trained + verified else float("nan")
    row = [state["verifications"], trained, verified, share]
    return [Section("Cost", columns=("verifications", "seconds training", "seconds verifying", "share"), rows=[row])]


def _one_class(training: Sequence[Sample]) -> Section | None:
    """Centers that have one class only: their updates pull the model to it, without being harmful."""
    at = defaultdict(list)
    for sample in training:
        at[sample.center].append(sample.positive)
    alone = [[site, len(v), v[0]] for site, v in sorted(at.items()) if None not in v and len(set(v)) == 1]
    if not alone:
        return None
    return Section("Centers with one class only", columns=("center", "samples", "positive"), rows=alone)
