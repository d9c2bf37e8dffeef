"""Training a segmentation network, on some subjects; what was trained before a stop is not trained again.

``FOLDER/epoch_0010.safetensors`` is the network after 10 epochs, with its optimizer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional
from tqdm import tqdm

from QualitySentinelLib.errors import InputError, ModelError, QualitySentinelError, reason_of
from QualitySentinelLib.files import check_writable

from ..subjects import Subject, SubjectSource
from .field import Field
from .network import SegmentationNetwork
from .options import SegmentationOptions

Say = Callable[[str], None]


def train(
    sources: Sequence[SubjectSource], out: Path, options: SegmentationOptions | None = None, device: str = "auto",
    say: Say = print,
) -> SegmentationNetwork:  # fmt: skip
    """One network, trained on everybody; ``out`` keeps it at each number of epochs.

    Raises:
        ModelError, InputError: as :class:`Training` does; there is no such device, or ``out`` cannot be written.
    """
    options = options or SegmentationOptions()
    check_writable(out)
    return Training(sources, (), out, options, usable_device(device), say).up_to(options.epochs[-1])


def stage_name(epochs: int) -> str:
    """Name of what belongs to a network after so many epochs."""
    return f"epoch_{epochs:04d}"


class Training:
    """One network: trained on the subjects ``seen``, to be asked about those ``unseen``: their structures are classes.

    Args:
        folder: keeps the network at each stage.
        say: told of what cannot be used.
        fold: number of the network; its weights and batches are drawn from it and the seed.

    Raises:
        InputError: nobody can be read, a subject is of another patient than its source says, or nothing is there to
            learn (by :meth:`up_to`).
    """

    def __init__(
        self, seen: Sequence[SubjectSource], unseen: Sequence[SubjectSource], folder: Path,
        options: SegmentationOptions, device: str, say: Say, fold: int = 0,
    ) -> None:  # fmt: skip
        assert not {s.patient for s in seen} & {s.patient for s in unseen}
        self.seen, self.unseen, self.folder, self.fold = list(seen), list(unseen), folder, fold
        self.options, self.device, self.say = options, device, say
        self.classes: tuple[str, ...] = ()

    def file(self, epochs: int) -> Path:
        """Where the network lies after so many epochs."""
        return self.folder / f"{stage_name(epochs)}.safetensors"

    def up_to(self, epochs: int) -> SegmentationNetwork:
        """The network after so many epochs, one of the options'; it is kept after each of those on the way."""
        stages = [stage for stage in self.options.epochs if stage <= epochs]
        network, done = self._latest(stages)
        if done == epochs:
            return network
        self.classes = self.classes or self._prepare()
        if network is not None:
            network.learned |= self.contoured.any(axis=0) if network.classes == self.classes else False
        if network is None or network.classes != self.classes:  # a subject could not be read then
            learned, seed, done = np.any(self.contoured, axis=0), self.options.seed + self.fold, 0
            network = SegmentationNetwork(self.options, self.classes, learned, seed, self.device)
        if self.doubted.any():
            network.doubt()
        optimizer = torch.optim.AdamW(network.parts.parameters(), lr=self.options.learning_rate, weight_decay=1e-4)
        if done:
            network.load_state(self.file(done), optimizer)
        steps, name = self.options.steps * (epochs - done), f"{self.folder.name}: epochs to {epochs}"
        with tqdm(total=steps, desc=name, unit="step", disable=None) as bar:
            for epoch in range(done, epochs):
                self._train_epoch(network, optimizer, epoch, bar)
                if epoch + 1 in stages:
                    network.save(self.file(epoch + 1), optimizer)
        return network

    def _prepare(self) -> tuple[str, ...]:
        """Load everybody once: which classes there are, and the slices to train on (kept in memory)."""
        parts, held, lost = [], [], []
        readable = set()
        for source in [*self.seen, *self.unseen]:
            try:
                subject = source.read()
            except QualitySentinelError as error:
                self.say(f"{error}; {source.name} is left out")
                lost.append(error)
                continue
            if subject.patient != source.patient:
                raise InputError(
                    f"subject {source.name} is of patient {subject.patient}, but its source says {source.patient}; "
                    "folds never split a patient"
                )
            readable.add(source.name)
            held.append(set(subject.structures.values()))
            if source in self.seen:
                parts.append((*self._training_slices(subject), subject.structures, subject.trust, subject.doubted))
        for sources in (self.seen, self.unseen):
            if sources and not any(source.name in readable for source in sources):
                raise InputError(f"no subject to train on, or none to predict, can be read: {lost[0]}")
        structures = sorted(set().union(*held))
        if not structures:
            raise InputError("the subjects have no segment that is a known structure; give --names")
        if len(structures) > 254:
            raise InputError(f"{len(structures)} structures in the data; a label map holds 1 to 254")
        number = {name: value for value, name in enumerate(structures, start=1)}
        rows = []
        for slices, hu, labels, corrected, share, names, trust, doubt in parts:
            table = np.zeros(256, np.uint8)
            has = np.zeros((len(slices), len(number) + 1), np.float32)
            has[:, 0] = 1.0
            for value, name in names.items():
                table[value] = number[name]
                has[:, number[name]] = trust[value][slices] if value in trust else 1.0
            softness, doubted = np.full(len(slices), share), np.full(len(slices), doubt)
            rows.append((hu, table[labels], table[corrected], softness, doubted, has))
        self.hu, self.labels, corrected, self.softness, self.doubted, self.contoured = map(
            np.concatenate, zip(*rows, strict=True)
        )
        self.corrected = corrected if self.softness.any() else self.labels
        self.stacks = self._stacks([len(hu) for hu, *_ in rows])
        if not len(self.hu):
            raise InputError("no training CT shows a body; are the CTs in Hounsfield units?")
        if not self.contoured[:, 1:].any():
            raise InputError(f"{self.folder}: no label is trusted, so there is nothing to learn; trust more of them")
        return ("background", *structures)

    def _training_slices(self, subject: Subject) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, float]:
        field = Field.on_body(subject.ct, self.options.size, self.options.pixel_mm)
        slices = field.training_slices(subject.ct, self.options.slice_mm)
        labels, (other, share) = field.look_at_labels(subject.labels, slices), subject.corrected or (None, 0.0)
        corrected = labels if other is None else field.look_at_labels(other, slices)
        return slices, field.look(subject.ct, slices), labels, corrected, share

    def _stacks(self, lengths: Sequence[int]) -> np.ndarray:
        """Rows of the slices of each item to train on, ``[items, D]``: in 3D a stack around each slice of its CT."""
        rows, depth = [], 1 if self.options.dimensions == 2 else self.options.depth
        start = 0
        for length in lengths:
            first = np.clip(np.arange(length) - depth // 2, 0, max(0, length - depth))
            rows.append(start + np.minimum(first[:, None] + np.arange(depth), length - 1))  # a low CT's end is repeated
            start += length
        return np.concatenate(rows)

    def _latest(self, stages: Sequence[int]) -> tuple[SegmentationNetwork | None, int]:
        """The network of the last of these stages whose file is whole, and its epochs."""
        for stage in reversed(stages):
            if self.file(stage).is_file():
                try:
                    return SegmentationNetwork.load(self.file(stage), self.device), stage
                except InputError as error:
                    self.say(f"{error} (done now)")
        return None, 0

    def _train_epoch(
        self, network: SegmentationNetwork, optimizer: torch.optim.Optimizer, epoch: int, bar: tqdm
    ) -> None:
        options = self.options
        seed = [options.seed, self.fold, epoch]  # so a resumed run does what the other had done, dropout included
        rng = np.random.default_rng(seed)
        torch.manual_seed(int(np.random.SeedSequence(seed).generate_state(1)[0]))
        weight = 1.0 + np.any(self.labels.reshape(len(self.labels), -1), axis=1)
        weight *= self.contoured[:, 1:].any(axis=1)
        chosen = rng.choice(len(weight), (options.steps, options.batch_size), p=weight / weight.sum())
        for index in chosen:
            rows = self.stacks[index]
            hu = torch.from_numpy(self.hu[rows]).to(self.device, torch.float32)
            labels = self.labels[rows]
            if self.corrected is not self.labels:
                instead = self.softness[index] > rng.random(len(index))
                labels[instead] = self.corrected[rows[instead]]
            labels = torch.from_numpy(labels).to(self.device, torch.float32)
            hu, labels = _augmented(hu, labels, rng)
            contoured = torch.from_numpy(_drawn(self.contoured[rows].min(axis=1), rng)).to(self.device)
            labels = labels.long()
            labels *= contoured.gather(1, labels.flatten(1)).view(labels.shape)
            loss = network.loss(hu, labels, contoured, torch.from_numpy(self.doubted[index]).to(self.device))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            bar.update()


def _drawn(trust: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Which labels count this time, bool ``[n, K]``: each as often as it is trusted. Nothing is drawn without doubt."""
    certain = (trust == 0) | (trust == 1)
    return trust > 0 if certain.all() else trust > rng.random(trust.shape)


def _augmented(hu: torch.Tensor, labels: torch.Tensor, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Turned, scaled and moved a little, the slices of a stack alike; and other HU. No flips: left must stay left."""
    number = len(hu)
    angle, scale = rng.normal(0, np.radians(6), number), rng.normal(1, 0.08, number).clip(0.7, 1.3)
    shift = rng.normal(0, 0.05, (number, 2))
    theta = np.zeros((number, 2, 3), np.float32)
    theta[:, 0, 0] = theta[:, 1, 1] = scale * np.cos(angle)
    theta[:, 1, 0] = scale * np.sin(angle)
    theta[:, 0, 1] = -theta[:, 1, 0]
    theta[:, :, 2] = shift
    grid = functional.affine_grid(torch.from_numpy(theta).to(hu), list(hu.shape), align_corners=False)
    moved = functional.grid_sample(hu, grid, padding_mode="border", align_corners=False)
    labels = functional.grid_sample(labels, grid, mode="nearest", align_corners=False)
    gain, offset = rng.normal(1, 0.05, number), rng.normal(0, 15, number)
    gain, offset = (torch.from_numpy(v).to(hu)[:, None, None, None] for v in (gain, offset))
    return moved * gain + offset, labels


def usable_device(name: str) -> str:
    """The device to train on, before any work is done. Raises ``ModelError``: there is none of that name."""
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # without CUDA torch raises AssertionError
        raise ModelError(f"--device {name}: is not available ({reason_of(error)}); give cpu, cuda or auto") from error
    return name
