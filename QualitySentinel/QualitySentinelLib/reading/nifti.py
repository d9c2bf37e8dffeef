"""NIfTI and MGZ files by nibabel.

Not by SimpleITK: ITK fills what is missing from a truncated ``.nii.gz`` with whatever memory holds and says
nothing, and refuses files whose sform is not orthonormal.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np

from ..errors import InputError
from .image import Image, refuse_dimensions, settle_geometry

_BLOCK = 1 << 20


def read_nifti(path: Path, what: str, layers: bool = False) -> Image:
    """Read a NIfTI-1 or -2 or MGZ file. Integers stay as stored where slope and intercept allow, else float32.

    The affine is the sform where it has a code, else the qform (nibabel's rule); without either, a warning says what
    nibabel assumes. With ``layers``, the fourth axis of a 4D file becomes the last of ``[K, J, I, layer]``.

    Raises:
        InputError: truncated, not NIfTI, 2D, 4D, complex or RGB.
    """
    import nibabel
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError

    try:
        with _silent_nibabel():
            file = nibabel.load(path)
            size = tuple(int(n) for n in file.shape)
            size = size[:3] + tuple(n for n in size[3:] if n != 1)
            if len(size) != 3 and not (layers and len(size) == 4):
                refuse_dimensions(path, size, what)
            if file.get_data_dtype().kind not in "biuf":
                raise InputError(f"{path}: holds complex or color values; a {what} has one number in each voxel")
            voxels = _scaled(_stored(path, file.dataobj), file.dataobj).reshape(size, order="F")
            voxels = np.moveaxis(voxels.T, 0, -1) if len(size) == 4 else voxels.T
            affine, header = np.asarray(file.affine, dtype=np.float64), file.header
            if "qform_code" in header:
                stated = header.get_xyzt_units()[0], bool(header["qform_code"] or header["sform_code"]), True
            else:
                stated = "", bool(header["goodRASFlag"] == 1), True
            affine, warnings = settle_geometry(affine, str(path), *stated)
            warnings += _contradiction(path, file)
            names = label_table(getattr(header, "extensions", ()))
    except (EOFError, zlib.error, OSError, ValueError, OverflowError, KeyError, HeaderDataError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            reason = f"cannot be read ({error.strerror})"
        elif isinstance(error, EOFError):
            reason = "ends too early (truncated)"
        else:
            reason = "is damaged"
        raise InputError(f"{path}: {reason}; copy or download the {what} again") from error
    except ImageFileError as error:
        kind = "NIfTI" if ".nii" in path.name.lower() else "MGZ"
        raise InputError(f"{path}: is not a {kind} image; check what the file is or export the {what} again") from error
    return Image(voxels, affine, str(path), label_names=names, warnings=warnings)


def _contradiction(path: Path, file) -> list[str]:
    """A warning where qform and sform lay the patient in different directions."""
    from nibabel import aff2axcodes

    header = file.header
    if "qform_code" not in header or not (header["qform_code"] and header["sform_code"]):
        return []
    try:
        ways = [aff2axcodes(form) for form in (file.get_sform(), file.get_qform())]
    except Exception:  # a quaternion that is none; the sform counts
        return []
    if ways[0] == ways[1]:
        return []
    sform, qform = ("".join(way) for way in ways)
    warning = (
        f"{path}: its header gives two orientations of the patient (sform {sform}, qform {qform}); the sform was "
        "used. If that is wrong, left and right may be swapped: export it with its geometry"
    )
    return [warning]


@contextmanager
def _silent_nibabel() -> Iterator[None]:
    """Keep nibabel from remarking on odd headers on stderr: refusals are one line, and it is ours."""
    from nibabel.imageglobals import logger

    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def _stored(path: Path, proxy) -> np.ndarray:
    """The stored values, flat. Compressed files are read to their end, because only there is the checksum."""
    values = np.empty(int(np.prod(proxy.shape)), proxy.dtype)
    target = values.view(np.uint8).data
    with gzip.open(path) if path.name.lower().endswith((".gz", ".mgz")) else open(path, "rb") as stream:
        stream.seek(proxy.offset)
        done = 0
        while done < len(target):
            count = stream.readinto(target[done : done + _BLOCK])
            if not count:
                raise EOFError
            done += count
        while isinstance(stream, gzip.GzipFile) and stream.read(_BLOCK):
            pass
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _scaled(raw: np.ndarray, proxy) -> np.ndarray:
    """Voxels with slope and intercept applied, in the smallest dtype that holds them well."""
    slope, inter = float(proxy.slope), float(proxy.inter)
    if (slope, inter) == (1.0, 0.0):
        return raw
    if slope == 1.0 and inter.is_integer() and raw.dtype.kind in "iu":
        low, high = int(raw.min()) + int(inter), int(raw.max()) + int(inter)
        if -32768 <= low and high <= 32767:
            scaled: np.ndarray = raw.astype(np.int16) if high - int(inter) <= 32767 else raw.astype(np.int32)
            scaled += scaled.dtype.type(int(inter))
            return scaled.astype(np.int16, copy=False)
    scaled = raw.astype(np.float32)
    with np.errstate(all="ignore"):  # what overflows is told of as infinite voxels
        scaled *= np.float32(slope)
        scaled += np.float32(inter)
    return scaled


def label_table(extensions) -> dict[int, str]:
    """Names of label values from a Connectome Workbench label table in the header, as TotalSegmentator writes it.

    Returns an empty dict where there is none, or where it cannot be understood: names are a convenience.
    """
    names: dict[int, str] = {}
    for extension in extensions:
        content = extension.get_content()
        content = content if isinstance(content, bytes) else str(content).encode("utf-8")
        content = content.strip(b"\0 \r\n\t")
        if b"<LabelTable" not in content or b"<!DOCTYPE" in content:  # entities are how XML is made to explode
            continue
        try:
            for label in ET.fromstring(content).iter("Label"):
                name = (label.text or "").strip()
                if name:
                    names[int(label.get("Key", "0"))] = name
        except (ET.ParseError, ValueError):
            continue
    names.pop(0, None)  # 0 is the background, whatever it is called
    return names
