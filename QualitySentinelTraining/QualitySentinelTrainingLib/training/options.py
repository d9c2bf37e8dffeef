"""What shapes a training run: one dataclass, read from one TOML file."""

from __future__ import annotations

from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from QualitySentinelLib.anatomy import all_structures
from QualitySentinelLib.errors import UsageError

from ..option_files import Doc, NonNegativeFloat, NonNegativeInt, Options, PositiveFloat, PositiveInt, Share
from ..option_files import read_options as read_any

CONFIGS = Path(__file__).resolve().parent / "configs"
"""Examples of option files."""
Shares = dict[str, NonNegativeFloat]


@dataclass(frozen=True)
class TrainingOptions(Options):
    """What shapes a training run; every field is a line of the TOML file."""

    architecture: Annotated[
        Literal["compact", "resnet50"], Doc("ours, or the published network on one window, for comparison")
    ] = "compact"
    text: Annotated[Literal["sentence", "clip", "none"], Doc(
        "the encoder that ships as a package; open_clip, which downloads weights; or the neutral embedding for every "
        "structure, for comparison"
    )] = "sentence"  # fmt: skip
    epochs: PositiveInt = 10
    pairs_per_epoch: Annotated[
        NonNegativeInt, Doc("pairs drawn for each epoch; 0 takes every pair once; the shares below count above 0 only")
    ] = 0
    source_shares: Annotated[Shares, Doc("relative share of each source in the draw; those not named count 1")] = field(
        default_factory=dict
    )
    origin_shares: Annotated[Shares, Doc(
        "relative share of masks of each origin (network, simulated) among the pairs of a source; those not named "
        "count 1; without it, as many as there are"
    )] = field(default_factory=dict)  # fmt: skip
    empty_share: Annotated[Share, Doc("share of the draw that shows empty slices")] = 0.2
    batch_size: Annotated[PositiveInt, Doc("pairs per step and device")] = 64
    learning_rate: Annotated[PositiveFloat, Doc("peak of the one-cycle schedule")] = 2e-3
    weight_decay: Annotated[NonNegativeFloat, Doc("decoupled (AdamW)")] = 1e-2
    shares_weight: Annotated[
        NonNegativeFloat, Doc("weight of the dense term (where the reference is) against the DSC's own")
    ] = 4.0
    ranking_weight: Annotated[NonNegativeFloat, Doc("weight of the optimal pair ranking")] = 1.0
    dsc_loss: Annotated[Literal["huber", "squared", "published"], Doc(
        "squared up to an error of 0.15, then absolute; squared; squared, weighted by the published steps"
    )] = "huber"  # fmt: skip
    neutral_share: Annotated[Share, Doc(
        "share of pairs whose text is replaced by the neutral embedding, so that an unknown structure is scored "
        "sensibly and the network cannot lean on the name alone"
    )] = 0.15  # fmt: skip
    jitter_hu: Annotated[
        NonNegativeFloat, Doc("spread of the random offset, and largest spread of the noise, of the CT, in HU")
    ] = 15.0
    gain_jitter: Annotated[NonNegativeFloat, Doc("spread of the random gain of the CT channels")] = 0.05
    turn_degrees: Annotated[
        NonNegativeFloat, Doc("largest random turn of picture, mask and reference together; the DSC stays true")
    ] = 10.0
    zoom: Annotated[Share, Doc("largest random change of their size, a factor of 1 +- zoom")] = 0.12
    shift: Annotated[Share, Doc("largest random shift of them, as a share of the picture's width")] = 0.03
    mirror: Annotated[tuple[str, ...], Doc(
        "data sets whose pairs are shown mirrored half of the time, under the other side's name: those of parts of the"
        " body where left and right look alike"
    )] = ()  # fmt: skip
    wrong_name_share: Annotated[Share, Doc(
        "share of the pairs with a good mask that are told the name of another structure, often the other side's or a "
        "neighbor's, so that their DSC is 0"
    )] = 0.0  # fmt: skip
    wrong_names_met: Annotated[float, Field(gt=0.0, lt=1.0), Doc(
        "share of masks under a wrong name that a user is expected to meet; the gate, which learned from many more, is"
        " set right for it at the end (prior correction: Saerens, Latinne, Decaestecker 2002)"
    )] = 0.01  # fmt: skip
    unheard_name_share: Annotated[Share, Doc(
        "share of the other pairs that are told a name that none has: a network must not call every mask of a "
        "structure wrong that it was never shown"
    )] = 0.0  # fmt: skip
    identity_weight: Annotated[
        NonNegativeFloat, Doc("weight of the gate's cross-entropy (is this the named structure at all)")
    ] = 0.2
    crop_share: Annotated[Share, Doc("share of the pairs whose small picture of the body is cut to a part of it")] = 0.3
    leave_out: Annotated[tuple[str, ...], Doc("structures not trained on (for experiments)")] = ()
    most_pairs: Annotated[
        NonNegativeInt, Doc("train on a random choice of at most so many pairs (for experiments); 0 takes all")
    ] = 0
    seed: Annotated[NonNegativeInt, Doc("of weights, order and augmentation")] = 0
    precision: Annotated[str, Doc("as Lightning names it: 32-true, 16-mixed, bf16-mixed")] = "32-true"
    accelerator: Annotated[str, Doc("as Lightning names it: auto, cpu, gpu")] = "auto"
    devices: Annotated[str | int, Doc("how many; auto takes all")] = "auto"
    strategy: Annotated[str, Doc("as Lightning names it: auto, ddp")] = "auto"
    workers: Annotated[NonNegativeInt, Doc("processes that read pairs; 0 reads in the training process")] = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        known = {structure.name for structure in all_structures()}
        if unknown := sorted(set(self.leave_out) - known):
            near = get_close_matches(unknown[0], known, 1)
            meant = f"; perhaps {near[0]}" if near else ""
            raise UsageError(f"leave_out: {unknown[0]!r} is no known structure; names look like 'kidney left'{meant}")


def read_options(path: Path | None, **changes) -> TrainingOptions:
    """Options of a TOML file, or of one of :data:`CONFIGS` by its name; see :func:`..option_files.read_options`."""
    ours = CONFIGS / f"{path}.toml"
    return read_any(TrainingOptions, ours if path and not Path(path).exists() and ours.is_file() else path, **changes)
