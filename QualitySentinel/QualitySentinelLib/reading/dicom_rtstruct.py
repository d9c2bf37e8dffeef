"""DICOM RT Structure Sets (RTSTRUCT): contours drawn on the slices of a CT.

DICOM PS3.3 A.19 and C.8.8.6. A pixel belongs to a structure when its center lies inside an odd number of its contours
in the slice, so that a contour within another is a hole.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import UsageError, one_line
from ..volume import AxialFrame
from ..volume.collector import SegmentCollector, SegmentHeader
from .dicom_files import refusing_damage

_CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")
_ON_SLICE = 0.25
"""In steps between slices: contours so near to a slice of the CT were drawn on it."""
_LONGEST_REACH_MM = 5.0
"""No contour serves for slices farther from it."""
_FARTHEST = 10_000
"""In voxels of the CT: no contour of a patient is so far from it."""


def read_rtstruct(path: Path, collector: SegmentCollector) -> None:
    """Add the structures of an RT Structure Set; those without closed contours are empty.

    A structure's id is its ROI number. Contours on other slices than the CT's serve for the slices nearest to them.

    Raises:
        InputError: damaged.
        UsageError: scikit-image, which fills contours, is not installed.
    """
    try:
        import skimage.draw  # noqa: F401
    except ImportError as error:
        raise UsageError(
            f"{path}: reading an RTSTRUCT needs scikit-image; install it (pip install scikit-image)"
        ) from error
    import pydicom

    with refusing_damage(path, "RTSTRUCT"):
        _read(path, pydicom.dcmread(path, force=True), collector)


def _read(path: Path, dataset, collector: SegmentCollector) -> None:
    drawn = {int(item.ReferencedROINumber): item for item in dataset.get("ROIContourSequence") or ()}
    structures = []
    for roi in dataset.StructureSetROISequence:
        number = int(roi.ROINumber)
        item = drawn.get(number)
        color = item.get("ROIDisplayColor") if item is not None else None
        found = SegmentHeader(
            id=str(number), name=str(roi.get("ROIName", "") or f"ROI {number}"), keys=(str(number),),
            color=tuple(int(c) / 255 for c in color) if color and len(color) == 3 else None,
        )  # fmt: skip
        if collector.wants(found):
            structures.append((found, _contours(item, collector.ct.frame) if item is not None else []))
    everything = [contour for _, contours in structures for contour in contours]
    axis = int(np.median([np.ptp(c, axis=0) for c in everything], axis=0).argmin()) if everything else 0
    slices = _Slices([c[:, axis].mean() for c in everything], collector.ct.frame, axis)
    if slices.remark:
        collector.warnings.append(f"{path}: {slices.remark}")
    for found, contours in structures:
        flat = [c for c in contours if np.ptp(c[:, axis]) < 2 * _ON_SLICE]
        if len(flat) < len(contours):
            count = len(contours) - len(flat)
            collector.warnings.append(
                f"{path}: {count} contours of '{one_line(found.name, 60)}' run across slices and were left out"
            )
        _add(found, flat, slices, collector, str(path))


def _contours(item, frame: AxialFrame) -> list[np.ndarray]:
    """Points ``[N, 3]`` of each closed contour, as canonical voxel numbers ``(k, j, i)`` of the CT, were it even."""
    contours, to_ijk = [], np.linalg.inv(frame.ijk_to_ras)
    for contour in item.get("ContourSequence") or ():
        if contour.get("ContourGeometricType") not in _CLOSED:
            continue
        values = contour.get_item("ContourData").value
        if isinstance(values, bytes):  # pydicom's own decimal strings take seconds
            values = values.decode("ascii").strip(" \0").split("\\")
        points = np.array(values, dtype=float).reshape(-1, 3) * [-1.0, -1.0, 1.0]
        points = (points @ to_ijk[:3, :3].T + to_ijk[:3, 3])[:, ::-1]
        if not (np.abs(points) < _FARTHEST).all():
            raise ValueError("far from the CT")
        if len(points) > 2:
            contours.append(points)
    return contours


class _Slices:
    """On which slices of the CT contours across ``axis`` are; ``depths``: of all, as voxel numbers of the CT, were it
    even. ``remark``: what is odd, for a warning.
    """

    def __init__(self, depths: list[float], frame: AxialFrame, axis: int) -> None:
        uneven = frame.planes is not None and frame.plane_axis == axis
        self.axis, self._places = axis, frame.planes if uneven else np.arange(frame.shape[axis], dtype=float)
        self._reach, self.remark = _ON_SLICE, ""
        self._depths = np.unique(np.round([d for d in depths if self._is_inside(d)], 2))
        if not len(self._depths):
            return
        away = np.abs(self._depths[:, None] - self._places)
        off = int(np.count_nonzero(away.min(axis=1) > _ON_SLICE))
        apart = np.diff(np.unique(away.argmin(axis=1)))
        if 2 * off > len(depths) or (len(apart) and np.median(apart) > 1):  # drawn on another CT, or not on each slice
            reach = 0.5 * float(np.median(np.diff(depths))) if len(depths) > 1 else 0.5
            self._reach = min(reach, _LONGEST_REACH_MM / frame.spacing[axis]) + 1e-2
            self.remark = "its contours do not lie on every slice of the CT; each slice uses the nearest contour"
        elif off:
            self.remark = f"contours on {off} planes lie between the CT's slices and were left out"

    def _is_inside(self, depth: float) -> bool:
        return self._places[0] - 0.5 < depth < self._places[-1] + 0.5

    def of(self, depth: float) -> list[int]:
        """Numbers of the slices; beyond the CT, where its slices would go on."""
        if not self._is_inside(depth):
            return [round(depth)]
        nearest = np.abs(self._places[:, None] - self._depths).argmin(axis=1)
        mine = nearest == np.abs(self._depths - depth).argmin()
        return np.flatnonzero(mine & (np.abs(self._places - depth) <= self._reach)).tolist()


def _add(found: SegmentHeader, contours: list, slices: _Slices, collector: SegmentCollector, source: str) -> None:
    from skimage.draw import polygon2mask

    pieces = [(number, contour) for contour in contours for number in slices.of(contour[:, slices.axis].mean())]
    if not pieces:
        collector.add_empty(found)
        return
    points, numbers = np.concatenate([contour for _, contour in pieces]), [number for number, _ in pieces]
    low, high = np.floor(points.min(axis=0)).astype(int), np.ceil(points.max(axis=0)).astype(int) + 1
    low[slices.axis], high[slices.axis] = min(numbers), max(numbers) + 1
    labels = np.zeros(high - low, np.uint8)
    planes = np.moveaxis(labels, slices.axis, 0)
    for number, contour in pieces:
        outline = np.delete(contour - low, slices.axis, axis=1)
        planes[number - low[slices.axis]] ^= polygon2mask(planes.shape[1:], outline)
    shift = np.eye(4)
    shift[:3, 3] = low[::-1]
    collector.add([(1, found)], labels, collector.ct.frame.ijk_to_ras @ shift, source, by_plane=True)
