"""Training the error makers, fold by fold, and writing what they predict at growing numbers of epochs.

Layout of the output folder::

    folds.json                        who is in which fold, which network saw whom, the options
    epoch_0010/labels.json            {"labels": {"background": 0, "brainstem": 1, ...}}
    epoch_0010/pt_1.nii.gz            label map on the grid of the subject's CT
    networks/fold_0/epoch_0010.safetensors   the network that predicts fold 0 (it never saw it), with its optimizer
    networks/fold_0/epoch_0010.csv    volumetric DSC of each structure; written last: this stage is complete
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from math import inf
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional

from QualitySentinelLib.errors import InputError, ModelError, QualitySentinelError, UsageError, reason_of
from QualitySentinelLib.files import check_writable, write_whole
from QualitySentinelLib.volume import AxialFrame, CtVolume

from ..data_sets import SubjectSource, check_names
from ..dice import volume_dice
from ..folds import fold_of
from ..subjects import Subject
from .field import Field
from .loss import partial_label_loss

PAPER_EPOCHS = (10, 20, 30, 40, 50, 100, 200, 300, 400, 500)
"""The training stages of the published data set."""

WINDOWS_HU = ((-160.0, 240.0), (-1000.0, 1000.0))
"""Input channels of the networks: soft tissue, and everything."""

_DICE_COLUMNS = ["subject", "structure", "dsc"]


@dataclass(frozen=True)
class SegmenterOptions:
    """What shapes the error makers.

    Attributes:
        epochs: numbers of epochs after which predictions are written, growing.
        folds: networks trained; each predicts the subjects of one fold, having seen those of the others.
        size: pixels on a side of the square field of view.
        pixel_mm: size of its pixels.
        slice_mm: distance between the slices trained on, about; all slices are predicted.
        steps: batches in an epoch.
        batch_size: slices in a batch.
        learning_rate: of AdamW, constant, so that more epochs can be added later.
        widths: channels of the levels of the U-Net, each half as fine as the one before.
        seed: of folds, weights, order and augmentation.
    """

    epochs: tuple[int, ...] = PAPER_EPOCHS
    folds: int = 2
    size: int = 128
    pixel_mm: float = 4.0
    slice_mm: float = 7.5
    steps: int = 250
    batch_size: int = 16
    learning_rate: float = 2e-3
    widths: tuple[int, ...] = (16, 32, 64, 128)
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.epochs or list(self.epochs) != sorted(set(self.epochs)) or self.epochs[0] < 1:
            raise UsageError(f"epochs {list(self.epochs)}: give growing numbers from 1 on, each once")
        if self.folds < 2:
            raise UsageError(f"{self.folds} folds: give 2 or more; no network may predict a subject that it saw")
        least = {"steps": 1, "batch_size": 1, "seed": 0}
        for name, bound in least.items():
            if getattr(self, name) < bound:
                raise UsageError(f"--{name} {getattr(self, name)}: give {bound} or more")
        for name in ("pixel_mm", "slice_mm", "learning_rate"):
            if not 0.0 < getattr(self, name) < inf:
                raise UsageError(f"--{name.replace('_', '-')} {getattr(self, name)}: give a number above 0")
        halved = 2 ** (len(self.widths) - 1)
        if self.size < halved or self.size % halved:
            raise UsageError(f"--size {self.size}: give a multiple of {halved}; the networks halve it as often")


@dataclass(frozen=True)
class StageDice:
    """Volumetric DSC of one structure of one subject, predicted after ``epochs`` by a network that never saw it."""

    epochs: int
    subject: str
    structure: str
    dsc: float


def train_segmenters(
    sources: Sequence[SubjectSource],
    out: Path,
    options: SegmenterOptions | None = None,
    only_folds: Sequence[int] | None = None,
    device: str = "auto",
    say: Callable[[str], None] = print,
) -> list[StageDice]:
    """Train one network per fold, and write its predictions of that fold's subjects at each number of epochs.

    What is complete in ``out`` is not done again; after a kill, training goes on from the last stage. Several
    processes may share ``out`` when each has folds of its own.

    Args:
        sources: the subjects.
        out: see the module's description.
        only_folds: numbers of the folds to train; all by default.
        device: ``cpu``, ``cuda`` or ``auto``.
        say: told of each stage, and of subjects that cannot be read: those are left out.

    Returns:
        The measured DSC of the folds trained, structures that the reference holds only.

    Raises:
        UsageError: two subjects share a name, there are fewer persons than folds, there is no such fold, or ``out`` was
            made from other subjects or with other options.
        ModelError: there is no such device.
        InputError: no subject can be read, or ``out`` cannot be written.
    """
    options = options or SegmenterOptions()
    check_writable(out)
    check_names(sources)
    device = _device(device)
    for fold in only_folds or ():
        if not 0 <= fold < options.folds:
            raise UsageError(f"--fold {fold}: there are folds 0 to {options.folds - 1}")
    folds = _agreed_folds(out / "folds.json", _plan(sources, person_folds(sources, options.folds), options))
    results = []
    for fold in range(options.folds) if only_folds is None else only_folds:
        results += _Fold(sources, folds, fold, out, options, device, say).run()
    return results


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
        raise ModelError(f"--device {name}: cannot be had ({reason_of(error)}); give cpu, cuda or auto") from error
    return name


def person_folds(sources: Sequence[SubjectSource], count: int) -> dict[str, int]:
    """Fold 0..count-1 of each subject by name; those of one person share it. The order given does not matter.

    Raises:
        UsageError: fewer persons than folds.
    """
    # one row of persons, whatever their sources: else a fold could stay empty when each source has few of them
    fold = fold_of({source.person: "" for source in sources}, count)
    if len(fold) < count:
        raise UsageError(f"{count} folds need as many persons; there are {len(fold)}")
    return {source.name: fold[source.person] for source in sources}


def stage_folder(epochs: int) -> str:
    """Name of the folder of predictions after so many epochs."""
    return f"epoch_{epochs:04d}"


def write_label_map(path: Path, labels: np.ndarray, frame: AxialFrame) -> None:
    """Write a label map ``[k, j, i]`` (canonical frame) as NIfTI on the grid of the CT's file, whole.

    Raises:
        InputError: the file cannot be written.
    """
    import nibabel

    voxels = np.ascontiguousarray(frame.to_file(labels).transpose())
    image = nibabel.Nifti1Image(voxels, frame.file_ijk_to_ras)
    write_whole(path, lambda temporary: nibabel.save(image, temporary))


def _plan(sources: Sequence[SubjectSource], folds: dict[str, int], options: SegmenterOptions) -> dict:
    """What ``folds.json`` says; plain JSON."""
    shaping = json.loads(json.dumps(asdict(options)))
    shaping.pop("epochs")  # stages may be added later
    return {
        "options": shaping,
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


class _Fold:
    """One network: trained on all folds but its own, then asked about its own."""

    def __init__(self, sources, folds, fold, out, options: SegmenterOptions, device, say) -> None:
        self.fold, self.out, self.options, self.device, self.say = fold, out, options, device, say
        self.folder = out / "networks" / f"fold_{fold}"
        self.seen = [s for s in sources if folds[s.name] != fold]
        self.unseen = [s for s in sources if folds[s.name] == fold]
        assert not {s.person for s in self.seen} & {s.person for s in self.unseen}

    def run(self) -> list[StageDice]:
        """Do what is not done yet; the DSC of all stages."""
        todo = [stage for stage in self.options.epochs if not self._is_complete(stage)]
        if todo:
            self._prepare()
            network, optimizer, done = self._latest(todo[0])
            for stage in todo:
                for epoch in range(done, stage):
                    self._train_epoch(network, optimizer, epoch)
                if done < stage:
                    _save(self._network_file(stage), network, optimizer)
                    done = stage
                self._predict_all(network, stage)
        return [row for stage in self.options.epochs for row in self._read_dice(stage)]

    def _network_file(self, stage: int) -> Path:
        return self.folder / f"{stage_folder(stage)}.safetensors"

    def _dice_file(self, stage: int) -> Path:
        return self.folder / f"{stage_folder(stage)}.csv"

    def _is_complete(self, stage: int) -> bool:
        if not self._dice_file(stage).is_file():
            return False
        try:
            predicted = {row.subject for row in self._read_dice(stage)}
        except InputError as error:
            self.say(f"{error} (done now)")
            return False
        return all((self.out / stage_folder(stage) / f"{name}.nii.gz").is_file() for name in predicted)

    def _prepare(self) -> None:
        """Load everybody once: which structures there are, and the slices to train on (kept in memory)."""
        parts, held = [], []
        readable = set()
        self.structures: list[str] = []
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
            readable.add(source.name)
            held.append(set(subject.structures.values()))
            if source in self.seen:
                parts.append((self._training_slices(subject), subject.structures))
        self.seen = [s for s in self.seen if s.name in readable]
        self.unseen = [s for s in self.unseen if s.name in readable]
        if not self.seen or not self.unseen:
            raise InputError(f"{self.out}: fold {self.fold} has nobody to train on or to predict; check the data")
        self.structures = sorted(set().union(*held))
        if not self.structures:
            raise InputError("the subjects have no segment that is a known structure; give --names")
        if len(self.structures) > 254:
            raise InputError(f"{len(self.structures)} structures in the data; a label map holds 1 to 254")
        number = {name: value for value, name in enumerate(self.structures, start=1)}
        hu, labels, contoured = [], [], []
        for (slices_hu, slices_labels), structures in parts:
            table = np.zeros(256, np.uint8)
            has = np.zeros(len(number) + 1, bool)
            has[0] = True
            for value, name in structures.items():
                table[value] = number[name]
                has[number[name]] = True
            hu.append(slices_hu)
            labels.append(table[slices_labels])
            contoured.append(np.repeat(has[None], len(slices_hu), axis=0))
        self.hu, self.labels = np.concatenate(hu), np.concatenate(labels)
        self.contoured = np.concatenate(contoured)
        self.learned = self.contoured.any(axis=0)
        if not len(self.hu):
            raise InputError("no slice of the CTs to train on shows a body; are they in Hounsfield units?")

    def _training_slices(self, subject: Subject) -> tuple[np.ndarray, np.ndarray]:
        field = Field.on_body(subject.ct, self.options.size, self.options.pixel_mm)
        step = max(1, round(self.options.slice_mm / subject.ct.frame.spacing[0]))
        slices = field.slices[::step]
        return field.look(subject.ct, slices), field.look_at_labels(subject.labels, slices)

    def _latest(self, before: int) -> tuple[nn.Module, torch.optim.Optimizer, int]:
        """The network of the last stage up to ``before`` whose file is whole, or a new one; and its epochs."""
        for stage in sorted((s for s in self.options.epochs if s <= before), reverse=True):
            path = self._network_file(stage)
            if path.is_file():
                network, optimizer = self._new()
                try:
                    _load(path, network, optimizer)
                except Exception as error:  # safetensors and torch raise many kinds for a damaged file
                    self.say(f"{path}: cannot be used ({type(error).__name__}); its stage is trained again")
                    continue
                return network, optimizer, stage
        return *self._new(), 0

    def _new(self) -> tuple[nn.Module, torch.optim.Optimizer]:
        network = new_segmenter(len(self.structures), self.options.widths, seed=self.options.seed + self.fold)
        network.to(self.device)
        return network, torch.optim.AdamW(network.parameters(), lr=self.options.learning_rate, weight_decay=1e-4)

    def _train_epoch(self, network: nn.Module, optimizer: torch.optim.Optimizer, epoch: int) -> None:
        options = self.options
        rng = np.random.default_rng([options.seed, self.fold, epoch])  # so a resumed run does what the other had done
        weight = 1.0 + self.labels.reshape(len(self.labels), -1).any(axis=1)
        chosen = rng.choice(len(weight), (options.steps, options.batch_size), p=weight / weight.sum())
        network.train()
        for index in chosen:
            hu = torch.from_numpy(self.hu[index]).to(self.device, torch.float32)
            labels = torch.from_numpy(self.labels[index]).to(self.device, torch.float32)
            hu, labels = _augmented(hu[:, None], labels[:, None], rng)
            contoured = torch.from_numpy(self.contoured[index]).to(self.device)
            loss = partial_label_loss(network(_input(hu)), labels[:, 0].long(), contoured)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()

    def _predict_all(self, network: nn.Module, stage: int) -> None:
        folder = self.out / stage_folder(stage)
        numbered = {name: value for value, name in enumerate(self.structures, start=1)}
        write_whole(folder / "labels.json", json.dumps({"labels": {"background": 0} | numbered}, indent=1))
        rows = []
        for source in self.unseen:
            subject = source.read()
            labels = predicted_labels(network, subject.ct, self.options, self.learned)
            write_label_map(folder / f"{source.name}.nii.gz", labels, subject.ct.frame)
            for value, name in subject.structures.items():
                dsc = volume_dice(labels == numbered[name], subject.labels == value)
                rows.append(StageDice(stage, source.name, name, dsc))
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(_DICE_COLUMNS)
        writer.writerows([row.subject, row.structure, f"{row.dsc:.6f}"] for row in rows)
        write_whole(self._dice_file(stage), text.getvalue())
        self.say(f"fold {self.fold}, {stage} epochs: mean DSC {np.mean([row.dsc for row in rows]):.3f}")

    def _read_dice(self, stage: int) -> list[StageDice]:
        path = self._dice_file(stage)
        try:
            header, *rows = csv.reader(io.StringIO(path.read_text(encoding="utf-8"), newline=""))
            if header != _DICE_COLUMNS:
                raise ValueError("other columns")
            return [StageDice(stage, subject, structure, float(dsc)) for subject, structure, dsc in rows]
        except (OSError, ValueError, csv.Error) as error:
            raise InputError(
                f"{path}: cannot be used ({reason_of(error)}); its stage must be predicted again"
            ) from error


def new_segmenter(structures: int, widths: Sequence[int], seed: int) -> nn.Module:
    """A residual 2D U-Net of MONAI; input ``[N, 2, S, S]``, output logits ``[N, structures + 1, S, S]``."""
    from monai.networks.nets import UNet

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return UNet(2, len(WINDOWS_HU), structures + 1, tuple(widths), (2,) * (len(widths) - 1), num_res_units=1)


def predicted_labels(network: nn.Module, ct: CtVolume, options: SegmenterOptions, learned: np.ndarray) -> np.ndarray:
    """The network's label map of a CT, uint8 ``[k, j, i]`` on its grid.

    Args:
        learned: bool ``[classes]``; the others were shown to the network in nobody: what it says of them is noise.
    """
    field = Field.on_body(ct, options.size, options.pixel_mm)
    device = next(network.parameters()).device
    shown = torch.from_numpy(learned).to(device)[:, None, None]
    labels = np.zeros(ct.frame.shape, np.uint8)
    network.eval()
    with torch.inference_mode():
        for first in range(0, len(field.slices), options.batch_size):
            slices = field.slices[first : first + options.batch_size]
            hu = torch.from_numpy(field.look(ct, slices)).to(device, torch.float32)
            probabilities = torch.softmax(network(_input(hu[:, None])).float(), dim=1)
            field.put_back(probabilities * shown, labels, slices)
    return labels


def _input(hu: torch.Tensor) -> torch.Tensor:
    """HU ``[N, 1, S, S]`` in each window, scaled to -1..1: ``[N, 2, S, S]``."""
    return torch.cat([((hu - low) / (high - low)).clamp(0, 1) * 2 - 1 for low, high in WINDOWS_HU], dim=1)


def _augmented(hu: torch.Tensor, labels: torch.Tensor, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Turned, scaled and moved a little, alike; and other HU. No flips: left must stay left."""
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


def _save(path: Path, network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    tensors = {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
    for number, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{key}": torch.as_tensor(value) for key, value in state.items()}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_whole(path, lambda temporary: save_file(tensors, temporary))


def _load(path: Path, network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    tensors = load_file(path)
    network.load_state_dict({n.removeprefix("network."): t for n, t in tensors.items() if n.startswith("network.")})
    state: dict[int, dict] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, number, key = name.split(".")
            state.setdefault(int(number), {})[key] = tensor
    optimizer.load_state_dict(optimizer.state_dict() | {"state": state})
