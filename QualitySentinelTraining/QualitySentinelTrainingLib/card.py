"""The model card: a page that says what the model was made of and how good it is, all of it from measured figures.

``card.md.jinja`` holds its text; what is absent from a report is not written about.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from jinja2 import Environment, FileSystemLoader

from .model_files import stages_of

_NAMED = 8
"""Structures and errors named as those it is best and worst at."""
_FEWEST = 50
"""Slices that a structure or an error must have to be named so."""
_TABLES = {
    "by_structure": "structure", "by_error": "error of the mask", "by_origin": "origin",
    "by_stage": "training stage of the network that drew the mask",
}  # fmt: skip
_TOLD_APART = set("sources fold options started_from structures patients pairs name sha256 averaged".split())


def write_card(header: Mapping, report: Mapping, command: str = "") -> str:
    """Markdown card of a model.

    Args:
        header: ``name``, ``training`` (shown line by line) and ``calibration`` of the model file.
        report: ``evaluation.json``, as :func:`.evaluation.report.write_evaluation` gives it.
        command: the command that made ``report``; its own by default.
    """
    groups = report["groups"]
    coverages = {group: figures.get("coverage", {}) for group, figures in groups.items()}
    identity = report.get("experiments", {}).get("identity") or {"by_source": {}, "by_structure": {}, "all": None}
    worst = sorted((f["auroc"], name) for name, f in identity["by_structure"].items() if f["auroc"] is not None)
    names = {"all": identity["all"]} | identity["by_source"]
    names |= {name: identity["by_structure"][name] for _, name in worst[:_NAMED]}
    origins = {origin for figures in groups.values() for origin in figures.get("by_origin", {})}
    stages = stages_of(header["training"]) if header.get("training") else []
    number_of = {stage.get("sha256"): number for number, stage in enumerate(stages, start=1)}
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(
        cell=lambda value: str(value).replace("|", "\\|"), number=_number, signed=lambda value: _number(value, "+.3f"),
        share=lambda value: _number(value and 100 * value, ".1f", " %"), ci=_ci, changed=_changed,
        with_ci=lambda a, name: _number(a[name]) + _ci(a.get(f"{name}_95ci")), stage_number=number_of.get,
    )  # fmt: skip
    text = environment.get_template("card.md.jinja").render(
        header=header, report=report, command=command or report.get("command", ""), named=_NAMED, names=names.items(),
        within=[(group, w) for group, f in groups.items() if (w := f.get("within_masks", {"n": 0}))["n"]],
        missed=[
            (group, place, m) for group, f in groups.items() for place, m in f.get("missed", {}).items()
            if m["n_missed"]
        ],
        missed_measured=any(f.get("missed") for f in groups.values()),
        covered=[(g, unit, c[unit]) for g, c in coverages.items() for unit in ("slice", "segment") if unit in c],
        nominal=next((c["nominal"] for c in reversed(coverages.values()) if "nominal" in c), None),
        cross_fitted=any(c.get("cross_fitted") for c in coverages.values()),
        extremes=[(group, *one) for group, figures in groups.items() for one in _extremes(figures)],
        tables=[
            (group, title, figures[name]) for group, figures in groups.items() for name, title in _TABLES.items()
            if len(figures.get(name, {})) > 1
        ],
        origins=origins, networks_measured=any("network" in origin for origin in origins),
        single=sorted(name for name, f in groups.items() if f["persons"] < 2), stages=stages, told_apart=_TOLD_APART,
    )  # fmt: skip
    return text.strip() + "\n"


def _extremes(figures: Mapping) -> Iterator[tuple[str, str, list]]:
    """``structures`` and ``errors``, each ``best`` and ``worst``, with names and figures."""
    for name, plural in (("by_structure", "structures"), ("by_error", "errors")):
        ranked = [(g, a) for g, a in figures.get(name, {}).items() if a["n"] >= _FEWEST and a["mae"] is not None]
        ranked.sort(key=lambda item: item[1]["mae"])
        count = min(_NAMED, len(ranked) // 2)
        if count > 1:
            yield plural, "best", ranked[:count]
            yield plural, "worst", ranked[::-1][:count]


def _changed(options: Mapping, before: Mapping) -> str:
    return ", ".join(f"{n} {value}" for n, value in options.items() if n not in before or before[n] != value)


def _number(value: float | None, form: str = ".3f", unit: str = "") -> str:
    return "–" if not isinstance(value, int | float) else f"{value:{form}}{unit}"


def _ci(interval, factor: float = 1, decimals: int = 3) -> str:
    if not isinstance(interval, list | tuple):
        return ""
    return f" ({factor * interval[0]:.{decimals}f} to {factor * interval[1]:.{decimals}f})"
