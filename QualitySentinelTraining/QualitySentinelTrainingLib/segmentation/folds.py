"""Networks trained out-of-fold: what each says of the subjects that it never saw, as a run that can be resumed.

Layout of the run's folder::

    folds.json                               the options, who is in which fold, which network saw whom
    networks/fold_0/epoch_0010.safetensors   the network that predicts fold 0 (it never saw it), with its optimizer
    probabilities/labels.json                {"labels": {"background": 0, "brainstem": 1, ...}}
    probabilities/pt_1.npz                   class probabilities on the grid of the CT, as nnU-Net writes them
    epoch_0010/pt_1.nii.gz                   label map on the CT's grid, a mask with real errors; and ``labels.json``
    items/                                   a record of each of these files, and of each fold that was trained
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
from tqdm import tqdm

from QualitySentinelLib.datasets import fold_of
from QualitySentinelLib.errors import InputError, UsageError
from QualitySentinelLib.files import atomic_write, check_writable
from QualitySentinelLib.volume import AxialFrame

from ..dice import dice_by_structure
from ..runs import Kind, Plan, Result, Run, Work
from ..subjects import Subject, SubjectSource, check_names
from .network import SegmentationNetwork
from .options import SegmentationOptions
from .probabilities import PROBABILITIES_SUFFIX, write_names, write_probabilities
from .training import Say, Training, stage_name, usable_device

FOLDS = Kind("folds", "quality-sentinel-folds/1")
PROBABILITIES = "probabilities"
_LABELS_SUFFIX = ".nii.gz"


@dataclass(frozen=True)
class StageDice:
    """Volumetric DSC of one structure of one subject, predicted after ``epochs`` by a network that never saw it."""

    epochs: int
    subject: str
    structure: str
    dsc: float


def out_of_fold(
    sources: Sequence[SubjectSource], out: Path, options: SegmentationOptions | None = None, device: str = "auto",
    say: Say = print, jobs: int = 1,
) -> dict[str, Path]:  # fmt: skip
    """Class probabilities of every subject by a network that never saw its patient; see the module's description.

    The networks of the last of the options' ``epochs`` predict. ``say`` is told of subjects that cannot be read: those
    are left out. With several ``jobs`` the sources are sent to other processes.

    Returns:
        The file of each subject, by name; ``read_probabilities`` reads it.

    Raises:
        UsageError: two subjects share a name, there are fewer patients than folds, or ``out`` was made from other
            subjects or with other options.
        ModelError: there is no such device.
        InputError: ``out`` cannot be written, or nobody can be read.
    """
    options = options or SegmentationOptions()
    wanted = [(options.epochs[-1], PROBABILITIES)]
    return {item.source.name: out / item.file for item, _ in _predict(sources, out, options, wanted, device, say, jobs)}


def train_segmenters(
    sources: Sequence[SubjectSource], out: Path, options: SegmentationOptions | None = None, device: str = "auto",
    say: Say = print, jobs: int = 1, probabilities: bool = False, learned: str = "",
) -> list[StageDice]:  # fmt: skip
    """Error makers: what the networks predict at each of the options' numbers of epochs, and how good it is.

    Raises as :func:`out_of_fold` does.

    Args:
        probabilities: write what :func:`out_of_fold` does, too.
        learned: what the labels are, where they are not those of the data; another needs another folder.
    """
    options = options or SegmentationOptions()
    wanted = [(stage, stage_name(stage)) for stage in options.epochs]
    wanted += [(options.epochs[-1], PROBABILITIES)] if probabilities else []
    found = _predict(sources, out, options, wanted, device, say, jobs, {"labels": learned} if learned else {})
    return [StageDice(item.stage, item.source.name, name, dsc) for item, lines in found for name, dsc in lines]


def patient_folds(sources: Sequence[SubjectSource], count: int) -> dict[str, int]:
    """Fold 0..count-1 of each subject by name; those of one patient share it. The order given does not matter.

    Raises:
        UsageError: fewer patients than folds.
    """
    # one row of patients, whatever their sources: else a fold could stay empty when each source has few of them
    fold = fold_of({source.patient: "" for source in sources}, count)
    if len(fold) < count:
        raise UsageError(f"{count} folds need as many patients; only {len(fold)} are available")
    return {source.name: fold[source.patient] for source in sources}


def write_label_map(path: Path, labels: np.ndarray, frame: AxialFrame) -> None:
    """Write a label map ``[k, j, i]`` (canonical frame) as NIfTI on the grid of the CT's file, whole.

    Raises:
        InputError: the file cannot be written.
    """
    import nibabel

    voxels = np.ascontiguousarray(frame.to_file(labels).transpose())
    image = nibabel.Nifti1Image(voxels, frame.file_ijk_to_ras)
    atomic_write(path, lambda temporary: nibabel.save(image, temporary))


@dataclass(frozen=True)
class _Fold:
    """The network of a fold, to be trained up to each of some stages."""

    number: int
    seen: tuple[SubjectSource, ...]
    unseen: tuple[SubjectSource, ...]
    stages: tuple[int, ...]

    @property
    def name(self) -> str:
        return f"fold_{self.number}"


@dataclass(frozen=True)
class _Prediction:
    """A file to write of a subject: a label map, or probabilities, by the network of its fold."""

    source: SubjectSource
    fold: int
    stage: int
    folder: str

    @property
    def name(self) -> str:
        return f"{self.folder}/{self.source.name}"

    @property
    def file(self) -> str:
        return self.name + (PROBABILITIES_SUFFIX if self.folder == PROBABILITIES else _LABELS_SUFFIX)


@dataclass
class _Train(Work):
    out: Path
    options: SegmentationOptions
    device: str

    def do(self, item: _Fold, data: _Fold) -> Result:
        notes: list[str] = []
        folder = self.out / "networks" / item.name
        training = Training(item.seen, item.unseen, folder, self.options, self.device, notes.append, item.number)
        for stage in item.stages:
            training.up_to(stage)
        return Result({"notes": notes})


@dataclass
class _Predict(Work):
    out: Path
    device: str
    _loaded: tuple = (None, None)

    def read(self, item: _Prediction) -> Subject:
        return item.source.read()

    def do(self, item: _Prediction, data: Subject) -> Result:
        path = self.out / "networks" / f"fold_{item.fold}" / f"{stage_name(item.stage)}.safetensors"
        if self._loaded[0] != path:
            self._loaded = path, SegmentationNetwork.load(path, self.device)
        network, file, lines = self._loaded[1], self.out / item.file, []
        if not (file.parent / "labels.json").is_file():
            write_names(file.parent, network.classes)
        if item.folder == PROBABILITIES:
            write_probabilities(file, network.predict_probabilities(data.ct), data.ct.frame)
        else:
            labels = network.predict_labels(data.ct)
            write_label_map(file, labels, data.ct.frame)
            lines = [[name, dsc] for name, dsc, _ in dice_by_structure(labels, network.classes, data)]
        return Result(lines=lines, files={item.file: file})


def _predict(
    sources: Sequence[SubjectSource], out: Path, options: SegmentationOptions, wanted: Sequence[tuple[int, str]],
    device: str, say: Say, jobs: int, key: Mapping[str, str] = MappingProxyType({}),
) -> list[tuple[_Prediction, list]]:  # fmt: skip
    """Each prediction that could be made, stage and folder as wanted, and the lines of its record."""
    check_writable(out)
    check_names(sources)
    device = usable_device(device)
    folds = patient_folds(sources, options.folds)
    items = [
        _Prediction(source, folds[source.name], stage, folder)
        for fold in range(options.folds) for stage, folder in wanted for source in sources if folds[source.name] == fold
    ]  # fmt: skip
    patients = {f"subject {s.name}": f"in fold {folds[s.name]}, patient {s.patient}" for s in sources}
    saw = {str(fold): [s.name for s in sources if folds[s.name] != fold] for fold in range(options.folds)}
    document = {
        "key": options.shaping() | patients | dict(key), "fold_of": folds, "trained_on": saw,
        "person_of": {s.name: s.patient for s in sources},
    }  # fmt: skip
    with Run(out, FOLDS, document) as run:
        plan = run.plan(items, retry_failed=True)
        todo = [
            _Fold(
                fold, tuple(s for s in sources if folds[s.name] != fold),
                tuple(s for s in sources if folds[s.name] == fold), tuple(sorted(stages)),
            )
            for fold in range(options.folds) if (stages := {item.stage for item in plan.todo if item.fold == fold})
        ]  # fmt: skip
        plan.gone = []  # records of folds, and of stages not wanted now
        notes = dict.fromkeys(plan.notes)
        for trained in run.carry_out(Plan(todo=todo), _Train(out, options, device), jobs):
            if trained.failed:
                raise InputError(trained.head["reason"])
            notes |= dict.fromkeys(trained.head["notes"])
            say(f"{trained.head['item'].replace('_', ' ')}: trained")
        predictions = run.carry_out(plan, _Predict(out, device), jobs)
        for done in tqdm(predictions, "predictions", len(plan.todo), disable=None):
            if done.failed:
                notes[f"{done.head['reason']}; {done.head['item'].rpartition('/')[2]} is left out"] = None
        for note in notes:
            say(note)
        if not (done := [item for item in items if item.name not in run.failed]):
            raise InputError(next(iter(run.failed.values())))
        run.finish()
        return [(item, run.record(item.name).lines) for item in done]
