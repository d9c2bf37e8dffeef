"""A CT from a folder of DICOM files: find the series, sort its slices by position, read them by GDCM."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..errors import InputError
from .dicom_files import SEGMENTATION_STORAGE, dicom_headers
from .image import Image, read_image

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


def read_dicom_series(folder: Path) -> Image:
    """Read the CT series of a folder and its subfolders; of several, the one with the most slices.

    Slices are sorted by their position along the normal. Missing or unevenly spaced slices, several slices at one
    place, and other series in the folder give warnings.

    Returns:
        The image in the order the slices are sorted, along the normal of their row and column directions.

    Raises:
        InputError: no CT series, or one that cannot be read.
    """
    series: dict[tuple, list[_Slice]] = defaultdict(list)
    titles: dict[tuple, str] = {}
    multiframe: list[Path] = []
    seen: set[str] = set()
    for path, header in dicom_headers(folder, _KEYWORDS):
        modality = str(header.get("Modality", "") or "")
        seen.add("SEG" if str(header.get("SOPClassUID", "")) in SEGMENTATION_STORAGE else modality)
        if modality != "CT" or "LOCALIZER" in (header.get("ImageType") or ()):
            continue
        if int(header.get("NumberOfFrames") or 1) > 1:
            multiframe.append(path)
            continue
        try:
            orientation = tuple(float(v) for v in header.ImageOrientationPatient)
            one = _Slice(
                path,
                tuple(float(v) for v in header.ImagePositionPatient),
                orientation,
                tuple(float(v) for v in header.PixelSpacing),
                int(header.get("InstanceNumber") or 0),
            )
            key = (str(header.SeriesInstanceUID), int(header.Rows), int(header.Columns), *np.round(orientation, 3))
        except (AttributeError, TypeError, ValueError):
            continue  # no place in space: not a slice of a volume
        series[key].append(one)
        titles.setdefault(key, str(header.get("SeriesDescription", "") or "no description"))
    if not series and len(multiframe) == 1:
        return read_image(multiframe[0], "CT")
    if not series:
        there = f"only {', '.join(sorted(s for s in seen if s))}" if any(seen) else "no DICOM images"
        raise InputError(f"{folder}: holds no DICOM CT series ({there}); give the folder of the CT")
    chosen = max(series, key=lambda key: (len(series[key]), key[1] * key[2]))
    warnings = []
    if len(series) > 1:
        others = len(series) - 1
        warnings.append(
            f"{folder}: holds {len(series)} CT series; the largest was taken ('{titles[chosen]}', "
            f"{len(series[chosen])} slices), {others} left out"
        )
    slices = _sorted(series[chosen], folder, warnings)
    return _read(slices, folder, warnings)


def _sorted(slices: list[_Slice], folder: Path, warnings: list[str]) -> list[_Slice]:
    """Slices by position along the normal, one at each place; remarks on their distances are added to ``warnings``."""
    row, column = np.array(slices[0].orientation[:3]), np.array(slices[0].orientation[3:])
    normal = np.cross(row, column)
    slices = sorted(slices, key=lambda s: (round(float(normal @ s.position), 3), s.instance, s.path))
    places = np.array([normal @ s.position for s in slices])
    new = np.concatenate([[True], np.diff(places) > 1e-2])
    if not new.all():
        warnings.append(
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
            warnings.append(f"{folder}: about {missing} slices of the CT are missing; positions in mm are approximate")
        elif (np.abs(steps - usual) > UNEVEN * usual).any():
            warnings.append(
                f"{folder}: the slices are unevenly spaced ({steps.min():.2f} to {steps.max():.2f} mm); "
                "positions in mm are approximate"
            )
    return slices


def _read(slices: list[_Slice], folder: Path, warnings: list[str]) -> Image:
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
    return Image(voxels, np.diag([-1.0, -1.0, 1.0, 1.0]) @ lps, str(folder), warnings=warnings)
