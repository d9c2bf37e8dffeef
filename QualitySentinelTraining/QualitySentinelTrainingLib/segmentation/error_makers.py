"""Error makers: what out-of-fold networks predict at growing numbers of epochs are masks with real errors.

Beside what every out-of-fold run writes (:mod:`.training`)::

    epoch_0010/labels.json            {"labels": {"background": 0, "brainstem": 1, ...}}
    epoch_0010/pt_1.nii.gz            label map on the grid of the subject's CT
    networks/fold_0/epoch_0010.csv    volumetric DSC of each structure; written last: this stage is complete
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from QualitySentinelLib.errors import InputError, reason_of
from QualitySentinelLib.files import write_whole
from QualitySentinelLib.volume import AxialFrame

from ..dice import volume_dice
from ..subjects import SubjectSource
from .network import SegmentationNetwork
from .options import SegmentationOptions
from .probabilities import write_names
from .training import Say, Training, folds_of_run, stage_name

_DICE_COLUMNS = ["subject", "structure", "dsc"]


@dataclass(frozen=True)
class StageDice:
    """Volumetric DSC of one structure of one subject, predicted after ``epochs`` by a network that never saw it."""

    epochs: int
    subject: str
    structure: str
    dsc: float


def train_segmenters(
    sources: Sequence[SubjectSource], out: Path, options: SegmentationOptions | None = None,
    only_folds: Sequence[int] | None = None, device: str = "auto", say: Say = print,
) -> list[StageDice]:  # fmt: skip
    """Train one network per fold, and write its predictions of that fold's subjects at each number of epochs.

    What is complete in ``out`` is not done again; after a kill, training goes on from the last stage.

    Args:
        sources: the subjects.
        out: see the module's description.
        options: ``epochs`` are the stages.
        only_folds: numbers of the folds to train; all by default.
        device: ``cpu``, ``cuda`` or ``auto``.
        say: told of each stage, and of subjects that cannot be read: those are left out.

    Returns:
        The measured DSC of the folds trained, structures that the reference holds only.

    Raises:
        UsageError, ModelError, InputError: as ``training.folds_of_run`` and ``training.Training`` do.
    """
    options, results = options or SegmentationOptions(), []
    for training in folds_of_run(sources, out, options, only_folds, device, say):
        todo = [stage for stage in options.epochs if not _is_complete(training, stage, out)]
        for stage, network in training.stages(todo) if todo else ():
            _predict_unseen(training, stage, network, out)
        results += [row for stage in options.epochs for row in _read_dice(training, stage)]
    return results


def _predict_unseen(training: Training, stage: int, network: SegmentationNetwork, out: Path) -> None:
    folder = out / stage_name(stage)
    write_names(folder, network.classes)
    rows = []
    for source in (source for source in training.unseen if source.name in training.readable):
        subject = source.read()
        labels = network.predict_labels(subject.ct)
        write_label_map(folder / f"{source.name}.nii.gz", labels, subject.ct.frame)
        for value, name in subject.structures.items():
            dsc = volume_dice(labels == network.classes.index(name), subject.labels == value)
            rows.append([source.name, name, f"{dsc:.6f}"])
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([_DICE_COLUMNS, *rows])
    write_whole(_dice_file(training, stage), text.getvalue())
    training.say(f"{training.name}, {stage} epochs: mean DSC {np.mean([float(dsc) for _, _, dsc in rows]):.3f}")


def _is_complete(training: Training, stage: int, out: Path) -> bool:
    if not _dice_file(training, stage).is_file():
        return False
    try:
        predicted = {row.subject for row in _read_dice(training, stage)}
    except InputError as error:
        training.say(f"{error} (done now)")
        return False
    return all((out / stage_name(stage) / f"{name}.nii.gz").is_file() for name in predicted)


def _dice_file(training: Training, stage: int) -> Path:
    return training.folder / f"{stage_name(stage)}.csv"


def _read_dice(training: Training, stage: int) -> list[StageDice]:
    path = _dice_file(training, stage)
    try:
        header, *rows = csv.reader(io.StringIO(path.read_text(encoding="utf-8"), newline=""))
        if header != _DICE_COLUMNS:
            raise ValueError("other columns")
        return [StageDice(stage, subject, structure, float(dsc)) for subject, structure, dsc in rows]
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{path}: cannot be used ({reason_of(error)}); its stage must be predicted again") from error


def write_label_map(path: Path, labels: np.ndarray, frame: AxialFrame) -> None:
    """Write a label map ``[k, j, i]`` (canonical frame) as NIfTI on the grid of the CT's file, whole.

    Raises:
        InputError: the file cannot be written.
    """
    import nibabel

    voxels = np.ascontiguousarray(frame.to_file(labels).transpose())
    image = nibabel.Nifti1Image(voxels, frame.file_ijk_to_ras)
    write_whole(path, lambda temporary: nibabel.save(image, temporary))
