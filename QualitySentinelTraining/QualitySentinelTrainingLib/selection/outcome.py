"""Tables, learning curves and the page of an experiment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import pandas as pd

from ..pages import Line, Section, line_chart, write_report, write_table
from ..pages.page import count, signed
from ..runs import Run
from ..stats import bootstrap_interval, drawn_means
from .experiment import Experiment

ROUND_COLUMNS = (
    "strategy", "weak", "seed", "round", "cost", "dsc", "nsd", "seconds_per_case", "peak_mb", "stored_gb",
    "training_seconds",
)  # fmt: skip
SUMMARY_COLUMNS = (
    "strategy", "weak", "seeds", "dsc", "dsc_low", "dsc_high", "nsd", "nsd_low", "nsd_high", "area_under_curve",
    "dsc_vs_random", "low", "high", "seeds_better", "seconds_per_case", "peak_mb", "stored_gb", "slices_for_half",
)  # fmt: skip
_ARM = ["strategy", "weak"]
_DRAWS = 2000


def rounds_of(experiment: Experiment, run: Run) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rounds, and what was measured after the last one, of the seeds of which all rounds are done.

    Returns:
        rows of :data:`ROUND_COLUMNS` with the ``curve`` of corrected slices, or ``None``; and ``dsc`` and ``nsd`` by
        strategy, weak, seed and patient.
    """
    person = cache(lambda case: run.head(case)["person"])
    rows, patients = [], []
    for strategy, weak in experiment.arms():
        for seed in experiment.seeds:
            name, rounds = f"seed{seed}-{strategy}-{weak}-round", range(1, experiment.rounds + 1)
            steps = [f"seed{seed}", *(f"{name}{n}" for n in rounds)]
            if not all((head := run.head(name)) and head["status"] == "done" for name in steps):
                continue
            for n, record in enumerate(run.record(name) for name in steps):
                head, measured = record.head, pd.DataFrame(record.lines, columns=["case", "structure", "dsc", "nsd"])
                by_patient = measured.groupby(measured.case.map(person))[["dsc", "nsd"]].mean()
                seconds = head["choosing_seconds"] / head["looked"] if n else np.nan
                rows.append((
                    strategy, weak, seed, n, head.get("cost", 0.0), *by_patient.mean(), seconds,
                    (head.get("peak") or np.nan) / 1e6,
                    head.get("stored", np.nan) / 1e9, head["training_seconds"], head.get("curve"),
                ))  # fmt: skip
            last = by_patient.rename_axis("patient").reset_index()
            patients.append(last.assign(strategy=strategy, weak=weak, seed=seed))
    rounds = pd.DataFrame(rows, columns=[*ROUND_COLUMNS, "curve"])
    rounds["cost"] = rounds["cost"].astype(float).groupby([rounds[c] for c in (*_ARM, "seed")]).cumsum()
    return rounds, pd.concat(patients) if patients else pd.DataFrame(columns=[*_ARM, "seed", "patient", "dsc", "nsd"])


def _with_interval(values: pd.Series) -> tuple[float, float, float]:
    """The mean over patients of the mean over seeds, and its 95 % interval over patients."""
    of_patient = values.dropna().groupby("patient").mean().to_numpy()
    drawn = drawn_means(of_patient[:, None], _DRAWS, (0,))[:, 0]
    return float(of_patient.mean()), *bootstrap_interval(drawn, len(of_patient))


def slices_for_half(curve: np.ndarray) -> float:
    """Share of all slices to correct until half of what is wrong of the pool's mean DSC is mended."""
    return float(np.interp((curve[0] + curve[-1]) / 2, curve, np.linspace(0, 1, len(curve))))


def write_outcome(experiment: Experiment, run: Run) -> None:
    """Write ``rounds.csv``, ``summary.csv``, ``differences.csv``, ``corrections.csv`` and ``report.html``."""
    e, budget, (rounds, patients) = experiment, experiment.strong(), rounds_of(experiment, run)
    unit, x = ("rounds", "round") if budget is None else (f"cost ({budget.unit})", "cost")
    write_table(run.path / "rounds.csv", ROUND_COLUMNS, rounds[list(ROUND_COLUMNS)].itertuples(index=False))
    dsc, nsd = (patients.pivot_table(v, _ARM, ["seed", "patient"]) for v in ("dsc", "nsd"))
    arms = dict(iter(rounds.groupby(_ARM, sort=False)))
    base = next((arm for arm in arms if "random" in arm), None)
    curves = {arm: known.tolist() for arm, of_arm in arms.items() if len(known := of_arm["curve"].dropna())}
    curves = {arm: np.mean(known, axis=0) for arm, known in curves.items()}
    summary = []
    for arm, of_arm in arms.items():
        later, seeds = of_arm[of_arm["round"] > 0], of_arm.groupby("seed")
        area = [np.trapezoid(one["dsc"], one[x]) / (np.ptp(one[x]) or np.nan) for _, one in seeds]
        against: tuple[float | None, ...] = (None, None, None)
        better = None
        if base is not None and arm != base:
            against = _with_interval(dsc.loc[arm] - dsc.loc[base])
            better = int(((dsc.loc[arm] - dsc.loc[base]).groupby("seed").mean() > 0).sum())
        summary.append((
            *arm, len(seeds), *_with_interval(dsc.loc[arm]), *_with_interval(nsd.loc[arm]), float(np.mean(area)),
            *against, better, *later[["seconds_per_case", "peak_mb", "stored_gb"]].mean().tolist(),
            slices_for_half(curves[arm]) if arm in curves else None,
        ))  # fmt: skip
    write_table(run.path / "summary.csv", SUMMARY_COLUMNS, summary)
    pairs = [(*a, *b, *_with_interval(dsc.loc[a] - dsc.loc[b])) for a in arms for b in arms if a != b]
    columns = ("strategy", "weak", "other_strategy", "other_weak", "dsc_difference", "low", "high")
    write_table(run.path / "differences.csv", columns, pairs)
    points = [(*a, n / (len(curve) - 1), float(v)) for a, curve in curves.items() for n, v in enumerate(curve)]
    write_table(run.path / "corrections.csv", ("strategy", "weak", "share_corrected", "dsc_of_pool"), points)
    means = {arm: of_arm.groupby("round", as_index=False)[["cost", "dsc"]].mean() for arm, of_arm in arms.items()}
    label = {arm: ", pseudo labels: ".join(arm) if len(e.weak) > 1 and arm[1] != "none" else arm[0] for arm in arms}
    learned = [Line(label[a], mean[x].tolist(), mean["dsc"].tolist()) for a, mean in means.items()]
    mended = [
        Line(label[a], np.linspace(0, 1, len(curve)).tolist(), curve.tolist())
        for a, curve in curves.items()
        if a[1] == e.weak[0]  # pseudo labels come later
    ]
    table = pd.DataFrame(summary, columns=SUMMARY_COLUMNS)
    shown = [
        (r.strategy, r.weak, _told(r.dsc, r.dsc_low, r.dsc_high), _told(r.nsd, r.nsd_low, r.nsd_high),
         r.area_under_curve, _told(r.dsc_vs_random, r.low, r.high, signed),
         "–" if np.isnan(r.dsc_vs_random) else f"{r.seeds_better:g} of {r.seeds}")
        for r in table.astype(dict.fromkeys(SUMMARY_COLUMNS[3:], float)).itertuples()
    ]  # fmt: skip
    cost = [(*row[:2], row[14], None if np.isnan(row[15]) else int(row[15]), *row[16:]) for row in summary]
    patients_told = f"{e.initial} patients at first, {e.pool} in the pool, {e.test} to test on"
    times = f"{count(len(e.seeds), 'seed')}, {count(e.rounds, 'round')} of {budget or 'pseudo labels alone'}"
    write_report(
        run.path / "report.html", "What to annotate next: an experiment",
        f"{e.called}: {patients_told}; {times}, at {e.network.pixel_mm:g} x {e.network.slice_mm:g} mm.",
        [
            Section(
                "Strategies", "After the last round, on test patients that no strategy saw. Intervals (95 %) are over "
                "patients and do not include the randomness of training: see in how many seeds a strategy was better "
                "than random.", rows=shown, columns=("strategy", "pseudo labels", "DSC", "NSD", "area under curve",
                                                     "DSC less that of random", "better in seeds"),
            ),
            Section(
                "Cost", rows=cost, columns=("strategy", "pseudo labels", "seconds for a case", "peak MB", "stored GB",
                                            "slices for half"),
                note="Seconds are for one core; peak is the process's memory while choosing; stored is what a strategy "
                "looks at, as uncompressed files; slices for half is the share of all slices that must be corrected, "
                "worst first, until half of what is wrong in the pool's masks is corrected.",
            ),
            Section("Learning curves", "Mean DSC over the seeds.",
                    line_chart(learned, unit, "Learning curves", _range(learned))),
            Section("Correcting slices", "Mean DSC of the pool's masks when the worst slices are corrected first.",
                    line_chart(mended, "share of slices corrected", "Correcting slices", _range(mended))),
        ],
    )  # fmt: skip


def _told(value: float, low: float, high: float, text: Callable[[float], str] = "{:.3f}".format) -> str:
    return "–" if np.isnan(value) else f"{text(value)} ({text(low)} to {text(high)})"


def _range(lines: Sequence[Line]) -> tuple[float, float] | None:
    values = [v for line in lines for v in line.y if np.isfinite(v)]
    if not values or np.ptp(values) < 1e-6:
        return None
    low, high = min(values), max(values)
    steps = ((np.floor(low / step) * step, step) for step in (0.005, 0.01, 0.02, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25))
    return next((float(start), float(start + 4 * step)) for start, step in steps if start + 4 * step >= high - 1e-9)
