"""Writing an evaluation: JSON, tables and pictures, from evaluation tables and experiments."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from QualitySentinelLib.errors import InputError, reason_of
from QualitySentinelLib.files import atomic_write

from ..calibration import segment_calibrated
from ..stats import DRAWS
from . import pictures
from .figures import figures, slices_per_mask
from .table import EvaluationTable

SCHEMA = "quality-sentinel-evaluation/1"
_GROUPED = ("by_structure", "by_error", "by_origin", "by_source", "by_stage")
_NOT_ALWAYS = (
    "calibration_curve.csv", "missed.png", "scatter_slices.png", "scatter_segments.png", "calibration.png",
    "risk_coverage.png", "by_structure.png", "by_error.png", "slices_per_mask.png",
)  # fmt: skip
"""What is written only when there is something to show."""
ALL = "all subjects"
"""Name of the group that holds every other, where there are several."""


@dataclass
class Experiments:
    """What ``make experiments`` measured besides the evaluation table."""

    # JSON-able, by name: ``series``, ``ordering``, ``identity``, ``disagreement``, ``data_amount``, ``text``,
    # ``architectures``
    figures: dict = field(default_factory=dict)
    # the command that made each, by the same names; by default that of the evaluation
    commands: dict[str, str] = field(default_factory=dict)

    def add(self, path: Path) -> None:
        """Put the ``figures.json`` of an experiment among them. Raises ``InputError``: the file is none of it."""
        try:
            written = json.loads(path.read_text(encoding="utf-8"))
            held_out = written["experiment"] == "held-out"  # several experiments at once
            found = written["result"] if held_out else {written["experiment"].replace("-", "_"): written["result"]}
            self.figures |= found
            self.commands |= dict.fromkeys(found, written["command"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"{path}: not figures of an experiment ({reason_of(error)}); run make experiments"
            ) from error


def measured(
    groups: Mapping[str, EvaluationTable], calibration: Mapping | None = None, experiments: Experiments | None = None,
    model: Mapping | None = None, command: str = "", draws: int = DRAWS,
) -> dict:  # fmt: skip
    """Every figure of groups of subjects, as it stands in ``evaluation.json``.

    Args:
        groups: evaluation tables by name, no row in two of them.
        calibration: the model's, or a cross-calibration of these very groups.
        experiments: what else was measured.
        model, command: what the report says of the model, JSON-able, and the command line that does this.
        draws: of the bootstrap over patients; 0 for no intervals.

    Returns:
        JSON-able: ``schema``, ``model``, ``command``, ``commands`` (of experiments), ``groups`` (by name, where there
        are several with all of them together first: what :func:`.figures.figures` gives) and ``experiments``.
    """
    experiments, table = experiments or Experiments(), EvaluationTable.concatenate(list(groups.values()))
    named = {ALL: table, **groups} if len(groups) > 1 else dict(groups)
    return plain({
        "schema": SCHEMA,
        "model": dict(model or {}),
        "command": command,
        "commands": experiments.commands,
        "groups": {name: figures(one, calibration, draws) for name, one in named.items()},
        "experiments": {"slices_per_mask": slices_per_mask(table), **experiments.figures},
    })  # fmt: skip


def write_evaluation(
    out: Path, groups: Mapping[str, EvaluationTable], calibration: Mapping | None = None,
    experiments: Experiments | None = None, model: Mapping | None = None, command: str = "", draws: int = DRAWS,
) -> dict:  # fmt: skip
    """Measure groups of subjects and write everything into a folder; files that are there are replaced.

    Writes ``evaluation.json``; ``slices.csv.gz`` (the evaluation table) and ``segments.csv``; ``figures.csv``,
    ``by_structure.csv``, ``by_error.csv``, ``by_origin.csv``, ``by_source.csv``, ``by_stage.csv``,
    ``calibration_curve.csv``, ``slices_per_mask.csv``; and pictures of all subjects together. What an earlier
    evaluation wrote there and this one has not is taken away.

    Args, and what is returned: as for :func:`measured`.

    Raises:
        InputError: the folder cannot be written.
    """
    out = Path(out)
    report = measured(groups, calibration, experiments, model, command, draws)
    table, found = EvaluationTable.concatenate(list(groups.values())), report["groups"]
    for name in _NOT_ALWAYS:
        (out / name).unlink(missing_ok=True)
    atomic_write(out / "evaluation.json", json.dumps(report, indent=1, allow_nan=False) + "\n")
    table.write(out / "slices.csv.gz")
    segments = table.segments()
    if calibration and "segment" in calibration:
        values = segment_calibrated(segments, calibration)
        segments = segments.assign(**dict(zip(("calibrated", "shown", "low", "high"), values, strict=True)))
    write_rows(out / "segments.csv", segments.to_dict("records"))
    write_rows(out / "figures.csv", (
        {"group": group, "unit": unit} | {k: v for k, v in values.items() if k != "calibration_curve"}
        for group, f in found.items()
        for unit, values in {"slices": f["slices"], **{f"segments, {m}": a for m, a in f["segments"].items()}}.items()
    ))  # fmt: skip
    for name in _GROUPED:
        column = name.removeprefix("by_")
        rows = [{"group": g, column: key, **values} for g, f in found.items() for key, values in f[name].items()]
        write_rows(out / f"{name}.csv", rows or [{"group": "", column: ""}])
    curves = ({"group": group, **row} for group, f in found.items() for row in f["slices"]["calibration_curve"])
    write_rows(out / "calibration_curve.csv", curves)
    write_rows(out / "slices_per_mask.csv", report["experiments"]["slices_per_mask"])
    _draw(out, table, segments, report, calibration or {})
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
    import pandas as pd

    flat = []
    for row in rows:
        cells: dict = {}
        for name, value in row.items():
            ends = zip((f"{name}_low", f"{name}_high"), value, strict=True) if isinstance(value, list | tuple) else ()
            cells |= dict(ends or {name: value})
        flat.append({name: f"{v:.6g}" if isinstance(v, float) and math.isfinite(v) else v for name, v in cells.items()})
    atomic_write(path, pd.DataFrame(flat, dtype=object).to_csv(index=False, lineterminator="\n"))


def _draw(out: Path, table: EvaluationTable, segments, report: Mapping, calibration: Mapping) -> None:
    masked, empty = table.masked, table.empty
    if len(masked):
        pictures.scatter_picture(masked.predicted, masked.dsc, out / "scatter_slices.png")
        shown = segments["shown" if "shown" in segments else "aggregated"].to_numpy()
        pictures.scatter_picture(shown, segments["dsc"].to_numpy(), out / "scatter_segments.png", "segment")
        pictures.calibration_picture(
            masked.predicted, masked.dsc, out / "calibration.png", calibration.get("slice"), calibration.get("coverage")
        )
        pictures.risk_coverage_picture(masked.predicted, masked.dsc, out / "risk_coverage.png")
        overall = next(iter(report["groups"].values()))
        for name, title in (("by_structure", "Slices by structure"), ("by_error", "Slices by error of the mask")):
            pictures.bars_picture(overall[name], out / f"{name}.png", f"{title} (number of slices; patients)")
        if rows := report["experiments"]["slices_per_mask"]:  # none where every mask is a single slice
            pictures.slices_per_mask_picture(rows, out / "slices_per_mask.png")
    if len(empty):
        thresholds = calibration.get("missed", {})
        pictures.missed_picture(empty.predicted, empty.reference_area > 0, out / "missed.png", thresholds)
