"""The one door through which all volume files come in."""

from __future__ import annotations

from pathlib import Path

from ..errors import InputError
from .image import Image, existing
from .itk_file import read_itk
from .nifti import read_nifti


def read_image(path: str | Path, what: str = "image", layers: bool = False) -> Image:
    """Read one volume file: NIfTI, MGZ, NRRD or MetaImage.

    A 4D file whose last axis has length 1 is taken as 3D; a single slice is a volume of one slice.

    Args:
        what: what the user meant it to be (``CT``, ``segmentation``), for messages.
        layers: accept a vector image or a 4D file; its components become layers (``.seg.nrrd`` with overlapping
            segments, one mask per structure in a fourth axis).

    Raises:
        InputError: missing, truncated, not an image, 2D, 4D, complex or (without ``layers``) vector valued.
    """
    path = existing(path, what)
    if path.is_dir():
        raise InputError(f"{path}: is a folder; give the {what} as one file")
    try:
        by_nibabel = path.name.lower().endswith((".nii", ".nii.gz", ".mgz", ".mgh"))
        image = read_nifti(path, what, layers) if by_nibabel else read_itk(path, what)
    except MemoryError as error:
        raise InputError(f"{path}: does not fit into memory; crop or resample the {what}") from error
    if image.voxels.ndim == 4 and not layers:
        raise InputError(f"{path}: has {image.voxels.shape[3]} values in each voxel; a {what} has one")
    if 0 in image.voxels.shape:
        raise InputError(f"{path}: holds no voxels; export the {what} again")
    return image
