"""Class probabilities in files: ours and those of other programs, checked and put on the CT's grid.

Read are, each on the grid of the CT's file:

- nnU-Net (``--save_probabilities``) and ours: ``CASE.npz``, the array ``probabilities``, ``[classes, K, J, I]``. Its
  ``CASE.pkl`` is never opened; the label map beside it, ``CASE.nii.gz``, has to agree.
- MONAI and others: a 4D image, classes last; or a 3D one, which is the foreground's probability.
- a folder with one 3D image per class, ``liver.nii.gz``; without one of the background, that is what is left of 1.

Names of the classes are those of ``labels.json`` or ``dataset.json`` beside the file or in the folder above.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from QualitySentinelLib.datasets.layouts.case_folders import name_file
from QualitySentinelLib.errors import InputError, reason_of
from QualitySentinelLib.files import atomic_write
from QualitySentinelLib.reading.image import existing, image_stem, is_image_file
from QualitySentinelLib.reading.names import read_names
from QualitySentinelLib.reading.volume_file import read_image
from QualitySentinelLib.volume import AxialFrame, CtVolume
from QualitySentinelLib.volume.placement import GRID_TOLERANCE

PROBABILITIES_SUFFIX = ".npz"
BACKGROUND = "background"

_SUM_TOLERANCE = 0.02
"""How far from 1 a voxel's probabilities may sum to: many classes in half precision, or 8 bits each."""

_WHAT = "probabilities"


@dataclass(frozen=True)
class Probabilities:
    """Class probabilities of a CT."""

    values: np.ndarray  # floating, ``[K, k, j, i]``, canonical, on the CT's grid; sum to 1 over K
    classes: tuple[str, ...]  # names of the K classes; the first is the background


def probability_files(folder: Path) -> dict[str, Path]:
    """The probabilities in a folder by case: ours, nnU-Net's (in ``fold_0/validation``, too) or a folder per case.

    Raises:
        InputError: there are none.
    """
    found: dict[str, Path] = {}
    for place in (folder, *sorted(folder.glob("fold_*/validation"))):
        entries = sorted(place.iterdir()) if place.is_dir() else []
        for path in entries:
            if path.suffix == PROBABILITIES_SUFFIX:
                found[path.stem] = path
            elif path.is_dir() or is_image_file(path):
                found.setdefault(path.name if path.is_dir() else image_stem(path), path)
    if not found:
        raise InputError(f"{folder}: holds no probabilities; expected CASE.npz, CASE.nii.gz or a folder for each case")
    return found


def write_names(folder: Path, classes: Sequence[str]) -> None:
    """Write ``labels.json``: the names of the classes, for the files beside it.

    Raises:
        InputError: it cannot be written.
    """
    labels = {"labels": {name: value for value, name in enumerate(classes)}}
    atomic_write(folder / "labels.json", json.dumps(labels, indent=1))


def write_probabilities(path: Path, values: np.ndarray, frame: AxialFrame) -> None:
    """Write probabilities ``[K, k, j, i]`` as nnU-Net does: float16, in the order of the CT's file.

    Raises:
        InputError: the file cannot be written.
    """
    in_file = np.stack([frame.to_file(one).astype(np.float16) for one in values])
    atomic_write(path, lambda temporary: np.savez_compressed(temporary, probabilities=in_file))


def read_probabilities(path: str | Path, ct: CtVolume) -> Probabilities:
    """Read the class probabilities of a CT: a file, or a folder of one file per class; see the module's description.

    Raises:
        InputError: missing, damaged, on another grid, or no probabilities.
        UsageError: the names beside the file cannot be read.
    """
    path = existing(path, _WHAT)
    named = None
    try:
        if path.is_dir():
            values, named = _folder_of_classes(path, ct)
        elif path.suffix == PROBABILITIES_SUFFIX:
            values = _npz(path, ct)
        else:
            values = _image(path, ct)
    except MemoryError as error:
        raise InputError(f"{path}: does not fit into memory; crop or resample CT and probabilities alike") from error
    return Probabilities(_checked(path, values), named or names_beside(path, len(values)))


def _npz(path: Path, ct: CtVolume) -> np.ndarray:
    try:
        with np.load(path, allow_pickle=False) as file:
            names = [name for name in ("probabilities", "softmax") if name in file.files] or file.files
            if len(names) != 1:
                raise InputError(f"{path}: has no array called probabilities; run nnU-Net with --save_probabilities")
            stored = file[names[0]]
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{path}: is damaged or no file of arrays ({reason_of(error)}); write it again") from error
    shape = tuple(ct.frame.shape[axis] for axis in np.argsort(ct.frame.permutation))
    if stored.ndim != 4 or stored.dtype.kind != "f" or stored.shape[1:] != shape:
        raise InputError(
            f"{path}: holds {_as_text(stored.shape)} values of type {stored.dtype}; probabilities of this CT are "
            f"classes x {_as_text(shape)}, as nnU-Net 2 writes them"
        )
    values = np.stack([ct.frame.to_canonical(one) for one in stored])
    for label_map in (path.with_suffix(suffix) for suffix in (".nii.gz", ".nrrd", ".mha")):
        if label_map.is_file():
            _agree(path, values, label_map, ct)
    return values


def _agree(path: Path, values: np.ndarray, label_map: Path, ct: CtVolume) -> None:
    """Refuse probabilities that are turned against the label map of the same prediction: left might be right."""
    image = read_image(label_map, "label map")
    labels = _frame_on_ct(label_map, image.ijk_to_ras, image.voxels.shape, ct).to_canonical(image.voxels)
    some = np.unique(np.linspace(0, len(labels) - 1, 16).astype(int))
    if np.mean(likeliest(values[:, some]) == labels[some]) < 0.99:
        raise InputError(f"{path}: does not agree with {label_map.name} beside it; predict both again")


def _image(path: Path, ct: CtVolume) -> np.ndarray:
    image = read_image(path, _WHAT, layers=True)
    frame = _frame_on_ct(path, image.ijk_to_ras, image.voxels.shape[:3], ct)
    layers = [frame.to_canonical(layer) for layer in image.layers]
    if len(layers) == 1:
        layers.insert(0, 1 - layers[0].astype(np.float32))
    return np.stack(layers)


def _folder_of_classes(path: Path, ct: CtVolume) -> tuple[np.ndarray, tuple[str, ...]]:
    values = {}
    for file in (p for p in sorted(path.iterdir()) if is_image_file(p)):
        image, name = read_image(file, _WHAT), image_stem(file)
        frame = _frame_on_ct(file, image.ijk_to_ras, image.voxels.shape, ct)
        values[BACKGROUND if name.casefold() == BACKGROUND else name] = frame.to_canonical(image.voxels)
    background = values.pop(BACKGROUND, None)
    if not values:
        raise InputError(f"{path}: holds no image of a structure; give one image per class")
    if background is None:
        background = 1 - sum((one.astype(np.float32) for one in values.values()), np.zeros((), np.float32))
    return np.stack([background, *values.values()]), (BACKGROUND, *values)


def _frame_on_ct(path: Path, ijk_to_ras: np.ndarray, shape: tuple[int, ...], ct: CtVolume) -> AxialFrame:
    """The frame of a file that has to lie on the CT's grid, in any order of axes."""
    frame = AxialFrame.from_affine(ijk_to_ras, shape)
    corners = np.array([[i, j, k, 1] for k in (0, shape[0] - 1) for j in (0, 1) for i in (0, 1)]).T
    off = np.linalg.inv(ct.frame.ijk_to_ras) @ frame.ijk_to_ras @ corners - corners
    if frame.shape != ct.frame.shape or np.abs(off).max() > 10 * GRID_TOLERANCE:
        raise InputError(
            f"{path}: {_as_text(frame.shape)} voxels that do not lie on those of the CT ({_as_text(ct.frame.shape)}); "
            "write the probabilities on the CT's grid"
        )
    return frame


def likeliest(probabilities: np.ndarray) -> np.ndarray:
    """The likeliest class of each voxel, uint8 ``[k, j, i]``, of ``[K, k, j, i]``."""
    labels = np.zeros(probabilities.shape[1:], np.uint8)
    highest = probabilities[0].copy()
    for value, one in enumerate(probabilities[1:], start=1):  # argmax of half precision is slow
        higher = one > highest
        np.copyto(labels, value, where=higher, casting="unsafe")
        np.copyto(highest, one, where=higher)
    return labels


def names_beside(path: Path, number: int) -> tuple[str, ...]:
    """Names of so many classes, by the file of names beside a file or in the folder above."""
    file = name_file(path.parent, path.parent.parent)
    names = read_names(file) if file else {}
    return (BACKGROUND, *(names.get(str(value), f"class {value}") for value in range(1, number)))


def _checked(path: Path, values: np.ndarray) -> np.ndarray:
    """The probabilities, if they are some. Voxels of probability 0 throughout become background.

    nnU-Net predicts within the body's box only, and before version 2.1 left zeros around it.
    """
    for part in _slabs(values):
        total = part.sum(axis=0, dtype=np.float32)
        outside = total == 0
        low, high = float(part.min()), float(np.where(outside, 1.0, total).max())
        lowest = float(np.where(outside, 1.0, total).min())
        if not (low >= -_SUM_TOLERANCE and abs(lowest - 1) <= _SUM_TOLERANCE and abs(high - 1) <= _SUM_TOLERANCE):
            raise InputError(
                f"{path}: the values of a voxel sum to {lowest:.3g} to {high:.3g}, not to 1; "
                "give softmax probabilities, not logits, percent or overlapping regions"
            )
        part[0][outside] = 1.0
    return values


def _slabs(values: np.ndarray) -> Iterator[np.ndarray]:
    """Views of some slices at a time."""
    at_once = max(1, (1 << 25) // max(1, values[:, 0].size))
    return (values[:, first : first + at_once] for first in range(0, values.shape[1], at_once))


def _as_text(shape: Sequence[int]) -> str:
    return " x ".join(str(n) for n in shape)
