"""Pictures of an evaluation, drawn with matplotlib without a display.

Colors are those of Okabe and Ito (2008), which readers with any common color blindness can tell apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from QualitySentinelLib.files import atomic_file

from ..stats import calibration_curve, risk_coverage

BLUE, ORANGE, GREEN, RED, GRAY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#7F7F7F"
_WIDTH = 7.0
_DPI = 120
_MOST_BARS = 40


def scatter_picture(predicted: np.ndarray, true: np.ndarray, path: Path, what: str = "slice") -> None:
    """True against predicted DSC: a map of how many lie where, or points when there are few."""
    from matplotlib.colors import LogNorm

    figure, axes = _figure(6.0, 5.2)
    axes.plot([0, 1], [0, 1], color=RED, linewidth=1.6, linestyle="--", label="perfect prediction", zorder=3)
    if len(true) > 1500:
        bins = np.linspace(0, 1, 51)
        counts, *_ = np.histogram2d(predicted, true, bins)
        image = axes.pcolormesh(
            bins, bins, np.where(counts > 0, counts, np.nan).T, cmap="viridis_r", norm=LogNorm(1, max(counts.max(), 2))
        )
        figure.colorbar(image, ax=axes, label=f"{what}s in a square of 0.02 × 0.02")
    else:
        axes.scatter(predicted, true, s=14, color=BLUE, alpha=0.5, linewidths=0)
    _unit_square(axes, "predicted DSC", f"true DSC of the {what}")
    axes.set_title(f"Predicted and true DSC of {len(true):,} {what}s")
    figure.legend(loc="outside lower center")
    _save(figure, path)


def calibration_picture(
    predicted: np.ndarray, true: np.ndarray, path: Path, band: Mapping | None = None, coverage: float | None = None
) -> None:
    """Mean true DSC in bins of predicted DSC, with the share of slices in each; and the interval of the calibration.

    Args:
        predicted, true: DSC in 0..1, [N].
        band: ``calibration["slice"]``: knots ``predicted``, ``low``, ``high``; they are to hold the share ``coverage``.
    """
    figure, (axes, below) = _figure(6.0, 6.2, rows=(4, 1))
    axes.plot([0, 1], [0, 1], color=GRAY, linewidth=1.2, linestyle="--", label="perfect calibration")
    if band:
        held = f"{100 * coverage:.0f} % " if coverage else ""
        axes.fill_between(band["predicted"], band["low"], band["high"], color=ORANGE, alpha=0.25, linewidth=0,
                          label=f"{held}interval of a slice")  # fmt: skip
    curve = calibration_curve(predicted, true)
    axes.plot([c["predicted"] for c in curve], [c["true"] for c in curve], "o-", color=BLUE,
              label="mean true DSC of the slices in a bin")  # fmt: skip
    _unit_square(axes, None, "true DSC")
    axes.set_title("Calibration: how well predicted DSC matches true DSC")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", fontsize=9)
    counts, edges = np.histogram(predicted, np.linspace(0, 1, 21))
    below.bar(edges[:-1], 100 * counts / max(len(predicted), 1), np.diff(edges), align="edge", color=BLUE, alpha=0.7)
    below.set(xlabel="predicted DSC", ylabel="slices (%)")
    _save(figure, path)


def risk_coverage_picture(predicted: np.ndarray, true: np.ndarray, path: Path) -> None:
    """Mean of 1 - true DSC among the slices kept, against their share, keeping the best predicted first."""
    figure, axes = _figure()
    share, risk = risk_coverage(predicted, true)
    _, oracle = risk_coverage(true, true)
    shown = np.unique(np.linspace(0, len(share) - 1, min(len(share), 600)).astype(int))
    axes.plot(100 * share[shown], risk[shown], color=BLUE, linewidth=2, label="kept by predicted DSC")
    axes.plot(100 * share[shown], oracle[shown], color=GREEN, linewidth=1.6, linestyle="--", label="kept by true DSC")
    axes.axhline(risk[-1], color=GRAY, linewidth=1.2, linestyle=":", label="kept at random")
    axes.set(xlim=(0, 100), ylim=(0, 1.3 * max(risk.max(), 0.01)), xlabel="slices kept, best predicted first (%)",
             ylabel="mean of 1 − true DSC among those kept", title="Risk and coverage")  # fmt: skip
    axes.legend(loc="upper left")
    _save(figure, path)


def bars_picture(groups: Mapping[str, Mapping], path: Path, title: str, least: int = 20) -> None:
    """MAE and Pearson r of every group side by side, worst MAE first; groups of fewer than ``least`` are left out.

    Groups of one patient have no interval, and none is drawn: nothing is known of other patients then. With very many
    groups the worst and the best of them are shown.
    """
    named = sorted((g for g in groups.items() if g[1]["n"] >= least), key=lambda g: -g[1]["mae"])
    left_out = len(named) - _MOST_BARS
    if left_out > 0:
        named = named[: _MOST_BARS // 2] + named[-(_MOST_BARS // 2) :]
        title += f"\n(the {_MOST_BARS // 2} with the largest and the {_MOST_BARS // 2} with the smallest error)"
    if not named:
        return
    figure, (left, right) = _figure(_WIDTH, 1.5 + 0.24 * len(named), columns=2)
    y = np.arange(len(named))[::-1]
    for axes, figure_name, label, color in ((left, "mae", "mean absolute error (DSC)", BLUE),
                                            (right, "pearson_r", "Pearson r", GREEN)):  # fmt: skip
        values = np.array([g[figure_name] for _, g in named], float)
        low, high = np.array([g.get(f"{figure_name}_95ci") or (np.nan, np.nan) for _, g in named], float).T
        errors = np.clip([values - low, high - values], 0, None)  # nan draws none
        axes.barh(y, np.nan_to_num(values), xerr=errors, color=color, alpha=0.75, height=0.7, capsize=1.5,
                  error_kw={"elinewidth": 0.8})  # fmt: skip
        axes.set(xlabel=label, ylim=(-0.7, len(named) - 0.3))
        axes.grid(axis="y", visible=False)
    left.set_xlim(0, None)
    right.set_xlim(min(0.0, right.get_xlim()[0]), 1)
    counted = [f"{g['n']:,}; {g['persons']}" if "persons" in g else f"{g['n']:,}" for _, g in named]
    left.set_yticks(y, [f"{name} ({n})" for (name, _), n in zip(named, counted, strict=True)], fontsize=8)
    right.set_yticks(y, [])
    if left_out > 0:
        for axes in (left, right):
            axes.axhline(_MOST_BARS // 2 - 0.5, color=GRAY, linewidth=0.8, linestyle="--")
    figure.suptitle(title, fontsize=11)
    _save(figure, path)


def slices_per_mask_picture(rows: Sequence[Mapping], path: Path) -> None:
    """Deviation of the segment's score from scoring all slices, against the number of slices scored."""
    figure, axes = _figure()
    numbers = [row["slices"] for row in rows]
    axes.plot(numbers, [row["p90_abs_deviation"] for row in rows], "s--", color=ORANGE, label="90 % of masks lie below")
    axes.plot(numbers, [row["mean_abs_deviation"] for row in rows], "o-", color=BLUE, label="mean over masks")
    axes.set_xscale("log")
    axes.set_xticks(numbers, [str(n) for n in numbers])
    axes.minorticks_off()
    axes.set(ylim=(0, None), xlabel="slices scored of each mask",
             ylabel="distance to the score of all slices (DSC)",
             title=f"Scoring some of a mask's slices ({rows[0]['masks']:,} masks)")  # fmt: skip
    axes.legend()
    _save(figure, path)


def missed_picture(
    predicted: np.ndarray, missed: np.ndarray, path: Path, thresholds: Mapping[str, float] | None = None
) -> None:
    """Predictions [N] for empty slices: rightly empty ones, and those where the structure was ``missed``, bool [N].

    ``thresholds`` are ``calibration["missed"]``.
    """
    figure, axes = _figure()
    bins = np.linspace(0, 1, 41)
    for rows, label, color in ((~missed, "rightly empty", BLUE), (missed, "structure was missed", RED)):
        share = np.histogram(predicted[rows], bins)[0] * 100 / max(rows.sum(), 1)
        axes.stairs(share, bins, fill=True, color=color, alpha=0.5, label=f"{label} ({rows.sum():,})")
    for name, where, style in (("threshold", "beyond the ends", "--"), ("inner_threshold", "inside the mask", ":")):
        if thresholds and name in thresholds:
            label = f"flagged {where}: below {thresholds[name]:.2f}"
            axes.axvline(thresholds[name], color="black", linewidth=1.2, linestyle=style, label=label)
    axes.set(xlim=(0, 1), xlabel="predicted: nothing is missing in this empty slice", ylabel="share of the group (%)",
             title="Missed slices")  # fmt: skip
    axes.legend()
    _save(figure, path)


def worst_picture(slices: Sequence[tuple], path: Path) -> None:
    """Slices beside their predictions: the crop that the network sees, mask and reference as contours.

    Each is (crop [S, S], mask [S, S] and reference [S, S] in 0..1, title).
    """
    from matplotlib.figure import Figure

    columns = 8
    rows = -(-len(slices) // columns)
    figure = Figure(figsize=(1.9 * columns, 2.25 * rows), layout="constrained")
    figure.suptitle(f"The {len(slices)} worst slices: mask orange, reference blue and dashed")
    for number, (crop, mask, reference, title) in enumerate(slices, start=1):
        axes = figure.add_subplot(rows, columns, number)
        axes.imshow(crop, cmap="gray")
        for shown, color, style in ((mask, ORANGE, "-"), (reference, BLUE, "--")):
            if shown.min() < 0.5 < shown.max():
                axes.contour(shown, [0.5], colors=color, linewidths=1.2, linestyles=style)
        axes.set_title(title, fontsize=7)
        axes.axis("off")
    _save(figure, path)


def _figure(width: float = _WIDTH, height: float = 4.2, columns: int = 1, rows: tuple[int, ...] = (1,)):
    """A figure of inches and its axes; nothing of pyplot's state is touched."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.08)
    axes = figure.subplots(len(rows), columns, height_ratios=rows, sharex=len(rows) > 1)
    for one in np.atleast_1d(axes).flat:
        one.grid(color="#DDDDDD", linewidth=0.6)
        one.set_axisbelow(True)
        one.spines[["top", "right"]].set_visible(False)
        one.title.set_fontsize(11)
    return figure, axes


def _unit_square(axes, x_label: str | None, y_label: str) -> None:
    axes.set(xlim=(-0.015, 1.015), ylim=(-0.015, 1.015), ylabel=y_label)  # points at 0 and 1 stay whole
    if x_label:
        axes.set(xlabel=x_label, aspect="equal")


def _save(figure, path: Path) -> None:
    with atomic_file(path) as temporary:
        figure.savefig(temporary, dpi=_DPI, metadata={"Software": None})
