"""A CT from a folder of DICOM files: find the series, sort its slices by position, read them by GDCM."""

from __future__ import annotations

import os
import warnings
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..errors import InputError
from .dicom_files import SEGMENTATION_STORAGE, dicom_headers
from .image import Image
from .volume_file import read_image

UNEVEN = 0.05
"""Distances between slices that differ by more than this share of their median are worth a warning."""

_KEYWORDS = (
    "SOPClassUID", "Modality", "SeriesInstanceUID", "SeriesDescription", "ImageType", "ImagePositionPatient",
    "ImageOrientationPatient", "PixelSpacing", "Rows", "Columns", "NumberOfFrames", "InstanceNumber",
)  # fmt: skip


@dataclass(frozen=True)
class _Slice:
    path: Path
    position: tuple[float, float, float]
    orientation: tuple[float, ...]
    spacing: tuple[float, float]
    instance: int


@dataclass
class _Found:
    """What lies in a folder: slices by series, and what is not a slice.

    Attributes:
        series: slices by series, matrix size and orientation.
        titles: description of each series.
        multiframe: CT objects of several frames.
        damaged: CT images whose header gives them no place in space.
        kinds: modalities met, for messages.
    """

    series: dict[tuple, list[_Slice]] = field(default_factory=lambda: defaultdict(list))
    titles: dict[tuple, str] = field(default_factory=dict)
    multiframe: list[Path] = field(default_factory=list)
    damaged: list[Path] = field(default_factory=list)
    kinds: set[str] = field(default_factory=set)


def read_dicom_series(folder: Path, files: Sequence[Path] | None = None) -> Image:
    """Read the CT series of a folder and its subfolders; of several, the one with the most slices.

    Slices are sorted by their position along the normal. Missing or unevenly spaced slices, several slices at one
    place, and other series in the folder give warnings.

    Args:
        folder: for messages, and to look through.
        files: of a series that is known already: these are read, and nothing else in the folder.

    Returns:
        The image in the order the slices are sorted, along the normal of their row and column directions.

    Raises:
        InputError: no CT series, or one that cannot be read.
    """
    found = _find(folder, files)
    series, titles = found.series, found.titles
    if not series and len(found.multiframe) == 1:
        return read_image(found.multiframe[0], "CT")
    if not series and found.damaged:
        reason = "a header without a valid position, orientation or pixel spacing"
        raise InputError(f"{found.damaged[0]}: {reason}; export the CT again")
    if not series:
        there = f"only {', '.join(sorted(s for s in found.kinds if s))}" if any(found.kinds) else "no DICOM images"
        raise InputError(f"{folder}: holds no DICOM CT series ({there}); give the folder of the CT")
    chosen = max(series, key=lambda key: (len(series[key]), key[1] * key[2]))
    remarks = []
    if found.damaged:
        count = len(found.damaged)
        remarks.append(f"{folder}: {count} CT images without a valid position, orientation or spacing were left out")
    if len(series) > 1:
        others = len(series) - 1
        remarks.append(
            f"{folder}: holds {len(series)} CT series; the largest was taken ('{titles[chosen]}', "
            f"{len(series[chosen])} slices), {others} left out"
        )
    slices = _sorted(series[chosen], folder, remarks)
    return _read(slices, folder, remarks)


def _find(folder: Path, files: Sequence[Path] | None) -> _Found:
    found = _Found()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom remarks on every odd value; what matters here is said once, by us
        for path, header in dicom_headers(folder, _KEYWORDS, files):
            try:
                _sort_in(path, header, found)
            except (AttributeError, TypeError, ValueError, OverflowError):
                found.damaged.append(path)
    return found


def _sort_in(path: Path, header, found: _Found) -> None:
    modality = str(header.get("Modality", "") or "")
    found.kinds.add("SEG" if str(header.get("SOPClassUID", "")) in SEGMENTATION_STORAGE else modality)
    if modality != "CT" or "LOCALIZER" in (header.get("ImageType") or ()):
        return
    if int(header.get("NumberOfFrames") or 1) > 1:
        found.multiframe.append(path)
        return
    one = _Slice(
        path,
        _numbers(header.ImagePositionPatient, 3),
        _numbers(header.ImageOrientationPatient, 6),
        _numbers(header.PixelSpacing, 2),
        int(header.get("InstanceNumber") or 0),
    )
    normal = np.cross(one.orientation[:3], one.orientation[3:])
    if abs(float(np.linalg.norm(normal)) - 1) > 0.01 or min(one.spacing) <= 0:
        raise ValueError
    key = (str(header.SeriesInstanceUID), int(header.Rows), int(header.Columns), *np.round(one.orientation, 3))
    found.series[key].append(one)
    found.titles.setdefault(key, str(header.get("SeriesDescription", "") or "no description"))


def _numbers(values, count: int) -> tuple[float, ...]:
    numbers = tuple(float(v) for v in values)
    if len(numbers) != count or not np.isfinite(numbers).all():
        raise ValueError
    return numbers


def _sorted(slices: list[_Slice], folder: Path, remarks: list[str]) -> list[_Slice]:
    """Slices by position along the normal, one at each place; remarks on their distances are added to ``remarks``."""
    row, column = np.array(slices[0].orientation[:3]), np.array(slices[0].orientation[3:])
    normal = np.cross(row, column)
    slices = sorted(slices, key=lambda s: (round(float(normal @ s.position), 3), s.instance, s.path))
    places = np.array([normal @ s.position for s in slices])
    new = np.concatenate([[True], np.diff(places) > 1e-2])
    if len(slices) > 1 and new.sum() == 1:
        raise InputError(f"{folder}: all {len(slices)} slices of its CT series lie at one place; export the CT again")
    if not new.all():
        remarks.append(
            f"{folder}: {int((~new).sum())} slices lie where another one does (several phases in one series?); "
            "the first of each place was taken"
        )
        slices, places = [s for s, keep in zip(slices, new, strict=True) if keep], places[new]
    steps = np.diff(places)
    if len(steps):
        usual = float(np.median(steps))
        gaps = steps[steps > 1.5 * usual]
        if len(gaps):
            missing = int(np.rint(gaps / usual - 1).sum())
            remarks.append(f"{folder}: about {missing} slices of the CT are missing; positions in mm are approximate")
        elif (np.abs(steps - usual) > UNEVEN * usual).any():
            remarks.append(
                f"{folder}: the slices are unevenly spaced ({steps.min():.2f} to {steps.max():.2f} mm); "
                "positions in mm are approximate"
            )
    return slices


def _read(slices: list[_Slice], folder: Path, remarks: list[str]) -> Image:
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames([os.fspath(s.path) for s in slices])
    display = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)  # ITK remarks on uneven spacing; so do we
    try:
        image = reader.Execute()
    except RuntimeError as error:
        raise InputError(f"{folder}: a file of its CT series cannot be read; export the series again") from error
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(display)
    voxels = sitk.GetArrayFromImage(image)
    if voxels.ndim != 3:
        raise InputError(f"{folder}: its CT series has several values in each voxel; export the CT again")
    row, column = np.array(slices[0].orientation[:3]), np.array(slices[0].orientation[3:])
    first, last = np.array(slices[0].position), np.array(slices[-1].position)
    lps = np.eye(4)
    lps[:3, 0] = row * slices[0].spacing[1]
    lps[:3, 1] = column * slices[0].spacing[0]
    if len(slices) > 1:
        lps[:3, 2] = (last - first) / (len(slices) - 1)  # keeps the shear of a tilted gantry
    else:
        lps[:3, 2] = np.cross(row, column) * image.GetSpacing()[2]
    lps[:3, 3] = first
    return Image(voxels, np.diag([-1.0, -1.0, 1.0, 1.0]) @ lps, str(folder), warnings=remarks)
