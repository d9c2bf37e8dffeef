"""What shapes a segmentation network and its training."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from QualitySentinelLib.errors import UsageError

from ..option_files import Doc, NonNegativeInt, Options, PositiveFloat, PositiveInt


@dataclass(frozen=True)
class SegmentationOptions(Options):
    """What shapes a network and its training; each field says what it is, for the command line too."""

    epochs: Annotated[
        tuple[PositiveInt, ...], Doc("numbers of epochs, growing, after which the network is kept and may predict")
    ] = (10, 20, 30, 40, 50)
    folds: Annotated[int, Field(ge=2), Doc("networks; each predicts a fold of patients that it never saw")] = 2
    dimensions: Annotated[Literal[2, 3], Doc("2: networks of slices; 3: of stacks of slices")] = 2
    size: Annotated[PositiveInt, Doc("pixels on a side of the square field of view")] = 128
    pixel_mm: Annotated[PositiveFloat, Doc("size of these pixels")] = 4.0
    slice_mm: Annotated[
        PositiveFloat, Doc("distance of the slices trained on, about; in 3D those between them are interpolated")
    ] = 7.5
    depth: Annotated[PositiveInt, Doc("slices in a stack, 3D only")] = 32
    steps: Annotated[PositiveInt, Doc("batches in an epoch")] = 250
    batch_size: Annotated[PositiveInt, Doc("slices or stacks in a batch")] = 16
    learning_rate: Annotated[PositiveFloat, Doc("of AdamW, constant, so that more epochs can be added later")] = 2e-3
    widths: Annotated[tuple[PositiveInt, ...], Doc("channels of the U-Net's levels, each half as fine as the last")] = (
        16, 32, 64, 128,
    )  # fmt: skip
    deep_supervision: Annotated[bool, Doc("train, and ask, the network at 1/2 and 1/4 of the resolution too")] = False
    dropout: Annotated[float, Field(ge=0, lt=1), Doc("share of activations dropped, and for Monte Carlo dropout")] = 0.0
    seed: Annotated[NonNegativeInt, Doc("of folds, weights, order and augmentation")] = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.epochs or list(self.epochs) != sorted(set(self.epochs)):
            raise UsageError(f"epochs is {list(self.epochs)}: give growing numbers, each once")
        if len(self.widths) < 2 + self.deep_supervision:
            raise UsageError(f"widths is {list(self.widths)}: give {2 + self.deep_supervision} or more")
        halved = 2 ** (len(self.widths) - 1)
        for name in ("size", "depth")[: self.dimensions - 1]:
            if getattr(self, name) % halved:
                raise UsageError(
                    f"{name} is {getattr(self, name)}: give a multiple of {halved}; the networks halve it as often"
                )

    @property
    def levels(self) -> int:
        """Resolutions that the network can be asked at: the full one, 1/2 and 1/4."""
        return min(3, len(self.widths) - 1) if self.deep_supervision else 1

    def shaping(self) -> dict:
        """What a network depends on, plain JSON: all but the epochs, which may be added later."""
        return {n: list(v) if isinstance(v, tuple) else v for n, v in asdict(self).items() if n != "epochs"}

    @classmethod
    def from_shaping(cls, shaping: dict, **changed) -> SegmentationOptions:
        """The options of :meth:`shaping`; what an older version did not know has its default."""
        given: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in (shaping | changed).items()}
        return cls(**given)
