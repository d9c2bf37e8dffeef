"""A CT from DICOM files: slices and frames found, sorted by their place in space, each read with its own rescale."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from ..errors import InputError, UsageError
from ..volume.hounsfield import AIR_HU, HIGHEST_HU
from ..volume.placement import GRID_TOLERANCE
from ..volume.segmentation import is_called
from .dicom_files import (
    RT_STRUCTURE_SET_STORAGE,
    SEGMENTATION_STORAGE,
    dicom_headers,
    functional_group,
    geometry,
    is_ct,
)
from .image import Image
from .volume_file import quiet_itk

UNEVEN = 0.05
"""Distances between slices that differ by more than this share of their median are worth a warning."""

ONE_GRID = 0.5
"""In pixels: slices whose pixels lie nearer than this to each other's, seen along the stack, are on one grid."""

_FEW = 10
"""An axial original of fewer slices is not preferred to a reformat of many."""

_KEYWORDS = (
    "SOPClassUID", "Modality", "SeriesInstanceUID", "SeriesNumber", "SeriesDescription", "ImageType",
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows", "Columns", "NumberOfFrames",
    "InstanceNumber", "RescaleSlope", "RescaleIntercept", "PixelRepresentation", "PixelPaddingValue",
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
)  # fmt: skip


@dataclass(frozen=True)
class _Slice:
    """A slice, or a frame of an Enhanced CT."""

    path: Path
    frame: int
    instance: int
    position: np.ndarray  # LPS mm of the first pixel
    axes: np.ndarray  # LPS mm [2, 3] to the next pixel of a row and to the next row
    correction: tuple[float, float] = (1.0, 0.0)  # of what ITK makes of the frame: it rescales as in the first one
    padding: float | None = None  # HU that the file names as padding, beyond any that tissue or metal has

    @property
    def normal(self) -> np.ndarray:
        normal = np.cross(*self.axes)
        return normal / np.linalg.norm(normal)


@dataclass
class _Series:
    """Slices of one series that lie on one grid, in a row along ``slices[0].normal``."""

    uid: str
    number: str
    title: str
    image_type: tuple[str, ...]
    shape: tuple[int, int]
    slices: list[_Slice] = field(default_factory=list)

    @property
    def is_axial(self) -> bool:
        return abs(self.slices[0].normal[2]) > 0.7

    @property
    def is_reformat(self) -> bool:
        """Whether it was computed from another series: a plane that scanners do not scan, or said in its image type."""
        said = {word for part in self.image_type for word in part.upper().split()}
        return not self.is_axial or bool(said & {"REFORMATTED", "MPR", "MIP"}) or {"DERIVED", "SECONDARY"} <= said

    @property
    def places(self) -> int:
        """How many different places its slices have."""
        depths = np.sort([self.slices[0].normal @ s.position for s in self.slices])
        return 1 + int(np.count_nonzero(np.diff(depths) > 1e-2))

    @property
    def told(self) -> str:
        kind = "reformat" if self.is_axial else "not axial"
        return f"'{self.title}', {len(self.slices)} slices{f', {kind}' if self.is_reformat else ''}"


def read_dicom_series(place: Path, files: Sequence[Path] | None = None, series: str | None = None) -> Image:
    """Read a CT series of classic or Enhanced CT objects: the one named, else of several the largest axial original.

    Slices are sorted by their position along the normal of their row and column directions and keep it where they are
    unevenly spaced. Each has its own pixel type and rescale. Missing or unevenly spaced slices, several slices at one
    place, and other series give warnings. Slices that do not lie on one grid, within half a pixel, are taken for
    different series.

    Args:
        place: a folder to look through with its subfolders, or a file; for messages.
        files: of a series that is known already: these are read, and nothing else in the folder.
        series: UID, number or description of the series to read.

    Raises:
        InputError: no CT series, or one that cannot be read.
        UsageError: no series is called ``series``.
    """
    found, damaged, kinds_met = _find(place, [place] if files is None and place.is_file() else files)
    grids = [grid for one in found for grid in _grids(one)]
    if not grids and damaged:
        reason = "is damaged, or has a header without a valid position, orientation or pixel spacing"
        raise InputError(f"{damaged[0]}: {reason}; export the CT again")
    kinds = ", ".join(sorted(kinds_met - {""}))
    if not grids and place.is_file():
        raise InputError(f"{place}: is a DICOM {kinds or 'file'}{' object' * bool(kinds)}, not a CT; give the CT")
    if not grids:
        raise InputError(
            f"{place}: holds no DICOM CT series ({f'only {kinds}' if kinds else 'no DICOM images'}); "
            "give the folder of the CT"
        )
    remarks = []
    if damaged:
        names = ", ".join(path.name for path in damaged[:3]) + ", ..." * (len(damaged) > 3)
        remarks.append(
            f"{place}: {len(damaged)} CT images without a valid position, orientation or spacing, or "
            f"damaged, were left out ({names}); copy or export them again"
        )
    chosen = _chosen(grids, place, series, remarks)
    slices, places = _sorted(chosen, place, remarks)
    step = slices[0].normal
    if len(slices) > 1:
        step = (slices[-1].position - slices[0].position) / (len(slices) - 1)  # keeps the shear of a tilted gantry
    lps = np.eye(4)
    lps[:3] = np.column_stack((*slices[0].axes, step, slices[0].position))
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ lps
    return Image(_voxels(slices, chosen.shape), affine, str(place), planes=places, warnings=remarks)


def _find(place: Path, files: Sequence[Path] | None) -> tuple[Iterable[_Series], list[Path], set[str]]:
    """Series by UID and matrix size, without regard to grids; damaged CT images; kinds of objects met, for messages."""
    series: dict[tuple, _Series] = {}
    damaged: list[Path] = []
    met = set()
    others = {**dict.fromkeys(SEGMENTATION_STORAGE, "SEG"), RT_STRUCTURE_SET_STORAGE: "RTSTRUCT"}
    for path, header in dicom_headers(place, _KEYWORDS, files, damaged):
        kind = str(header.get("SOPClassUID", ""))
        met.add(others.get(kind, str(header.get("Modality", "") or "")))
        try:
            image_type = header.get("ImageType") or ()
            image_type = (image_type,) if isinstance(image_type, str) else tuple(str(part) for part in image_type)
            if not is_ct(header) or kind in others or "LOCALIZER" in image_type:
                continue
            slices = list(_slices(path, header))
            key = (str(header.SeriesInstanceUID), int(header.Rows), int(header.Columns))
        except (AttributeError, KeyError, IndexError, TypeError, ValueError, OverflowError, ZeroDivisionError):
            damaged.append(path)
            continue
        if key not in series:
            title = str(header.get("SeriesDescription", "") or "no description")
            series[key] = _Series(key[0], str(header.get("SeriesNumber", "")), title, image_type, key[1:])
        series[key].slices += slices
    return series.values(), damaged, met


def _slices(path: Path, header) -> Iterator[_Slice]:
    if not header.get("PerFrameFunctionalGroupsSequence"):
        yield _Slice(path, 0, int(header.get("InstanceNumber") or 0), *geometry(header), padding=_padding(header))
        return
    first = None
    for index in range(int(header.NumberOfFrames)):
        try:
            scale = functional_group(header, index, "PixelValueTransformationSequence")
            slope, intercept = float(scale.RescaleSlope), float(scale.RescaleIntercept)
        except KeyError:
            slope, intercept = 1.0, 0.0
        first = first or (slope, intercept)
        factor = slope / first[0]
        correction = factor, intercept - first[1] * factor
        yield _Slice(path, index, index, *geometry(header, index), correction)


def _padding(header) -> float | None:
    value, is_signed = header.get("PixelPaddingValue"), header.get("PixelRepresentation") == 1
    if value is None:
        return None
    if isinstance(value, int):
        value = (value % 65536).to_bytes(2, "little")  # as pydicom gives it where the file does not say its type
    slope, intercept = float(header.get("RescaleSlope") or 1), float(header.get("RescaleIntercept") or 0)
    value = int.from_bytes(value[:2], "little", signed=is_signed) * slope + intercept
    return value if value > HIGHEST_HU else None


def _grids(series: _Series) -> list[_Series]:
    """The slices of a series, as one or several that each lie on one grid."""
    extent = np.array(series.shape[::-1])[:, None]

    def parallel(one: _Slice, other: _Slice) -> bool:
        pixel = np.linalg.norm(one.axes, axis=1).min()
        return np.abs((one.axes - other.axes) * extent).max() <= ONE_GRID * pixel

    return [replace(series, slices=part) for group in _alike(series.slices, parallel) for part in _rows(group)]


def _alike(items: Iterable, are_alike: Callable[[Any, Any], bool]) -> list[list]:
    """Groups of items that are like the first of their group."""
    groups: list[list] = []
    for one in items:
        group = next((g for g in groups if are_alike(one, g[0])), None)
        if group is None:
            groups.append([one])
        else:
            group.append(one)
    return groups


def _rows(slices: list[_Slice]) -> list[list[_Slice]]:
    """Parallel slices, parted into those that lie behind each other along one line, oblique for a tilted gantry."""
    axes, normal = slices[0].axes, slices[0].normal
    positions = np.array([s.position for s in slices])
    depths, pixels = positions @ normal, positions @ np.linalg.pinv(axes)
    order = np.argsort(depths, kind="stable")
    steps = np.diff(depths[order])
    apart = steps > 1e-2
    drift = np.zeros(2)
    if apart.any():
        drift = np.median(np.diff(pixels[order], axis=0)[apart] / steps[apart, None], axis=0)
    offsets = pixels - (depths - depths.min())[:, None] * drift
    rows = _alike(range(len(slices)), lambda a, b: np.abs(offsets[a] - offsets[b]).max() <= ONE_GRID)
    return [[slices[index] for index in row] for row in rows]


def _chosen(grids: list[_Series], place: Path, wanted: str | None, remarks: list[str]) -> _Series:
    """The series to read; what to say of the others is added to ``remarks``."""
    few = min(_FEW, max(s.places for s in grids) / 4)  # a bolus tracked at one level is an axial original, too
    grids = sorted(
        grids, key=lambda s: (not s.is_reformat and s.places >= few, s.places, np.prod(s.shape)), reverse=True
    )
    if wanted is not None:
        called = [s for s in grids if is_called(wanted, s.uid, s.number, s.title)]
        if not called:
            there = "; ".join(f"{s.number or '-'} ({s.told})" for s in grids[:8]) + "; ..." * (len(grids) > 8)
            raise UsageError(f"{place}: has no CT series '{wanted}'; give one of these numbers to --series: {there}")
        grids = called
    chosen, others = grids[0], grids[1:]
    if not others:
        return chosen
    if all(s.uid == chosen.uid for s in others):
        remarks.append(
            f"{place}: its CT series has slices that do not lie on one grid; the largest part was taken "
            f"({chosen.told}), {sum(len(s.slices) for s in others)} slices left out"
        )
        return chosen
    is_preferred = any(s.places > chosen.places for s in others)
    why = "the axial original was preferred to a reformat" if is_preferred else "the largest was taken"
    remarks.append(
        f"{place}: holds {len(grids)} CT series; {why} ({chosen.told}), {len(others)} left out; "
        "choose another with --series"
    )
    return chosen


def _sorted(series: _Series, place: Path, remarks: list[str]) -> tuple[list[_Slice], np.ndarray | None]:
    """Slices by position along the normal, one at each place, and their true places where these are uneven."""
    normal, slices = series.slices[0].normal, series.slices
    slices = sorted(slices, key=lambda s: (round(float(normal @ s.position), 3), s.instance, s.path))
    depths = np.array([normal @ s.position for s in slices])
    new = np.concatenate([[True], np.diff(depths) > 1e-2])
    if len(slices) > 1 and new.sum() == 1:
        raise InputError(f"{place}: all {len(slices)} slices of its CT series are at one position; export the CT again")
    if not new.all():
        remarks.append(
            f"{place}: {int((~new).sum())} slices have the position of another one (several phases in one series?); "
            "the first at each position was used"
        )
        slices, depths = [s for s, keep in zip(slices, new, strict=True) if keep], depths[new]
    steps = np.diff(depths)
    if not len(steps):
        return slices, None
    usual = float(np.median(steps))
    gaps = steps[steps > 1.5 * usual]
    span = f"{steps.min():.2f} to {steps.max():.2f} mm apart; each is scored at its own place"
    if 0 < len(gaps) <= len(steps) / 4:
        count = int(np.rint(gaps / usual - 1).sum())
        are = "slices of the CT are" if count > 1 else "slice of the CT is"
        remarks.append(f"{place}: about {count} {are} missing ({span})")
    elif (np.abs(steps - usual) > UNEVEN * usual).any():
        remarks.append(f"{place}: the slices are unevenly spaced ({span})")
    places = (depths - depths[0]) / (depths[-1] - depths[0]) * len(steps)
    is_even = np.abs(places - np.arange(len(places))).max() <= GRID_TOLERANCE
    return slices, None if is_even else places


def _voxels(slices: list[_Slice], shape: tuple[int, int]) -> np.ndarray:
    """HU ``[slice, row, column]``, in a dtype that holds those of every slice."""
    by_file: dict[Path, list[int]] = defaultdict(list)
    for number, one in enumerate(slices):
        by_file[one.path].append(number)
    voxels = np.empty((len(slices), *shape), np.int16)
    for path, numbers in by_file.items():
        frames = _frames(path)
        for number in numbers:
            one = slices[number]
            if frames.ndim != 3 or one.frame >= len(frames) or frames.shape[1:] != shape:
                raise InputError(f"{path}: its pixels do not match its header; export the CT again")
            pixels = _rescaled(frames[one.frame], one)
            if not np.can_cast(pixels.dtype, voxels.dtype):
                voxels = voxels.astype(np.result_type(voxels, pixels))
            voxels[number] = pixels
    return voxels


def _rescaled(pixels: np.ndarray, one: _Slice) -> np.ndarray:
    """HU of a frame in the smallest dtype that holds them."""
    factor, summand = one.correction
    if (factor, summand) != (1.0, 0.0):
        pixels = pixels * factor + summand
        pixels = pixels.astype(np.int32 if (pixels == np.rint(pixels)).all() else np.float32)
    if one.padding is not None:
        pixels = np.where(pixels == one.padding, pixels.dtype.type(AIR_HU), pixels)
    if pixels.dtype.kind in "iu" and pixels.min() >= -32768 and pixels.max() <= 32767:
        return pixels.astype(np.int16)
    return pixels.astype(np.float32) if pixels.dtype == np.float64 else pixels


def _frames(path: Path) -> np.ndarray:
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")  # also for files without preamble, which ITK takes for no image otherwise
    reader.SetFileName(os.fspath(path))
    try:
        with quiet_itk():
            return sitk.GetArrayFromImage(reader.Execute())
    except RuntimeError as error:
        raise InputError(
            f"{path}: is truncated or damaged, or compressed in a way that this program cannot read; "
            "copy or export this file of the CT again"
        ) from error
