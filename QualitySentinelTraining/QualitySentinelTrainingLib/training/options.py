"""What shapes a training run: one dataclass, read from one TOML file."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from math import inf
from pathlib import Path

from QualitySentinelLib.anatomy import all_structures
from QualitySentinelLib.errors import InputError, UsageError

from ..recipe import ARCHITECTURES

CONFIGS = Path(__file__).resolve().parent / "configs"
"""Examples of option files."""


@dataclass(frozen=True)
class TrainingOptions:
    """What shapes a training run; every field is a line of the TOML file.

    Attributes:
        architecture: ``compact`` (ours) or ``resnet50`` (the published network on one window, for comparison).
        text: ``sentence`` (the encoder that ships as a package), ``clip`` (open_clip; downloads weights) or ``none``
            (every structure gets the neutral embedding, for comparison).
        epochs: how many.
        pairs_per_epoch: pairs drawn for each epoch; 0 takes every pair once.
        source_shares: relative share of each source in the draw (a table); sources not named count 1. It and
            ``empty_share`` count with ``pairs_per_epoch`` above 0 only.
        origin_shares: relative share of masks of each origin among the pairs of a source (a table, ``network`` and
            ``simulated``); those not named count 1. Without it, as many as there are. It, too, counts with
            ``pairs_per_epoch`` only.
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
        turn_degrees, zoom, shift: largest random turn of picture, mask and reference together, largest change of their
            size (a factor of 1 +- zoom) and largest shift (share of the picture's width). None of them changes the DSC.
        mirror: data sets whose pairs are shown mirrored half of the time, under the other side's name: those of parts
            of the body where left and right look alike.
        wrong_name_share: share of the pairs with a good mask that are told the name of another structure, often the
            other side's or a neighbor's, so that their DSC is 0.
        wrong_names_met: share of masks under a wrong name that a user is expected to meet; the gate, which learned from
            many more, is set right for it at the end (prior correction: Saerens, Latinne, Decaestecker 2002).
        unheard_name_share: share of the other pairs that are told a name that none has: of structures that it was never
            shown, a network must not call every mask wrong.
        identity_weight: weight of the gate's cross-entropy (is this the named structure at all).
        crop_share: share of the pairs whose small picture of the body is cut to a part of it.
        leave_out: structures not trained on (for experiments).
        most_pairs: train on a random choice of at most this many pairs (for experiments); 0 takes all.
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
    origin_shares: dict[str, float] = field(default_factory=dict)
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
    turn_degrees: float = 10.0
    zoom: float = 0.12
    shift: float = 0.03
    mirror: tuple[str, ...] = ()
    wrong_name_share: float = 0.0
    wrong_names_met: float = 0.01
    unheard_name_share: float = 0.0
    identity_weight: float = 0.2
    crop_share: float = 0.3
    leave_out: tuple[str, ...] = ()
    most_pairs: int = 0
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
        least = {"epochs": 1, "batch_size": 1, "pairs_per_epoch": 0, "most_pairs": 0, "workers": 0, "seed": 0}
        for name, bound in least.items():
            if getattr(self, name) < bound:
                raise UsageError(f"{name} must be at least {bound}, not {getattr(self, name)}")
        shares = ("empty_share", "neutral_share", "wrong_name_share", "unheard_name_share", "crop_share")
        for name in (*shares, "zoom", "shift"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise UsageError(f"{name} must lie in 0..1, not {getattr(self, name)}")
        weights = ("weight_decay", "shares_weight", "ranking_weight", "identity_weight")
        for name in (*weights, "jitter_hu", "gain_jitter", "turn_degrees"):
            if not 0.0 <= getattr(self, name) < inf:
                raise UsageError(f"{name} must be at least 0, not {getattr(self, name)}")
        if not 0.0 < self.wrong_names_met < 1.0:
            raise UsageError(f"wrong_names_met must lie between 0 and 1, not {self.wrong_names_met}")
        if not 0.0 < self.learning_rate < inf:
            raise UsageError(f"learning_rate must be above 0, not {self.learning_rate}")
        known = {structure.name for structure in all_structures()}
        if unknown := sorted(set(self.leave_out) - known):
            near = get_close_matches(unknown[0], known, 1)
            meant = f"; perhaps {near[0]}" if near else ""
            raise UsageError(f"leave_out: {unknown[0]!r} is no known structure; names look like 'kidney left'{meant}")


def read_options(path: Path | None, **changes) -> TrainingOptions:
    """Options of a TOML file (none: the defaults), with those of ``changes`` that are not ``None`` in their place.

    Args:
        path: a file, or the name of one of those in :data:`CONFIGS`, without its suffix.
        changes: options by name.

    Raises:
        InputError: the file cannot be read, is no TOML, or has a key or a value that is none of ours; names the file.
        UsageError: a change is not sensible.
    """
    given = {}
    if path is not None:
        ours = CONFIGS / f"{path}.toml"
        path = ours if not Path(path).exists() and ours.is_file() else path
        try:
            given = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise InputError(f"{path}: not a readable TOML file ({error}); see docs/TRAINING.md") from error
    try:
        given = {key: _checked(key, value) for key, value in given.items()}
        TrainingOptions(**given)
    except UsageError as error:
        raise InputError(f"{path}: {error}") from error
    given |= {key: _checked(key, value) for key, value in changes.items() if value is not None}
    return TrainingOptions(**given)


def parsed_change(text: str) -> tuple[str, object]:
    """Name and value of a change given as ``name=value``; the value is as in TOML, text needs no quotes.

    Raises:
        UsageError: it is nothing like that.
    """
    key, sign, value = (part.strip() for part in text.partition("="))
    if not (key and sign and value):
        raise UsageError(f"--set {text}: give it as name=value, for example epochs=5")
    try:
        return key, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key, value


def _checked(key: str, value: object) -> object:
    """The value, as the option's type."""
    if key not in {f.name for f in fields(TrainingOptions)}:
        known = ", ".join(f.name for f in fields(TrainingOptions))
        raise UsageError(f"{key!r} is not a training option; available: {known}")
    default = getattr(TrainingOptions(), key)
    if isinstance(default, tuple) and isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    fitting = (int, float) if isinstance(default, float) else (str, int) if key == "devices" else type(default)
    if not isinstance(value, fitting) or isinstance(value, bool) != isinstance(default, bool):
        wanted = "list of names" if isinstance(default, tuple) else type(default).__name__
        raise UsageError(f"{key} must be of type {wanted}, not {value!r}")
    if isinstance(value, dict) and not all(type(v) in (int, float) and 0 <= v < inf for v in value.values()):
        raise UsageError(f"{key} must give a share of 0 or more to each name, not {value!r}")
    return float(value) if isinstance(default, float) else value
