"""``quality-sentinel evaluate``: how good a model is on subjects it never saw, and its card."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable
from pathlib import Path


def add_parser(add: Callable[..., argparse.ArgumentParser], name: str) -> None:
    """Describe the command's arguments."""
    parser = add(
        name,
        help="measure a model on unseen subjects",
        description="Simulate errors in the reference masks of test subjects, score every slice, compare with the true "
        "DSC, and write OUT/evaluation.json, tables, pictures and the model card OUT/card.md. With --tables nothing is "
        "scored: tables that earlier runs wrote, as one for each fold, are measured together.",
    )
    parser.add_argument("--data", type=Path, help="folder that holds openkbp/ and totalsegmentator/")
    parser.add_argument("--tables", type=Path, nargs="+", metavar="CSV", help="slices.csv.gz of earlier runs")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default="bundled", help="'bundled' or a .safetensors file")
    parser.add_argument("--masks", type=int, default=4, help="simulated masks per structure (default %(default)s)")
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument(
        "--cross-calibrate",
        action="store_true",
        help="measure intervals with calibrations fitted here, each person's on other persons, not with the model's",
    )
    parser.add_argument("--no-experiments", action="store_true", help="leave out the series of spoiled masks")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Measure and write."""
    from QualitySentinelLib.checkpoint import load_model
    from QualitySentinelLib.errors import UsageError
    from QualitySentinelLib.files import check_writable, write_whole

    from ..calibration import cross_calibrate
    from ..card import write_card
    from ..evaluation import Evaluated
    from ..evaluation.report import Experiments, write_evaluation

    if (options.data is None) == (options.tables is None):
        raise UsageError("evaluate needs either --data or --tables")
    check_writable(options.out)
    model = load_model(options.model)
    experiments = Experiments()
    if options.tables:
        groups = {path.name if len(options.tables) == 1 else str(path): Evaluated.read(path) for path in options.tables}
        what = ["--tables", *(path.name for path in options.tables)]
    else:
        groups = evaluated_groups(model, options.data, options.masks, options.seed)
        what = ["--data", "DATA", "--masks", str(options.masks), "--seed", str(options.seed)]
        if options.no_experiments:
            what.append("--no-experiments")
        else:
            experiments = _experiments(model, options.data)
    if options.cross_calibrate:
        what.append("--cross-calibrate")
    command = shlex.join(
        ["quality-sentinel", "evaluate", *what, "--out", "OUT", "--model", Path(options.model).name]
    )  # fmt: skip
    calibration = model.metadata.get("calibration")
    if options.cross_calibrate:
        calibration = cross_calibrate(Evaluated.concatenate(list(groups.values())))
    report = write_evaluation(options.out, groups, calibration, experiments, model.summary(), command)
    write_whole(options.out / "card.md", write_card({"name": model.name, **model.metadata}, report))
    print_figures(report["groups"])
    print(f"written: {options.out / 'evaluation.json'}, tables, pictures and card.md beside it")
    return 0


def print_figures(groups: dict) -> None:
    """One line per group of subjects and unit."""

    def shown(value: float | None, form: str = ".3f") -> str:
        return "-" if value is None else format(value, form)

    for group, figures in groups.items():
        for unit, a in {"slices": figures["slices"], **figures["segments"]}.items():
            print(
                f"{group:40} {unit:14} n {a['n']:6d}  r {shown(a['pearson_r'])}  rho {shown(a['spearman_r'])}  "
                f"MAE {shown(a['mae'])}  bias {shown(a['bias'], '+.3f')}  AUROC {shown(a['auroc_below_0.7'])}"
            )


def evaluate_groups(model, data: Path, masks: int, seed: int) -> dict:
    """Figures by group of test subjects, as ``evaluation.figures`` gives them."""
    from ..evaluation.figures import figures
    from ..evaluation.report import plain

    calibration = model.metadata.get("calibration")
    groups = evaluated_groups(model, data, masks, seed)
    return plain({name: figures(evaluated, calibration) for name, evaluated in groups.items()})


def evaluated_groups(model, data: Path, masks: int, seed: int) -> dict:
    """Evaluation tables by group of test subjects: simulated errors, and removed slices if the model can find them."""
    import numpy as np
    from tqdm import tqdm

    from ..candidates import candidates_with_removed_slices, simulated_candidates
    from ..evaluation import Evaluated
    from ..evaluation.run import evaluate

    rng = np.random.default_rng(seed)
    result = {}
    for name, subjects in test_subjects(data).items():
        parts = []
        for subject in tqdm(subjects, unit="subject", desc=name):
            parts.append(evaluate(model, subject, simulated_candidates(subject, rng, masks)))
            if model.preset.neighbour:
                first = int(parts[-1].mask.max(initial=0))
                parts.append(evaluate(model, subject, candidates_with_removed_slices(subject, rng), first))
        result[name] = Evaluated.concatenate(parts)
    return result


def test_subjects(data: Path) -> dict:
    """Iterators over the subjects that are never trained on, by group."""
    from ..subjects import openkbp_folders, phantom_subject, read_openkbp, totalsegmentator_subject
    from .train import PHANTOM_SEEDS

    return {
        "OpenKBP test subjects": (read_openkbp(folder) for folder in openkbp_folders(data / "openkbp", "test")),
        "unseen phantoms": (phantom_subject(s) for s in PHANTOM_SEEDS["test"]),
        "TotalSegmentator example (other site)": (
            totalsegmentator_subject(folder) for folder in [data / "totalsegmentator"]
        ),
    }


def _experiments(model, data: Path):
    from ..evaluation.disagreement import disagreement
    from ..evaluation.external import KINDS, ordering, series
    from ..evaluation.report import Experiments

    def real_subjects():
        return (s for name, group in test_subjects(data).items() if "phantom" not in name for s in group)

    networks = [f"example_seg{name}.nii.gz" for name in ("", "_fast", "_fast_body_seg")]
    folder = data / "totalsegmentator"
    return Experiments(
        series=[series(model, real_subjects(), kind) for kind in KINDS],
        ordering=ordering(model, real_subjects()),
        disagreement=disagreement(model, folder / "example_ct_sm.nii.gz", [folder / name for name in networks]),
    )
