"""The segments of a segmentation: each a mask inside its bounding box, never a full-size volume of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ..errors import UsageError, one_line
from ..steps import Steps, run_to_end
from .frame import AxialFrame

Box = tuple[slice, ...]
"""Three half-open canonical index ranges ``(k, j, i)``."""
Extent = tuple[int, int, int, int]
"""Half-open extent of a mask in a slice: ``(first row, last row + 1, first column, last column + 1)``."""
NO_BOX: Box = (slice(0, 0),) * 3
NO_VOXELS = np.zeros((0, 0, 0), dtype=np.uint8)
"""Box and labels of a segment without voxels."""
_SLAB = 1 << 21
"""Voxels that are searched in one step."""


@dataclass
class Segment:
    """One segment: a mask inside its bounding box in the canonical frame."""

    id: str  # unique within the segmentation: the label value, file stem or Slicer segment id
    name: str  # the name as the file or node gives it (may hold any characters, may repeat)
    box: Box = NO_BOX  # bounding box; ``NO_BOX`` when the segment is empty
    # the label voxels inside ``box``, ``[dk, dj, di]`` (a view of a shared label map where there is one)
    labels: np.ndarray = field(default_factory=lambda: NO_VOXELS)
    value: int = 1  # the segment's value in ``labels``
    structure: str | None = None  # name of the anatomical structure it was matched to, or ``None`` when unknown
    color: tuple[float, ...] | None = None  # RGB in 0..1, or ``None``
    # the segment's tags (terminology and others), as ``.seg.nrrd`` and Slicer keep them
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """No voxel belongs to the segment."""
        return not self.labels.size

    def voxels(self) -> np.ndarray:
        """Boolean mask inside :attr:`box`, ``[dk, dj, di]``."""
        return self.labels == self.value

    def slice_mask(self, k: int) -> np.ndarray:
        """Boolean mask ``[dj, di]`` of canonical slice ``k`` inside the box's rows and columns; false outside it."""
        inside = self.box[0].start <= k < self.box[0].stop
        return self.labels[k - self.box[0].start] == self.value if inside else np.zeros(self.labels.shape[1:], bool)

    @cached_property
    def areas(self) -> np.ndarray:
        """Mask voxels in each slice of the box, int64 ``[dk]``."""
        return np.array([area for area, _ in self._measured], dtype=np.int64)

    @cached_property
    def _measured(self) -> list[tuple[int, Extent | None]]:
        """Voxels and extent of the mask in each slice of the box."""
        masks = (plane == self.value for plane in self.labels)
        return [(int(np.count_nonzero(m)), mask_extent(m, (self.box[1].start, self.box[2].start))) for m in masks]

    def occupied_slices(self) -> np.ndarray:
        """Canonical k of the slices that hold at least one mask voxel, ascending, int64."""
        return np.flatnonzero(self.areas) + self.box[0].start

    def cut_mask(self, k: int) -> tuple[np.ndarray, Extent | None]:
        """The mask of slice ``k`` cut to its extent, and that extent in the slice; ``None`` where it is empty."""
        at, top, left = k - self.box[0].start, self.box[1].start, self.box[2].start
        extent = self._measured[at][1] if 0 <= at < len(self._measured) else None
        if extent is None:
            return self.slice_mask(k), None
        rows, columns = slice(extent[0] - top, extent[1] - top), slice(extent[2] - left, extent[3] - left)
        return self.labels[at, rows, columns] == self.value, extent

    def slice_digest(self, k: int) -> str:
        """Fingerprint of the mask in slice ``k``: equal masks at equal places, and only those, agree.

        It is that of the mask cut to its extent: the box grows when another slice is edited.
        """
        mask, extent = self.cut_mask(k)
        corner = (self.box[1].start, self.box[2].start) if extent is None else extent[::2]
        content = np.packbits(mask).tobytes() + repr(tuple(int(n) for n in (*corner, *mask.shape))).encode()
        return hashlib.blake2b(content, digest_size=8).hexdigest()


def overlap(target: np.ndarray, source: np.ndarray, at: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Views of the parts of two planes that meet, where pixel ``at`` of ``target`` is the first one of ``source``."""
    inner = tuple(slice(max(0, a), max(0, a + n)) for a, n in zip(at, source.shape, strict=True))
    shown = target[inner]
    return shown, source[tuple(slice(max(0, -a), max(0, -a) + n) for a, n in zip(at, shown.shape, strict=True))]


def paste(target: np.ndarray, source: np.ndarray, at: Sequence[int]) -> None:
    """Write ``source``, whose first pixel is pixel ``at`` of ``target``, as far as it lies inside."""
    shown, part = overlap(target, source, at)
    shown[...] = part


def mask_extent(mask: np.ndarray, origin: tuple[int, int] = (0, 0)) -> Extent | None:
    """Half-open extent of the non-zero pixels of ``mask`` ``[rows, columns]`` whose corner is at ``origin``.

    Returns:
        ``None`` when the mask is empty.
    """
    rows = np.flatnonzero(mask.any(axis=1))
    if not len(rows):
        return None
    columns = np.flatnonzero(mask[rows[0] : rows[-1] + 1].any(axis=0))
    return (
        int(rows[0]) + origin[0],
        int(rows[-1]) + 1 + origin[0],
        int(columns[0]) + origin[1],
        int(columns[-1]) + 1 + origin[1],
    )


@dataclass
class Segmentation:
    """The segments of one case, all on the grid of ``frame`` (the CT's)."""

    segments: list[Segment]  # in the file's order; ids are unique
    frame: AxialFrame  # geometry
    source: str = ""  # file or node name, for messages and reports
    warnings: list[str] = field(default_factory=list)  # what was found odd and handled while reading, one line each

    def __iter__(self) -> Iterator[Segment]:
        return iter(self.segments)

    def __len__(self) -> int:
        return len(self.segments)

    def __getitem__(self, segment_id: str) -> Segment:
        for segment in self.segments:
            if segment.id == segment_id:
                return segment
        raise KeyError(segment_id)


def chosen_segments(
    segmentation: Segmentation, words: Iterable[str] | None, lacking: list[str] | None = None
) -> list[str]:
    """Ids of the segments that a user's words (ids, names or structures) mean, in the segmentation's order.

    ``None`` means every segment. Words that mean no segment are added to ``lacking``.

    Raises:
        UsageError: there is no word, or one means no segment and ``lacking`` is not given.
    """
    if words is None:
        return [segment.id for segment in segmentation]
    meant = {word: {s.id for s in segmentation if is_called(word, s.id, s.name, s.structure)} for word in words}
    if not meant:
        raise UsageError(f"{segmentation.source}: no segment to score was named")
    for word in (word for word, ids in meant.items() if not ids):
        if lacking is None:
            names = [one_line(s.name, 60) for s in segmentation.segments[:8]] + ["..."] * (len(segmentation) > 8)
            raise UsageError(f"{segmentation.source}: no segment is called {word!r}; available: {', '.join(names)}")
        lacking.append(word)
    return [s.id for s in segmentation if any(s.id in ids for ids in meant.values())]


def is_called(wanted: str, *texts: str | None) -> bool:
    """Whether a user who writes ``wanted`` means one of ``texts``: letter case and ``_`` for blanks do not count."""
    return _spoken(wanted) in {_spoken(text) for text in texts if text}


def _spoken(text: str) -> str:
    return " ".join(text.replace("_", " ").casefold().split())


def boxes_of_labels(labels: np.ndarray, values: Iterable[int]) -> dict[int, Box]:
    """Bounding boxes of label values in a label map ``[k, j, i]`` without negative values; absent ones are left out."""
    wanted = {int(v) for v in values}
    if not wanted or not labels.size:
        return {}
    if labels.dtype.kind not in "ui" or labels.dtype.itemsize > 4:
        labels = labels.astype(np.int32)
    filled = run_to_end(filled_box_steps(labels))  # quick, where the search below is slow and most of a mask is empty
    if filled is None:
        return {}
    from scipy import ndimage  # half of the time in which Slicer's panel opens

    found = ndimage.find_objects(labels[filled], max_label=max(wanted))
    corner = [s.start for s in filled]
    return {v: moved(found[v - 1], corner) for v in sorted(wanted) if v > 0 and found[v - 1] is not None}


def moved(box: Box, offset: Sequence[int]) -> Box:
    """The box ``offset`` voxels along each axis from where it was."""
    return tuple(slice(int(s.start + o), int(s.stop + o)) for s, o in zip(box, offset, strict=True))


def filled_box_steps(labels: np.ndarray) -> Steps[Box | None]:
    """Box of the voxels above 0, ``None`` when there are none."""
    if not labels.size:
        return None
    thickness = max(1, _SLAB // labels[0].size)
    plane, highest = np.zeros(labels.shape[1:], labels.dtype), []
    for first in range(0, len(labels), thickness):
        slab = labels[first : first + thickness]
        np.maximum(plane, slab.max(axis=0), out=plane)
        highest.append(slab.max(axis=(1, 2)))
        yield
    used = (np.concatenate(highest), plane.max(axis=1), plane.max(axis=0))
    ranges = [np.flatnonzero(u > 0) for u in used]
    return tuple(slice(int(r[0]), int(r[-1]) + 1) for r in ranges) if len(ranges[0]) else None


def segment_from_mask(mask: np.ndarray, offset: tuple[int, ...] = (0, 0, 0), **attributes) -> Segment:
    """Segment of a mask ``[k, j, i]`` (any non-zero voxel belongs) whose corner is at ``offset``, cut to its box."""
    mask = np.asarray(mask) != 0
    boxes = boxes_of_labels(mask.view(np.uint8), [1])
    if not boxes:
        return Segment(**attributes)
    labels = np.ascontiguousarray(mask[boxes[1]]).view(np.uint8)
    return Segment(box=moved(boxes[1], offset), labels=labels, value=1, **attributes)
