"""Needs ``slicer`` and ``vtk``. From a segmentation node to segments on the CT's grid, each in its box, and back.

Slicer keeps the binary labelmaps of a segmentation in *layers*: segments that do not overlap share one. Each layer is
read once for all of its segments, and put on the CT's grid by the code that does it for files, so that a case gives
the same masks, and the same warnings, from the scene and from disk.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import slicer
import vtk

from ..errors import InputError
from ..scores import CaseScore
from ..steps import Steps, run_to_end
from ..volume import AxialFrame, CtVolume, Segmentation
from ..volume.collector import SegmentCollector, SegmentHeader
from ..volume.segmentation import Box, moved
from .layer_memory import LayerMemory, recorded
from .nodes import local_to_world, volume_to_world
from .tags import read_tags

_SLAB = 1 << 20
"""Voxels of a label map that are copied in one step."""
_BINARY_LABELMAP = "Binary labelmap"
"""What ``vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()`` says."""


def segmentation_from_node(segmentation_node, ct_node, segment_ids: Iterable[str] | None = None) -> Segmentation:
    """The segments of a vtkMRMLSegmentationNode on the grid of a CT volume node. Neither node is changed.

    Label values are copied, a layer at a time, so that editing while scoring does no harm. Binary labelmaps may lie on
    any grid, or there may be closed surfaces; linear parent transforms are applied. ``segment_ids``: read only these.

    Raises:
        InputError: there is no segmentation, it has no segments, or no voxels can be made of them.
        MismatchError: it lies wholly outside the CT, or is under a transform that is not linear.
        UsageError: a segment was asked for that is not there.
    """
    return run_to_end(segmentation_steps(segmentation_node, ct_node, segment_ids))


def segmentation_steps(
    segmentation_node,
    ct_node,
    segment_ids: Iterable[str] | None = None,
    memory: LayerMemory | None = None,
    only_changed: Collection[str] = (),
) -> Steps[Segmentation]:
    """As :func:`segmentation_from_node`, in steps of a few milliseconds, and one step for each segment to be resampled.

    What is edited between two steps may be read as it was, as it is, or in part; whoever watches the edits reads it
    again afterwards.

    Args:
        segmentation_node, ct_node, segment_ids: as above.
        memory: what was read earlier; it learns what is read now.
        only_changed: of ``segment_ids``, those that are left out when their voxels are as the memory has them.
    """
    if segmentation_node is None:
        raise InputError("no segmentation is selected; select one")
    memory = LayerMemory() if memory is None else memory
    name = segmentation_node.GetName()
    source = segmentation_node.GetSegmentation()
    if source is None or not source.GetNumberOfSegments():
        raise InputError(f"{name}: the segmentation has no segments; create or load some first")
    collector = SegmentCollector(_grid_of(ct_node), {}, segment_ids, name)
    everything = {header.id: header for header in _headers(source)}
    wanted = [header.id for header in everything.values() if collector.wants(header)]
    with _with_labelmaps(segmentation_node, ct_node) as node:
        positions = []
        for sharing in layers_of(node, everything):
            members = [everything[segment_id] for segment_id in sharing if segment_id in wanted]
            if members:
                read = yield from _add_layer(collector, node, sharing, members, memory, only_changed)
                positions += [wanted.index(member.id) for member in members if member.id in read]
    collector.reorder(positions)
    return collector.finish()


def _grid_of(ct_node: slicer.vtkMRMLScalarVolumeNode) -> CtVolume:
    """The CT for its grid and name alone: its voxels are not looked at."""
    voxels = slicer.util.arrayFromVolume(ct_node)
    frame = AxialFrame.from_affine(volume_to_world(ct_node), voxels.shape)
    return CtVolume(frame.to_canonical(voxels), frame, ct_node.GetName())


def _headers(segmentation) -> Iterator[SegmentHeader]:
    """What the segmentation says of each segment, in its order."""
    for segment_id in segmentation.GetSegmentIDs():
        segment = segmentation.GetSegment(segment_id)
        color = tuple(float(c) for c in segment.GetColor())
        yield SegmentHeader(id=segment_id, name=segment.GetName(), color=color, tags=read_tags(segment))


@contextmanager
def _with_labelmaps(segmentation_node: slicer.vtkMRMLSegmentationNode, ct_node: slicer.vtkMRMLScalarVolumeNode):
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


def layers_of(segmentation_node: slicer.vtkMRMLSegmentationNode, segment_ids: Iterable[str]) -> list[list[str]]:
    """Ids of segments, those that share a labelmap together; each segment without voxels alone."""
    layers: dict[str, list[str]] = {}
    for segment_id in segment_ids:
        image = segmentation_node.GetBinaryLabelmapInternalRepresentation(segment_id)
        key = f"empty {segment_id}" if is_empty_labelmap(image) else image.GetAddressAsString("")
        layers.setdefault(key, []).append(segment_id)
    return list(layers.values())


def _add_layer(
    collector: SegmentCollector,
    segmentation_node,
    sharing: list[str],
    members: list[SegmentHeader],
    memory: LayerMemory,
    only_changed: Collection[str],
) -> Steps[set[str]]:
    """Give segments of one layer to the collector; returns the ids of those that were not left out.

    ``sharing``: ids of all segments of the layer; ``members``: those wanted.
    """
    image = segmentation_node.GetBinaryLabelmapInternalRepresentation(sharing[0])
    if is_empty_labelmap(image):
        collector.add_empty(members[0])
        memory.keep(sharing, None)
        return set(sharing)
    time = image.GetMTime()
    to_world = labelmap_to_world(image, segmentation_node)
    segmentation = segmentation_node.GetSegmentation()
    values = {segment_id: int(segmentation.GetSegment(segment_id).GetLabelValue()) for segment_id in sharing}
    voxels = slicer.util.arrayFromSegmentInternalBinaryLabelmap(segmentation_node, sharing[0])
    if voxels.dtype.kind == "i":  # Slicer's label values are whole and positive, whatever type holds them
        voxels = voxels.view(f"u{voxels.itemsize}")
    elif voxels.dtype.kind != "u":
        voxels = voxels.astype(np.uint16)
    geometry = (to_world.tobytes(), voxels.shape, voxels.dtype.str, collector.grid)
    old = memory.record_of(sharing)
    record = yield from recorded(voxels, geometry, values, old)
    changed = record.changed_since(old)
    wanted = {member.id for member in members if member.id in changed or member.id not in only_changed}
    if wanted:
        boxes = {values[segment_id]: record.box_of(values[segment_id]) for segment_id in wanted}
        boxes = {value: box for value, box in boxes.items() if box is not None}
        part = _around(boxes.values()) if only_changed and boxes else tuple(slice(0, n) for n in voxels.shape)
        labels = yield from _copied(voxels[part])
        corner = np.eye(4)
        corner[:3, 3] = [s.start for s in part[::-1]]
        inside = {value: moved(box, [-s.start for s in part]) for value, box in boxes.items()}
        for member in members:
            if member.id in wanted:
                name, value = segmentation_node.GetName(), values[member.id]
                collector.add([(value, member)], labels, to_world @ corner, name, inside)
                yield
    memory.keep(sharing, record if image.GetMTime() == time else None)  # else nobody knows what was read
    memory.keep(changed - wanted, None)
    return wanted


def _copied(voxels: np.ndarray) -> Steps[np.ndarray]:
    labels = np.empty(voxels.shape, voxels.dtype)
    thickness = max(1, _SLAB // max(1, labels[:1].size))
    for first in range(0, len(labels), thickness):
        labels[first : first + thickness] = voxels[first : first + thickness]
        yield
    return labels


def _around(boxes: Iterable[Box]) -> Box:
    starts, stops = zip(*(([s.start for s in box], [s.stop for s in box]) for box in boxes), strict=True)
    return tuple(slice(int(a), int(b)) for a, b in zip(np.min(starts, axis=0), np.max(stops, axis=0), strict=True))


def is_empty_labelmap(image) -> bool:
    """Whether a labelmap holds no voxels, or there is none."""
    return image is None or not image.GetNumberOfPoints() or image.GetPointData().GetScalars() is None


def labelmap_to_world(image, segmentation_node: slicer.vtkMRMLSegmentationNode) -> np.ndarray:
    """4x4 matrix from ``(i, j, k, 1)`` of the labelmap's *array* to the world.

    Slicer crops labelmaps to what they hold: their voxel indices do not begin at 0 but at their extent.
    """
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    first = np.eye(4)
    first[:3, 3] = image.GetExtent()[::2]
    return local_to_world(segmentation_node) @ slicer.util.arrayFromVTKMatrix(matrix) @ first


def add_segmentation(segmentation: Segmentation, load: Callable[[str], Any]):
    """A segmentation node with the same ids, names, colors and tags.

    By way of a ``.seg.nrrd``: Slicer's own reader builds the layers, and what we write it reads.

    Args:
        load: Slicer's reader, as the application has it.

    Raises:
        InputError: Slicer cannot read it.
    """
    from ..report import write_scored_segmentation

    with tempfile.TemporaryDirectory(prefix="quality-sentinel-") as folder:
        path = write_scored_segmentation(Path(folder) / "segmentation.seg.nrrd", segmentation, CaseScore([], 0.0))
        node = load(str(path))
    if node is None:
        raise InputError(f"{segmentation.source}: Slicer cannot read it; save it as .seg.nrrd")
    if node.GetStorageNode() is not None:
        slicer.mrmlScene.RemoveNode(node.GetStorageNode())  # its file is gone
    node.SetName(Path(segmentation.source).name or "Segmentation")
    node.CreateDefaultDisplayNodes()
    return node
