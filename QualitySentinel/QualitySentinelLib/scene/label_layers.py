"""Needs ``slicer``. The label maps of a segmentation node on the CT's grid, without copying where the grids agree.

Slicer keeps segments that do not overlap in one label map. Looking up one value for each label of a plane is much
quicker than going through the segments, so what is drawn by slice works on these.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import slicer

from ..steps import Steps
from ..volume import AxialFrame
from ..volume.placement import GRID_TOLERANCE
from ..volume.segmentation import filled_box_steps
from .nodes import frame_of
from .segmentation_node import is_empty_labelmap, labelmap_to_world, layers_of, segmentation_from_node


@dataclass(frozen=True)
class LabelLayer:
    """Segments that share a label map."""

    corner: tuple[int, ...]  # canonical ``(k, j, i)`` of the first voxel of ``labels`` in the CT
    labels: np.ndarray  # ``[dk, dj, di]``, canonical, inside the CT; a view of the node's memory where the grids agree
    ids: dict[int, str]  # segment id of each label value; other values belong to segments that were not asked for

    def plane(self, k: int) -> np.ndarray | None:
        """The labels ``[dj, di]`` in canonical slice ``k``, ``None`` beyond the map."""
        number = k - self.corner[0]
        return self.labels[number] if 0 <= number < len(self.labels) else None

    def only(self, slices: Iterable[int]) -> LabelLayer:
        """The part from the first to the last of some canonical slices."""
        numbers = [k - self.corner[0] for k in slices]
        low, high = max(min(numbers), 0), min(max(numbers) + 1, len(self.labels))
        return LabelLayer((self.corner[0] + low, *self.corner[1:]), self.labels[low : max(low, high)], self.ids)

    def trimmed_steps(self) -> Steps[LabelLayer | None]:
        """The part that holds all voxels above 0, ``None`` when there are none."""
        box = yield from filled_box_steps(self.labels)
        if box is None:
            return None
        corner = tuple(c + s.start for c, s in zip(self.corner, box, strict=True))
        return LabelLayer(corner, self.labels[box], self.ids)


def label_layers(segmentation_node, volume_node, segment_ids: Iterable[str] | None = None) -> list[LabelLayer]:
    """The label maps of some segments, by default of all, on the grid of a CT. Valid until the segments are edited.

    Raises:
        QualitySentinelError: as :func:`~.segmentation_node.segmentation_from_node`.
    """
    frame = frame_of(volume_node)
    segmentation = segmentation_node.GetSegmentation()
    wanted = list(segmentation.GetSegmentIDs()) if segment_ids is None else list(segment_ids)
    layers: list[LabelLayer] = []
    elsewhere = []
    for ids in layers_of(segmentation_node, [i for i in wanted if segmentation.GetSegment(i) is not None]):
        image = segmentation_node.GetBinaryLabelmapInternalRepresentation(ids[0])
        found = None if is_empty_labelmap(image) else _on_grid(segmentation_node, image, ids, frame)
        if found is not None:
            layers.append(found)
        elif image is None or image.GetNumberOfPoints():  # a surface, or on another grid
            elsewhere += ids
    for segment in segmentation_from_node(segmentation_node, volume_node, elsewhere) if elsewhere else ():
        if not segment.is_empty:
            corner = tuple(s.start for s in segment.box)
            layers.append(LabelLayer(corner, segment.labels, {segment.value: segment.id}))
    return [layer for layer in layers if layer.labels.size]


def _on_grid(segmentation_node, image, ids: list[str], frame: AxialFrame) -> LabelLayer | None:
    """A label map as it is, ``None`` when its grid is not the CT's."""
    labels = slicer.util.arrayFromSegmentInternalBinaryLabelmap(segmentation_node, ids[0])
    own = AxialFrame.from_affine(labelmap_to_world(image, segmentation_node), labels.shape)
    first = corner_in(frame, own)
    if first is None:
        return None
    inside = tuple(
        slice(max(0, -start), max(0, min(length, n - start)))
        for start, length, n in zip(first, own.shape, frame.shape, strict=True)
    )
    segmentation = segmentation_node.GetSegmentation()
    values = {int(segmentation.GetSegment(i).GetLabelValue()): i for i in ids}
    return LabelLayer(tuple(max(0, start) for start in first), own.to_canonical(labels)[inside], values)


def corner_in(frame: AxialFrame, own: AxialFrame) -> tuple[int, ...] | None:
    """Canonical ``(k, j, i)`` in ``frame`` of the first voxel of ``own``; ``None`` when their grids differ."""
    to_frame = np.linalg.inv(frame.ijk_to_ras) @ own.ijk_to_ras
    corner = np.rint(to_frame[:3, 3])
    error = np.abs(to_frame[:3, :3] - np.eye(3)) @ own.shape[::-1] + np.abs(to_frame[:3, 3] - corner)
    return None if error.max() > GRID_TOLERANCE else tuple(int(c) for c in corner[::-1])
