"""Measure a model on unseen subjects.

Simulate errors in the reference masks of test subjects, score every slice, compare with the true DSC, and write
OUT/evaluation.json, tables, pictures and the model card OUT/card.md. With --tables nothing is scored: tables that
earlier runs wrote, such as one per fold, are measured together.
"""

from __future__ import annotations

import argparse
import shlex
from dataclasses import replace
from pathlib import Path

from QualitySentinelLib.errors import UsageError
from QualitySentinelLib.files import atomic_write, check_writable

from .data_options import add_case_options, subjects_of

_CASE_OPTIONS = ("layout", "source", "names", "patient")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    data = parser.add_mutually_exclusive_group(required=True)
    data.add_argument("--data", type=Path, nargs="+", metavar="DIR", help="data sets, as make-pairs reads them")
    data.add_argument(
        "--pairs", type=Path, nargs="+", metavar="DIR",
        help="folders written by make-pairs --evaluation; patients the model was trained on are left out",
    )  # fmt: skip
    data.add_argument("--tables", type=Path, nargs="+", metavar="CSV", help="slices.csv.gz of earlier runs")
    parser.add_argument(
        "--without-names", action="store_true", help="with --pairs or --data: hide structures' names from the model"
    )
    parser.add_argument("--sources", nargs="+", metavar="NAME", help="with --pairs: only these data sets")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default="bundled", help="'bundled' or a .safetensors file")
    parser.add_argument("--masks", type=int, default=4, help="simulated masks per structure (default %(default)s)")
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument(
        "--cross-calibrate", action="store_true",
        help="measure intervals with calibrations fitted here, each patient's on the others, instead of the model's",
    )  # fmt: skip
    parser.add_argument(
        "--leave-sites-out", action="store_true",
        help="as --cross-calibrate, but each data set's intervals are those fitted on the other data sets",
    )  # fmt: skip
    parser.add_argument(
        "--experiments", type=Path, nargs="+", default=[], metavar="JSON",
        help="figures.json of make experiments, to put into report and card",
    )  # fmt: skip
    add_case_options(parser)


def run(options: argparse.Namespace) -> int:
    from QualitySentinelLib.checkpoint import load_model

    from ..calibration import PATIENTS, cross_calibrate
    from ..card import write_card
    from ..evaluation import EvaluationTable
    from ..evaluation.pictures import worst_picture
    from ..evaluation.report import Experiments, write_evaluation
    from ..evaluation.run import evaluated_groups, groups_of_pairs, worst_slices
    from ..model_files import well_known
    from ..pairs import pair_files

    _check(options)
    sources = subjects_of(options, options.data or [], test=True)
    experiments = Experiments()
    for path in options.experiments:
        experiments.add(path)
    check_writable(options.out)
    model = load_model(options.model)
    if options.without_names:
        model = replace(model, table=model.table.without_names())
    if options.tables:
        table, twice = EvaluationTable.read_all(options.tables)
        if twice:
            print(f"{len(twice)} subjects are in several tables, {twice[0]} for example: the first one counts")
        groups, what = table.by_source(), ["--tables", *(str(path) for path in options.tables)]
    elif options.pairs:
        groups = groups_of_pairs(model, options.pairs, options.sources)
        what = ["--pairs", *(path.name for path in options.pairs)]
        what += ["--sources", *options.sources] if options.sources else []
    else:
        groups = evaluated_groups(model, sources, options.masks, options.seed)
        what = ["--data", "DATA", "--masks", str(options.masks), "--seed", str(options.seed)]
    table = EvaluationTable.concatenate(list(groups.values()))
    if not options.tables:  # whatever happens next, hours of scoring are not lost
        print(f"scored: {table.write(options.out / 'slices.csv.gz')}")
    for name in _CASE_OPTIONS:
        if given := getattr(options, name):
            what += [f"--{name}", given if name != "names" else Path(given).name]
    flags = ("without_names", "cross_calibrate", "leave_sites_out")
    what += ["--" + name.replace("_", "-") for name in flags if getattr(options, name)]
    command = shlex.join(
        ["quality-sentinel", "evaluate", *what, "--out", "OUT", "--model", Path(options.model).name]
    )  # fmt: skip
    calibration = model.metadata.get("calibration")
    fitted_here = bool(set(map(str, table.patient)) & set(model.metadata.get("calibrated_on", ())))
    crossed = options.cross_calibrate or options.leave_sites_out
    if fitted_here and not crossed:
        print("the model's intervals were fitted on these patients: each is measured with bounds fitted on the others")
    if crossed or fitted_here:
        known = well_known(model.metadata.get("training", {}), PATIENTS)
        calibration = cross_calibrate(table, by_site=options.leave_sites_out, well_known=known)
    report = write_evaluation(options.out, groups, calibration, experiments, model.summary(), command)
    if options.pairs:
        paths = [path for folder in options.pairs for path in pair_files(folder)]
        worst_picture(worst_slices(table, paths), options.out / "worst.png")
    atomic_write(options.out / "card.md", write_card({"name": model.name, **model.metadata}, report))
    print_figures(report["groups"])
    print(f"written: {options.out / 'card.md'}; evaluation.json, tables and pictures are beside it")
    return 0


def _check(options: argparse.Namespace) -> None:
    """Refuse what would be passed over in silence, and numbers that mean nothing."""
    vain = {
        "without-names": (options.without_names and options.tables, "--data or --pairs"),
        "sources": (options.sources and not options.pairs, "--pairs"),
        **{name: (getattr(options, name) and not options.data, "--data") for name in _CASE_OPTIONS},
    }
    for name, (given, with_what) in vain.items():
        if given:
            raise UsageError(f"--{name} has no effect here; it goes with {with_what}")
    for name in ("masks", "seed"):
        if getattr(options, name) < 0:
            raise UsageError(f"--{name} {getattr(options, name)}: give 0 or more")


def print_figures(groups: dict) -> None:
    """One line per group of subjects and unit."""
    import pandas as pd

    columns = {"pearson_r": "r", "spearman_r": "rho", "mae": "MAE", "bias": "bias", "auroc_below_0.7": "AUROC"}
    rows = {
        (group, unit): figures
        for group, found in groups.items()
        for unit, figures in {"slices": found["slices"], **found["segments"]}.items()
    }
    table = pd.DataFrame.from_dict(rows, "index")[["n", *columns]].astype(dict.fromkeys(columns, float))
    print(table.rename(columns=columns).to_string(float_format="{:.3f}".format, na_rep="-"))
