"""Subjects from folders as TotalSegmentator's data set lays them out: a CT, and one binary mask file per structure.

And the names that files of cases and predictions commonly bear.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from QualitySentinelLib.errors import InputError
from QualitySentinelLib.reading import read_ct, read_segmentation
from QualitySentinelLib.reading.image import image_stem, is_image_file
from QualitySentinelLib.volume import CtVolume

from .subjects import Subject

CT_FILE = "ct.nii.gz"
MASK_FOLDER = "segmentations"
LABEL_MAPS = ("seg", "label", "labels", "segmentation")
"""Names of a case's label map, without suffix; the first that is there counts."""
NAME_FILES = ("labels.json", "dataset.json")
"""Files that name label values; the first that is there counts."""
_MOST_STRUCTURES = 255


def label_map_of(folder: Path) -> Path | None:
    """The label map of a case's folder, by its name, in any format that is read."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and is_image_file(path))
    return next((path for name in LABEL_MAPS for path in files if image_stem(path).lower() == name), None)


def read_case(folder: Path, source: str) -> Subject:
    """One case: ``folder/ct.nii.gz`` and the masks ``folder/segmentations/*``, see :func:`read_case_on`.

    Raises:
        InputError: a file is missing or cannot be read, or two masks are the same structure.
        MismatchError: the masks lie outside the CT.
    """
    return read_case_on(read_ct(folder / CT_FILE), folder, source)


def read_case_on(ct: CtVolume, folder: Path, source: str) -> Subject:
    """The masks ``folder/segmentations/*``, in any format masks are read from, on the grid of ``ct``.

    The masks become one label map, in which a voxel has one label. Where masks overlap, the smaller structure (in
    voxels) keeps the voxel, so that an adrenal gland is not lost in a kidney's mask; of two of equal size, the first by
    name. A structure that smaller ones cover wholly is left out.
    Masks whose name is no known structure, and empty ones, are left out. The subject and its person are called as the
    folder is: cases read together need folders of different names.

    Raises:
        InputError: a file cannot be read, or two masks are the same structure.
        MismatchError: the masks lie outside the CT.
    """
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
