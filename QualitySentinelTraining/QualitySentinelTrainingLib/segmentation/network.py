"""A network that gives class probabilities of CTs, in 2D or 3D, at one or several resolutions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional

from QualitySentinelLib.errors import InputError, reason_of
from QualitySentinelLib.files import atomic_write
from QualitySentinelLib.volume import CtVolume

from .field import Field
from .loss import partial_label_loss
from .options import SegmentationOptions

if TYPE_CHECKING:
    from .weighing import QualityBranch

WINDOWS_HU = ((-160.0, 240.0), (-1000.0, 1000.0))
"""Input channels of the networks: soft tissue, and everything."""

_VOXELS_AT_ONCE = 1 << 25
_HEADER = "quality_sentinel_segmentation"


class SegmentationNetwork:
    """A U-Net of MONAI, ``module``, with what it needs to know to look at a CT and to say what it sees.

    ``quality``: while it is trained on labels that are doubted, what weighs them.

    Args:
        classes: names of the K classes; the first is the background.
        learned: bool ``[K]``; the others were shown to the network in nobody, and have probability 0.
        seed: of the weights, before training.
        device: ``cpu`` or ``cuda``.
    """

    def __init__(
        self, options: SegmentationOptions, classes: Sequence[str], learned: np.ndarray | None = None, seed: int = 0,
        device: str = "cpu",
    ) -> None:  # fmt: skip
        self.options, self.classes, self.device = options, tuple(classes), device
        self.learned = np.ones(len(self.classes), bool) if learned is None else np.asarray(learned, bool)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.module = _new_module(options, len(self.classes)).to(device)
            self.quality: QualityBranch | None = None

    def doubt(self) -> None:
        """Weigh labels in training by a quality that is learned, see :mod:`.weighing`."""
        from .weighing import QualityBranch

        shape = (self.options.depth, self.options.size, self.options.size)[-self.options.dimensions :]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.options.seed)
            self.quality = QualityBranch((len(WINDOWS_HU), *shape), len(self.classes)).to(self.device)

    @property
    def parts(self) -> nn.ModuleDict:
        """All that is trained, by its name in the file."""
        return nn.ModuleDict({"network": self.module} | ({"quality": self.quality} if self.quality else {}))

    def loss(
        self, hu: torch.Tensor, labels: torch.Tensor, contoured: torch.Tensor, doubted: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The loss of a batch; with deep supervision that of each level, half as much as the level before.

        Args:
            hu: ``[N, D, S, S]``; D is 1 in 2D.
            labels: int64, the same shape.
            contoured: bool ``[N, K]``.
            doubted: bool ``[N]``, after :meth:`doubt`: items that are weighed by their quality.
        """
        self.module.train()
        shown = windowed(hu, self.options.dimensions)
        outputs = self.module(shown)
        outputs = outputs.unbind(1) if self.options.deep_supervision else [outputs]
        labels = labels[:, 0] if self.options.dimensions == 2 else labels
        weights = None if self.quality is None or doubted is None else self.quality(shown, labels, doubted)
        losses = [partial_label_loss(one, labels, contoured, weights) * 0.5**level for level, one in enumerate(outputs)]
        return sum(losses) / sum(0.5**level for level in range(len(losses)))

    def logits(self, hu: torch.Tensor) -> torch.Tensor:
        """Logits ``[N, K, ...]`` of a batch of HU ``[N, D, S, S]``; of all levels in training with deep supervision."""
        return self.module(windowed(hu, self.options.dimensions))

    def probability_slabs(
        self, ct: CtVolume, levels: Sequence[int] = (0,), dropout_seed: int | None = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Class probabilities on the CT's grid, some slices at a time: a whole CT's may not fit into memory.

        Args:
            ct: the CT.
            levels: resolutions: 0 the full one, 1 and 2 the heads at 1/2 and 1/4 of a network with deep supervision.
            dropout_seed: drop activations as in training, drawn from this seed (Monte Carlo dropout).

        Yields:
            Canonical k of n slices, ascending, and their probabilities, float32 ``[levels, K, n, j, i]``, which sum to
            1 over K. Slices that show no body are left out: they are background.
        """
        field = Field.on_body(ct, self.options.size, self.options.pixel_mm)
        shape, number = ct.frame.shape[1:], len(levels) * len(self.classes)
        at_once = max(1, _VOXELS_AT_ONCE // (shape[0] * shape[1] * number))
        self.module.eval()
        randomness = nullcontext() if dropout_seed is None else _dropout(self.module, dropout_seed)
        with torch.inference_mode(), randomness:
            for slices, seen in self._in_field(field, ct, levels):
                for first in range(0, len(slices), at_once):
                    part = seen[first : first + at_once]
                    placed, rows, columns = field.put_back(part.flatten(1, 2), shape)
                    whole = np.zeros((len(levels), len(self.classes), len(part), *shape), np.float32)
                    whole[:, 0] = 1.0  # outside the field is background
                    placed = placed.unflatten(1, part.shape[1:3]).permute(1, 2, 0, 3, 4)
                    whole[..., rows, columns] = placed.cpu().numpy()
                    yield slices[first : first + at_once], whole

    def predict_levels(
        self, ct: CtVolume, levels: Sequence[int] = (0,), dropout_seed: int | None = None
    ) -> np.ndarray:
        """As :meth:`probability_slabs`, of the whole CT in one pass, float16 ``[levels, K, k, j, i]``."""
        whole = np.zeros((len(levels), len(self.classes), *ct.frame.shape), np.float16)
        whole[:, 0] = 1.0
        for slices, probabilities in self.probability_slabs(ct, levels, dropout_seed):
            whole[:, :, slices] = probabilities
        return whole

    def predict_probabilities(self, ct: CtVolume, dropout_seed: int | None = None) -> np.ndarray:
        """Class probabilities of the whole CT, float16 ``[K, k, j, i]`` on its grid."""
        return self.predict_levels(ct, (0,), dropout_seed)[0]

    def predict_labels(self, ct: CtVolume) -> np.ndarray:
        """The likeliest class of each voxel, uint8 ``[k, j, i]`` on the CT's grid."""
        labels = np.zeros(ct.frame.shape, np.uint8)
        for slices, probabilities in self.probability_slabs(ct):
            labels[slices] = probabilities[0].argmax(axis=0)
        return labels

    def _in_field(
        self, field: Field, ct: CtVolume, levels: Sequence[int]
    ) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
        """Canonical k of n slices and their probabilities in the field, ``[n, levels, K, S, S]``."""
        if self.options.dimensions == 2:
            for first in range(0, len(field.slices), self.options.batch_size):
                slices = field.slices[first : first + self.options.batch_size]
                hu = torch.from_numpy(field.look(ct, slices)).to(self.device, torch.float32)
                yield slices, self._probabilities(windowed(hu[:, None], 2), levels)
        elif len(field.slices):
            at = field.training_slices(ct, self.options.slice_mm)
            hu = torch.from_numpy(field.look(ct, at)).to(self.device, torch.float32)
            stack = self._whole_stack(windowed(hu[None], 3), levels)  # [D, levels, K, S, S]
            where = torch.from_numpy(np.interp(field.slices, at, np.arange(len(at)))).to(stack)
            for first in range(0, len(where), self.options.batch_size):
                some = where[first : first + self.options.batch_size]
                below, weight = some.long(), (some % 1)[:, None, None, None, None]
                above = (below + 1).clamp(max=len(at) - 1)
                yield field.slices[first : first + len(some)], stack[below] * (1 - weight) + stack[above] * weight

    def _whole_stack(self, shown: torch.Tensor, levels: Sequence[int]) -> torch.Tensor:
        """Probabilities of a stack of any height, from overlapping windows: ``[D, levels, K, S, S]``."""
        from monai.inferers import sliding_window_inference

        window = (self.options.depth, self.options.size, self.options.size)
        predicted = sliding_window_inference(
            shown, window, 1, lambda part: self._probabilities(part, levels).flatten(1, 2), 0.5, "gaussian", cval=-1.0
        )
        return predicted[0].unflatten(0, (len(levels), -1)).movedim(2, 0)

    def _probabilities(self, shown: torch.Tensor, levels: Sequence[int]) -> torch.Tensor:
        """Probabilities of a batch of inputs, ``[N, levels, K, ...]``."""
        outputs = [self.module(shown)]
        if self.options.deep_supervision:  # MONAI's network keeps what its heads said of the last batch
            mode = "bilinear" if self.options.dimensions == 2 else "trilinear"
            heads = [functional.interpolate(head, shown.shape[2:], mode=mode) for head in self.module.heads]
            outputs += heads
        logits = torch.stack([outputs[level].float() for level in levels], dim=1)
        logits[:, :, ~torch.from_numpy(self.learned).to(logits.device)] = -torch.inf
        return torch.softmax(logits, dim=2)

    def save(self, path: Path, optimizer: torch.optim.Optimizer | None = None) -> None:
        """Write the network, whole, as one ``.safetensors``, with the state of its optimizer.

        Raises:
            InputError: the file cannot be written.
        """
        tensors = flat_state(self.parts, optimizer)
        about = {"options": self.options.shaping(), "classes": self.classes, "learned": self.learned.tolist()}
        atomic_write(path, lambda temporary: save_file(tensors, temporary, {_HEADER: json.dumps(about)}))

    def load_state(self, path: Path, optimizer: torch.optim.Optimizer | None = None) -> None:
        """Take the weights of a file of :meth:`save`, and give the optimizer its state.

        Raises:
            Exception: safetensors and torch raise many kinds for a damaged file.
        """
        take_flat_state(load_file(path), self.parts, optimizer)

    @classmethod
    def load(cls, path: Path, device: str = "cpu") -> SegmentationNetwork:
        """The network of a file. Raises ``InputError``: the file is missing, damaged or no such network."""
        try:
            with safe_open(path, "pt") as file:
                about = json.loads((file.metadata() or {})[_HEADER])
            options = SegmentationOptions.from_shaping(about["options"])
            network = cls(options, about["classes"], about["learned"], device=device)
            network.load_state(path)
        except (OSError, SafetensorError, RuntimeError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}: is not a segmentation network ({reason_of(error)}); train it again") from error
        return network


def _new_module(options: SegmentationOptions, classes: int) -> nn.Module:
    """A residual U-Net; with deep supervision the one of nnU-Net, which has heads at the lower resolutions."""
    from monai.networks.nets import DynUNet, UNet

    depth = len(options.widths)
    if not options.deep_supervision:
        return UNet(
            options.dimensions, len(WINDOWS_HU), classes, options.widths, (2,) * (depth - 1), num_res_units=1,
            dropout=options.dropout,
        )  # fmt: skip
    strides = (1,) + (2,) * (depth - 1)
    return DynUNet(
        options.dimensions, len(WINDOWS_HU), classes, (3,) * depth, strides, strides[1:], options.widths,
        dropout=options.dropout or None, deep_supervision=True, deep_supr_num=options.levels - 1, res_block=True,
    )  # fmt: skip


def flat_state(parts: nn.ModuleDict, optimizer: torch.optim.Optimizer | None = None) -> dict[str, torch.Tensor]:
    """Weights (``network.NAME``) and the optimizer's state (``optimizer.NUMBER.KEY``), as one file holds them."""
    tensors = _tensors(parts)
    for number, state in (optimizer.state_dict()["state"] if optimizer else {}).items():
        tensors |= {f"optimizer.{number}.{key}": torch.as_tensor(value) for key, value in state.items()}
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def take_flat_state(
    tensors: Mapping[str, torch.Tensor], parts: nn.ModuleDict, optimizer: torch.optim.Optimizer | None = None
) -> None:
    """Take what :func:`flat_state` gave.

    Raises:
        ValueError: it is of another network; this one stays as it is.
    """
    own = {name: tensor.shape for name, tensor in _tensors(parts).items()}
    theirs = {n: t for n, t in tensors.items() if n.startswith(tuple(f"{part}." for part in parts))}
    shapes = {name: tensor.shape for name, tensor in theirs.items()}
    if other := sorted(n for n in own.keys() | shapes.keys() if own.get(n) != shapes.get(n)):
        raise ValueError(f"{other[0]} does not fit")
    state: dict[int, dict] = {}
    sizes = [p.shape for group in optimizer.param_groups for p in group["params"]] if optimizer else []
    for name, tensor in tensors.items():
        if sizes and name.startswith("optimizer."):
            _, number, key = name.split(".")
            if int(number) >= len(sizes) or tensor.shape not in (sizes[int(number)], ()):
                raise ValueError(f"{name} does not fit")
            state.setdefault(int(number), {})[key] = tensor
    parts.load_state_dict(theirs, strict=False)  # what has two names is there once
    if optimizer is not None:
        optimizer.load_state_dict(optimizer.state_dict() | {"state": state})


def _tensors(module: nn.Module) -> dict[str, torch.Tensor]:
    """Parameters and buffers by name; those that have two names in MONAI's network, by the first."""
    return dict(module.named_parameters()) | dict(module.named_buffers())


def windowed(hu: torch.Tensor, dimensions: int) -> torch.Tensor:
    """HU ``[N, D, S, S]`` in each window, scaled to -1..1: ``[N, 2, S, S]`` in 2D, ``[N, 2, D, S, S]`` in 3D."""
    hu = hu if dimensions == 2 else hu[:, None]
    return torch.cat([((hu - low) / (high - low)).clamp(0, 1) * 2 - 1 for low, high in WINDOWS_HU], dim=1)


@contextmanager
def _dropout(module: nn.Module, seed: int) -> Iterator[None]:
    """Dropout is on as in training; all else, such as batch statistics, is as in inference."""
    layers = [layer for layer in module.modules() if isinstance(layer, nn.modules.dropout._DropoutNd)]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for layer in layers:
            layer.train()
        try:
            yield
        finally:
            module.eval()
