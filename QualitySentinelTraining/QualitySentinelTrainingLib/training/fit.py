"""Runs the training, and takes it up again where it was killed."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import signal
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import lightning
import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch.utils.data import DataLoader

from QualitySentinelLib.checkpoint import QualityModel
from QualitySentinelLib.errors import CancelledError, InputError, ModelError, reason_of
from QualitySentinelLib.files import atomic_write

from .data import Batch, EpochSampler, PairDataset
from .module import QualityRegression
from .options import TrainingOptions

log = logging.getLogger(__name__)

LAST = "last.ckpt"
_RUN = "run.json"
_MAY_CHANGE = ("accelerator", "workers")
"""Options that a run may be taken up with anew: they do not change what is learnt."""
_NOISE = (
    "does not have many workers",  # reading takes a small part of a step here; the option is in the docs
    "logging interval",
    "Checkpoint directory .* exists and is not empty",  # it is ours: we go on from it
    "Starting from v",
    "LeafSpec",
    "Detected call of `lr_scheduler.step",  # wrong alarm when a run is taken up
    "No device id is provided via `init_process_group`",
    "pynvml package is deprecated",
)
"""Warnings of Lightning and torch that a user can do nothing about."""


def fit(model: QualityModel, paths: Sequence[Path], options: TrainingOptions, out: Path) -> tuple[PairDataset, float]:
    """Train the model's network, in place, on the pair files ``paths``.

    After every epoch the whole state is written to ``out/last.ckpt``; a run with the same options and pair files that
    finds it there goes on from it, so a killed one loses the running epoch at most and ends with the weights that it
    would have had. Logs: ``out/log/start_N/metrics.csv``, one for every time it was started, and TensorBoard.

    With several devices every process comes back from here with the trained network; see :func:`is_first_process`.

    Returns:
        The data set, which knows what was trained on, and the seconds of all starts without the epochs that were lost.

    Raises:
        InputError: no pair file is usable, or ``out`` holds a run with other options or pairs, or a damaged one.
        ModelError: the devices that the options ask for cannot be had.
        CancelledError: Ctrl+C.
    """
    out, clock = Path(out), _Clock()
    lightning.seed_everything(options.seed, verbose=False)
    dataset = PairDataset(paths, model.table, model.preset, options)
    sampler = EpochSampler(dataset, options)
    _name_vain_options(options, dataset)
    loader = DataLoader(
        dataset, batch_size=min(options.batch_size, len(sampler)), sampler=sampler, drop_last=True,
        collate_fn=Batch._make, num_workers=options.workers, persistent_workers=options.workers > 0,
    )  # fmt: skip
    last = _resumable(out, options, paths)
    start = f"start_{len(list((out / 'log').glob('start_*'))) + 1}"  # a logger of Lightning's deletes what it finds
    with _quiet():
        loggers = (CSVLogger, "log"), (TensorBoardLogger, "tensorboard")
        saved = ModelCheckpoint(dirpath=out, filename=Path(LAST).stem, enable_version_counter=False)
        trainer = _trainer(
            options, max_epochs=options.epochs, default_root_dir=str(out), log_every_n_steps=20, gradient_clip_val=1.0,
            logger=[logger(str(out), name=name, version=start) for logger, name in loggers],
            enable_model_summary=False, callbacks=[saved, _ProgressBar(), clock], plugins=[CheckpointFile()],
        )  # fmt: skip
        try:
            trainer.fit(QualityRegression(model, options), loader, ckpt_path=last)
        except SystemExit as stop:  # what Lightning makes of Ctrl+C
            signal.signal(signal.SIGINT, signal.default_int_handler)  # it has switched Ctrl+C off
            raise CancelledError(f"stopped; the same command resumes after the last complete epoch in {out}") from stop
    model.network.cpu().eval()
    return dataset, clock.seconds


def _trainer(options: TrainingOptions, **others) -> lightning.Trainer:
    """Lightning's trainer on the devices that the options ask for."""
    wanted = {name: getattr(options, name) for name in ("accelerator", "devices", "strategy", "precision")}
    try:
        return lightning.Trainer(**wanted, **others)
    except (ValueError, MisconfigurationException) as error:
        named = ", ".join(f"{name} {value}" for name, value in wanted.items())
        raise ModelError(
            f"{named}: are not available here ({reason_of(error)}); change them, for example --set accelerator=cpu"
        ) from error


def _name_vain_options(options: TrainingOptions, dataset: PairDataset) -> None:
    """Say which names do nothing: a misspelt source would be trained on like any other."""
    if not is_first_process():
        return
    shares = {"source_shares": (options.source_shares, dataset.sources)}
    shares |= {"origin_shares": (options.origin_shares, dataset.origins)}
    given = [option for option, (names, _) in shares.items() if names]
    if given and not options.pairs_per_epoch:
        named = " and ".join([*given, "empty_share"])
        log.warning("%s have an effect only with pairs_per_epoch above 0: every pair is drawn once", named)
        shares = {}
    for option, (names, there) in (shares | {"mirror": (options.mirror, dataset.sources)}).items():
        if vain := sorted(set(names) - set(there)):
            log.warning("%s: no pairs come from %s; available: %s", option, ", ".join(vain), ", ".join(there))


class _Clock(lightning.Callback):
    """Counts the seconds of a run over all its starts: the state that it goes on from holds those before."""

    def __init__(self) -> None:
        self._before, self._started = 0.0, time.perf_counter()

    @property
    def seconds(self) -> float:
        """Of this start and of those before it."""
        return self._before + time.perf_counter() - self._started

    def state_dict(self) -> dict:
        """What goes into the training state."""
        return {"seconds": self.seconds}

    def load_state_dict(self, state_dict: dict) -> None:
        """Go on from it."""
        self._before = float(state_dict["seconds"])


class CheckpointFile(TorchCheckpointIO):
    """Writes Lightning's checkpoints whole, and reads them without running code from them.

    Lightning itself writes to the system's folder for temporary files and moves the result: where that is another
    file system, a kill while it is copied leaves half a checkpoint in place of the good one.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | os.PathLike, storage_options: Any = None) -> None:
        """Replace ``path``. Raises ``InputError``: it cannot be written."""
        atomic_write(path, lambda temporary: torch.save(checkpoint, temporary))

    def load_checkpoint(self, path: str | os.PathLike, *_: object, **__: object) -> dict[str, Any]:
        """Tensors, numbers, text and containers of them; on the CPU, Lightning moves them where they belong.

        Raises:
            InputError: damaged, or no checkpoint.
        """
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, ValueError, EOFError, KeyError, UnpicklingError) as error:
            raise InputError(
                f"{path}: the training state is damaged ({reason_of(error, 80)}); delete it to start again"
            ) from error


class _ProgressBar(TQDMProgressBar):
    """Lightning's, without the log's version, which tells nobody anything."""

    def get_metrics(self, *arguments) -> dict:
        """What is shown behind the bar."""
        return {name: value for name, value in super().get_metrics(*arguments).items() if name != "v_num"}


def is_first_process() -> bool:
    """Whether this process may write results: with several devices one process of them does."""
    return rank_zero_only.rank == 0


def _resumable(out: Path, options: TrainingOptions, paths: Sequence[Path]) -> str | None:
    """The checkpoint to go on from, if there is one; notes what a new run is made of."""
    there = {path: path.stat().st_size if path.exists() else 0 for path in map(Path, paths)}  # fit names those gone
    files = "\n".join(sorted(f"{path.name} {size}" for path, size in there.items()))
    run = {
        "options": {name: value for name, value in asdict(options).items() if name not in _MAY_CHANGE},
        "pair_files": len(paths),
        "pair_files_sha256": hashlib.sha256(files.encode()).hexdigest(),
    }
    path, wanted = out / _RUN, json.dumps(run, indent=2, sort_keys=True)
    if (out / LAST).exists():
        if not path.is_file() or path.read_bytes() != wanted.encode():
            raise InputError(
                f"{out}: holds a training run with other options or pair files; use another folder, or delete this one"
            )
        return str(out / LAST)
    if is_first_process():
        atomic_write(path, wanted)
    return None


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning's news and the warnings of :data:`_NOISE` from the user; errors and the progress bar stay."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        for message in _NOISE:
            warnings.filterwarnings("ignore", f".*{message}")
        for logger in loggers:
            logger.setLevel(logging.WARNING)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
