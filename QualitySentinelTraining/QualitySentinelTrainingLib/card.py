"""The model card: a page that says what the model was made of and how good it is, all of it from measured figures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .model_files import stages_of

_NAMED = 8
"""Structures and errors named as those it is best and worst at."""
_FEWEST = 50
"""Slices that a structure or an error must have to be named so."""
_SAME = "the same as before"


def write_card(header: Mapping, report: Mapping, command: str = "") -> str:
    """Markdown card of a model.

    Args:
        header: ``name``, ``training`` (shown line by line) and ``calibration`` of the model file.
        report: ``evaluation.json``, as :func:`.evaluation.report.write_evaluation` gives it. What is absent from it is
            not written about.
        command: the command that made ``report``; its own by default.
    """
    command = command or report.get("command", "")
    experiments, commands = report.get("experiments", {}), report.get("commands", {})

    def made_by(name: str) -> list[str]:
        return ["", f"Made by `{commands.get(name, command)}`.", ""]

    lines = [
        f"# Model card: {header['name']}",
        "",
        "Predicts the Dice coefficient (DSC) of one axial CT slice of one segment from the CT, the mask and the",
        "structure's name, and from all slices the volumetric DSC of the segment. An estimate for finding masks worth",
        "a look; no claim for any clinical purpose.",
        "",
        "## How good it is",
        "",
        "Measured on subjects that were never trained on. Every slice that holds mask voxels is counted. DSC of a",
        "slice is that of the whole slice; of a segment, volumetric. Brackets hold 95 % intervals, by bootstrap over",
        "persons. AUROC: of finding true DSC below 0.5, 0.7, 0.8. AURC: area under the risk-coverage curve (risk is",
        "the mean of 1 - true DSC among those kept, the best predicted first), and by how much it exceeds that of a",
        "perfect order. ECE: mean distance between mean predicted and mean true DSC in ten bins.",
        "",
        "| persons | unit | n | Pearson r | Spearman r | MAE | bias | AUROC 0.5 / 0.7 / 0.8 | AURC (excess) | ECE |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for group, figures in report["groups"].items():
        label = f"{group} ({figures['persons']})"
        lines.append(_row(label, "slices", figures["slices"]))
        for method, agreement in figures["segments"].items():
            lines.append(_row(label, f"segments, {method.replace('_', ' ')}", agreement))
    if (curve := header.get("calibration", {}).get("segment")) is not None:
        shown = "calibrated" if curve.get("shown") == "calibrated" else "area-weighted"
        lines += [
            "",
            f"Users see the {shown} segment score. The calibrated one is shown only where it was nearer to the truth",
            "on patients left out of its fit, correct masks included. The calibration always gives the interval.",
        ]
    lines += made_by("evaluation")
    lines += _within_masks(report["groups"])
    lines += _missed(report["groups"])
    lines += _intervals(report["groups"])
    lines += _experiments(experiments, made_by)
    lines += ["## Good and bad at", ""]
    for group, figures in report["groups"].items():
        lines += _best_and_worst(group, figures)
    for group, figures in report["groups"].items():
        for title, name in (("structure", "by_structure"), ("error of the mask", "by_error"), ("origin", "by_origin"),
                            ("training stage of the network that drew the mask", "by_stage")):  # fmt: skip
            if len(figures.get(name, {})) > 1:
                lines += _table(f"{group}: by {title} (slices)", title, figures[name])
    lines += ["## Limits", "", *_limits(header, report), ""]
    lines += ["## What it was made of", "", *_made_of(header.get("training", {}))]
    return "\n".join(lines)


def _made_of(training: Mapping) -> list[str]:
    """What stands in the model file about its training, the stage that it started from first."""
    if not training:
        return ["The model file does not say."]
    stages = stages_of(training)
    number_of = {stage.get("sha256"): number for number, stage in enumerate(stages, start=1)}
    lines = []
    for number, stage in enumerate(stages, start=1):
        origin = ", from the weights of the one before" * (number > 1)
        if averaged := stage.get("averaged"):
            origin = ", the mean of the weights of stages " + ", ".join(str(number_of[one]) for one in averaged)
        if len(stages) > 1:
            lines += [f"### Stage {number} of {len(stages)}{origin}", ""]
        lines += _stage(stage, {} if number == 1 else stages[number - 2])
    return lines


def _stage(stage: Mapping, before: Mapping) -> list[str]:
    """What one stage was made of; of what the stage before it had as well, only that it did."""
    lines = []
    if sources := stage.get("sources"):
        lines += ["| data | persons | pairs | license |", "|---|---|---|---|"]
        for name, source in sources.items():
            told = (source.get(key, "not told") for key in ("pairs", "licence"))
            lines.append(_cells([name, len(source["persons"]), *told]))
        lines.append("")
    if fold := stage.get("fold"):
        where = f"fold {fold['number']} of {fold['of']}, persons: {len(fold['left_out'])}"
        who = _SAME if fold == before.get("fold") else ", ".join(fold["left_out"])
        lines.append(f"- **left out** ({where}): {who}")
    if options := stage.get("options"):
        others = before.get("options", {})
        changed = {name: value for name, value in options.items() if name not in others or others[name] != value}
        shown = ", ".join(f"{name} {value}" for name, value in changed.items()) or "none"
        lines.append(f"- **options**{', those changed' if others else ''}: {shown}")
    told = {"sources", "fold", "options", "started_from", "structures", "pairs", "name", "sha256", "averaged"}
    for key, value in stage.items():
        if key not in told:
            shown = f"`{value}`" if key == "command" else value
            lines.append(f"- **{str(key).replace('_', ' ')}**: {shown}")
    if structures := stage.get("structures"):
        which = _SAME if structures == before.get("structures") else ", ".join(structures)
        lines.append(f"- **structures** ({len(structures)}): {which}")
    return [*lines, ""]


def _within_masks(groups: Mapping[str, Mapping]) -> list[str]:
    rows = []
    for group, figures in groups.items():
        w = figures.get("within_masks", {"n": 0})
        if w["n"]:
            found = (_number(w[name]) for name in ("any", "predicted_worst", "worst"))
            rows.append(_cells([group, w["n"], _with_ci(w, "mean_spearman_r"), *found]))
    if not rows:
        return []
    return [
        "### Which slice of a mask",
        "",
        "Masks some of whose slices are worse than others. Spearman r over the slices of one mask, mean of the masks;",
        "and the mean true DSC of any slice of such a mask, of the one predicted worst, and of the one that is worst.",
        "",
        "| persons | masks | Spearman r | any slice | predicted worst | worst |",
        "|---|---|---|---|---|---|",
        *rows,
        "",
    ]


def _missed(groups: Mapping[str, Mapping]) -> list[str]:
    rows = []
    for group, figures in groups.items():
        for place, m in figures.get("missed", {}).items():
            if not m["n_missed"]:
                continue
            held_out = _share(m.get("flagged")) + _ci(m.get("flagged_95ci"), 100, 1)
            rows.append(_cells([
                group, place, m["n_missed"], m["n_rightly_empty"], _number(m["auroc"]), held_out,
                _share(m.get("false_flags")), _share(m.get("flagged_in_sample")),
                _share(m.get("false_flags_in_sample")),
            ]))  # fmt: skip
    if not rows:
        return []
    return [
        "### Missed slices",
        "",
        "Empty slices between a mask's slices (inner) and beyond its ends; missed where the reference has voxels.",
        "*Flagged* uses the thresholds of the model file, one for each place, chosen on other subjects for 5 % false",
        "flags; *in sample* those chosen on these very slices. *Removed*: of otherwise perfect masks.",
        "",
        "| persons | where | missed | rightly empty | AUROC | flagged | false flags | in sample | false in sample |",
        "|---|---|---|---|---|---|---|---|---|",
        *rows,
        "",
    ]  # fmt: skip


def _intervals(groups: Mapping[str, Mapping]) -> list[str]:
    rows = []
    nominal, cross = None, False
    for group, figures in groups.items():
        measured = figures.get("coverage", {})
        nominal = measured.get("nominal", nominal)
        cross = cross or measured.get("cross_fitted", False)
        for unit in ("slice", "segment"):
            if unit in measured:
                c = measured[unit]
                held = _share(c["coverage"]) + _ci(c.get("coverage_95ci"), 100, 1)
                persons = " / ".join(_share(c["by_person"][name]) for name in ("lowest", "median", "highest"))
                rows.append(_cells([group, unit, c["n"], held, _number(c["mean_width"]), persons]))
    if not rows:
        return []
    return [
        "### Intervals",
        "",
        f"`dsc_low` and `dsc_high` are conformal bounds meant to hold {_share(nominal)} of true DSC, farther apart",
        "where the model errs more, fitted and measured without the masks that are perfect but for removed slices."
        + (" Each person" if cross else ""),
        *(["was measured with bounds fitted on other persons:"] if cross else []),
        "",
        "| persons | unit | n | share held | mean width | lowest / median / highest of a person |",
        "|---|---|---|---|---|---|",
        *rows,
        "",
    ]


def _experiments(experiments: Mapping, made_by) -> list[str]:
    lines = []
    if i := experiments.get("identity"):
        lines += [
            "### Right and wrong names",
            "",
            "Reference masks scored as the structure that they show, as its other side, and as other structures of the",
            "subject. AUROC: of own masks above others under a name; *sides*: above the other side's masks.",
            "",
            "| masks | own | wrong | mean, own | mean, wrong | AUROC | AUROC, sides | side swaps below 0.3 | highest |",
            "|---|---|---|---|---|---|---|---|---|",
        ]
        worst = sorted((f["auroc"], name) for name, f in i["by_structure"].items() if f["auroc"] is not None)
        shown = {"all": i["all"], **i["by_source"], **{name: i["by_structure"][name] for _, name in worst[:_NAMED]}}
        for name, f in shown.items():
            means = (_number(f[key]) for key in ("mean_own", "mean_wrong", "auroc", "auroc_sides"))
            lines.append(_cells([
                name, f["own"], f["wrong"], *means, f"{_share(f['swaps_below'])} of {f['swaps']}",
                _number(f["highest_swap"]),
            ]))  # fmt: skip
        lines += ["", f"By structure: the {_NAMED} with the lowest AUROC; `evaluation.json` has all."]
        lines += made_by("identity")
    if ordering := experiments.get("ordering"):
        lines += [
            "### A perfect mask above the same mask spoiled",
            "",
            "Ties count half. A structure that erosion leaves nothing of is counted as vanished and in no share.",
            "",
            "| spoiled, in-plane voxels | n | vanished | perfect mask scores above | mean true DSC of the spoiled |",
            "|---|---|---|---|---|",
        ]
        for name, o in ordering.items():
            if name != "by_structure":
                lines.append(_cells([
                    name, o["n"], o["vanished"], _share(o["perfect_above"]) + _ci(o["perfect_above_95ci"], 100, 1),
                    _number(o["true_dsc_of_spoiled"])
                ]))  # fmt: skip
        lines += made_by("ordering")
    if series := experiments.get("series"):
        lines += [
            "### Masks spoiled step by step",
            "",
            "| kind | masks | r of segments | MAE | r of slices | MAE |",
            "|---|---|---|---|---|---|",
        ]
        for one in series:
            numbers = [_number(one[unit][name]) for unit in ("segments", "slices") for name in ("pearson_r", "mae")]
            lines.append(_cells([one["kind"], one["segments"]["n"], *numbers]))
        lines += made_by("series")
    if d := experiments.get("disagreement"):
        slices, segments, within = d["slices"], d["segments"], d["within_masks"]
        lines += [
            "### Real disagreement of networks",
            "",
            f"Masks of {len(d['networks'])} networks ({', '.join(d['networks'])}) for one CT,",
            f"{d['structures']} structures. Spearman rank correlation of the predicted DSC of a mask with its mean DSC",
            "against the other networks' masks:",
            "",
            f"- over {slices['n']} slices {_number(slices['spearman_r'])};",
            f"- over {segments['n']} segments {_number(segments['spearman_r'])};",
            f"- over the slices of one mask, mean of {within['n']} masks, {_number(within['mean_spearman_r'])}.",
        ]
        lines += made_by("disagreement")
    if rows := experiments.get("slices_per_mask"):
        lines += [
            "### Scoring some slices of a mask",
            "",
            f"Distance of the segment's score to that of scoring all slices, {rows[0]['masks']} masks.",
            "",
            "| slices scored | share of the mask's | mean distance | 90 % lie below |",
            "|---|---|---|---|",
        ]
        for r in rows:
            distances = [_number(r[f"{name}_abs_deviation"]) for name in ("mean", "p90")]
            lines.append(_cells([r["slices"], _share(r["share_scored"]), *distances]))
        lines += made_by("slices_per_mask")
    if rows := experiments.get("data_amount"):
        lines += [
            "### Amount of training data",
            "",
            f"| {rows[0]['unit']} | Pearson r | MAE |",
            "|---|---|---|",
            *(_cells([r["amount"], _with_ci(r, "pearson_r"), _with_ci(r, "mae")]) for r in rows),
        ]
        lines += made_by("data_amount")
    if text := experiments.get("text"):
        lines += [
            "### What the structure's name is worth",
            "",
            "| model | slices | Pearson r | MAE |",
            "|---|---|---|---|",
        ]
        for key, name in (("with", "with names"), ("without", "trained without names")):
            if a := text.get(key):
                lines.append(_cells([name, a["n"], _with_ci(a, "pearson_r"), _with_ci(a, "mae")]))
        for structure, ways in sorted(text.get("unseen", {}).items()):
            for way, a in ways.items():
                lines.append(_cells([f"{structure}: {way}", a["n"], _with_ci(a, "pearson_r"), _with_ci(a, "mae")]))
        lines += [
            "",
            "*Seen*: trained on the structure. *Unseen*: left out of the training; *no name*: that model, not told the",
            "name; *no text*: trained without names and without the structure.",
        ]
        lines += made_by("text")
    if networks := experiments.get("architectures"):
        lines += [
            "### Our network against the published one",
            "",
            f"Trained alike: {networks['pairs']:,} pairs each, the same loss and schedule. Not alike:",
            "",
            *(f"- {difference}" for difference in networks["differences"]),
            "",
            f"The first takes 1/{networks['cost_ratio']:.1f} of the second's time to score a slice, measured on a CPU,",
            f"and 1/{networks['flops_ratio']:.1f} of its floating point operations.",
            "",
            "| network | parameters | ms a slice | GFLOP a slice | slices | Pearson r | MAE |",
            "|---|---|---|---|---|---|---|",
        ]
        for name, a in networks.items():
            if isinstance(a, Mapping):
                lines.append(_cells([
                    name, f"{a['parameters']:,}", f"{a['milliseconds_per_slice']:.1f}",
                    f"{a['gigaflops_per_slice']:.2f}", a["slices"]["n"],
                    _with_ci(a["slices"], "pearson_r"), _with_ci(a["slices"], "mae"),
                ]))  # fmt: skip
        lines += made_by("architectures")
    return lines


def _best_and_worst(group: str, figures: Mapping) -> list[str]:
    lines = []
    for name, plural in (("by_structure", "structures"), ("by_error", "errors")):
        named = [(g, a) for g, a in figures.get(name, {}).items() if a["n"] >= _FEWEST and a["mae"] is not None]
        if len(named) < 4:
            continue
        named.sort(key=lambda item: item[1]["mae"])
        count = min(_NAMED, len(named) // 2)
        for word, some in (("best", named[:count]), ("worst", named[::-1][:count])):
            listed = ", ".join(f"{g} ({a['mae']:.3f}{', one person' * (a.get('persons') == 1)})" for g, a in some)
            lines.append(f"- {group}, {plural} it is {word} at (MAE of slices): {listed}")
    return [*lines, ""] if lines else []


def _table(title: str, column: str, groups: Mapping[str, Mapping]) -> list[str]:
    return [
        f"### {title}",
        "",
        f"| {column} | n | persons | Pearson r | MAE | bias | AUROC 0.7 |",
        "|---|---|---|---|---|---|---|",
        *(
            _cells([
                name, a["n"], a.get("persons", ""), _with_ci(a, "pearson_r"), _with_ci(a, "mae"), _signed(a["bias"]),
                _number(a["auroc_below_0.7"]),
            ])
            for name, a in sorted(groups.items())
        ),
        "",
    ]  # fmt: skip


def _limits(header: Mapping, report: Mapping) -> Iterable[str]:
    groups = report["groups"].values()
    origins = {origin for figures in groups for origin in figures.get("by_origin", {})}
    if origins and not any("network" in origin for origin in origins):
        yield "- All masks measured here have simulated errors; those of networks and people differ."
    elif "simulated" in origins:
        yield "- Some of the masks measured here have simulated errors; the table by origin tells them from networks'."
    single = sorted(name for name, f in report["groups"].items() if f["persons"] < 2)
    if single:
        yield f"- {', '.join(single)}: one person only, so there are no intervals and chance weighs heavily."
    if not any(figures.get("missed") for figures in groups):
        yield "- Slices that a mask misses entirely were not measured."
    yield "- Structures without rows in the tables above were not measured, whatever the model gives for them."
    yield "- Intervals and thresholds hold for CTs and errors like those of the calibration subjects, and not beyond."
    yield from (f"- {limit}" for limit in header.get("limits", ()))


def _row(group: str, unit: str, a: Mapping) -> str:
    aurocs = " / ".join(_number(a[f"auroc_below_{t}"]) for t in ("0.5", "0.7", "0.8"))
    return _cells([
        group, unit, a["n"], _with_ci(a, "pearson_r"), _number(a["spearman_r"]), _with_ci(a, "mae"), _signed(a["bias"]),
        aurocs, f"{_number(a['aurc'])} ({_number(a['aurc_excess'])})", _number(a["ece"]),
    ])  # fmt: skip


def _cells(values: Iterable) -> str:
    return "| " + " | ".join(str(v).replace("|", "\\|") for v in values) + " |"


def _with_ci(a: Mapping, name: str) -> str:
    return _number(a[name]) + _ci(a.get(f"{name}_95ci"))


def _ci(interval, factor: float = 1, decimals: int = 3) -> str:
    return f" ({factor * interval[0]:.{decimals}f} to {factor * interval[1]:.{decimals}f})" if interval else ""


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.3f}"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"
