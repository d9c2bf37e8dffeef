"""What shapes a training run: one dataclass, read from one TOML file."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path

from QualitySentinelLib.errors import InputError, UsageError

from ..recipe import ARCHITECTURES


@dataclass(frozen=True)
class TrainingOptions:
    """What shapes a training run; every field is a line of the TOML file.

    Attributes:
        architecture: ``compact`` (ours) or ``resnet50`` (the published network on one window, for comparison).
        text: ``sentence`` (the encoder that ships as a package), ``clip`` (open_clip; downloads weights) or ``none``
            (every structure gets the neutral embedding, for comparison).
        epochs: how many.
        pairs_per_epoch: pairs drawn for each epoch; 0 takes every pair once.
        source_shares: relative share of each source in the draw (a table); sources not named count 1.
        empty_share: share of the draw that shows empty slices.
        batch_size: pairs per step and device.
        learning_rate: peak of the one-cycle schedule.
        weight_decay: decoupled (AdamW).
        shares_weight: weight of the dense term (where the reference is) against the DSC's own.
        ranking_weight: weight of the optimal pair ranking.
        dsc_loss: ``huber`` (squared up to an error of 0.15, then absolute), ``squared``, or ``published`` (squared,
            weighted by the published steps).
        neutral_share: share of pairs whose text is replaced by the neutral embedding, so that an unknown structure is
            scored sensibly and the network cannot lean on the name alone.
        jitter_hu: spread of the random offset, and largest spread of the noise, of the CT, in HU.
        gain_jitter: spread of the random gain of the CT channels.
        seed: of weights, order and augmentation.
        precision: as Lightning names it: ``32-true``, ``16-mixed``, ``bf16-mixed``.
        accelerator: as Lightning names it: ``auto``, ``cpu``, ``gpu``.
        devices: how many; ``auto`` takes all.
        strategy: as Lightning names it: ``auto``, ``ddp``.
        workers: processes that read pairs; 0 reads in the training process.
    """

    architecture: str = "compact"
    text: str = "sentence"
    epochs: int = 10
    pairs_per_epoch: int = 0
    source_shares: dict[str, float] = field(default_factory=dict)
    empty_share: float = 0.2
    batch_size: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    shares_weight: float = 4.0
    ranking_weight: float = 1.0
    dsc_loss: str = "huber"
    neutral_share: float = 0.15
    jitter_hu: float = 15.0
    gain_jitter: float = 0.05
    seed: int = 0
    precision: str = "32-true"
    accelerator: str = "auto"
    devices: str | int = "auto"
    strategy: str = "auto"
    workers: int = 0

    def __post_init__(self) -> None:
        if self.architecture not in ARCHITECTURES:
            raise UsageError(f"architecture {self.architecture!r}: must be one of {', '.join(ARCHITECTURES)}")
        if self.dsc_loss not in ("huber", "squared", "published"):
            raise UsageError(f"dsc_loss {self.dsc_loss!r}: must be huber, squared or published")
        if self.text not in ("sentence", "clip", "none"):
            raise UsageError(f"text {self.text!r}: must be sentence, clip or none")
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("empty_share", "neutral_share"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise UsageError(f"{name} must lie in 0..1, not {getattr(self, name)}")


def read_options(path: Path | None, **changes) -> TrainingOptions:
    """Options of a TOML file (none: the defaults), with those of ``changes`` that are not ``None`` in their place.

    Raises:
        InputError: the file cannot be read, is no TOML, or has a key or a value that is none of ours; names the file.
        UsageError: a change is not sensible.
    """
    given = {}
    if path is not None:
        try:
            given = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise InputError(f"{path}: not a readable TOML file ({error}); see docs/TRAINING.md") from error
        for key, value in given.items():
            _check(path, key, value)
    given |= {key: value for key, value in changes.items() if value is not None}
    try:
        return TrainingOptions(**given)
    except UsageError as error:
        raise (InputError(f"{path}: {error}") if path is not None else error) from error


def _check(path: Path, key: str, value: object) -> None:
    known = {f.name: f for f in fields(TrainingOptions)}
    if key not in known:
        raise InputError(f"{path}: {key!r} is no training option; the options are {', '.join(known)}")
    default = getattr(TrainingOptions(), key)
    fitting = (int, float) if isinstance(default, float) else (str, int) if key == "devices" else type(default)
    if not isinstance(value, fitting) or isinstance(value, bool) != isinstance(default, bool):
        raise InputError(f"{path}: {key} must be of type {type(default).__name__}, not {value!r}")
