"""Cases whose masks can be had but not their CT: ``CASE/segmentations/`` without ``CASE/ct.nii.gz``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from QualitySentinelLib.errors import InputError
from QualitySentinelLib.reading.mask_folder import mask_files
from QualitySentinelLib.reading.volume_file import read_image
from QualitySentinelLib.volume import AxialFrame, CtVolume

from .case_folders import CT_FILE, MASK_FOLDER, read_case_on
from .subjects import Subject

_FINEST_MM = 2.4
"""Labels are read at about this distance at the finest: what is painted around them is no finer."""


def find_label_cases(data: Path) -> list[Path]:
    """Folders of ``data`` with masks and without a CT, sorted.

    Raises:
        InputError: there are none.
    """
    found = [
        p.parent for p in sorted(Path(data).rglob(MASK_FOLDER)) if p.is_dir() and not (p.parent / CT_FILE).exists()
    ]
    if not found:
        raise InputError(f"{data}: holds no masks without a CT; they lie in CASE/{MASK_FOLDER}/liver.nii.gz and so on")
    return found


def read_labels(folder: Path, source: str) -> Subject:
    """The masks of a case as a subject whose CT is empty; voxels finer than about 2.4 mm are made larger.

    Raises:
        InputError: no mask can be read, or none is of a known structure.
    """
    files = mask_files(Path(folder))
    if not files:
        raise InputError(f"{folder}: holds no mask files")
    image = read_image(files[0], "mask")
    frame = AxialFrame.from_affine(image.ijk_to_ras, image.voxels.shape)
    steps = [max(1, round(_FINEST_MM / s)) for s in frame.spacing]
    affine = frame.ijk_to_ras @ np.diag([*steps[::-1], 1.0])
    coarse = AxialFrame.from_affine(affine, tuple(-(-n // step) for n, step in zip(frame.shape, steps, strict=True)))
    nothing = CtVolume(np.zeros(coarse.shape, np.int16), coarse, source=str(folder))
    return read_case_on(nothing, Path(folder), source)
