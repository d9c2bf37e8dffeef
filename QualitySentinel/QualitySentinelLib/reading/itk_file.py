"""NRRD, MetaImage and other single files by SimpleITK."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..errors import InputError
from .image import Image, refuse_dimensions

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_METAIMAGE_BYTES = {
    b"MET_CHAR": 1, b"MET_UCHAR": 1, b"MET_SHORT": 2, b"MET_USHORT": 2, b"MET_INT": 4, b"MET_UINT": 4,
    b"MET_LONG": 4, b"MET_ULONG": 4, b"MET_LONG_LONG": 8, b"MET_ULONG_LONG": 8, b"MET_FLOAT": 4, b"MET_DOUBLE": 8,
}  # fmt: skip


def affine_of(image: sitk.Image) -> np.ndarray:
    """4x4 affine of a 3D SimpleITK image, ``(i, j, k, 1)`` to RAS mm."""
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    return _LPS_TO_RAS @ affine


def read_itk(path: Path, what: str) -> Image:
    """Read a file by SimpleITK; a vector image becomes ``[K, J, I, component]``.

    Raises:
        InputError: truncated, not an image, 2D, 4D or complex.
    """
    _refuse_short_metaimage(path, what)
    display = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)  # refusals are one line, and it is ours
    try:
        reader = sitk.ImageFileReader()
        reader.SetFileName(os.fspath(path))
        reader.ReadImageInformation()
        size = tuple(int(n) for n in reader.GetSize())
        while len(size) > 3 and size[-1] == 1:
            size = size[:-1]
        if len(size) != 3:
            refuse_dimensions(path, size, what)
        if "complex" in sitk.GetPixelIDValueAsString(reader.GetPixelID()):
            raise InputError(f"{path}: holds complex values; a {what} has one number in each voxel")
        if reader.GetDimension() > 3:
            reader.SetExtractSize([*size, *[0] * (reader.GetDimension() - 3)])
        image = reader.Execute()
    except RuntimeError as error:
        text = str(error)
        if "Unable to determine ImageIO reader" in text:
            reason = "is not an image this program can read (NIfTI, NRRD, MHA, DICOM)"
            raise InputError(f"{path}: {reason}; convert the {what}") from error
        raise InputError(f"{path}: is truncated or damaged; copy or export the {what} again") from error
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(display)
    metadata = {key: image.GetMetaData(key) for key in image.GetMetaDataKeys()}
    return Image(sitk.GetArrayFromImage(image), affine_of(image), str(path), metadata)


def _refuse_short_metaimage(path: Path, what: str) -> None:
    """Find a truncated ``.mha`` before ITK does, which prints several lines of its own about it."""
    if path.suffix.lower() != ".mha":
        return
    with open(path, "rb") as stream:
        header = stream.read(1 << 14)
    end = header.find(b"ElementDataFile")
    end = header.find(b"\n", end) + 1 if end >= 0 else 0
    pairs = (line.partition(b"=") for line in header[:end].splitlines())
    fields = {key.strip(): value.strip() for key, _, value in pairs}
    try:
        if b"CompressedDataSize" in fields:
            needed = int(fields[b"CompressedDataSize"])
        elif fields.get(b"CompressedData", b"").lower() == b"true":
            return
        else:
            numbers = math.prod(int(n) for n in fields[b"DimSize"].split())
            channels = int(fields.get(b"ElementNumberOfChannels", 1))
            needed = numbers * channels * _METAIMAGE_BYTES[fields[b"ElementType"]]
    except (KeyError, ValueError):
        return  # ITK will say what it thinks of such a header
    if fields.get(b"ElementDataFile", b"").upper() == b"LOCAL" and path.stat().st_size < end + needed:
        raise InputError(f"{path}: ends too early (truncated); copy or export the {what} again")
