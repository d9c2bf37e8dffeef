"""Runs the training, and takes it up again where it was killed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import lightning
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch.utils.data import DataLoader

from QualitySentinelLib.checkpoint import QualityModel
from QualitySentinelLib.errors import InputError
from QualitySentinelLib.files import write_whole

from .data import EpochSampler, PairDataset
from .module import QualityRegression
from .options import TrainingOptions

LAST = "last.ckpt"
_OPTIONS = "options.json"


def fit(model: QualityModel, paths: Sequence[Path], options: TrainingOptions, out: Path) -> PairDataset:
    """Train the model's network, in place, on the pair files ``paths``.

    After every epoch the whole state is written to ``out``; a run with the same options that finds it there goes on
    from it, so a killed one loses the running epoch at most. Logs: ``out/log/metrics.csv`` and TensorBoard.

    Returns:
        the data set, which knows what was trained on.

    Raises:
        InputError: no pair file is usable, or ``out`` holds a run with other options.
    """
    lightning.seed_everything(options.seed, verbose=False)
    dataset = PairDataset(paths, model.table, model.preset)
    sampler = EpochSampler(dataset, options.pairs_per_epoch, options.source_shares, options.empty_share, options.seed)
    loader = DataLoader(
        dataset, batch_size=options.batch_size, sampler=sampler, drop_last=True, collate_fn=tuple,
        num_workers=options.workers, persistent_workers=options.workers > 0,
    )  # fmt: skip
    last = _resumable(out, options)
    loggers = [CSVLogger(str(out), name="log", version=""), TensorBoardLogger(str(out), name="tensorboard", version="")]
    trainer = lightning.Trainer(
        max_epochs=options.epochs,
        logger=loggers,
        default_root_dir=str(out),
        log_every_n_steps=20,
        gradient_clip_val=1.0,
        enable_model_summary=False,
        precision=options.precision,
        accelerator=options.accelerator,
        devices=options.devices,
        strategy=options.strategy,
        callbacks=[ModelCheckpoint(dirpath=out, filename=Path(LAST).stem, enable_version_counter=False)],
    )
    trainer.fit(QualityRegression(model, options), loader, ckpt_path=last, weights_only=True)
    model.network.eval()
    return dataset


def _resumable(out: Path, options: TrainingOptions) -> str | None:
    """The checkpoint to go on from, if there is one; notes the options of a new run."""
    path, wanted = out / _OPTIONS, json.dumps(asdict(options), indent=2, sort_keys=True)
    if (out / LAST).exists():
        if not path.exists() or path.read_text(encoding="utf-8") != wanted:
            raise InputError(f"{out}: holds a training run with other options; use another folder, or delete this one")
        return str(out / LAST)
    write_whole(path, wanted)
    return None
