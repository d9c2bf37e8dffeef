"""OpenKBP patients as case folders, from a checkout of the data set's public repository.

The repository ``ababier/open-kbp`` carries 340 head-and-neck planning CTs with the contours of their treatment. It is
under the MIT licence (its LICENSE file) and names no other licence for the data. A. Babier et al., "OpenKBP: The
open-access knowledge-based planning grand challenge and dataset", Medical Physics 48 (2021) 5549, describes them.

Each patient is a folder ``provided-data/*-pats/pt_N`` of CSV files: ``ct.csv`` gives ``number,value`` of the voxels
above zero, every structure's file the numbers of its voxels, and ``voxel_dimensions.csv`` three spacings in mm. A
voxel's number counts a cube of 128 x 128 x 128 voxels in C order, whose axes run to the patient's posterior, left and
inferior side (found from the contours; left parotids lie left of right ones). Values are HU + 1024; around the patient
nothing is stored.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd

from QualitySentinelLib.errors import InputError, readable
from QualitySentinelLib.files import atomic_write

SIDE = 128
"""Voxels along each axis of every patient's cube."""
STRUCTURES = {
    "Brainstem": "brainstem", "SpinalCord": "spinal cord", "RightParotid": "parotid gland right",
    "LeftParotid": "parotid gland left", "Esophagus": "esophagus", "Larynx": "larynx", "Mandible": "mandible",
}  # fmt: skip
"""File name of a structure to its name. The other files are targets and dose, which are no anatomy."""
_OFFSET = 1024
_REMEDY = "fetch the data set again"
_MOST_HU = 3071
"""The highest value of a CT of 12 bits; a few metal voxels of the data set lie far above it."""


def patient_folders(source: Path) -> list[Path]:
    """Folders of the patients that hold a CT, by number; ``source`` is the checkout or a folder of it.

    Raises:
        InputError: there are none.
    """
    folders = {path.parent for path in source.rglob("pt_*/ct.csv") if path.parent.name.removeprefix("pt_").isdecimal()}
    if not folders:
        raise InputError(f"{source}: holds no pt_*/ct.csv; give a checkout of the OpenKBP repository")
    return sorted(folders, key=lambda folder: (int(folder.name.removeprefix("pt_")), folder))


def read_patient(folder: Path) -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]:
    """One patient. Raises ``InputError``: a file is missing or damaged.

    Returns:
        HU int16 ``[i, j, k]``, voxels outside the patient -1024; the structures that are contoured and lie at least by
        half where a CT is stored, name to bool ``[i, j, k]``; and the 4x4 affine ``(i, j, k, 1)`` to RAS mm. i runs to
        the left, j to posterior, k to inferior. The place in space is not stored: voxel 0 lies at the origin.
    """
    with readable(sizes := folder / "voxel_dimensions.csv", _REMEDY, ValueError):
        spacing = np.loadtxt(sizes)
    if spacing.shape != (3,) or not (spacing > 0).all():
        raise InputError(f"{sizes}: does not hold three spacings; {_REMEDY}")
    hu = _cube(folder / "ct.csv", np.int16) - _OFFSET
    found = {name: _cube(path, bool) for stem, name in STRUCTURES.items() if (path := folder / f"{stem}.csv").is_file()}
    # an esophagus of the set lies below its CT
    masks = {n: mask for n, mask in found.items() if mask.any() and (hu[mask] > -_OFFSET).mean() >= 0.5}
    return hu, masks, np.diag([*-spacing, 1.0])


def convert(source: Path, out: Path, leave_out: Collection[str] = ()) -> list[Path]:
    """Write each patient of a checkout as ``out/pt_N`` with ``ct.nii.gz`` and ``segmentations/<structure>.nii.gz``.

    Patients named in ``leave_out`` (``"pt_1"``) and those without a single structure are not written. Files that are
    there already are written anew. Returns the folders written.

    Raises:
        InputError: no patients, or a file is damaged or cannot be written.
    """
    written = []
    for folder in patient_folders(source):
        hu, masks, ijk_to_ras = read_patient(folder) if folder.name not in leave_out else (None, {}, None)
        images = {f"segmentations/{name.replace(' ', '_')}": mask.astype(np.uint8) for name, mask in masks.items()}
        for name, voxels in {"ct": hu, **images}.items() if masks else ():
            image = nibabel.Nifti1Image(voxels, ijk_to_ras)
            image.header.set_xyzt_units("mm")
            atomic_write(out / folder.name / f"{name}.nii.gz", partial(nibabel.save, image))
        written += [out / folder.name] if masks else []
    return written


def _cube(path: Path, kind: type) -> np.ndarray:
    """The voxels of a file, ``[i, j, k]``: their values, or where they are."""
    cube: np.ndarray = np.zeros(SIDE**3, kind)
    with readable(path, _REMEDY, ValueError, IndexError):
        voxels = pd.read_csv(path, index_col=0).iloc[:, 0]
        values = True if kind is bool else voxels.astype(float).clip(0, _OFFSET + _MOST_HU).astype(kind)
        cube[np.array(voxels.index, np.uint32)] = values  # none is counted from the end
    return np.ascontiguousarray(cube.reshape(SIDE, SIDE, SIDE).transpose(1, 0, 2))
