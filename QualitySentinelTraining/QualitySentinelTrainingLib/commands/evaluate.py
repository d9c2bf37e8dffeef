"""``quality-sentinel evaluate``: how good a model is on subjects it never saw, and its card."""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Callable
from pathlib import Path


def add_parser(add: Callable[..., argparse.ArgumentParser], name: str) -> None:
    """Describe the command's arguments."""
    parser = add(
        name,
        help="measure a model on unseen subjects",
        description="Simulate errors in the reference masks of test subjects, score every slice, compare with the true "
        "DSC, and write OUT/evaluation.json and the model card OUT/card.md.",
    )
    parser.add_argument("--data", type=Path, required=True, help="folder that holds openkbp/ and totalsegmentator/")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default="bundled", help="'bundled' or a .safetensors file")
    parser.add_argument("--masks", type=int, default=4, help="simulated masks per structure (default %(default)s)")
    parser.add_argument("--seed", type=int, default=2)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Measure and write."""
    from QualitySentinelLib.checkpoint import load_model
    from QualitySentinelLib.files import write_whole

    from ..card import write_card

    model = load_model(options.model)
    report = evaluate_groups(model, options.data, options.masks, options.seed)
    command = shlex.join(
        ["quality-sentinel", "evaluate", "--data", "DATA", "--out", "OUT", "--model", Path(options.model).name,
         "--masks", str(options.masks), "--seed", str(options.seed)]
    )  # fmt: skip
    write_whole(options.out / "evaluation.json", json.dumps(report, indent=2))
    write_whole(options.out / "card.md", write_card({"name": model.name, **model.metadata}, report, command))
    print_figures(report)
    return 0


def print_figures(report: dict) -> None:
    """One line per group of subjects and unit."""
    for group, figures in report.items():
        for unit, a in {"slices": figures["slices"], **figures["segments"]}.items():
            print(
                f"{group:40} {unit:14} n {a['n']:6d}  r {a['pearson_r']:.3f}  rho {a['spearman_r']:.3f}  "
                f"MAE {a['mae']:.3f}  bias {a['bias']:+.3f}  AUROC {a['auroc_bad']:.3f}"
            )


def evaluate_groups(model, data: Path, masks: int, seed: int) -> dict:
    """Figures by group of test subjects, as ``evaluation.figures`` gives them."""
    from ..evaluation import evaluate, figures
    from ..subjects import openkbp_folders, phantom_subject, read_openkbp, totalsegmentator_subject
    from .train import PHANTOM_SEEDS

    groups = {
        "OpenKBP test subjects": (read_openkbp(folder) for folder in openkbp_folders(data / "openkbp", "test")),
        "unseen phantoms": (phantom_subject(s) for s in PHANTOM_SEEDS["test"]),
        "TotalSegmentator example (other site)": iter([totalsegmentator_subject(data / "totalsegmentator")]),
    }
    return {name: figures(evaluate(model, subjects, masks, seed)) for name, subjects in groups.items()}
