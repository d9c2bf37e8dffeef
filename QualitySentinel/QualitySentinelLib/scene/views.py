"""Needs ``slicer``. What the views show: a slice of the CT, one segment alone. No layout manager is asked."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import slicer
import vtk

from .label_layers import LabelLayer, frame_of, label_layers

VISIBILITY_ATTRIBUTE = "QualitySentinel.VisibilityBefore"
"""Attribute of the segmentation's display node: which segments were visible before one was shown alone."""

_PARALLEL = 1e-9
"""One minus the cosine between two planes that count as the same: 0.01 mm at the border of a slice."""


def jump_to_slice(volume_node, k: int, center_ras: Sequence[float] | None = None) -> None:
    """Let the slice views show canonical slice ``k`` of a volume.

    Axial views come to lie exactly in the plane of the slice; those of an oblique volume are turned into it, as
    Slicer's "Rotate to volume plane" does. A view is panned only where ``center_ras`` would be outside it.

    Args:
        volume_node: the CT.
        k: canonical slice index; one beyond the volume goes to its end.
        center_ras: point of the world (RAS mm) that the other views cut, e.g. of :func:`segment_center`; by default
            they stay where they are.

    Raises:
        MismatchError: the volume is under a transform that is not linear.
    """
    frame = frame_of(volume_node)
    middle = frame.slice_center_ras(min(max(int(k), 0), frame.shape[0] - 1))
    normal = np.cross(frame.ijk_to_ras[:3, 0], frame.ijk_to_ras[:3, 1])
    normal /= np.linalg.norm(normal)
    for node in slicer.util.getNodesByClass("vtkMRMLSliceNode"):
        if is_axial(node):
            if 1 - abs(normal @ _normal(node)) > _PARALLEL:
                node.RotateToVolumePlane(volume_node, False)
            _show_point(node, _onto_plane(middle if center_ras is None else center_ras, middle, normal), center_ras)
        elif center_ras is not None:
            _show_point(node, center_ras, center_ras)


def is_axial(slice_node) -> bool:
    """Whether a slice view looks along the patient more than across, oblique ones too."""
    return int(np.argmax(np.abs(_normal(slice_node)))) == 2


def segment_center(segmentation_node, segment_id: str, volume_node, k: int) -> tuple[float, float, float] | None:
    """A point of the world (RAS mm) in the middle of a segment's mask in canonical slice ``k``.

    It is the mask voxel nearest to the center of mass, so that views through it cut the mask. Where the mask has no
    voxel in the slice, that of the nearest slice with some, moved into slice ``k``: there something may be missed.

    Returns:
        ``None`` when the segment is empty or not there.

    Raises:
        QualitySentinelError: the segment cannot be put on the volume's grid.
    """
    for layer in label_layers(segmentation_node, volume_node, [segment_id]):
        place = _middle(layer, segment_id, k)
        if place is not None:
            frame = frame_of(volume_node)
            ras = frame.ijk_to_ras @ np.array([place[1], place[0], min(max(k, 0), frame.shape[0] - 1), 1.0])
            return tuple(float(x) for x in ras[:3])
    return None


def show_only(segmentation_node: slicer.vtkMRMLSegmentationNode, segment_id: str) -> None:
    """Hide all other segments. :func:`show_all` brings back what was visible before, in a reloaded scene too."""
    segmentation_node.CreateDefaultDisplayNodes()
    display = segmentation_node.GetDisplayNode()
    ids = segmentation_node.GetSegmentation().GetSegmentIDs()
    before = _visibility_before(display)
    with slicer.util.NodeModify(display):
        for other in ids:
            before.setdefault(other, bool(display.GetSegmentVisibility(other)))
            display.SetSegmentVisibility(other, other == segment_id)
        display.SetAttribute(VISIBILITY_ATTRIBUTE, json.dumps(before))


def show_all(segmentation_node: slicer.vtkMRMLSegmentationNode) -> None:
    """Show the segments that were visible before the first :func:`show_only`; nothing happens if there was none."""
    display = segmentation_node.GetDisplayNode()
    if display is None or display.GetAttribute(VISIBILITY_ATTRIBUTE) is None:
        return
    present = set(segmentation_node.GetSegmentation().GetSegmentIDs())
    with slicer.util.NodeModify(display):
        for segment_id, visible in _visibility_before(display).items():
            if segment_id in present:
                display.SetSegmentVisibility(segment_id, visible)
        display.RemoveAttribute(VISIBILITY_ATTRIBUTE)


def one_shown(segmentation_node: slicer.vtkMRMLSegmentationNode) -> bool:
    """Whether a segment is shown alone now."""
    display = segmentation_node.GetDisplayNode()
    return display is not None and display.GetAttribute(VISIBILITY_ATTRIBUTE) is not None


def _visibility_before(display) -> dict[str, bool]:
    return json.loads(display.GetAttribute(VISIBILITY_ATTRIBUTE) or "{}")


def _normal(slice_node) -> np.ndarray:
    normal = slicer.util.arrayFromVTKMatrix(slice_node.GetSliceToRAS())[:3, 2]
    return normal / np.linalg.norm(normal)


def _onto_plane(point: Sequence[float], origin: np.ndarray, normal: np.ndarray) -> np.ndarray:
    point = np.asarray(point, dtype=float)
    return point - normal * (normal @ (point - origin))


def _show_point(slice_node, ras: Sequence[float], wanted_inside: Sequence[float] | None) -> None:
    """Move a view into the plane of a point; also pan it when the point is wanted and not inside."""
    slice_node.JumpSliceByOffsetting(*(float(x) for x in ras))
    if wanted_inside is None:
        return
    to_view = vtk.vtkMatrix4x4()
    vtk.vtkMatrix4x4.Invert(slice_node.GetXYToRAS(), to_view)
    x, y, *_ = to_view.MultiplyPoint([*(float(x) for x in ras), 1.0])
    width, height, _depth = slice_node.GetDimensions()
    if not (0 <= x <= width and 0 <= y <= height):
        slice_node.JumpSliceByCentering(*(float(x) for x in ras))


def _middle(layer: LabelLayer, segment_id: str, k: int) -> tuple[int, int] | None:
    """Canonical (j, i) of a segment's middle in its slice nearest to ``k``."""
    value = next(v for v, i in layer.ids.items() if i == segment_id)
    for number in sorted(range(len(layer.labels)), key=lambda n: abs(n + layer.corner[0] - k)):
        rows, columns = np.nonzero(layer.labels[number] == value)
        if len(rows):
            nearest = np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2)
            return int(rows[nearest]) + layer.corner[1], int(columns[nearest]) + layer.corner[2]
    return None
