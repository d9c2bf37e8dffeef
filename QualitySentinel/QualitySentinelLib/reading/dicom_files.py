"""Looking through a folder of DICOM files by their headers."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, QualitySentinelError, readable
from .image import FARTHEST_MM, files_below

SEGMENTATION_STORAGE = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
"""SOP classes Segmentation Storage and Label Map Segmentation Storage."""
RT_STRUCTURE_SET_STORAGE = "1.2.840.10008.5.1.4.1.1.481.3"
_CT_STORAGE = ("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2")


@contextmanager
def refusing_damage(path: Path, what: str) -> Iterator[None]:
    """Turn whatever pydicom raises on a damaged file into an ``InputError``; keep its remarks on odd values quiet."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except QualitySentinelError:
        raise
    except Exception as error:
        raise InputError(f"{path}: the {what} is damaged or incomplete; export the segmentation again") from error


def is_dicom(path: Path) -> bool:
    """Whether a file begins as DICOM does: with the mark behind a preamble, or at once with the first elements."""
    with readable(path), open(path, "rb") as stream:
        start = stream.read(132)
    group, element, rest = start[:2], start[2:4], start[4:8]
    bare = group in (b"\x02\0", b"\x08\0") and element[1:] == b"\0" and element[:1] <= b"\x20"
    return start[128:] == b"DICM" or (bare and (rest[:2].isupper() or 0 < int.from_bytes(rest, "little") <= 64))


def is_ct(header) -> bool:
    """Whether an object is a CT, by its modality, or by its SOP class where it has no modality."""
    modality = str(header.get("Modality", "") or "")
    return modality == "CT" or (not modality and str(header.get("SOPClassUID", "")) in _CT_STORAGE)


def dicom_headers(
    folder: Path, keywords: Sequence[str], files: Sequence[Path] | None = None, damaged: list[Path] | None = None
) -> Iterator[tuple[Path, Any]]:
    """Path and pydicom data set (``keywords`` only) of each DICOM file below ``folder``; other files are passed over.

    Elements that cannot be understood are left out of the data set, as if the file did not have them.

    Args:
        files: look at these only, instead of all below ``folder``.
        damaged: files that should be DICOM, by their name or first bytes, and cannot be read are added to it.
    """
    import pydicom

    for path in sorted(files_below(folder)) if files is None else files:
        if not (is_dicom(path) or path.suffix.lower() in (".dcm", ".ima") or _is_empty_number(path)):
            continue
        header = None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # pydicom remarks on every odd value; readers say what matters
                header = pydicom.dcmread(path, stop_before_pixels=True, force=True, specific_tags=list(keywords))
                _drop_damaged(header)
        except Exception as error:  # pydicom raises whatever its parsers meet in a damaged file
            if isinstance(error, OSError) and error.errno is not None:
                raise InputError(f"{path}: cannot be read ({error.strerror or error}); check its rights") from error
        if header is not None and (len(header) or len(header.file_meta)):
            yield path, header
        elif damaged is not None:
            damaged.append(path)


def _is_empty_number(path: Path) -> bool:
    """Whether a file without content is called as slices without a suffix are: ``IM0012``, ``1.3.12``."""
    return not path.suffix[1:].isalpha() and not path.name.startswith(".") and path.stat().st_size == 0


def _drop_damaged(dataset) -> None:
    """Convert every value now, rather than where it is used, and remove those that cannot be."""
    for tag in list(dataset.keys()):
        try:
            element = dataset[tag]
            for item in element.value if element.VR == "SQ" else ():
                _drop_damaged(item)
        except Exception:  # as above
            del dataset[tag]


def geometry(header, index: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Where a slice is, or frame ``index`` of a multi-frame object.

    Returns:
        LPS mm ``[3]`` of its first pixel, and LPS mm ``[2, 3]`` to the next pixel of a row and to the next row.

    Raises:
        AttributeError, KeyError, TypeError, ValueError: the header gives none.
    """
    if index is None:
        given = header.ImagePositionPatient, header.ImageOrientationPatient, header.PixelSpacing
    else:
        given = (
            functional_group(header, index, "PlanePositionSequence").ImagePositionPatient,
            functional_group(header, index, "PlaneOrientationSequence").ImageOrientationPatient,
            functional_group(header, index, "PixelMeasuresSequence").PixelSpacing,
        )
    position, orientation, (row_mm, column_mm) = (np.array([float(v) for v in values]) for values in given)
    numbers = np.concatenate((position, orientation, (row_mm, column_mm)))
    rows, columns = orientation.reshape(2, 3)
    fits = len(position) == 3 and (np.abs(numbers) < FARTHEST_MM).all() and min(row_mm, column_mm) > 0
    if not fits or abs(np.linalg.norm(np.cross(rows, columns)) - 1) > 0.01:
        raise ValueError("no geometry")
    return position, np.stack((rows * column_mm, columns * row_mm))


def functional_group(dataset, index: int, keyword: str):
    """The item of a functional group of frame ``index``, its own or the one that all frames share, or ``KeyError``."""
    own = dataset.PerFrameFunctionalGroupsSequence[index]
    shared = dataset.get("SharedFunctionalGroupsSequence") or [{}]
    return (own if keyword in own else shared[0])[keyword].value[0]
