"""Needs ``slicer`` and ``vtk``. From a segmentation node to segments on the CT's grid, each inside its bounding box.

Slicer keeps the binary labelmaps of a segmentation in *layers*: segments that do not overlap share one. A layer that
lies on the CT's grid, whole or cropped, is read once for all of its segments. Only layers on another grid, and
segments that are closed surfaces alone, are resampled, one segment at a time, by Slicer's own export.
"""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np
import slicer
import vtk

from ..anatomy import match_structure
from ..errors import InputError, MismatchError
from ..volume import AxialFrame, Segment, Segmentation
from ..volume.segmentation import boxes_of_labels, segment_from_mask
from .tags import read_tags
from .world import local_to_world, volume_to_world

GRID_TOLERANCE = 1e-3
"""Voxels. Two grids that differ by less are one: files store their geometry in decimal text."""


def segmentation_from_node(segmentation_node, ct_node, segment_ids=None) -> Segmentation:
    """The segments of a vtkMRMLSegmentationNode on the grid of a CT volume node. Neither node is changed.

    Label values are copied, a layer at a time, so that editing while scoring does no harm.

    Args:
        segmentation_node: binary labelmaps on any grid, or closed surfaces; linear parent transforms are applied.
        ct_node: the vtkMRMLScalarVolumeNode whose grid is wanted.
        segment_ids: read only these segments; by default all.

    Raises:
        InputError: there is no segmentation, or it has no segments, or no voxels can be made of them.
        MismatchError: it lies wholly outside the CT, or is under a transform that is not linear.
    """
    if segmentation_node is None:
        raise InputError("no segmentation is selected; choose one")
    name = segmentation_node.GetName()
    source = segmentation_node.GetSegmentation()
    if source is None or not source.GetNumberOfSegments():
        raise InputError(f"{name}: the segmentation holds no segments; segment or load some first")
    ids = [i for i in source.GetSegmentIDs() if segment_ids is None or i in set(segment_ids)]
    shape = tuple(reversed(ct_node.GetImageData().GetDimensions()))
    frame = AxialFrame.from_affine(volume_to_world(ct_node), shape)
    with _labelmaps(segmentation_node, ct_node) as readable_node:
        masks, warnings, cut, outside = _read_masks(readable_node, ct_node, ids, frame)
    if outside and all(masks[i][0] is None for i in ids):
        raise MismatchError(f"{name}: lies outside the CT {ct_node.GetName()}; check that they are of one patient")
    for segment_id in cut:
        warnings.append(f"{name}: {source.GetSegment(segment_id).GetName()} reaches out of the CT and was cut there")
    segments = [_segment(source.GetSegment(i), i, *masks[i]) for i in ids]
    return Segmentation(segments, frame, name, warnings)


def _segment(segment, segment_id: str, box, labels, value: int) -> Segment:
    tags = read_tags(segment)
    structure = match_structure(segment.GetName(), tags)
    return Segment(
        id=segment_id,
        name=segment.GetName(),
        box=box,
        labels=labels,
        value=value,
        structure=structure.name if structure else None,
        color=tuple(segment.GetColor()),
        tags=tags,
    )


@contextmanager
def _labelmaps(segmentation_node, ct_node):
    """The node itself, or, when it has closed surfaces alone, a passing copy with binary labelmaps on the CT's grid."""
    representation = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    if segmentation_node.GetSegmentation().ContainsRepresentation(representation):
        yield segmentation_node
        return
    copy = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "__temp__")
    try:
        copy.SetHideFromEditors(True)
        source = segmentation_node.GetSegmentation()
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


def _read_masks(segmentation_node, ct_node, ids, frame):
    """Box, labels and value of each segment; warnings; ids cut by the CT's border; whether any layer lies outside."""
    ct_to_world = frame.file_ijk_to_ras
    to_world = local_to_world(segmentation_node)
    layers: dict[str, list[str]] = {}
    images, masks, warnings, cut, outside = {}, {}, [], [], False
    for segment_id in ids:
        image = segmentation_node.GetBinaryLabelmapInternalRepresentation(segment_id)
        if image is None or image.GetNumberOfPoints() == 0 or image.GetPointData().GetScalars() is None:
            masks[segment_id] = (None, None, 1)
            continue
        address = image.GetAddressAsString("")
        images[address] = image
        layers.setdefault(address, []).append(segment_id)
    resampled = 0
    for address, members in layers.items():
        offset = _offset_in_grid(images[address], to_world, ct_to_world)
        if offset is None:
            resampled += len(members)
            for segment_id in members:
                masks[segment_id], empty_here = _resampled(segmentation_node, ct_node, segment_id, frame)
                outside |= empty_here
            continue
        found, cut_here, outside_here = _read_layer(segmentation_node, members, offset, frame)
        masks.update(found)
        cut += cut_here
        outside |= outside_here
    if resampled:
        warnings.append(
            f"{segmentation_node.GetName()}: {resampled} segments are on another grid than the CT and were resampled"
        )
    return masks, warnings, cut, outside


def _offset_in_grid(image, to_world: np.ndarray, ct_to_world: np.ndarray) -> tuple[int, int, int] | None:
    """Index in the CT's array ``(K, J, I)`` of a labelmap's first voxel, or ``None`` when the grids differ."""
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    between = np.linalg.inv(ct_to_world) @ to_world @ slicer.util.arrayFromVTKMatrix(matrix)
    extent = image.GetExtent()
    corners = np.array([[extent[0], extent[2], extent[4], 1], [extent[1], extent[3], extent[5], 1]], dtype=float).T
    shift = np.rint(between[:3, 3])
    expected = corners[:3] + shift[:, None]
    if np.abs((between @ corners)[:3] - expected).max() > GRID_TOLERANCE:
        return None
    if np.abs(between[:3, :3] - np.eye(3)).max() > GRID_TOLERANCE:  # one voxel thick, and turned
        return None
    return tuple(int(n) for n in (shift + corners[:3, 0])[::-1])


def _read_layer(segmentation_node, members, offset, frame: AxialFrame):
    """Boxes and labels of the segments that share a layer, from one copy of the layer's part inside the CT."""
    layer = slicer.util.arrayFromSegmentInternalBinaryLabelmap(segmentation_node, members[0])
    file_shape = tuple(frame.shape[int(axis)] for axis in np.argsort(frame.permutation))
    inside = tuple(
        slice(max(0, -o), max(0, min(n, size - o))) for o, n, size in zip(offset, layer.shape, file_shape, strict=True)
    )
    segmentation = segmentation_node.GetSegmentation()
    values = {i: int(segmentation.GetSegment(i).GetLabelValue()) for i in members}
    labels = _turned(layer[inside], frame).copy()
    start = _canonical_start([o + s.start for o, s in zip(offset, inside, strict=True)], layer[inside].shape, frame)
    boxes = boxes_of_labels(labels, values.values())
    overhang = layer.size != labels.size
    everywhere = boxes_of_labels(layer, values.values()) if overhang else {}
    masks, cut, outside = {}, [], False
    for segment_id, value in values.items():
        inner = boxes.get(value)
        if overhang and value in everywhere:
            partly = inner is None or _voxels(layer, everywhere[value], value) > _voxels(labels, inner, value)
            outside |= inner is None
            if partly:
                cut.append(segment_id)
        if inner is None:
            masks[segment_id] = (None, None, 1)
            continue
        box = tuple(slice(s.start + o, s.stop + o) for s, o in zip(inner, start, strict=True))
        masks[segment_id] = (box, labels[inner], value)
    return masks, cut, outside


def _voxels(labels: np.ndarray, box, value: int) -> int:
    return int(np.count_nonzero(labels[box] == value))


def _turned(part: np.ndarray, frame: AxialFrame) -> np.ndarray:
    """A part of the file-order array in canonical order: permuted and flipped as the frame does with the whole."""
    turned = np.transpose(part, frame.permutation)
    return turned[tuple(slice(None, None, -1) if f else slice(None) for f in frame.flipped)]


def _canonical_start(start, shape, frame: AxialFrame) -> tuple[int, ...]:
    """Canonical index of the first voxel of a part that begins at ``start`` (K, J, I) in the file's array."""
    first = []
    for axis in range(3):
        file_axis = frame.permutation[axis]
        end = start[file_axis] + shape[file_axis]
        first.append(frame.shape[axis] - end if frame.flipped[axis] else start[file_axis])
    return tuple(int(n) for n in first)


def _resampled(segmentation_node, ct_node, segment_id: str, frame: AxialFrame):
    """Box, labels and value of one segment that Slicer resamples to the CT's grid; and whether nothing was left of it.

    Exported whole for a moment, then cut to its box.
    """
    mask = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation_node, segment_id, ct_node)
    segment = segment_from_mask(frame.to_canonical(mask), id=segment_id, name="")
    return (segment.box, segment.labels, 1), segment.box is None
