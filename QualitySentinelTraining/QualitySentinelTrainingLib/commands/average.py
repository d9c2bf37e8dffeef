"""Average the weights of several stages of a training.

Write a model whose weights are the mean of those of several stages of one training (train --start-from): often better
than each of them on data unlike that of the training, at the cost of one (model soups, Wortsman et al. 2022). Evaluate
and calibrate it anew.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path

from QualitySentinelLib.errors import UsageError, command_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--models", type=Path, nargs="+", required=True, metavar="FILE", help="model files, two or more"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the new model file")


def run(options: argparse.Namespace) -> int:
    average_models(options.models, options.out)
    print(f"model: {options.out} (mean of {len(options.models)}; not calibrated)")
    print(f"Evaluate it: quality-sentinel evaluate --model {command_text(options.out)} --data DATASET --out evaluation")
    return 0


def average_models(models: Sequence[Path], out: Path):
    """Write ``out``, a model with the mean of the weights of ``models``, and of what its normalisations remember.

    Each model but the latest is one that the latest was trained from, directly or not. What that one was trained on,
    and started from, goes into the new file; calibrations do not, because they hold for the model that they were made
    for.

    Raises:
        UsageError: fewer than two models, or they are not stages of one training.
        InputError: ``out`` cannot be written.
        ModelError: a model cannot be read.
    """
    import torch

    from QualitySentinelLib.checkpoint import load_model, save_model

    from ..model_files import as_stage, check_out, stages_of

    out = check_out(out)
    loaded = {Path(path): load_model(path) for path in models}
    if len(loaded) < 2:
        raise UsageError("--models: give two model files or more")
    stages = {path: stages_of(as_stage(model)) for path, model in loaded.items()}
    *earlier, latest = sorted(loaded, key=lambda path: len(stages[path]))
    for path in earlier:
        if loaded[path].sha256 not in {stage.get("sha256") for stage in stages[latest]}:
            raise UsageError(
                f"--models {path}: {latest} was not trained from it, and weights of different trainings have no mean; "
                "give stages of one training"
            )
    model, before = loaded[latest], stages[latest][-1]
    weights = [one.network.state_dict() for one in loaded.values()]
    model.network.load_state_dict(
        {n: torch.stack([one[n].double() for one in weights]).mean(dim=0).to(w) for n, w in weights[0].items()}
    )
    names = [f"{path.parent.name}/{path.name}" for path in map(Path.resolve, loaded)]  # train calls all files alike
    model.metadata = {k: v for k, v in model.metadata.items() if k not in ("calibration", "calibrated_on")} | {
        "training": {
            "command": shlex.join(["quality-sentinel", "average", "--models", *names, "--out", out.name]),
            "averaged": [loaded[path].sha256 for path in (*earlier, latest)],
            **{name: before[name] for name in ("fold", "structures", "patients", "text") if name in before},
            "started_from": before,
        }
    }
    save_model(model, out, half=True)
    return model
