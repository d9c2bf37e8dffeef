"""Tables, learning curves and the page of an experiment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..pages import Line, Section, line_chart, write_report, write_table
from ..pages.page import count
from ..runs import Run
from ..stats import bootstrap_interval, drawn_means
from .experiment import Experiment

ROUND_COLUMNS = (
    "strategy", "weak", "seed", "round", "cost", "dsc", "nsd", "seconds_per_case", "peak_mb", "stored_gb",
    "training_seconds",
)  # fmt: skip
SUMMARY_COLUMNS = (
    "strategy", "weak", "seeds", "dsc", "nsd", "area_under_curve", "dsc_vs_random", "low", "high", "seconds_per_case",
    "peak_mb", "stored_gb", "slices_for_half",
)  # fmt: skip
_DRAWS = 2000
_HEADS = [c.replace("_", " ").replace("mb", "MB").replace("gb", "GB").replace("dsc", "DSC").replace("nsd", "NSD")
          for c in SUMMARY_COLUMNS]  # fmt: skip


@dataclass
class Arm:
    """What became of a strategy (with its pseudo labels) over the seeds; arrays ``[seeds, rounds + 1]``.

    ``patients`` are DSC by patient, ``[seeds, patients]``, after the last round; ``curves`` are ``[seeds, points]``.
    """

    name: tuple[str, str]
    seeds: list[int]
    cost: np.ndarray
    dsc: np.ndarray
    nsd: np.ndarray
    seconds: np.ndarray
    peak: np.ndarray
    stored: np.ndarray
    training: np.ndarray
    patients: np.ndarray
    curves: np.ndarray

    @property
    def label(self) -> str:
        """Its name in tables and charts."""
        return self.name[0] + ("" if self.name[1] == "none" else f", pseudo labels: {self.name[1]}")

    @property
    def area(self) -> np.ndarray:
        """Area under each seed's learning curve over the cost, divided by the whole cost: a mean DSC, ``[seeds]``."""
        whole = self.cost[:, -1] - self.cost[:, 0]
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.trapezoid(self.dsc, self.cost, axis=1) / whole

    @property
    def slices_for_half(self) -> float:
        """Share of all slices to correct until half of what is wrong of the pool's mean DSC is mended."""
        if not self.curves.size:
            return float("nan")
        mean = self.curves.mean(axis=0)
        return float(np.interp((mean[0] + mean[-1]) / 2, mean, np.linspace(0, 1, len(mean))))


def arms_of(experiment: Experiment, run: Run, names: Sequence[tuple[str, str]]) -> list[Arm]:
    """The arms, of the seeds of which all rounds are done."""
    arms = []
    for strategy, weak in names:
        rows = []
        for seed in experiment.seeds:
            steps = [f"seed{seed}", *(f"seed{seed}-{strategy}-{weak}-round{n + 1}" for n in range(experiment.rounds))]
            if all((head := run.head(name)) and head["status"] == "done" for name in steps):
                rows.append((seed, [run.record(name) for name in steps]))
        if rows:
            arms.append(_arm((strategy, weak), rows))
    return arms


def _arm(name: tuple[str, str], rows: list) -> Arm:
    def each(value) -> np.ndarray:
        return np.array([[value(record) for record in records] for _, records in rows], float)

    def fact(key: str):
        return lambda record: np.nan if record.head.get(key) is None else record.head[key]

    looked = each(fact("looked"))
    people = sorted({line[0] for _, records in rows for line in records[-1].lines})
    by_patient = [
        [np.mean([line[2] for line in records[-1].lines if line[0] == p] or [np.nan]) for p in people]
        for _, records in rows
    ]
    return Arm(
        name, [seed for seed, _ in rows], np.cumsum(np.nan_to_num(each(fact("cost"))), axis=1),
        each(lambda r: np.mean([line[2] for line in r.lines])), each(lambda r: np.mean([line[3] for line in r.lines])),
        each(fact("choosing_seconds")) / looked, each(fact("peak")) / 1e6, each(fact("stored")) / 1e9,
        each(fact("training_seconds")), np.array(by_patient),
        np.array([records[1].head["curve"] for _, records in rows if "curve" in records[1].head]),
    )  # fmt: skip


def against(arm: Arm, other: Arm) -> tuple[float, float, float]:
    """Difference of the last mean DSC, and its 95 % interval over test patients, of seeds that both have."""
    both = [s for s in arm.seeds if s in other.seeds]
    a, b = (one.patients[[one.seeds.index(s) for s in both]].mean(axis=0) for one in (arm, other))
    drawn = drawn_means((a - b)[:, None], _DRAWS, (0,))[:, 0]
    return float(np.nanmean(a - b)), *bootstrap_interval(drawn, len(a))


def write_outcome(experiment: Experiment, run: Run, names: Sequence[tuple[str, str]]) -> None:
    """Write ``rounds.csv``, ``summary.csv``, ``corrections.csv`` and ``report.html``."""
    arms = arms_of(experiment, run, names)
    rounds = [
        (*arm.name, seed, n, *(float(v[s, n]) for v in (arm.cost, arm.dsc, arm.nsd, arm.seconds, arm.peak, arm.stored,
                                                        arm.training)))
        for arm in arms
        for s, seed in enumerate(arm.seeds)
        for n in range(experiment.rounds + 1)
    ]  # fmt: skip
    write_table(run.path / "rounds.csv", ROUND_COLUMNS, rounds)
    base = next((arm for arm in arms if "random" in arm.name), None)
    summary = [
        (
            *arm.name, len(arm.seeds), *(float(v.mean()) for v in (arm.dsc[:, -1], arm.nsd[:, -1], arm.area)),
            *(against(arm, base) if base is not None and arm is not base else (None, None, None)),
            *(float(np.nanmean(v[:, 1:])) if np.isfinite(v[:, 1:]).any() else None
              for v in (arm.seconds, arm.peak, arm.stored)),
            arm.slices_for_half,
        )
        for arm in arms
    ]  # fmt: skip
    write_table(run.path / "summary.csv", SUMMARY_COLUMNS, summary)
    curves = [arm for arm in arms if arm.curves.size]
    points = [
        (*arm.name, n / (arm.curves.shape[1] - 1), float(v))
        for arm in curves
        for n, v in enumerate(arm.curves.mean(axis=0))
    ]
    write_table(run.path / "corrections.csv", ("strategy", "weak", "share_corrected", "dsc_of_pool"), points)
    lines = [_line(arm.label, arm.cost.mean(axis=0), arm.dsc) for arm in arms]
    first = [arm for arm in curves if arm.name[1] == names[0][1]]  # pseudo labels come later
    mended = [_line(arm.label, np.linspace(0, 1, arm.curves.shape[1]), arm.curves) for arm in first]
    unit = (budget.unit if (budget := experiment.strong()) else "none")
    e = experiment
    times = f"{count(len(e.seeds), 'seed')}, {count(e.rounds, 'round')} of {e.budget}"
    patients = f"{experiment.initial} patients at first, {experiment.pool} in the pool, {experiment.test} to test on"
    write_report(
        run.path / "report.html", "What to annotate next: an experiment",
        f"{experiment.data.name}: {patients}; {times}, at {e.network.pixel_mm:g} x {e.network.slice_mm:g} mm.",
        [
            Section(
                "Strategies", "After the last round, on test patients that no strategy saw. The interval of the "
                "difference to random is over patients; the chance of each training is not in it.",
                columns=_HEADS[:9], rows=[row[:9] for row in summary],
            ),
            Section(
                "Cost", columns=[*_HEADS[:2], *_HEADS[9:]], rows=[(*row[:2], *row[9:]) for row in summary],
                note="Seconds are of one core; peak is the process's memory while choosing; stored is what a strategy "
                "looks at, as uncompressed files; slices for half is the share of all slices that has to be corrected, "
                "worst first, until half of what is wrong of the pool's masks is mended.",
            ),
            Section("Learning curves", "Mean DSC over the seeds.",
                    line_chart(lines, f"cost ({unit})", "Learning curves", _range(lines))),
            Section("Correcting slices", "Mean DSC of the pool's masks when the worst slices are corrected first.",
                    line_chart(mended, "share of slices corrected", "Correcting slices", _range(mended))),
        ],
    )  # fmt: skip


def _line(label: str, x: np.ndarray, y: np.ndarray) -> Line:
    return Line(label, x.tolist(), y.mean(axis=0).tolist())


def _range(lines: Sequence[Line]) -> tuple[float, float] | None:
    values = [v for line in lines for v in line.y if np.isfinite(v)]
    if not values or max(values) - min(values) < 1e-6:
        return None
    low, high = min(values), max(values)
    steps = ((np.floor(low / step) * step, step) for step in (0.005, 0.01, 0.02, 0.025, 0.05, 0.1, 0.2, 0.25))
    return next((float(start), float(start + 4 * step)) for start, step in steps if start + 4 * step >= high - 1e-9)
