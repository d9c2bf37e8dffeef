"""Folders of predictions of any segmentation network, one folder per checkpoint.

Layouts that are understood, each in the folder of one checkpoint (``epoch_50``), which may hold further folders:

- nnU-Net, STU-Net, our own: ``CASE.nii.gz``, a label map; names in ``dataset.json`` or ``labels.json`` there or in a
  folder above. ``CASE_0000.nii.gz`` beside it is the image, and left alone.
- TotalSegmentator: ``CASE/segmentations/liver.nii.gz`` or ``CASE/liver.nii.gz``, one file per structure; or
  ``CASE.nii``, a label map with the names in its header.
- published Quality Sentinel, beside the CT: ``SAMPLE/class_13/*.nii.gz``, binary masks of that class of the DAP Atlas.
- MONAI bundles: ``CASE/CASE_trans.nii.gz`` (or ``_seg``, ``_pred``), or the same files without the inner folder; of
  ``CASE/ct.nii.gz`` they make ``CASE/ct/ct_trans.nii.gz`` or ``CASE/ct_trans.nii.gz``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..anatomy import all_structures, match_structure
from ..errors import InputError, readable
from ..reading.image import folders_in, image_stem, images_in
from .layouts.case_folders import LABEL_MAPS, MASK_FOLDER, name_file

KNOWN_LAYOUTS = (
    "CASE.nii.gz with dataset.json (nnU-Net, STU-Net), CASE/segmentations/STRUCTURE.nii.gz (TotalSegmentator), "
    "CASE/CASE_trans.nii.gz (MONAI)"
)

_SUFFIXES = ("_trans", "_segmentation", "_seg", "_prediction", "_pred")
_IMAGE_SUFFIX = "_0000"
_WHOLE_CASE = (*LABEL_MAPS, "segmentations", "pred", "prediction")
_INPUTS = ("ct", "image")
"""Names of the CT in a case's folder; what networks call their output after it is of the case."""
_NOT_PREDICTIONS = re.compile(r"(images|labels)(Tr|Ts|Val)?")
_FOLD = re.compile(r"fold_?(\d+|all)")
_DEEPEST = 5


@dataclass(frozen=True)
class Prediction:
    """What one checkpoint predicted of one subject."""

    checkpoint: str  # the checkpoint's folder, relative to the folder searched; its own name where that is the same
    # number of epochs by the folder's name (:func:`stage_of`), else by that of the nearest folder above it, in the
    # folder searched, that says epochs; -1 when none does
    stage: int
    subject: str  # name of the case
    path: Path  # label map, or folder of one mask per structure
    # file that names the label values, or what it says; ``None`` when there is none
    names: Path | Mapping[str, str] | None = None


def find_predictions(root: Path) -> list[Prediction]:
    """The predictions below ``root``, a folder of checkpoints or the folder of one; by stage, checkpoint and subject.

    Only folders are listed; no image is read.

    Raises:
        InputError: there are none; the line names the folder and the known layouts.
    """
    root = Path(root)
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; give the folder of predictions")
    with readable(root):
        found = list(_below(root, root, 0))
    if not found:
        raise InputError(f"{root}: holds no predictions; known layouts, one folder per checkpoint: {KNOWN_LAYOUTS}")
    return sorted(found, key=lambda p: (p.stage, p.checkpoint, p.subject))


def masks_beside(folder: Path) -> list[Prediction]:
    """The masks in the folder of a sample of the published layout; the file names tell the checkpoints."""
    classes = {str(s.dap_id): s.name for s in all_structures() if s.dap_id is not None}
    found = []
    for inner in folders_in(folder):
        structure = classes.get(inner.name.removeprefix("class_").partition("_")[0], inner.name)
        for path in images_in(inner):
            name = image_stem(path)
            found.append(Prediction(name, stage_of(name), folder.name, path, {name: structure}))
    return found


def stage_of(name: str) -> int:
    """Epochs by a name: 50 of ``epoch_0050``, ``epoch=50-step=900`` and ``nnUNetTrainer_50epochs__nnUNetPlans__2d``.

    Without such a word its last number; -1 when it has none.
    """
    numbers = re.findall(r"\d+", name)
    return _epochs(name, int(numbers[-1]) if numbers else -1)


def _epochs(name: str, otherwise: int = -1) -> int:
    """The number beside the word epoch in a name."""
    named = re.search(r"(?:epochs?|ep)[ _=-]{0,2}(\d+)", name, re.IGNORECASE)
    named = named or re.search(r"(\d+)[ _=-]?ep(?:ochs?)?(?![a-z])", name, re.IGNORECASE)
    return int(named[1]) if named else otherwise


def _below(folder: Path, root: Path, depth: int) -> Iterator[Prediction]:
    """The predictions that lie in ``folder`` itself, as a checkpoint's, then those of the folders in it."""
    checkpoint = folder.relative_to(root).as_posix() if folder != root else root.resolve().name
    stage = _stage(folder, root)
    names = _names_for(folder, root)
    for subject, path in _label_maps(folder):
        yield Prediction(checkpoint, stage, subject, path, names)
    for inner in folders_in(folder):
        if _NOT_PREDICTIONS.fullmatch(inner.name) or depth == _DEEPEST:
            continue
        case = _case(inner)
        if case is None:
            yield from _below(inner, root, depth + 1)
        else:
            of_case = _names_for(inner, root) if case.is_file() else None
            yield Prediction(checkpoint, stage, inner.name.removesuffix(_IMAGE_SUFFIX), case, of_case)


def _stage(folder: Path, root: Path) -> int:
    """Epochs by the name of a checkpoint's folder, else by that of a folder above it, below ``root``, that says epochs.

    ``fold_0/validation`` of nnU-Net's results lies in the folder of a trainer, which may tell; a fold is no epoch.
    """
    name = folder.resolve().name
    stages = [-1 if _FOLD.fullmatch(name) else stage_of(name)]
    stages += map(_epochs, reversed(folder.relative_to(root).parts[:-1]))
    return next((stage for stage in stages if stage >= 0), -1)


def _label_maps(folder: Path) -> list[tuple[str, Path]]:
    """Subject and file of the label maps of a checkpoint's folder: no masks of single structures, no images."""
    stems, maps = {image_stem(path): path for path in _images(folder)}, []
    for stem, path in stems.items():
        bare = stem.removesuffix(_IMAGE_SUFFIX)
        if bare == stem or not any(bare + end in stems for end in ("", *_SUFFIXES)):
            maps.append((_without_suffix(bare), path))
    return maps


def _case(folder: Path) -> Path | None:
    """The prediction in the folder of one case: its label map, or the folder itself for one mask per structure.

    ``None`` when it is no case's folder but, perhaps, a checkpoint's.
    """
    inner = folder / MASK_FOLDER
    if inner.is_dir() and _images(inner):
        return folder
    if name_file(folder) is not None:
        return None
    files = {path: image_stem(path) for path in _images(folder)}
    for path, stem in files.items():
        if stem.lower() in _WHOLE_CASE or _without_suffix(stem) == folder.name not in _INPUTS:
            return path
    within = (path for name in _INPUTS if (folder / name).is_dir() for path in _images(folder / name))
    for path in (*files, *within):
        if _without_suffix(image_stem(path)).lower() in _INPUTS:
            return path
    structures = sum(match_structure(stem) is not None for stem in files.values())
    return folder if structures and structures * 2 >= len(files) else None


def _images(folder: Path) -> list[Path]:
    """Image files that may be predictions, in alphabetical order; the CT itself is none."""
    return [p for p in images_in(folder) if image_stem(p).lower() not in _INPUTS]


def _without_suffix(stem: str) -> str:
    """``pt_1`` of ``pt_1_trans``."""
    return next((stem[: -len(end)] for end in _SUFFIXES if stem.endswith(end) and len(stem) > len(end)), stem)


def _names_for(folder: Path, root: Path) -> Path | None:
    """The nearest file of names, from ``folder`` up to ``root``."""
    above = [folder, *folder.parents]
    return name_file(*above[: above.index(root) + 1])
