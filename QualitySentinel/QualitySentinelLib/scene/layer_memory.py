"""What the labelmaps of a segmentation held when they were read last, so that only what changed is read again.

A checksum of each stored slice tells which slices are others now; where the labels lie in the rest is known. No voxels
are kept.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from ..steps import Steps
from ..volume.segmentation import Box, boxes_of_labels

SliceBoxes = dict[int, tuple[slice, slice]]
"""Rows and columns of each label value that occurs in a stored slice."""


@dataclass
class LayerRecord:
    """One labelmap."""

    geometry: tuple  # anything that is equal only as long as the voxels lie where they lay
    values: dict[str, int]  # label value by segment id
    sums: list[int] = field(default_factory=list)  # checksum of each stored slice
    boxes: list[SliceBoxes] = field(default_factory=list)  # of each stored slice

    def box_of(self, value: int) -> Box | None:
        """Where a label value lies in the labelmap's array; ``None`` when it does not occur."""
        numbers = [number for number, found in enumerate(self.boxes) if value in found]
        if not numbers:
            return None
        rows, columns = ([self.boxes[n][value][axis] for n in numbers] for axis in (0, 1))
        return (
            slice(numbers[0], numbers[-1] + 1),
            slice(min(s.start for s in rows), max(s.stop for s in rows)),
            slice(min(s.start for s in columns), max(s.stop for s in columns)),
        )

    def changed_since(self, old: LayerRecord | None) -> set[str]:
        """Ids of the segments that may be others than in ``old``; all without one."""
        if old is None or old.geometry != self.geometry or len(old.sums) != len(self.sums):
            return set(self.values)
        there: set[int] = set()
        for number, (new_sum, old_sum) in enumerate(zip(self.sums, old.sums, strict=True)):
            if new_sum != old_sum:
                there |= self.boxes[number].keys() | old.boxes[number].keys()
        return {i for i, value in self.values.items() if value in there or old.values.get(i) != value}


class LayerMemory(dict[str, LayerRecord]):
    """The records of the layers that were read, by segment."""

    def record_of(self, segment_ids: Iterable[str]) -> LayerRecord | None:
        """The record that all of these segments share, if any."""
        records = {id(record): record for record in map(self.get, segment_ids)}
        return next(iter(records.values())) if len(records) == 1 else None

    def keep(self, segment_ids: Iterable[str], record: LayerRecord | None) -> None:
        """Take the record of the layer of these segments, or forget them."""
        for segment_id in segment_ids:
            self.pop(segment_id, None)
            if record is not None:
                self[segment_id] = record


def recorded(
    voxels: np.ndarray, geometry: tuple, values: dict[str, int], old: LayerRecord | None = None
) -> Steps[LayerRecord]:
    """The record of a labelmap, unsigned ``[K, J, I]``, as it is now; slices that are as in ``old`` are not read."""
    record = LayerRecord(geometry, values)
    wanted = set(values.values())
    usable = old is not None and old.geometry == geometry and wanted <= set(old.values.values())
    for number, plane in enumerate(voxels):
        plane = np.ascontiguousarray(plane)
        checksum = zlib.crc32(plane.data)
        if usable and number < len(old.sums) and old.sums[number] == checksum:
            boxes = old.boxes[number]
        else:
            found = boxes_of_labels(plane[None], wanted)
            boxes = {value: (box[1], box[2]) for value, box in found.items()}
        record.sums.append(checksum)
        record.boxes.append(boxes)
        yield
    return record
