"""Writing an evaluation: JSON, tables and pictures, from evaluation tables and experiments."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from QualitySentinelLib.files import atomic_write

from ..calibration import segment_calibrated
from ..stats import DRAWS
from . import pictures
from .disagreement import Disagreement
from .evaluated import Evaluated, Segments
from .external import Ordering, Series
from .figures import figures
from .identity import Identity
from .slices_per_mask import slices_per_mask

SCHEMA = "quality-sentinel-evaluation/1"
_NOT_ALWAYS = (
    "series.csv", "ordering.csv", "disagreement.csv", "identity.csv", "data_amount.csv", "calibration_curve.csv",
    "series.png", "disagreement.png", "data_amount.png", "missed.png", "scatter_slices.png", "scatter_segments.png",
    "calibration.png", "risk_coverage.png", "by_structure.png", "by_error.png", "slices_per_mask.png",
)  # fmt: skip
"""What is written only when there is something to show."""
ALL = "all subjects"
"""Name of the group that holds every other, where there are several."""


@dataclass
class Experiments:
    """What was measured besides the evaluation table; all of it may be absent.

    Attributes:
        series: spoiled masks step by step (:func:`.external.series`).
        ordering: perfect above spoiled masks (:func:`.external.ordering`).
        disagreement: of networks (:func:`.disagreement.disagreement`).
        identity: right masks under right and wrong names (:func:`.identity.identity`).
        data_amount: rows of :func:`.data_amount.data_amount`.
        text: worth of the text conditioning, JSON-able: ``with``, ``without``: figures of slices with structure names
            and with a model trained without them; ``unseen``: by structure that was left out of training, figures by
            way of training.
        architectures: cost and figures by architecture, JSON-able.
        commands: the command that made an experiment, by the names above; by default that of the evaluation.
    """

    series: Sequence[Series] = ()
    ordering: Ordering | None = None
    disagreement: Disagreement | None = None
    identity: Identity | None = None
    data_amount: Sequence[Mapping] = ()
    text: Mapping | None = None
    architectures: Mapping | None = None
    commands: Mapping[str, str] = field(default_factory=dict)

    def figures(self) -> dict:
        """JSON-able figures of those that are there."""
        result: dict = {}
        if self.series:
            result["series"] = [one.figures() for one in self.series]
        if self.ordering is not None:
            result["ordering"] = self.ordering.figures()
        for name in ("disagreement", "identity"):
            if (measured := getattr(self, name)) is not None:
                result[name] = measured.figures()
        if self.data_amount:
            result["data_amount"] = [dict(row) for row in self.data_amount]
        for name in ("text", "architectures"):
            if getattr(self, name):
                result[name] = dict(getattr(self, name))
        return result


def measured(
    groups: Mapping[str, Evaluated],
    calibration: Mapping | None = None,
    experiments: Experiments | None = None,
    model: Mapping | None = None,
    command: str = "",
    draws: int = DRAWS,
) -> dict:
    """Every figure of groups of subjects, as it stands in ``evaluation.json``.

    Args:
        groups: evaluation tables by name, no row in two of them.
        calibration: the model's, or a cross-calibration of these very groups.
        experiments: what else was measured.
        model: what the report says of it, JSON-able.
        command: the command line that does this.
        draws: of the bootstrap over persons; 0 for no intervals.

    Returns:
        JSON-able: ``schema``, ``model``, ``command``, ``commands`` (of experiments), ``groups`` (by name, where there
        are several with all of them together first: what :func:`.figures.figures` gives) and ``experiments``.
    """
    experiments = experiments or Experiments()
    table = Evaluated.concatenate(list(groups.values()))
    named = {ALL: table, **groups} if len(groups) > 1 else dict(groups)
    return plain({
        "schema": SCHEMA,
        "model": dict(model or {}),
        "command": command,
        "commands": dict(experiments.commands),
        "groups": {name: figures(evaluated, calibration, draws) for name, evaluated in named.items()},
        "experiments": {"slices_per_mask": slices_per_mask(table), **experiments.figures()},
    })  # fmt: skip


def write_evaluation(
    out: Path,
    groups: Mapping[str, Evaluated],
    calibration: Mapping | None = None,
    experiments: Experiments | None = None,
    model: Mapping | None = None,
    command: str = "",
    draws: int = DRAWS,
) -> dict:
    """Measure groups of subjects and write everything into a folder; files that are there are replaced.

    Writes ``evaluation.json``; ``slices.csv.gz`` (the evaluation table) and ``segments.csv``; ``figures.csv``,
    ``by_structure.csv``, ``by_error.csv``, ``by_origin.csv``, ``by_source.csv``, ``by_stage.csv``,
    ``calibration_curve.csv``, ``slices_per_mask.csv``; those experiments that there are, as CSV; and pictures of all
    subjects together.

    What an earlier evaluation wrote there and this one has not, as experiments, is taken away.

    Args, and what is returned: as for :func:`measured`.

    Raises:
        InputError: the folder cannot be written.
    """
    out, experiments = Path(out), experiments or Experiments()
    report = measured(groups, calibration, experiments, model, command, draws)
    table = Evaluated.concatenate(list(groups.values()))
    for name in _NOT_ALWAYS:
        (out / name).unlink(missing_ok=True)
    atomic_write(out / "evaluation.json", json.dumps(report, indent=1, allow_nan=False) + "\n")
    _write_tables(out, table, report, calibration, experiments)
    _draw(out, table, report, calibration, experiments)
    return report


def plain(value):
    """JSON-able copy: numpy numbers become Python's, tuples lists, and what is not a finite number ``None``."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_rows(path: Path, rows: Iterable[Mapping]) -> None:
    """Write dictionaries as CSV; an interval becomes two columns, ``<name>_low`` and ``_high``; nothing is empty."""
    flat = [_flat(row) for row in rows]
    columns = list(dict.fromkeys(name for row in flat for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    atomic_write(path, text.getvalue())


def _flat(row: Mapping) -> dict:
    flat = {}
    for name, value in row.items():
        if isinstance(value, list | tuple):
            low, high = value
            flat |= {f"{name}_low": _cell(low), f"{name}_high": _cell(high)}
        else:
            flat[name] = _cell(value)
    return flat


def _cell(value) -> object:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    return f"{value:.6g}" if isinstance(value, float) else value


def _write_tables(
    out: Path, table: Evaluated, report: Mapping, calibration: Mapping | None, experiments: Experiments
) -> None:
    table.write(out / "slices.csv.gz")
    write_rows(out / "segments.csv", _segment_rows(table.segments(), calibration))
    groups = report["groups"]
    write_rows(out / "figures.csv", [
        {"group": group, "unit": unit, **{k: v for k, v in values.items() if k != "calibration_curve"}}
        for group, f in groups.items()
        for unit, values in {"slices": f["slices"], **{f"segments, {m}": a for m, a in f["segments"].items()}}.items()
    ])  # fmt: skip
    for name in ("by_structure", "by_error", "by_origin", "by_source", "by_stage"):
        column = name.removeprefix("by_")
        rows = [{"group": g, column: key, **values} for g, f in groups.items() for key, values in f[name].items()]
        write_rows(out / f"{name}.csv", rows or [{"group": "", column: ""}])
    write_rows(out / "calibration_curve.csv", [
        {"group": group, **row} for group, f in groups.items() for row in f["slices"]["calibration_curve"]
    ])  # fmt: skip
    write_rows(out / "slices_per_mask.csv", report["experiments"]["slices_per_mask"])
    if experiments.series:
        write_rows(out / "series.csv", [row for one in experiments.series for row in one.rows()])
    if experiments.ordering is not None:
        write_rows(out / "ordering.csv", experiments.ordering.rows())
    if experiments.disagreement is not None:
        write_rows(out / "disagreement.csv", experiments.disagreement.rows())
    if experiments.identity is not None:
        write_rows(out / "identity.csv", experiments.identity.rows())
    if experiments.data_amount:
        write_rows(out / "data_amount.csv", experiments.data_amount)


def _segment_rows(segments: Segments, calibration: Mapping | None) -> list[dict]:
    columns = {
        "subject": segments.subject, "person": segments.person, "source": segments.source,
        "structure": segments.structure, "kind": segments.kind, "origin": segments.origin, "stage": segments.stage,
        "slices": segments.slices, "aggregated": segments.aggregated, "dsc": segments.dsc,
    }  # fmt: skip
    if calibration and "segment" in calibration:
        names = ("calibrated", "shown", "low", "high")
        columns |= dict(zip(names, segment_calibrated(segments.aggregated, segments.person, calibration), strict=True))
    return [dict(zip(columns, row, strict=True)) for row in zip(*(v.tolist() for v in columns.values()), strict=True)]


def _draw(out: Path, table: Evaluated, report: Mapping, calibration: Mapping | None, experiments: Experiments) -> None:
    calibration = calibration or {}
    overall = next(iter(report["groups"].values()))
    masked, empty, segments = table.masked, table.empty, table.segments()
    if len(masked):
        pictures.scatter_picture(masked.predicted, masked.dsc, out / "scatter_slices.png")
        segment_predicted = segments.aggregated
        if "segment" in calibration:
            segment_predicted = segment_calibrated(segment_predicted, segments.person, calibration)[1]
        pictures.scatter_picture(segment_predicted, segments.dsc, out / "scatter_segments.png", "segment")
        pictures.calibration_picture(
            masked.predicted, masked.dsc, out / "calibration.png", calibration.get("slice"),
            coverage=calibration.get("coverage"),
        )  # fmt: skip
        pictures.risk_coverage_picture(masked.predicted, masked.dsc, out / "risk_coverage.png")
        for name, title in (("by_structure", "Slices by structure"), ("by_error", "Slices by error of the mask")):
            pictures.bars_picture(overall[name], out / f"{name}.png", f"{title} (number of slices; patients)")
        if rows := report["experiments"]["slices_per_mask"]:  # none where every mask is a single slice
            pictures.slices_per_mask_picture(rows, out / "slices_per_mask.png")
    if len(empty):
        thresholds = calibration.get("missed", {})
        pictures.missed_picture(empty.predicted, empty.reference_area > 0, out / "missed.png", thresholds)
    if experiments.series:
        pictures.series_picture(report["experiments"]["series"], out / "series.png")
    if experiments.data_amount:
        pictures.data_amount_picture(report["experiments"]["data_amount"], out / "data_amount.png")
    if experiments.disagreement is not None:
        d = experiments.disagreement
        pictures.disagreement_picture(d.predicted, d.agreement, out / "disagreement.png")
