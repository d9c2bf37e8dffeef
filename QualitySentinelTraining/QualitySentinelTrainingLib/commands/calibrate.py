"""Calibrate a model's intervals, segment scores and flags of missed slices.

Read the slice tables that evaluate wrote for subjects the model was never trained on, and write a copy of the model
file with calibrated intervals, segment scores and flags of missed slices.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from QualitySentinelLib.errors import UsageError, command_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="bundled", help="'bundled' or a .safetensors file")
    parser.add_argument(
        "--scores", type=Path, nargs="+", required=True, metavar="CSV", help="slices.csv.gz of evaluate"
    )
    parser.add_argument("--sources", nargs="+", metavar="NAME", help="only these data sets of the tables")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the new model file")
    parser.add_argument(
        "--coverage", type=float, default=0.9, help="share of true DSC that intervals hold (default %(default)s)"
    )
    parser.add_argument(
        "--false-flags", type=float, default=0.05,
        help="share of rightly empty slices that may be flagged (default %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--other-folds", action="store_true",
        help="the tables come from models trained the same way on other folds; this model may have seen their subjects",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    model = calibrate_model(
        options.model, options.scores, options.out, options.coverage, options.false_flags, options.other_folds,
        options.sources,
    )  # fmt: skip
    held = sorted(model.metadata["calibration"].keys() & {"slice", "segment", "missed", "flags", "few"})
    print(f"model: {options.out} (calibrated: {', '.join(held)})")
    print(f"Score with it: quality-sentinel score --model {command_text(options.out)} --ct CT --seg SEG --out results")
    return 0


def calibrate_model(
    model: str | Path, scores: Sequence[Path], out: Path, coverage: float = 0.9, false_flags: float = 0.05,
    other_folds: bool = False, sources: Sequence[str] | None = None,
):  # fmt: skip
    """Write ``out``, a copy of a model file (or ``bundled``) with calibration from tables that ``evaluate`` wrote.

    Args:
        scores: tables; of a subject that several hold, the first table counts.
        coverage: share of slices, and of segments, that the intervals are to hold.
        false_flags: share of rightly empty slices that may be flagged as missed.
        other_folds: each table is of a model trained alike without the table's subjects; this model may have seen them.
        sources: only these data sets of the tables; all of them by default.

    Raises:
        UsageError: a share is not between 0 and 1, or the model was trained on a patient of the tables.
        InputError: a table cannot be read, or the file cannot be written.
        ModelError: the model cannot be read.
    """
    from QualitySentinelLib.checkpoint import load_model, save_model

    from ..calibration import PATIENTS, calibrate
    from ..evaluation import EvaluationTable
    from ..model_files import check_out, seen_by, well_known

    out = check_out(out)
    for name, value in {"--coverage": coverage, "--false-flags": false_flags}.items():
        if not 0.0 < value < 1.0:
            raise UsageError(f"{name} {value}: give a share between 0 and 1")
    loaded = load_model(model)
    evaluated, _ = EvaluationTable.read_all(scores)
    if sources:
        tables = evaluated.by_source()
        if missing := sorted(set(sources) - set(tables)):
            raise UsageError(f"--sources: the tables have no {missing[0]!r}; available: {', '.join(tables)}")
        evaluated = EvaluationTable.concatenate([tables[name] for name in dict.fromkeys(sources)])
    seen = seen_by(loaded)
    both = sorted(seen & set(map(str, evaluated.patient)))
    if both and not other_folds:
        raise UsageError(
            f"the model was trained on {len(both)} patients of the tables, including {both[0]}; evaluate it on others, "
            "or add --other-folds if the tables come from models that were not"
        )
    known = well_known(loaded.metadata.get("training", {}), PATIENTS)
    loaded.metadata["calibration"] = calibrate(evaluated, coverage, false_flags, well_known=known)
    loaded.metadata["calibrated_on"] = sorted({str(patient) for patient in evaluated.patient})
    save_model(loaded, out, half=True)
    return loaded
