"""Train a model.

Train on pair files (see make-pairs) and write OUT/model.safetensors. Started again after it was stopped or killed, it
resumes after the last complete epoch.
"""

from __future__ import annotations

import argparse
import json
import logging
import shlex
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

from QualitySentinelLib.errors import UsageError, command_text
from QualitySentinelLib.files import atomic_write, check_writable

log = logging.getLogger(__name__)

MODEL_FILE = "model.safetensors"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--pairs", type=Path, nargs="+", required=True, metavar="DIR", help="folders of pair files")
    parser.add_argument("--out", type=Path, required=True, help="folder for the model file, logs and training state")
    parser.add_argument(
        "--config", type=Path, metavar="FILE.toml", help="training options, try_out or gpu_node; see docs/TRAINING.md"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="set one training option; repeatable"
    )
    parser.add_argument("--start-from", metavar="MODEL", help="model file to start from instead of random weights")
    parser.add_argument("--fold", type=int, metavar="F", help="leave out the patients of this fold, 0 to FOLDS - 1")
    parser.add_argument("--folds", type=int, default=5, help="number of folds (default %(default)s)")
    parser.add_argument(
        "--license", "--licence", dest="licence", action="append", default=[], metavar="SOURCE=TEXT",
        help="license of a data set, for the model card",
    )  # fmt: skip
    parser.add_argument("--name", help="name of the model in reports (default: folder of --out and date)")


def run(options: argparse.Namespace) -> int:
    from ..option_files import parsed_change
    from ..pairs import owner_of, pair_files
    from ..training import read_options

    settings = read_options(options.config, **dict(map(parsed_change, options.set)))
    licences = {}
    for text in options.licence:
        source, sign, licence = text.partition("=")
        if not (source and sign and licence):
            raise UsageError(f"--license {text}: give it as SOURCE=TEXT, for example 'my hospital=CC-BY-4.0'")
        licences[source] = licence
    check_writable(options.out)
    paths = [path for folder in options.pairs for path in pair_files(folder)]
    sources = {owner_of(path)[1].split(",")[0] for path in paths} - {""} if licences else set()
    if vain := sorted(set(licences) - sources):
        raise UsageError(f"--license {vain[0]}: no pairs come from it; available: {', '.join(sorted(sources))}")
    parts = ["quality-sentinel", "train", "--pairs", *(folder.name for folder in options.pairs), "--out", "OUT"]
    parts += ["--config", options.config.name] if options.config else []
    parts += [part for text in options.set for part in ("--set", text)]
    parts += ["--start-from", Path(options.start_from).name] if options.start_from else []
    parts += ["--name", options.name] if options.name else []
    parts += ["--fold", str(options.fold), "--folds", str(options.folds)] if options.fold is not None else []
    command = shlex.join(parts)
    model = train(
        paths, options.out, settings, options.fold, options.folds, licences, command, options.start_from, options.name
    )
    if model is not None:
        atomic_write(options.out / "training.json", json.dumps(model.metadata["training"], indent=2))
        file = options.out / MODEL_FILE
        print(f"model: {file}")
        print(f"Evaluate it: quality-sentinel evaluate --model {command_text(file)} --data DATASET --out evaluation")
    return 0


def train(
    paths: Sequence[Path], out: Path, options=None, fold: int | None = None, folds: int = 5,
    licences: Mapping[str, str] | None = None, command: str = "", start_from: str | Path | None = None,
    name: str | None = None,
):  # fmt: skip
    """Train a new model on pair files and write ``out/model.safetensors``; a run that was stopped there goes on.

    Args:
        fold: leave out the patients of this fold, by all the patients of ``paths``; ``None`` leaves out nobody.
        licences, command: of data sets, by name, and what was run: they go into the model file.
        start_from: model file whose weights to start from; what it was trained on goes into the new one too.
        name: what the model is called; by default as the folder ``out``, with the date.

    Returns:
        The ``QualityModel``; ``None`` in the helper processes of training on several devices.

    Raises:
        UsageError: there is no such fold, or ``start_from`` is of another architecture, text encoder or preset.
        InputError: as ``training.fit``.
        ModelError: ``start_from`` cannot be read.
    """
    from dataclasses import asdict

    import torch

    from QualitySentinelLib.checkpoint import save_model

    from ..subjects import LICENCES
    from ..training import TrainingOptions, fit
    from ..training.fit import is_first_process

    options = options or TrainingOptions()
    chosen, left_out = outside_fold(paths, fold, folds)
    torch.manual_seed(options.seed)
    model = untrained(options)
    model.name = name or f"{Path(out).resolve().name}-{date.today()}"
    before = _start(model, start_from) if start_from else None
    dataset, seconds = fit(model, chosen, options, out)
    if not is_first_process():
        return None
    if options.text == "none":  # it knows the neutral embedding only; what it says of any other is noise
        model.table = model.table.without_names()
    if getattr(model.network, "told_dim", 0) and (learned_from := dataset.wrong_share):
        model.network.identity.expect(learned_from, options.wrong_names_met)
    training = dataset.trained_on()
    known = LICENCES | dict(licences or {})
    for name, source in training["sources"].items():
        source["licence"] = known.get(name.split(",")[0], "not stated")
    training |= {
        "pairs_seen": options.epochs * (options.pairs_per_epoch or len(dataset)),
        "text": "none" if options.text == "none" else f"{model.table.encoder}, prompt {model.table.prompt!r}",
        "options": asdict(options),
        "fold": None if fold is None else {"number": fold, "of": folds, "left_out": left_out},
        "seconds": round(seconds, 1),
        "command": command,
    } | ({"started_from": before} if before else {})
    model.metadata["training"] = json.loads(json.dumps(training))
    save_model(model, Path(out) / MODEL_FILE, half=True)
    return model


def untrained(options):
    """The model that the options describe, with random weights."""
    from ..recipe import new_model

    if options.text == "clip":
        from QualitySentinelLib.text import OpenClipEncoder

        return new_model(options.architecture, OpenClipEncoder())
    return new_model(options.architecture)


def _start(model, path: str | Path) -> dict:
    """Give ``model`` the weights of a model file; what that one was trained on."""
    from dataclasses import replace

    from QualitySentinelLib.checkpoint import load_model

    from ..model_files import as_stage, seen_by

    start = load_model(path)
    # The name is for people. An older model may lack what tells structures apart: that starts anew.
    added = (model.architecture.keys() & {"told_dim"}) - start.architecture.keys()
    presets = [replace(preset, name="", locator=0) for preset in (start.preset, model.preset)]
    architecture = {key: value for key, value in model.architecture.items() if key not in added}
    if start.architecture != architecture or start.table.encoder != model.table.encoder:
        raise UsageError(f"--start-from {path}: its architecture or text encoder differs from the options")
    if presets[0] != presets[1]:
        raise UsageError(f"--start-from {path}: it prepares slices differently; start from another model")
    if not seen_by(start):
        log.warning("%s: does not say which patients it was trained on; evaluate may test the new model on them", path)
    model.network.load_state_dict(start.network.state_dict(), strict=not added)
    return as_stage(start)


def outside_fold(paths: Sequence[Path], fold: int | None, folds: int = 5) -> tuple[list[Path], list[str]]:
    """The pair files to train on, and the patients left out.

    Phantoms, and patients of whom there are only made CTs (``..., painted``), are always trained on: nobody is tested
    on them. A damaged file is kept: the training names and skips it.

    Raises:
        UsageError: there is no such fold, or nobody in it.
    """
    from QualitySentinelLib.datasets import fold_of

    from ..model_files import PHANTOM
    from ..pairs import owner_of

    if fold is None:
        return list(paths), []
    if not 0 <= fold < folds:
        raise UsageError(f"--fold {fold}: give 0 to {folds - 1}, or another number of --folds")
    owners = {path: owner_of(path) for path in paths}
    tested = {patient: source for patient, source in owners.values() if patient and "," not in source}
    sources = {patient: source for patient, source in tested.items() if source != PHANTOM}
    left_out = sorted(patient for patient, number in fold_of(sources, folds).items() if number == fold)
    if not left_out:
        raise UsageError(f"--fold {fold}: none of the {len(sources)} patients is in it; use fewer --folds")
    gone = set(left_out)
    return [path for path, (patient, _) in owners.items() if patient not in gone], left_out
