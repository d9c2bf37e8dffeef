"""Needs ``slicer`` and ``vtk``. From a segmentation node to segments on the CT's grid, each inside its bounding box.

Slicer keeps the binary labelmaps of a segmentation in *layers*: segments that do not overlap share one. Each layer is
read once for all of its segments, and put on the CT's grid by the code that does it for files, so that a case gives
the same masks, and the same warnings, from the scene and from disk.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import numpy as np
import slicer
import vtk

from ..errors import InputError
from ..steps import Steps, run_to_end
from ..volume import AxialFrame, CtVolume, Segmentation
from ..volume.collector import Found, SegmentCollector
from ..volume.segmentation import Box, boxes_of_labels
from .tags import read_tags
from .world import local_to_world, volume_to_world

_SLAB = 1 << 20
"""Voxels of a label map that are read in one step."""
_BINARY_LABELMAP = "Binary labelmap"
"""What ``vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()`` says."""


def segmentation_from_node(segmentation_node, ct_node, segment_ids: Iterable[str] | None = None) -> Segmentation:
    """The segments of a vtkMRMLSegmentationNode on the grid of a CT volume node. Neither node is changed.

    Label values are copied, a layer at a time, so that editing while scoring does no harm.

    Args:
        segmentation_node: binary labelmaps on any grid, or closed surfaces; linear parent transforms are applied.
        ct_node: the vtkMRMLScalarVolumeNode whose grid is wanted.
        segment_ids: read only these segments; by default all.

    Raises:
        InputError: there is no segmentation, it has no segments, or no voxels can be made of them.
        MismatchError: it lies wholly outside the CT, or is under a transform that is not linear.
        UsageError: a segment was asked for that is not there.
    """
    return run_to_end(segmentation_steps(segmentation_node, ct_node, segment_ids))


def segmentation_steps(segmentation_node, ct_node, segment_ids: Iterable[str] | None = None) -> Steps[Segmentation]:
    """As :func:`segmentation_from_node`, in steps of a few milliseconds, and one step for each segment to be resampled.

    What is edited between two steps may be read as it was, as it is, or in part; whoever watches the edits reads it
    again afterwards.
    """
    if segmentation_node is None:
        raise InputError("no segmentation is selected; choose one")
    name = segmentation_node.GetName()
    source = segmentation_node.GetSegmentation()
    if source is None or not source.GetNumberOfSegments():
        raise InputError(f"{name}: the segmentation holds no segments; segment or load some first")
    collector = SegmentCollector(_grid_of(ct_node), {}, segment_ids, name)
    wanted = {position: found for position, found in enumerate(_found(source)) if collector.wants(found)}
    with _with_labelmaps(segmentation_node, ct_node) as node:
        positions = []
        for members in _layers(node, wanted):
            positions += members
            yield from _add_layer(collector, node, [wanted[position] for position in members])
    collector.reorder(positions)
    return collector.finish()


def _grid_of(ct_node) -> CtVolume:
    """The CT for its grid and name alone: its voxels are not looked at."""
    voxels = slicer.util.arrayFromVolume(ct_node)
    frame = AxialFrame.from_affine(volume_to_world(ct_node), voxels.shape)
    return CtVolume(frame.to_canonical(voxels), frame, ct_node.GetName())


def _found(segmentation) -> Iterator[Found]:
    """What the segmentation says of each segment, in its order."""
    for segment_id in segmentation.GetSegmentIDs():
        segment = segmentation.GetSegment(segment_id)
        color = tuple(float(c) for c in segment.GetColor())
        yield Found(id=segment_id, name=segment.GetName(), color=color, tags=read_tags(segment))


@contextmanager
def _with_labelmaps(segmentation_node, ct_node):
    """The node itself, or, when it has closed surfaces alone, a passing copy with binary labelmaps on the CT's grid."""
    source = segmentation_node.GetSegmentation()
    if source.ContainsRepresentation(_BINARY_LABELMAP):
        yield segmentation_node
        return
    copy = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "__temp__")
    try:
        copy.SetHideFromEditors(True)
        for segment_id in source.GetSegmentIDs():
            copy.GetSegmentation().CopySegmentFromSegmentation(source, segment_id)
        copy.SetAndObserveTransformNodeID(segmentation_node.GetTransformNodeID())
        copy.SetReferenceImageGeometryParameterFromVolumeNode(ct_node)
        if not copy.CreateBinaryLabelmapRepresentation():
            raise InputError(
                f"{segmentation_node.GetName()}: no voxels could be made of its surfaces; "
                "create a binary labelmap representation in the Segmentations module"
            )
        yield copy
    finally:
        slicer.mrmlScene.RemoveNode(copy)


def _layers(segmentation_node, wanted: dict[int, Found]) -> list[list[int]]:
    """Positions of the wanted segments, those that share a labelmap together; each segment without one alone."""
    layers: dict[str, list[int]] = {}
    for position, found in wanted.items():
        image = segmentation_node.GetBinaryLabelmapInternalRepresentation(found.id)
        key = f"empty {position}" if _is_empty(image) else image.GetAddressAsString("")
        layers.setdefault(key, []).append(position)
    return list(layers.values())


def _add_layer(collector: SegmentCollector, segmentation_node, members: list[Found]) -> Steps[None]:
    image = segmentation_node.GetBinaryLabelmapInternalRepresentation(members[0].id)
    if _is_empty(image):
        collector.add_empty(members[0])
        return
    to_world = _labelmap_to_world(image, segmentation_node)
    segmentation = segmentation_node.GetSegmentation()
    found = [(int(segmentation.GetSegment(member.id).GetLabelValue()), member) for member in members]
    voxels = slicer.util.arrayFromSegmentInternalBinaryLabelmap(segmentation_node, members[0].id)
    labels, boxes = yield from _copied(voxels, [value for value, _ in found])
    for pair in found:
        collector.add([pair], labels, to_world, segmentation_node.GetName(), boxes)
        yield


def _copied(voxels: np.ndarray, values: list[int]) -> Steps[tuple[np.ndarray, dict[int, Box]]]:
    """A copy of a label map, unsigned, and the boxes of the values that occur in it, slab by slab."""
    if voxels.dtype.kind != "u":  # Slicer's label values are whole and positive, whatever type holds them
        voxels = voxels.view(f"u{voxels.itemsize}") if voxels.dtype.kind == "i" else voxels
    labels = np.empty(voxels.shape, voxels.dtype if voxels.dtype.kind == "u" else np.uint16)
    boxes: dict[int, Box] = {}
    thickness = max(1, _SLAB // max(1, voxels[:1].size))
    for first in range(0, len(voxels), thickness):
        slab = labels[first : first + thickness]
        slab[:] = voxels[first : first + thickness]
        for value, box in boxes_of_labels(slab, values).items():
            box = (slice(box[0].start + first, box[0].stop + first), *box[1:])
            boxes[value] = _around(boxes[value], box) if value in boxes else box
        yield
    return labels, boxes


def _around(a: Box, b: Box) -> Box:
    return tuple(slice(min(s.start, t.start), max(s.stop, t.stop)) for s, t in zip(a, b, strict=True))


def _is_empty(image) -> bool:
    return image is None or not image.GetNumberOfPoints() or image.GetPointData().GetScalars() is None


def _labelmap_to_world(image, segmentation_node) -> np.ndarray:
    """4x4 matrix from ``(i, j, k, 1)`` of the labelmap's *array* to the world.

    Slicer crops labelmaps to what they hold: their voxel indices do not begin at 0 but at their extent.
    """
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    first = np.eye(4)
    first[:3, 3] = image.GetExtent()[::2]
    return local_to_world(segmentation_node) @ slicer.util.arrayFromVTKMatrix(matrix) @ first
