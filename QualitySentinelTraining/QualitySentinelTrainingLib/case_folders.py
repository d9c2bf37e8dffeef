"""Subjects from folders as TotalSegmentator's data set lays them out: a CT, and one binary mask file per structure."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from QualitySentinelLib.errors import InputError
from QualitySentinelLib.reading import read_ct, read_segmentation

from .subjects import Subject

CT_FILE = "ct.nii.gz"
MASK_FOLDER = "segmentations"
_MOST_STRUCTURES = 255


def case_folders(root: Path) -> list[Path]:
    """The folders at and below ``root`` that hold ``ct.nii.gz`` and ``segmentations``, in the order of their paths.

    Raises:
        InputError: there are none.
    """
    folders = sorted(path.parent for path in root.rglob(CT_FILE) if (path.parent / MASK_FOLDER).is_dir())
    if not folders:
        raise InputError(f"{root}: holds no folder with {CT_FILE} and {MASK_FOLDER}/; give the folder of the cases")
    return folders


def read_case(folder: Path, source: str) -> Subject:
    """One case: ``folder/ct.nii.gz`` and the masks ``folder/segmentations/*``, in any format masks are read from.

    The masks become one label map, in which a voxel has one label. Where masks overlap, the smaller structure (in
    voxels) keeps the voxel, so that an adrenal gland is not lost in a kidney's mask; of two of equal size, the first by
    name. A structure that smaller ones cover wholly is left out.
    Masks whose name is no known structure, and empty ones, are left out. The subject and its person are called as the
    folder is: cases read together need folders of different names.

    Raises:
        InputError: a file is missing or cannot be read, or two masks are the same structure.
        MismatchError: the masks lie outside the CT.
    """
    ct = read_ct(folder / CT_FILE)
    segmentation = read_segmentation(folder / MASK_FOLDER, ct)
    segments = {}
    for segment in segmentation:
        if segment.structure is None or segment.is_empty:
            continue
        if segment.structure in segments:
            names = f"{segments[segment.structure].name} and {segment.name}"
            raise InputError(f"{folder / MASK_FOLDER}: {names} are both {segment.structure}; leave one of them out")
        segments[segment.structure] = segment
    if not segments:
        raise InputError(f"{folder / MASK_FOLDER}: holds no mask of a known structure; name files like liver.nii.gz")
    if len(segments) > _MOST_STRUCTURES:
        raise InputError(f"{folder / MASK_FOLDER}: holds more than {_MOST_STRUCTURES} structures; leave some out")
    values = {structure: value for value, structure in enumerate(sorted(segments), start=1)}
    labels = np.zeros(ct.frame.shape, np.uint8)
    for structure in sorted(segments, key=lambda name: (int(segments[name].areas.sum()), name), reverse=True):
        segment = segments[structure]
        labels[segment.box][segment.voxels()] = values[structure]
    left = set(np.unique(labels).tolist())
    structures = {value: structure for structure, value in values.items() if value in left}
    return Subject(name=folder.name, ct=ct, labels=labels, structures=structures, source=source)
