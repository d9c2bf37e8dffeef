"""What shapes a segmentation network and its training."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import inf

from QualitySentinelLib.errors import UsageError

PAPER_EPOCHS = (10, 20, 30, 40, 50, 100, 200, 300, 400, 500)
"""The training stages of the published data set."""


@dataclass(frozen=True)
class SegmentationOptions:
    """What shapes a network and its training.

    Attributes:
        epochs: numbers of epochs after which the network is kept, and may be asked to predict; growing.
        folds: networks trained; each predicts the subjects of one fold, having seen those of the others.
        dimensions: 2 (slices) or 3 (stacks of slices).
        size: pixels on a side of the square field of view.
        pixel_mm: size of its pixels.
        slice_mm: distance between the slices trained on, about. In 2D all slices are predicted; in 3D these slices are,
            and those between them are interpolated.
        depth: slices in a stack, 3D only.
        steps: batches in an epoch.
        batch_size: slices or stacks in a batch.
        learning_rate: of AdamW, constant, so that more epochs can be added later.
        widths: channels of the levels of the U-Net, each half as fine as the one before.
        deep_supervision: the network is trained, and can be asked, at 1/2 and 1/4 of the resolution too.
        dropout: share of activations dropped in training, and for Monte Carlo dropout.
        seed: of folds, weights, order and augmentation.
    """

    epochs: tuple[int, ...] = PAPER_EPOCHS
    folds: int = 2
    dimensions: int = 2
    size: int = 128
    pixel_mm: float = 4.0
    slice_mm: float = 7.5
    depth: int = 32
    steps: int = 250
    batch_size: int = 16
    learning_rate: float = 2e-3
    widths: tuple[int, ...] = (16, 32, 64, 128)
    deep_supervision: bool = False
    dropout: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.epochs or list(self.epochs) != sorted(set(self.epochs)) or self.epochs[0] < 1:
            raise UsageError(f"epochs {list(self.epochs)}: give growing numbers from 1 on, each once")
        if self.folds < 2:
            raise UsageError(f"{self.folds} folds: give 2 or more; no network may predict a subject that it saw")
        if self.dimensions not in (2, 3):
            raise UsageError(f"--dimensions {self.dimensions}: give 2 or 3")
        if not 0.0 <= self.dropout < 1.0:
            raise UsageError(f"--dropout {self.dropout}: give a share from 0 to below 1")
        if len(self.widths) < 2 + self.deep_supervision:
            raise UsageError(f"--widths {list(self.widths)}: give {2 + self.deep_supervision} or more")
        least = {"steps": 1, "batch_size": 1, "seed": 0}
        for name, bound in least.items():
            if getattr(self, name) < bound:
                raise UsageError(f"--{name} {getattr(self, name)}: give {bound} or more")
        for name in ("pixel_mm", "slice_mm", "learning_rate"):
            if not 0.0 < getattr(self, name) < inf:
                raise UsageError(f"--{name.replace('_', '-')} {getattr(self, name)}: give a number above 0")
        halved = 2 ** (len(self.widths) - 1)
        for name in ("size", "depth")[: self.dimensions - 1]:
            if getattr(self, name) < halved or getattr(self, name) % halved:
                raise UsageError(
                    f"--{name} {getattr(self, name)}: give a multiple of {halved}; the networks halve it as often"
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
        return cls(**{n: tuple(v) if isinstance(v, list) else v for n, v in (shaping | changed).items()})
