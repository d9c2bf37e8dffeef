"""The one door through which all volume files come in."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import InputError
from .image import Image, existing
from .itk_file import read_itk
from .nifti import read_nifti


def read_image(path: str | Path, what: str = "image", layers: bool = False) -> Image:
    """Read one volume file: NIfTI, NRRD, MetaImage, or a single DICOM file.

    A 4D file whose last axis has length 1 is taken as 3D; a single slice is a volume of one slice.

    Args:
        path: the file.
        what: what the user meant it to be (``CT``, ``segmentation``), for messages.
        layers: accept a vector image; its components become layers (``.seg.nrrd`` with overlapping segments).

    Raises:
        InputError: missing, truncated, not an image, 2D, 4D, complex or (without ``layers``) vector valued.
    """
    path = existing(path, what)
    if path.is_dir():
        raise InputError(f"{path}: is a folder; give the {what} as one file")
    try:
        image = read_nifti(path, what) if path.name.lower().endswith((".nii", ".nii.gz")) else read_itk(path, what)
    except MemoryError as error:
        raise InputError(f"{path}: does not fit into memory; crop or resample the {what}") from error
    if image.voxels.ndim == 4 and not layers:
        raise InputError(f"{path}: has {image.voxels.shape[3]} values in each voxel; a {what} has one")
    if 0 in image.voxels.shape:
        raise InputError(f"{path}: holds no voxels; export the {what} again")
    columns = image.ijk_to_ras[:3, :3]
    if not np.isfinite(image.ijk_to_ras).all() or abs(np.linalg.det(columns)) < 1e-9:
        raise InputError(f"{path}: its header gives no valid position in space; export the {what} again with geometry")
    return image
