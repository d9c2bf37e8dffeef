"""``quality-sentinel train``: from CTs with reference masks to a model file."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from zlib import crc32

PHANTOM_SEEDS = {"train": range(0, 120), "validation": range(500, 506), "test": range(1_000_100, 1_000_108)}
"""Seeds of the generated torsos of each part. Those of the test part, like the demo's, are never trained on."""

VALIDATION_SHARE = 16
"""One OpenKBP training subject in this many calibrates the intervals instead of training."""

ARCHITECTURES = ("compact", "resnet50")


def add_parser(add: Callable[..., argparse.ArgumentParser], name: str) -> None:
    """Describe the command's arguments."""
    parser = add(
        name,
        help="train a model",
        description="Simulate errors in reference masks of OpenKBP and of generated phantoms, train on them, calibrate "
        "the intervals on subjects set aside, and write a model file. Pairs are kept in OUT/pairs and used again.",
    )
    parser.add_argument("--data", type=Path, required=True, help="folder that holds openkbp/pt_*/{ct,seg}.nii.gz")
    parser.add_argument("--out", type=Path, required=True, help="folder for pairs, logs and model.safetensors")
    parser.add_argument("--architecture", choices=ARCHITECTURES, default="compact")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--phantoms", type=int, default=len(PHANTOM_SEEDS["train"]), help="generated torsos")
    parser.add_argument("--most-pairs", type=int, help="train on a random choice of at most this many pairs")
    parser.add_argument("--no-text", action="store_true", help="train without structure names (for comparison)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pairs-only", action="store_true", help="stop after making the pairs")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Make pairs, train, calibrate, write the model."""
    import numpy as np

    from QualitySentinelLib.checkpoint import save_model
    from QualitySentinelLib.files import write_whole

    from ..evaluation import calibration, evaluate
    from ..recipe import new_model
    from ..training import TrainingOptions, fit

    pairs = training_pairs(options.data, options.out / "pairs", options.phantoms)
    if options.pairs_only:
        return 0
    if options.most_pairs and options.most_pairs < len(pairs):
        pairs = pairs.take(np.random.default_rng(options.seed).permutation(len(pairs))[: options.most_pairs])
    model = new_model(options.architecture)
    settings = TrainingOptions(
        epochs=options.epochs,
        learning_rate=options.learning_rate,
        neutral_share=1.0 if options.no_text else TrainingOptions.neutral_share,
        seed=options.seed,
    )
    fit(model, pairs.for_preset(model.preset), settings, options.out)
    subjects = np.unique(pairs.subject)
    phantoms = sum(name.startswith("phantom") for name in subjects)
    model.metadata["training"] = {
        "data": "OpenKBP (MIT licence; head-and-neck CT with manual contours) and generated torso phantoms",
        "openkbp_subjects": len(subjects) - phantoms,
        "phantoms": phantoms,
        "pairs": len(pairs),
        "epochs": options.epochs,
        "text": "none" if options.no_text else f"{model.table.encoder}, prompt {model.table.prompt!r}",
        "seed": options.seed,
    }
    validation = evaluate(model, validation_subjects(options.data, options.phantoms), masks_per_structure=3, seed=1)
    model.metadata["calibration"] = calibration(validation)
    save_model(model, options.out / "model.safetensors")
    write_whole(options.out / "training.json", json.dumps(model.metadata["training"], indent=2))
    print(f"model: {options.out / 'model.safetensors'}")
    return 0


def training_pairs(data: Path, folder: Path, phantoms: int | None = None):
    """Training pairs of every phantom or the first few; a subject whose file is in ``folder`` is not made again."""
    import numpy as np
    from tqdm import tqdm

    from ..pairs import Pairs, make_pairs
    from ..recipe import PRESET
    from ..subjects import openkbp_folders, phantom_subject, read_openkbp

    makers = [
        (folder_.name, lambda path=folder_: read_openkbp(path), {"masks_per_structure": 12, "slices_per_mask": 4})
        for folder_ in _fitting(openkbp_folders(data / "openkbp", "train"))
    ]
    makers += [
        (f"phantom_{s}", lambda s=s: phantom_subject(s), {"masks_per_structure": 4, "slices_per_mask": 4})
        for s in PHANTOM_SEEDS["train"][:phantoms]
    ]
    parts = []
    for name, make, amounts in tqdm(makers, unit="subject", desc="pairs"):
        path = folder / f"{name}.npz"
        if not path.exists():
            make_pairs(make(), np.random.default_rng(crc32(name.encode())), PRESET, **amounts).write(path)
        parts.append(Pairs.read(path))
    return Pairs.concatenate(parts)


def validation_subjects(data: Path, phantoms: int) -> Iterator:
    """Subjects that calibrate the intervals: neither trained on nor tested on."""
    from ..subjects import openkbp_folders, phantom_subject, read_openkbp

    for folder in openkbp_folders(data / "openkbp", "train")[::VALIDATION_SHARE]:
        yield read_openkbp(folder)
    for seed in PHANTOM_SEEDS["validation"] if phantoms else ():
        yield phantom_subject(seed)


def _fitting(folders: list[Path]) -> list[Path]:
    """The training folders without those set aside for calibration."""
    return [folder for rank, folder in enumerate(folders) if rank % VALIDATION_SHARE]
