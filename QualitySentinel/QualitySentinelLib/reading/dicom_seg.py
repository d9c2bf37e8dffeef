"""DICOM Segmentation objects (SEG): frames placed by their position, segments with their codes as tags.

DICOM PS3.3 A.51 and C.8.20. Frames are read one at a time, so that an object with many segments never sits in memory
unpacked.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..volume.collector import SAME_PLANE, SegmentCollector, SegmentHeader
from .dicom_files import SEGMENTATION_STORAGE, functional_group, geometry, refusing_damage
from .image import image_stem

_MOST_PLANES = 10_000
"""More planes than any CT has: a frame far away would make one array of all that lies between."""
_FLIPPED = np.array([-1.0, -1.0, 1.0])
"""Between LPS and RAS."""


def read_dicom_seg(path: Path, collector: SegmentCollector) -> None:
    """Add the segments of a DICOM SEG: binary, label map, or fractional (half and above belongs, with a warning).

    A segment's id is its number, its name the segment label; property codes become the ``TerminologyEntry`` tag that
    Slicer writes for them.

    Raises:
        InputError: damaged, not a SEG, or its frames do not form a regular stack.
    """
    import pydicom

    with refusing_damage(path, "DICOM SEG"):
        dataset = pydicom.dcmread(path, force=True)
        if str(dataset.get("SOPClassUID", "")) not in SEGMENTATION_STORAGE:
            name = str(dataset.get("Modality", "") or "not a segmentation")
            raise InputError(f"{path}: is DICOM but not a SEG object or RTSTRUCT ({name}); give the segmentation")
        _read(path, dataset, collector)


def _read(path: Path, dataset, collector: SegmentCollector) -> None:
    from pydicom.pixels import pixel_array

    kind = str(dataset.SegmentationType)
    if kind == "FRACTIONAL":
        collector.warnings.append(f"{path}: a fractional SEG; voxels of at least one half were taken as the segment")
    threshold = (int(dataset.get("MaximumFractionalValue", 255)) + 1) // 2
    found = {}
    for item in dataset.SegmentSequence:
        number = int(item.SegmentNumber)
        if kind == "LABELMAP" and number == 0:
            continue  # the background
        name = str(item.get("SegmentLabel", "") or f"{image_stem(path)} {number}")
        found[number] = SegmentHeader(str(number), name, _color(item), segment_tags(item), (str(number),))
    frames = range(int(dataset.get("NumberOfFrames", 1)))
    stack = _Stack(path, [geometry(dataset, index) for index in frames], dataset, collector)
    of_segment: dict[int | None, list[int]] = defaultdict(list)
    for index in frames:
        segment = None
        if kind != "LABELMAP":
            group = functional_group(dataset, index, "SegmentIdentificationSequence")
            segment = int(group.ReferencedSegmentNumber)
        of_segment[segment].append(index)
    for number, what in found.items():
        if not collector.wants(what):
            continue
        pieces = []
        for index in of_segment[number if kind != "LABELMAP" else None]:
            pixels = pixel_array(dataset, index=index)
            mask = pixels >= threshold if kind == "FRACTIONAL" else pixels == (number if kind == "LABELMAP" else 1)
            rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
            if len(rows):
                corner = (stack.place[index], rows[0], columns[0])
                pieces.append((corner, mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]))
        if pieces:
            labels, affine = stack.assemble(pieces)
            collector.add([(1, what)], labels, affine, str(path), by_plane=stack.on_ct)
        else:
            collector.add_empty(what)


class _Stack:
    """The frames as planes of one stack: those of the CT where all lie on them (``on_ct``), else regular ones.

    ``place`` is the number of each frame's plane.
    """

    def __init__(
        self, path: Path, frames: list[tuple[np.ndarray, np.ndarray]], dataset, collector: SegmentCollector
    ) -> None:
        self.on_ct, self.place = False, []
        if not frames:
            return
        first = frames[0][1]
        if any(np.abs(axes - first).max() > 1e-3 * np.abs(first).max() for _, axes in frames):
            raise InputError(f"{path}: its frames have several orientations; export it on the CT's slices")
        row, column = first
        positions = np.array([position for position, _ in frames])
        corners = [positions, positions + row * (dataset.Columns - 1), positions + column * (dataset.Rows - 1)]
        found = collector.on_planes(np.stack(corners, axis=1) * _FLIPPED)
        if found is not None:
            self.on_ct, (numbers, shifts, step) = True, found
            positions, step = positions + shifts * _FLIPPED, step * _FLIPPED
        else:
            measures = functional_group(dataset, 0, "PixelMeasuresSequence")
            numbers, step = self._regular(path, measures, positions, np.cross(row, column))
        lowest = int(np.argmin(numbers))
        self.place = (numbers - numbers[lowest]).tolist()
        self._lps = np.eye(4)
        self._lps[:3] = np.column_stack((row, column, step, positions[lowest]))

    @staticmethod
    def _regular(path: Path, measures, positions: np.ndarray, normal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Number of each frame's plane in a regular stack, from 0, and the step between planes (LPS mm)."""
        normal = normal / np.linalg.norm(normal)
        depths = positions @ normal
        depths -= depths.min()
        steps = np.diff(np.unique(np.round(depths, 3)))
        smallest = float(steps[steps > 1e-2].min()) if (steps > 1e-2).any() else 0.0
        candidates = (s for s in (abs(float(measures.get("SpacingBetweenSlices") or 0.0)), smallest) if s > 0)
        regular = (s for s in candidates if np.abs(depths / s - np.rint(depths / s)).max() < SAME_PLANE)
        step = next(regular, 0.0 if smallest else float(measures.get("SliceThickness") or 1.0))
        if step <= 0:
            raise InputError(f"{path}: its frames are unevenly spaced; export it on the CT's slices")
        if depths.max() > _MOST_PLANES * step:
            raise InputError(f"{path}: its frames lie {depths.max():.0f} mm apart; export it on the CT's slices")
        numbers = np.rint(depths / step).astype(int)
        lowest, highest = int(np.argmin(depths)), int(np.argmax(depths))
        if numbers[highest]:  # a tilted gantry: the planes' corners do not lie along the normal
            return numbers, (positions[highest] - positions[lowest]) / numbers[highest]
        return numbers, normal * step

    def assemble(self, pieces: list) -> tuple[np.ndarray, np.ndarray]:
        """One 0/1 array ``[K, J, I]`` that just holds the pieces ``((plane, row, column), mask)``, and its affine."""
        low = np.min([corner for corner, _ in pieces], axis=0)
        high = np.max([np.add(corner, (1, *mask.shape)) for corner, mask in pieces], axis=0)
        labels = np.zeros(tuple(int(n) for n in high - low), np.uint8)
        for corner, mask in pieces:
            plane, top, left = (int(c) for c in np.subtract(corner, low))
            labels[plane, top : top + mask.shape[0], left : left + mask.shape[1]] |= mask
        shift = np.eye(4)
        shift[:3, 3] = low[::-1]
        return labels, np.diag([*_FLIPPED, 1.0]) @ self._lps @ shift


def segment_tags(item) -> dict[str, str]:
    """The codes of a Segment Sequence item as the ``TerminologyEntry`` tag of Slicer's segments.

    ``context~category~type~type modifier~anatomic context~region~region modifier~``, each ``scheme^value^meaning``.
    """

    def code(parent, keyword: str) -> tuple[str, object]:
        sequence = parent.get(keyword) if parent is not None else None
        if not sequence:
            return "^^", None
        value = sequence[0].get("CodeValue") or sequence[0].get("LongCodeValue") or ""
        parts = (sequence[0].get("CodingSchemeDesignator", ""), value, sequence[0].get("CodeMeaning", ""))
        return "^".join(str(p).replace("^", " ").replace("~", " ").replace("|", " ") for p in parts), sequence[0]

    category, _ = code(item, "SegmentedPropertyCategoryCodeSequence")
    kind, kind_item = code(item, "SegmentedPropertyTypeCodeSequence")
    modifier, _ = code(kind_item, "SegmentedPropertyTypeModifierCodeSequence")
    region, region_item = code(item, "AnatomicRegionSequence")
    region_modifier, _ = code(region_item, "AnatomicRegionModifierSequence")
    if kind == "^^" and region == "^^":
        return {}
    terminology, anatomy = "Segmentation category and type - DICOM master list", "Anatomic codes - DICOM master list"
    entry = "~".join((terminology, category, kind, modifier, anatomy, region, region_modifier))
    return {"TerminologyEntry": entry}


def _color(item) -> tuple[float, ...] | None:
    """RGB of the recommended CIELab value (DICOM PS3.3 C.10.7.1.1), with the D65 white that DCMTK and Slicer write."""
    encoded = item.get("RecommendedDisplayCIELabValue")
    if encoded is None or len(encoded) != 3:
        return None
    lightness = float(encoded[0]) / 65535 * 100
    a, b = (float(v) / 65535 * 255 - 128 for v in encoded[1:])
    fy = (lightness + 16) / 116
    f = np.array([fy + a / 500, fy, fy - b / 200])
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * [0.950456, 1.0, 1.088754]
    to_rgb = [[3.2404542, -1.5371385, -0.4985314], [-0.969266, 1.8760108, 0.041556], [0.0556434, -0.2040259, 1.0572252]]
    linear = np.clip(np.array(to_rgb) @ xyz, 0.0, 1.0)
    rgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return tuple(round(float(v), 4) for v in rgb)
