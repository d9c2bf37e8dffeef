"""Reading a CT: from a file or a DICOM folder to a ``CtVolume`` in the canonical axial frame."""

from __future__ import annotations

from pathlib import Path

from ..errors import InputError, UsageError
from ..volume import AxialFrame, CtVolume
from ..volume.hounsfield import NotHounsfieldError, as_hounsfield
from .dicom_files import is_dicom
from .image import Image, existing
from .volume_file import read_image

LEAST_SPACING_MM = 0.02
"""No CT of a patient has smaller voxels; a header that says so is in meters, or damaged. The crop around a mask is
measured in mm: at such a scale a single slice would fill the memory."""


def read_ct(path: str | Path, series: str | None = None) -> CtVolume:
    """Read a CT from NIfTI, MGZ, NRRD, MHA/MHD, one DICOM file, or a folder that holds a DICOM series.

    The voxels are Hounsfield units, ``[k, j, i]`` in the canonical frame: int16 where the file's values are whole
    numbers, else float32. What was found odd and corrected is in ``warnings``. ``series``: of the DICOM series of a
    folder, the one with this UID, number or description.

    Raises:
        InputError: the CT is missing, damaged, not a 3D image of one number per voxel, or not in HU and not corrigible.
        UsageError: there is no such series.
    """
    path = existing(path, "CT")
    if path.is_dir() or is_dicom(path):
        from .dicom_series import read_dicom_series

        return ct_from_image(read_dicom_series(path, series=series))
    if series is not None:
        raise UsageError(f"{path}: is not DICOM and holds no series; leave out --series")
    return ct_from_image(read_image(path, "CT"))


def ct_from_image(image: Image) -> CtVolume:
    """The CT in an image that was read: HU checked and corrected, turned to the canonical frame.

    Raises:
        InputError: the voxels are not Hounsfield units and cannot be made so, or are impossibly small.
    """
    frame = AxialFrame.from_affine(image.ijk_to_ras, image.voxels.shape, image.planes)
    if min(frame.spacing) < LEAST_SPACING_MM:
        size = " x ".join(f"{s:.3g}" for s in frame.spacing[::-1])
        raise InputError(
            f"{image.source}: its voxels are {size} mm, too small for a CT; correct the unit in its header"
        )
    try:
        hu, remarks = as_hounsfield(image.voxels)
    except NotHounsfieldError as error:
        raise InputError(f"{image.source}: {error}") from error
    warnings = [*image.warnings, *(f"{image.source}: {remark}" for remark in remarks + frame.remarks)]
    return CtVolume(frame.to_canonical(hu), frame, image.source, warnings)
