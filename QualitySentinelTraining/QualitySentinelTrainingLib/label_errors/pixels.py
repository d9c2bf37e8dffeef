"""A case's given labels and probabilities, and the voxels of it that confident learning looks at, kept in one file.

The whole background of a CT is easy, which lifts the confidence that it takes to call a voxel background, so that most
errors along a structure's edge are missed (docs/LABEL_ERRORS.md has figures). So only a band along the edges, those of
the given labels and those that the network expects, is looked at.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from QualitySentinelLib.datasets import Case, read_case_ct, read_reference
from QualitySentinelLib.errors import InputError, UsageError
from QualitySentinelLib.files import atomic_write
from QualitySentinelLib.volume import CtVolume, Segmentation

from ..segmentation.probabilities import likeliest, read_probabilities
from ..subjects import subject_of
from .confident import Block

_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class Labeled:
    """A case in memory."""

    ct: CtVolume
    segmentation: Segmentation
    classes: tuple[str, ...]  # K, the background first
    labels: np.ndarray  # the given label of each voxel, a number of a class, uint8 ``[k, j, i]``
    # ``[K, k, j, i]``; of structures that the case has no voxel of, the background's: nobody may have contoured them
    probabilities: np.ndarray
    unseen: tuple[str, ...] = ()  # structures of the case with probability 0 everywhere: the network never saw any

    @property
    def judged(self) -> np.ndarray:
        """Voxels whose labels can be judged: all but those of unseen structures, bool ``[k, j, i]``."""
        return ~np.isin(self.labels, [self.classes.index(name) for name in self.unseen])

    @property
    def likeliest(self) -> np.ndarray:
        """The class that the network expects in each voxel, uint8 ``[k, j, i]``."""
        return likeliest(self.probabilities)


def read_labeled(case: Case, path: Path) -> Labeled:
    """Read a case and its probabilities.

    Raises:
        QualitySentinelError: one of them cannot be read, or they are not of each other: another grid, or a structure
            that the probabilities lack.
    """
    ct = read_case_ct(case)
    segmentation = read_reference(case, ct)
    subject = subject_of(ct, segmentation, case.name)
    read = read_probabilities(path, ct)
    table = np.zeros(256, np.uint8)
    for value, name in subject.structures.items():
        if name not in read.classes:
            raise InputError(f"{path}: has no class '{name}', which the labels have; train networks on these labels")
        table[value] = read.classes.index(name)
    labels, values = table[subject.labels], read.values
    held, unseen = set(subject.structures.values()), []
    for number, name in enumerate(read.classes[1:], start=1):
        if name not in held:
            values[0] += values[number]
            values[number] = 0
        elif not values[number].any():
            unseen.append(name)
    return Labeled(ct, segmentation, read.classes, labels, values, tuple(unseen))


def band(labels: np.ndarray, expected: np.ndarray, spacing: Sequence[float], width_mm: float) -> np.ndarray:
    """Voxels up to ``width_mm`` from an edge of the given labels or of the expected ones, bool ``[k, j, i]``."""
    from scipy.ndimage import distance_transform_edt

    inside = np.zeros(labels.shape, bool)
    for values in (labels, expected):
        for axis in range(3):
            differ = np.diff(values, axis=axis) != 0
            for part in (slice(1, None), slice(None, -1)):
                inside[(slice(None),) * axis + (part,)] |= differ
    places = np.nonzero(inside)
    if not len(places[0]):
        return inside
    box = tuple(
        slice(max(0, p.min() - reach), p.max() + reach + 1)
        for p, reach in zip(places, (int(width_mm / s) + 1 for s in spacing), strict=True)
    )
    inside[box] = distance_transform_edt(~inside[box], sampling=spacing) <= width_mm
    return inside


def write_pixels(path: Path, labeled: Labeled, chosen: np.ndarray | None) -> None:
    """Keep the chosen voxels of a case, or all, in one file: flat index, label and probabilities of each."""
    voxels = np.arange(labeled.labels.size) if chosen is None else np.flatnonzero(chosen)
    rows = np.empty(len(voxels), [("voxel", "<u4"), ("label", "u1"), ("p", "<f2", (len(labeled.classes),))])
    rows["voxel"], rows["label"] = voxels, labeled.labels.ravel()[voxels]
    for number, values in enumerate(labeled.probabilities):
        rows["p"][:, number] = values.ravel()[voxels]
    atomic_write(path, lambda temporary: np.save(temporary, rows))


def blocks(paths: Sequence[Path]) -> Iterator[Block]:
    """The kept voxels of cases, some at a time, as confident learning takes them."""
    for path in paths:
        rows = np.load(path, mmap_mode="r")
        for first in range(0, len(rows), _AT_ONCE):
            part = np.array(rows[first : first + _AT_ONCE])
            yield part["label"], part["p"].astype(np.float32)


def refuse_in_sample(folder: Path, patients: dict[str, str]) -> None:
    """Refuse probabilities of networks that were trained on the same patients, where their folder tells.

    Args:
        patients: by case.

    Raises:
        UsageError: they are.
    """
    remedy = "give those of networks that never saw the patient"
    told = folder / "predict_from_raw_data_args.json"  # what nnU-Net leaves beside its predictions, not its validation
    source = str(_json(told).get("list_of_lists_or_source_folder", ""))
    if Path(source).name == "imagesTr":
        raise UsageError(f"{folder}: nnU-Net predicted its own training cases ({source}); {remedy}, fold_*/validation")
    folds = _json(folder.parent / "folds.json")
    for name, fold in (folds.get("fold_of") or {}).items():
        saw = {folds["person_of"].get(other, other) for other in folds["trained_on"][str(fold)]}
        if name in patients and folds["person_of"].get(name, name) in saw:
            raise UsageError(f"{folder}: the network of {name} was trained on that patient (folds.json); {remedy}")


def _json(path: Path) -> dict:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}
