"""The one door through which all volume files come in: NIfTI and MGZ by nibabel, all others by SimpleITK."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..errors import InputError
from .image import Image, existing, refuse_dimensions, settle_geometry
from .nifti import read_nifti

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_METAIMAGE_BYTES = {
    "MET_CHAR": 1, "MET_UCHAR": 1, "MET_SHORT": 2, "MET_USHORT": 2, "MET_INT": 4, "MET_UINT": 4, "MET_LONG": 4,
    "MET_ULONG": 4, "MET_LONG_LONG": 8, "MET_ULONG_LONG": 8, "MET_FLOAT": 4, "MET_DOUBLE": 8,
}  # fmt: skip
_NRRD_ENCODINGS = ("raw", "gzip", "gz", "txt", "text", "ascii", "hex")
_PATIENT_SPACES = re.compile(r"(left|right)-(anterior|posterior)-(superior|inferior)|[LR][AP][SI]$", re.IGNORECASE)
_LONGEST_HEADER = 1 << 24


@dataclass
class _Header:
    """Header of a NRRD or MetaImage file; of other files it is empty."""

    fields: dict[str, str] = field(default_factory=dict)  # those of the format, NRRD's in lower case
    pairs: dict[str, str] = field(default_factory=dict)  # NRRD's key/value pairs, as Slicer writes for its segments
    size: int = 0  # bytes
    data_files: list[Path] = field(default_factory=list)  # where the voxels are, if not behind the header


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
        image = read_nifti(path, what, layers) if by_nibabel else _read_itk(path, what)
    except MemoryError as error:
        raise InputError(f"{path}: does not fit into memory; crop or resample the {what}") from error
    if image.voxels.ndim == 4 and not layers:
        raise InputError(f"{path}: has {image.voxels.shape[3]} values in each voxel; a {what} has one")
    if 0 in image.voxels.shape:
        raise InputError(f"{path}: holds no voxels; export the {what} again")
    return image


def affine_of(image: sitk.Image) -> np.ndarray:
    """4x4 affine of a 3D SimpleITK image, ``(i, j, k, 1)`` to RAS mm."""
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    return _LPS_TO_RAS @ affine


@contextmanager
def quiet_itk(with_metaimage: bool = False) -> Iterator[None]:
    """Keep ITK from remarking on odd files on stderr: refusals are one line, and it is ours.

    ``with_metaimage``: keep MetaImage's library quiet, too, which writes past all of ITK's and Python's switches.
    """
    display = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        with _closed_stderr() if with_metaimage else nullcontext():
            yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(display)


@contextmanager
def _closed_stderr() -> Iterator[None]:
    try:
        kept = os.dup(2)
    except OSError:  # there is none, as in a program without a console
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _read_itk(path: Path, what: str) -> Image:
    """Read a file by SimpleITK; a vector image becomes ``[K, J, I, component]``.

    Raises:
        InputError: truncated, its data file is missing, not an image, 2D, 4D or complex.
    """
    header = _header(path)
    _refuse_what_itk_garbles(path, header, what)
    try:
        with quiet_itk(with_metaimage=path.suffix.lower() in (".mha", ".mhd")):
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
            reason = "is not an image this program can read (NIfTI, MGZ, NRRD, MHA, DICOM)"
            raise InputError(f"{path}: {reason}; convert the {what}") from error
        raise InputError(f"{path}: is truncated or damaged; copy or export the {what} again") from error
    affine, warnings = settle_geometry(affine_of(image), str(path), *_stated(header.fields))
    return Image(sitk.GetArrayFromImage(image), affine, str(path), metadata=header.pairs, warnings=warnings)


def _header(path: Path) -> _Header:
    suffix = path.suffix.lower()
    if suffix not in (".nrrd", ".nhdr", ".mha", ".mhd"):
        return _Header()
    header, is_nrrd = _Header(), suffix in (".nrrd", ".nhdr")
    with open(path, "rb") as stream:
        lines = iter(lambda: stream.readline(_LONGEST_HEADER), b"")
        for raw in lines:
            try:
                line = raw.decode("utf-8").rstrip("\r\n")
            except UnicodeDecodeError:
                line = raw.decode("latin-1").rstrip("\r\n")  # older programs on Windows
            if stream.tell() > _LONGEST_HEADER or (is_nrrd and not line):
                break
            if is_nrrd and ":=" in line.split(": ")[0]:
                key, _, value = line.partition(":=")
                header.pairs[key] = re.sub(r"\\([n\\])", lambda m: "\n" if m[1] == "n" else "\\", value)
                continue
            key, _, value = line.partition(":" if is_nrrd else "=")
            key = key.strip().lower() if is_nrrd else key.strip()
            header.fields[key] = value = value.strip()
            if key in ("data file", "datafile", "ElementDataFile"):
                if value[:4] == "LIST":
                    header.data_files = [path.parent / os.fsdecode(name.strip()) for name in lines if name.strip()]
                elif value.upper() != "LOCAL" and "%" not in value:
                    header.data_files = [path.parent / value]
                if not is_nrrd or value[:4] == "LIST":
                    break
        header.size = stream.tell()
    return header


def _refuse_what_itk_garbles(path: Path, header: _Header, what: str) -> None:
    """Find out before ITK does what it calls by another name, or prints several lines about."""
    encoding = header.fields.get("encoding", "raw").lower()
    if encoding not in _NRRD_ENCODINGS:
        raise InputError(f"{path}: is compressed with {encoding}, which this program cannot read; save it with gzip")
    for file in header.data_files:
        if not file.is_file():
            raise InputError(f"{path}: its data file {file.name} is missing; copy it to the same folder")
    fields = header.fields
    try:
        if "CompressedDataSize" in fields:
            needed = int(fields["CompressedDataSize"])
        elif fields.get("CompressedData", "").lower() == "true":
            return
        else:
            numbers = math.prod(int(n) for n in fields["DimSize"].split())
            channels = int(fields.get("ElementNumberOfChannels", 1))
            needed = numbers * channels * _METAIMAGE_BYTES[fields["ElementType"]]
    except (KeyError, ValueError):
        return  # not a MetaImage; or ITK will say what it thinks of such a header
    local = fields.get("ElementDataFile", "").upper() == "LOCAL"
    files = [path] if local else header.data_files
    if files and sum(file.stat().st_size for file in files) < needed + (header.size if local else 0):
        raise InputError(f"{files[-1]}: ends too early (truncated); copy or export the {what} again")


def _stated(fields: dict[str, str]) -> tuple[str, bool, bool]:
    """The unit of length in a header, and whether it says how the patient lies and how large voxels are."""
    if not fields:
        return "", True, True
    if "ElementDataFile" in fields:
        says_how = any(key in fields for key in ("TransformMatrix", "Orientation", "Rotation"))
        return fields.get("DistanceUnits", ""), says_how, "ElementSpacing" in fields or "ElementSize" in fields
    says_how = "space directions" in fields and bool(_PATIENT_SPACES.match(fields.get("space", "")))
    unit = re.findall(r'"([^"]*)"', fields.get("space units", fields.get("units", "")))
    return next((u for u in unit if u), ""), says_how, "space directions" in fields or "spacings" in fields
