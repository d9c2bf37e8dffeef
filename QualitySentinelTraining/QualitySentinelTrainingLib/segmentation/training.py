"""Training segmentation networks, out-of-fold or on everybody; what was done before a stop is not done again.

Layout of an out-of-fold run's folder::

    folds.json                               who is in which fold, which network saw whom, the options
    networks/fold_0/epoch_0010.safetensors   the network that predicts fold 0 (it never saw it), with its optimizer
    probabilities/labels.json                {"labels": {"background": 0, "brainstem": 1, ...}}
    probabilities/pt_1.npz                   class probabilities on the grid of the CT, as nnU-Net writes them
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from QualitySentinelLib.datasets import fold_of
from QualitySentinelLib.errors import InputError, ModelError, QualitySentinelError, UsageError, reason_of
from QualitySentinelLib.files import check_writable, write_whole

from ..subjects import Subject, SubjectSource, check_names
from .field import Field
from .network import SegmentationNetwork
from .options import SegmentationOptions
from .probabilities import PROBABILITIES_SUFFIX, write_names, write_probabilities

Say = Callable[[str], None]


def out_of_fold(
    sources: Sequence[SubjectSource], out: Path, options: SegmentationOptions | None = None,
    only_folds: Sequence[int] | None = None, device: str = "auto", say: Say = print,
) -> dict[str, Path]:  # fmt: skip
    """Class probabilities of every subject by a network that never saw its person; see the module's description.

    Args:
        sources: the subjects.
        out: folder of the run.
        options: the networks of the last of their ``epochs`` predict.
        only_folds: numbers of the folds to do; all by default.
        device: ``cpu``, ``cuda`` or ``auto``.
        say: told of each fold, and of subjects that cannot be read: those are left out.

    Returns:
        The file of each subject of these folds, by name; ``read_probabilities`` reads it.

    Raises:
        UsageError, ModelError, InputError: as :func:`folds_of_run` and :class:`Training` do.
    """
    options, folder = options or SegmentationOptions(), out / "probabilities"
    written = {}
    for training in folds_of_run(sources, out, options, only_folds, device, say):
        done = {s.name: folder / f"{s.name}{PROBABILITIES_SUFFIX}" for s in training.unseen}
        if todo := [source for source in training.unseen if not done[source.name].is_file()]:
            *_, (_, network) = training.stages(options.epochs[-1:])
            write_names(folder, network.classes)
            for source in todo:
                if source.name in training.readable:
                    ct = source.read().ct
                    write_probabilities(done[source.name], network.predict_probabilities(ct), ct.frame)
            say(f"{training.name}: probabilities of {len(todo)} subjects written")
        written |= {name: path for name, path in done.items() if path.is_file()}
    return written


def train(
    sources: Sequence[SubjectSource], out: Path, options: SegmentationOptions | None = None, device: str = "auto",
    say: Say = print,
) -> SegmentationNetwork:  # fmt: skip
    """One network, trained on everybody; ``out`` keeps it at each number of epochs.

    Raises:
        UsageError, ModelError, InputError: as :class:`Training` does.
    """
    options = options or SegmentationOptions()
    check_writable(out)
    *_, (_, network) = Training(sources, (), out, options, _device(device), say).stages(options.epochs)
    return network


def folds_of_run(
    sources: Sequence[SubjectSource], out: Path, options: SegmentationOptions, only_folds: Sequence[int] | None,
    device: str, say: Say,
) -> Iterator[Training]:  # fmt: skip
    """The trainings of an out-of-fold run, one per fold; nothing is trained yet.

    Several processes may share ``out`` when each has folds of its own.

    Raises:
        UsageError: two subjects share a name, there are fewer persons than folds, there is no such fold, or ``out`` was
            made from other subjects or with other options.
        ModelError: there is no such device.
        InputError: ``out`` cannot be written.
    """
    check_writable(out)
    check_names(sources)
    device = _device(device)
    for fold in only_folds or ():
        if not 0 <= fold < options.folds:
            raise UsageError(f"--fold {fold}: give 0 to {options.folds - 1}")
    folds = _agreed_folds(out / "folds.json", _plan(sources, person_folds(sources, options.folds), options))
    for fold in range(options.folds) if only_folds is None else only_folds:
        seen = [source for source in sources if folds[source.name] != fold]
        unseen = [source for source in sources if folds[source.name] == fold]
        yield Training(seen, unseen, out / "networks" / f"fold_{fold}", options, device, say, fold)


def person_folds(sources: Sequence[SubjectSource], count: int) -> dict[str, int]:
    """Fold 0..count-1 of each subject by name; those of one person share it. The order given does not matter.

    Raises:
        UsageError: fewer persons than folds.
    """
    # one row of persons, whatever their sources: else a fold could stay empty when each source has few of them
    fold = fold_of({source.person: "" for source in sources}, count)
    if len(fold) < count:
        raise UsageError(f"{count} folds need as many patients; only {len(fold)} are available")
    return {source.name: fold[source.person] for source in sources}


def stage_name(epochs: int) -> str:
    """Name of what belongs to a network after so many epochs."""
    return f"epoch_{epochs:04d}"


class Training:
    """One network: trained on some subjects, to be asked about others.

    Args:
        seen: whom it is trained on.
        unseen: whom it is asked about; their structures are classes too.
        folder: keeps the network at each stage.
        options: of the network.
        device: ``cpu`` or ``cuda``.
        say: told of what cannot be used.
        fold: number of the network; its weights and batches are drawn from it and the seed.

    Attributes:
        readable: names of the subjects that could be read; filled by :meth:`stages`.

    Raises:
        InputError: nobody can be read, or nothing is there to learn (by :meth:`stages`).
        UsageError: a subject is of another person than its source says, or the folder holds another network.
    """

    def __init__(
        self, seen: Sequence[SubjectSource], unseen: Sequence[SubjectSource], folder: Path,
        options: SegmentationOptions, device: str, say: Say, fold: int = 0,
    ) -> None:  # fmt: skip
        assert not {s.person for s in seen} & {s.person for s in unseen}
        self.seen, self.unseen, self.folder, self.fold = list(seen), list(unseen), folder, fold
        self.options, self.device, self.say, self.readable = options, device, say, set()

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.folder.name.replace("_", " ")

    def stages(self, wanted: Sequence[int]) -> Iterator[tuple[int, SegmentationNetwork]]:
        """The network after each number of epochs wanted, ascending; what is in the folder is not trained again."""
        classes = self._prepare()
        network, optimizer, done = self._latest(wanted[0], classes)
        for stage in sorted({*wanted, *(epochs for epochs in self.options.epochs if done < epochs < wanted[-1])}):
            for epoch in range(done, stage):
                self._train_epoch(network, optimizer, epoch)
            if done < stage:
                network.save(self.folder / f"{stage_name(stage)}.safetensors", optimizer)
                done = stage
            if stage in wanted:
                yield stage, network

    def _prepare(self) -> tuple[str, ...]:
        """Load everybody once: which classes there are, and the slices to train on (kept in memory)."""
        parts, held = [], []
        for source in [*self.seen, *self.unseen]:
            try:
                subject = source.read()
            except QualitySentinelError as error:
                self.say(f"{error}; {source.name} is left out")
                continue
            if subject.person != source.person:
                raise UsageError(
                    f"subject {source.name} is of person {subject.person}, but its source says {source.person}; "
                    "folds never split a person"
                )
            self.readable.add(source.name)
            held.append(set(subject.structures.values()))
            if source in self.seen:
                parts.append((self._training_slices(subject), subject.structures))
        for sources in (self.seen, self.unseen):
            if sources and not any(source.name in self.readable for source in sources):
                raise InputError(f"{self.folder}: no subject to train on or predict can be read; check the data")
        structures = sorted(set().union(*held))
        if not structures:
            raise InputError("the subjects have no segment that is a known structure; give --names")
        if len(structures) > 254:
            raise InputError(f"{len(structures)} structures in the data; a label map holds 1 to 254")
        number = {name: value for value, name in enumerate(structures, start=1)}
        hu, labels, contoured = [], [], []
        for (slices_hu, slices_labels), names in parts:
            table = np.zeros(256, np.uint8)
            has = np.zeros(len(number) + 1, bool)
            has[0] = True
            for value, name in names.items():
                table[value] = number[name]
                has[number[name]] = True
            hu.append(slices_hu)
            labels.append(table[slices_labels])
            contoured.append(np.repeat(has[None], len(slices_hu), axis=0))
        self.hu, self.labels = np.concatenate(hu), np.concatenate(labels)
        self.contoured = np.concatenate(contoured)
        self.stacks = self._stacks([len(part) for part in hu])
        if not len(self.hu):
            raise InputError("no training CT shows a body; are the CTs in Hounsfield units?")
        return ("background", *structures)

    def _training_slices(self, subject: Subject) -> tuple[np.ndarray, np.ndarray]:
        field = Field.on_body(subject.ct, self.options.size, self.options.pixel_mm)
        slices = field.training_slices(subject.ct, self.options.slice_mm)
        return field.look(subject.ct, slices), field.look_at_labels(subject.labels, slices)

    def _stacks(self, lengths: Sequence[int]) -> np.ndarray:
        """Rows of the slices of each item to train on, ``[items, D]``: in 3D a stack around each slice of its CT."""
        rows, depth = [], 1 if self.options.dimensions == 2 else self.options.depth
        start = 0
        for length in lengths:
            first = np.clip(np.arange(length) - depth // 2, 0, max(0, length - depth))
            rows.append(start + np.minimum(first[:, None] + np.arange(depth), length - 1))  # a low CT's end is repeated
            start += length
        return np.concatenate(rows)

    def _latest(
        self, before: int, classes: tuple[str, ...]
    ) -> tuple[SegmentationNetwork, torch.optim.Optimizer, int]:
        """The network of the last stage up to ``before`` whose file is whole, or a new one; and its epochs."""
        for stage in sorted((s for s in self.options.epochs if s <= before), reverse=True):
            path = self.folder / f"{stage_name(stage)}.safetensors"
            if path.is_file():
                network, optimizer = self._new(classes)
                try:
                    network.load_state(path, optimizer)
                except Exception as error:  # safetensors and torch raise many kinds for a damaged file
                    self.say(f"{path}: cannot be used ({type(error).__name__}); its stage is trained again")
                    continue
                return network, optimizer, stage
        return *self._new(classes), 0

    def _new(self, classes: tuple[str, ...]) -> tuple[SegmentationNetwork, torch.optim.Optimizer]:
        learned, options = self.contoured.any(axis=0), self.options
        network = SegmentationNetwork(options, classes, learned, options.seed + self.fold, self.device)
        return network, torch.optim.AdamW(network.module.parameters(), lr=options.learning_rate, weight_decay=1e-4)

    def _train_epoch(self, network: SegmentationNetwork, optimizer: torch.optim.Optimizer, epoch: int) -> None:
        options = self.options
        rng = np.random.default_rng([options.seed, self.fold, epoch])  # so a resumed run does what the other had done
        weight = 1.0 + self.labels.reshape(len(self.labels), -1).any(axis=1)
        chosen = rng.choice(len(weight), (options.steps, options.batch_size), p=weight / weight.sum())
        for index in chosen:
            rows = self.stacks[index]
            hu = torch.from_numpy(self.hu[rows]).to(self.device, torch.float32)
            labels = torch.from_numpy(self.labels[rows]).to(self.device, torch.float32)
            hu, labels = _augmented(hu, labels, rng)
            contoured = torch.from_numpy(self.contoured[index]).to(self.device)
            loss = network.loss(hu, labels.long(), contoured)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()


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


def _device(name: str) -> str:
    """The device to train on, before any work is done.

    Raises:
        ModelError: there is none of that name.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # without CUDA torch raises AssertionError
        raise ModelError(f"--device {name}: is not available ({reason_of(error)}); give cpu, cuda or auto") from error
    return name


def _plan(sources: Sequence[SubjectSource], folds: dict[str, int], options: SegmentationOptions) -> dict:
    """What ``folds.json`` says; plain JSON."""
    return {
        "options": options.shaping(),
        "fold_of": dict(sorted(folds.items())),
        "person_of": {s.name: s.person for s in sorted(sources, key=lambda s: s.name)},
        "trained_on": {
            str(fold): sorted(name for name, other in folds.items() if other != fold) for fold in range(options.folds)
        },
    }


def _agreed_folds(path: Path, plan: dict) -> dict[str, int]:
    """Fold of each subject: as the file says where there is one, else as planned; the file is written then."""
    if not path.is_file():
        write_whole(path, json.dumps(plan, indent=1))
        return plan["fold_of"]
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
        before["options"] = SegmentationOptions().shaping() | before["options"]  # of a version that had fewer
        for key in ("options", "person_of"):
            if before[key] != plan[key]:
                raise UsageError(f"{path}: made with other {_what_differs(key, before, plan)}; give another --out")
        return {name: int(before["fold_of"][name]) for name in plan["fold_of"]}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: is damaged; give another output folder") from error


def _what_differs(key: str, before: dict, plan: dict) -> str:
    """The options that differ, with their values then; or the first subject that differs."""
    then, now = before[key], plan[key]
    others = sorted(name for name in then.keys() | now.keys() if then.get(name) != now.get(name))
    if key == "options":
        return "options (" + ", ".join(f"{name} {then.get(name)}" for name in others) + ")"
    return f"subjects or persons ({others[0]}" + (f" and {len(others) - 1} more)" if others[1:] else ")")
