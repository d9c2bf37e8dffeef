"""Networks that travel: what they are as arrays, an update on a batch, and what is wrong with them on given data."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice, pairwise
from math import gcd
from typing import Annotated, Any, Literal

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from QualitySentinelLib.errors import InputError, reason_of

from ..option_files import Doc, NonNegativeInt, Options, PositiveFloat, PositiveInt, Share
from ..segmentation.field import Field
from ..segmentation.network import WINDOWS_HU, SegmentationNetwork, flat_state, take_flat_state, windowed
from ..segmentation.options import SegmentationOptions
from ..subjects import Subject
from .protocol import Errors, classification_errors

State = dict[str, np.ndarray]
"""Weights, optimizer and number of updates: all that travels. No data are in it."""
OWN_LOSS = "highest loss of a sample"
_AT_ONCE = 64


@dataclass(frozen=True)
class NetworkOptions(Options):
    """The network that travels."""

    size: Annotated[PositiveInt, Doc("pixels or voxels on a side of what it sees")] = 64
    pixel_mm: Annotated[PositiveFloat, Doc("size of a pixel, segmentation only")] = 6.0
    slice_mm: Annotated[PositiveFloat, Doc("distance of the slices trained on, segmentation only")] = 15.0
    dimensions: Annotated[Literal[2, 3], Doc("what a classifier sees: the volume, or its maximum along the body")] = 3
    widths: Annotated[tuple[PositiveInt, ...], Doc("channels of its levels")] = (16, 32, 64)
    slices: Annotated[PositiveInt, Doc("slices in a step of the optimizer, segmentation only")] = 16
    learning_rate: Annotated[PositiveFloat, Doc("of AdamW")] = 2e-3
    # by SGD, whose steps are as long as the gradient: AdamW's are alike, whether a sample teaches something new or not
    trial_rate: Annotated[PositiveFloat, Doc("learning rate of a trial, of SGD with a momentum of 0.9")] = 0.02
    # with momentum, an update is mostly the doing of the updates before, good or bad
    momentum: Annotated[Share, Doc("of AdamW; above 0, without trials, single samples can hardly be told apart")] = 0.0
    half_life: Annotated[NonNegativeInt, Doc("updates in which the learning rate falls to its half; 0: it stays")] = 0
    seed: Annotated[NonNegativeInt, Doc("of the first weights and of the order of slices")] = 0


class TravellingModel(ABC):
    """A network with its optimizer; ``updates`` counts those that were not undone, and seeds what each draws."""

    def __init__(self, module: nn.Module, options: NetworkOptions, verify_by: str) -> None:
        self.module, self.options, self.updates, self._by = module, options, 0, verify_by
        self._parts = nn.ModuleDict({"network": module})
        betas = options.momentum, 0.999
        self.optimizer = torch.optim.AdamW(module.parameters(), options.learning_rate, betas, weight_decay=1e-4)

    def state(self) -> State:
        tensors = flat_state(self._parts, self.optimizer)
        return {n: t.numpy().copy() for n, t in tensors.items()} | {"updates": np.array([self.updates])}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Become what :meth:`state` gave.

        Raises:
            InputError: it is of another network; this one stays as it is.
        """
        try:
            updates = int(state["updates"].reshape(-1)[0])
            take_flat_state({n: torch.from_numpy(np.array(a)) for n, a in state.items()}, self._parts, self.optimizer)
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise InputError(f"weights of another network ({reason_of(error)})") from error
        self.updates = updates

    def update(self, samples: Sequence[Any], steps: int = 0) -> dict[str, float]:
        """Train on a batch.

        Args:
            samples: what :meth:`look` gave.
            steps: of a trial, by an optimizer of its own; 0: one pass.

        Returns:
            Of a trial, what the model says of the samples before: the highest loss of one.
        """
        rng, optimizer = np.random.default_rng([self.options.seed, self.updates]), self.optimizer
        self.module.train()
        told = {}
        if steps:
            told = {OWN_LOSS: max(self.loss([sample]) for sample in samples)}
            optimizer = torch.optim.SGD(self.module.parameters(), self.options.trial_rate, momentum=0.9)
        elif self.options.half_life:
            for group in optimizer.param_groups:
                group["lr"] = self.options.learning_rate * 0.5 ** (self.updates / self.options.half_life)
        passes = (self._losses(samples, rng) for _ in range(steps or 1))
        for loss in islice(chain.from_iterable(passes), steps or None):
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        self.updates += 1
        return told

    def loss(self, samples: Sequence[Any]) -> float:
        with torch.inference_mode():
            return float(np.mean([float(loss) for loss in self._losses(samples, np.random.default_rng(0))]))

    def errors(self, samples: Sequence[Any]) -> Errors:
        """What is wrong with the model on given samples; NaN when a weight is no number."""
        self.module.eval()
        with torch.inference_mode():
            if not all(bool(p.isfinite().all()) for p in self.module.parameters()):
                return {"weights that are no numbers": float("nan")}
            return {"loss": self.loss(samples)} if self._by == "loss" else self._errors(samples)

    @abstractmethod
    def look(self, subject: Subject, positive: bool | None = None) -> Any:
        """A subject as the network sees it, small enough to keep.

        Raises:
            InputError: there is nothing to see.
        """

    @abstractmethod
    def figures(self, look: Any) -> dict[str, float]:
        """How good the model is on one test sample."""

    @abstractmethod
    def _losses(self, samples: Sequence[Any], rng: np.random.Generator) -> Iterator[torch.Tensor]:
        """The losses of an update, one for each step of the optimizer."""

    @abstractmethod
    def _errors(self, samples: Sequence[Any]) -> Errors: ...


class SegmentationModel(TravellingModel):
    """A segmentation network of :mod:`..segmentation`, trained on slices.

    Args:
        classes: names, the background first.
        verify_by: ``dsc`` (1 minus the mean DSC of the structures), ``structures`` (of each alone) or ``loss``.
    """

    def __init__(self, options: NetworkOptions, classes: Sequence[str], verify_by: str = "dsc") -> None:
        shape = SegmentationOptions(
            size=options.size, pixel_mm=options.pixel_mm, slice_mm=options.slice_mm, widths=options.widths,
            batch_size=options.slices, learning_rate=options.learning_rate, seed=options.seed,
        )  # fmt: skip
        self.network = SegmentationNetwork(shape, classes, seed=options.seed)
        super().__init__(self.network.module, options, verify_by)

    def look(self, subject: Subject, positive: bool | None = None) -> tuple[np.ndarray, ...]:
        """Slices: int16 HU ``[n, S, S]``, uint8 labels ``[n, S, S]``, and which classes are contoured, bool ``[K]``."""
        options, classes = self.options, self.network.classes
        field = Field.on_body(subject.ct, options.size, options.pixel_mm)
        slices = field.training_slices(subject.ct, options.slice_mm)
        if not len(slices):
            raise InputError(f"{subject.name}: shows no body; is the CT in Hounsfield units?")
        table, contoured = np.zeros(int(subject.labels.max()) + 1, np.uint8), np.zeros(len(classes), bool)
        contoured[0] = True
        for value, name in subject.structures.items():
            if name in classes and value < len(table):
                table[value] = classes.index(name)
                contoured[table[value]] = True
        return field.look(subject.ct, slices), field.look_at_labels(table[subject.labels], slices), contoured

    def figures(self, look: tuple[np.ndarray, ...]) -> dict[str, float]:
        """DSC of each structure that is contoured, on the slices looked at."""
        return {name: float(dsc) for name, dsc in self._dice([look]).items() if np.isfinite(dsc)}

    def _losses(self, samples: Sequence[tuple], rng: np.random.Generator) -> Iterator[torch.Tensor]:
        hu, labels, contoured = _together(samples)
        order, size = rng.permutation(len(hu)), self.options.slices
        for start in range(0, len(order), size):
            some = order[start : start + size]
            yield self.network.loss(hu[some, None].float(), labels[some, None].long(), contoured[some])

    def _errors(self, samples: Sequence[tuple]) -> Errors:
        dice = {name: dsc for name, dsc in self._dice(samples).items() if np.isfinite(dsc)}
        if self._by == "structures":
            return {f"1 - DSC of {name}": 1 - float(dsc) for name, dsc in dice.items()}
        return {"1 - DSC": 1 - float(np.mean(list(dice.values())))}

    def _dice(self, samples: Sequence[tuple]) -> dict[str, float]:
        """DSC of each structure over all slices of the samples in which it is contoured; NaN without any."""
        hu, labels, contoured = _together(samples)
        self.module.eval()
        with torch.inference_mode():
            shown = (self.network.logits(part[:, None].float()) for part in hu.split(_AT_ONCE))
            found = torch.cat([logits.argmax(1) for logits in shown])
        dice = {}
        for number, name in enumerate(self.network.classes[1:], start=1):
            rows = contoured[:, number]
            mask, truth = found[rows] == number, labels[rows] == number
            total = int(mask.sum() + truth.sum())
            dice[name] = 2 * int((mask & truth).sum()) / total if total else float("nan")
        return dice


class ClassificationModel(TravellingModel):
    """A small convolutional network that says whether a CT is positive.

    Args:
        verify_by: ``rates`` (false positives and false negatives) or ``loss``.
        published: the rates with exchanged denominators, as published.
    """

    def __init__(self, options: NetworkOptions, verify_by: str = "rates", published: bool = False) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(options.seed)
            module = _classifier(options.dimensions, options.widths)
        super().__init__(module, options, verify_by)
        self._published = published

    def look(self, subject: Subject, positive: bool | None = None) -> tuple[torch.Tensor, bool]:
        """The CT in two windows, float32 ``[2, S, S, S]`` or ``[2, S, S]`` in -1..1, and whether it is positive."""
        seen = windowed(torch.from_numpy(np.ascontiguousarray(subject.ct.hu, np.float32))[None], 3)
        mode = "trilinear"
        if self.options.dimensions == 2:
            seen, mode = seen.amax(2), "bilinear"
        sides = (self.options.size,) * self.options.dimensions
        return functional.interpolate(seen, sides, mode=mode)[0], bool(positive)

    def figures(self, look: tuple[torch.Tensor, bool]) -> dict[str, float]:
        """The probability of being positive, and the truth."""
        return {"probability": float(self._probabilities([look])[0]), "positive": float(look[1])}

    def _losses(self, samples: Sequence[tuple], rng: np.random.Generator) -> Iterator[torch.Tensor]:
        logits = self.module(torch.stack([volume for volume, _ in samples]))[:, 0]
        yield functional.binary_cross_entropy_with_logits(logits, torch.tensor([float(p) for _, p in samples]))

    def _probabilities(self, samples: Sequence[tuple]) -> torch.Tensor:
        self.module.eval()
        with torch.inference_mode():
            parts = [samples[n : n + _AT_ONCE] for n in range(0, len(samples), _AT_ONCE)]
            return torch.cat([self.module(torch.stack([v for v, _ in p]))[:, 0].sigmoid() for p in parts])

    def _errors(self, samples: Sequence[tuple]) -> Errors:
        truth = np.array([positive for _, positive in samples])
        return classification_errors(self._probabilities(samples).numpy() > 0.5, truth, self._published)


def _classifier(dimensions: int, widths: Sequence[int]) -> nn.Module:
    """Levels as in the published network (SFCN), each half as fine as the one before: convolution, norm, pooling, ReLU.

    Its norm is over groups of channels, not over the batch, because updates are made on single samples, too; and the
    highest activation counts, not the mean, because lesions are small.
    """
    convolution, pooling = (nn.Conv2d, nn.Conv3d)[dimensions - 2], (nn.MaxPool2d, nn.MaxPool3d)[dimensions - 2]
    layers: list[nn.Module] = []
    for before, width in pairwise((len(WINDOWS_HU), *widths)):
        layers += [convolution(before, width, 3, padding=1), nn.GroupNorm(gcd(4, width), width), pooling(2), nn.ReLU()]
    highest = (nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d)[dimensions - 2](1)
    return nn.Sequential(*layers, highest, nn.Flatten(), nn.Linear(widths[-1], 1))


def _together(samples: Sequence[tuple]) -> tuple[torch.Tensor, ...]:
    """The slices of all samples: HU, labels, and the contoured classes of each slice."""
    hu, labels = (torch.from_numpy(np.concatenate([sample[n] for sample in samples])) for n in range(2))
    return hu, labels, torch.from_numpy(np.concatenate([np.repeat(c[None], len(h), 0) for h, _, c in samples]))
