"""Needs ``slicer``. What the views show: a slice of the CT, its window, one segment alone, large. All is reversible.

No layout manager is asked.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import slicer
import vtk

from ..anatomy.windows import WindowPreset
from ..volume import AxialFrame
from .label_layers import label_layers
from .nodes import changing, frame_of, remember, remembered, restore_segments

VISIBILITY_BEFORE = "QualitySentinel.VisibilityBefore"
"""Attribute of the segmentation's display node: which segments were visible before one was shown alone."""
ZOOM_BEFORE = "QualitySentinel.ZoomBefore"
"""Attribute of the segmentation's display node: field of view and place of each slice view as they were."""
WINDOW_BEFORE = "QualitySentinel.WindowBefore"
"""Attribute of the volume's display node: whether its window was automatic, its width and its level."""

MARGIN, LEAST_MM = 1.6, 120.0
"""Width and height shown, as a multiple of the segment's, and at least: its surroundings say where it ends."""

_LOOKED_AT = 32
"""Slices of a segment in which its extent is looked for; a large one takes no longer than a small one."""

_PARALLEL = 1e-9
"""One minus the cosine between two planes that count as the same: 0.01 mm at the border of a slice."""


def jump_to_slice(volume_node, k: int, center_ras: Sequence[float] | None = None) -> None:
    """Let the slice views show canonical slice ``k`` of a volume.

    Axial views come to lie exactly in the plane of the slice; those of an oblique volume are turned into it, as
    Slicer's "Rotate to volume plane" does. A view is panned only where ``center_ras`` would be outside it.

    Args:
        k: canonical slice index; one beyond the volume goes to its end.
        center_ras: point of the world (RAS mm) that the other views cut, e.g. of :func:`segment_center`; by default
            they stay where they are.
    """
    frame = frame_of(volume_node)
    middle = frame.slice_center_ras(min(max(int(k), 0), frame.shape[0] - 1))
    normal = np.cross(frame.ijk_to_ras[:3, 0], frame.ijk_to_ras[:3, 1])
    normal /= np.linalg.norm(normal)
    for node in slicer.util.getNodesByClass("vtkMRMLSliceNode"):
        if is_axial(node):
            if 1 - abs(normal @ _normal(node)) > _PARALLEL:
                node.RotateToVolumePlane(volume_node, False)
            point = middle if center_ras is None else np.asarray(center_ras, dtype=float)
            _show_point(node, point - normal * (normal @ (point - middle)), center_ras)
        elif center_ras is not None:
            _show_point(node, center_ras, center_ras)


def is_axial(slice_node) -> bool:
    """Whether a slice view looks along the patient more than across, oblique ones too."""
    return int(np.argmax(np.abs(_normal(slice_node)))) == 2


def slice_shown(slice_node, frame: AxialFrame) -> int | None:
    """Canonical k of the slice of a CT in which an axial view lies, ``None`` beyond its ends."""
    place = slicer.util.arrayFromVTKMatrix(slice_node.GetSliceToRAS())[:, 3]
    k = int(np.rint((np.linalg.inv(frame.ijk_to_ras) @ place)[2]))
    return k if 0 <= k < frame.shape[0] else None


def segment_center(segmentation_node, segment_id: str, volume_node, k: int) -> tuple[float, ...] | None:
    """As :func:`mask_center`, of a segment of the scene; ``None`` also when it is not there.

    Raises:
        QualitySentinelError: the segment cannot be put on the volume's grid.
    """
    for layer in label_layers(segmentation_node, volume_node, [segment_id]):
        (value,) = layer.ids
        return mask_center(layer.labels, value, layer.corner, frame_of(volume_node), k)
    return None


def mask_center(
    labels: np.ndarray, value: int, corner: Sequence[int], frame: AxialFrame, k: int
) -> tuple[float, ...] | None:
    """A point of the world (RAS mm) in the middle of a mask in canonical slice ``k``; ``None`` when it is empty.

    It is the mask voxel nearest to the center of mass, so that views through it cut the mask. Where the mask has no
    voxel in the slice, that of the nearest slice with some, moved into slice ``k``: there something may be missed.
    ``labels``, ``[dk, dj, di]``, begin at canonical ``corner`` of the CT and have ``value`` in the mask.
    """
    for number in sorted(range(len(labels)), key=lambda n: abs(n + corner[0] - k)):
        rows, columns = np.nonzero(labels[number] == value)
        if len(rows):
            nearest = np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2)
            k = min(max(k, 0), frame.shape[0] - 1)
            place = [columns[nearest] + corner[2], rows[nearest] + corner[1], k, 1.0]
            return tuple(float(x) for x in (frame.ijk_to_ras @ place)[:3])
    return None


def show_only(segmentation_node: slicer.vtkMRMLSegmentationNode, segment_id: str) -> None:
    """Hide all other segments. :func:`show_all` brings back what was visible before, in a reloaded scene too."""
    with changing(segmentation_node, VISIBILITY_BEFORE) as (display, before):
        for other in segmentation_node.GetSegmentation().GetSegmentIDs():
            before.setdefault(other, bool(display.GetSegmentVisibility(other)))
            display.SetSegmentVisibility(other, other == segment_id)


def show_all(segmentation_node: slicer.vtkMRMLSegmentationNode) -> None:
    """Show the segments that were visible before the first :func:`show_only`; nothing happens if there was none."""
    restore_segments(segmentation_node, VISIBILITY_BEFORE, lambda display, *shown: display.SetSegmentVisibility(*shown))


def one_shown(segmentation_node: slicer.vtkMRMLSegmentationNode) -> bool:
    """Whether a segment is shown alone now."""
    return remembered(segmentation_node, VISIBILITY_BEFORE) is not None


def show_window(volume_node: slicer.vtkMRMLScalarVolumeNode, preset: WindowPreset) -> None:
    """Show a CT in a window; :func:`restore_window` brings the one back that it had before the first call."""
    volume_node.CreateDefaultDisplayNodes()
    display = volume_node.GetDisplayNode()
    with slicer.util.NodeModify(display):
        if remembered(volume_node, WINDOW_BEFORE) is None:
            before = [bool(display.GetAutoWindowLevel()), display.GetWindow(), display.GetLevel()]
            remember(volume_node, WINDOW_BEFORE, before)
        display.SetAutoWindowLevel(False)
        display.SetWindowLevel(preset.width, preset.level)


def restore_window(volume_node: slicer.vtkMRMLScalarVolumeNode) -> None:
    """Undo :func:`show_window`; nothing happens if there was none."""
    before = remembered(volume_node, WINDOW_BEFORE)
    if before is None:
        return
    display, (automatic, width, level) = volume_node.GetDisplayNode(), before
    with slicer.util.NodeModify(display):
        remember(volume_node, WINDOW_BEFORE, None)
        display.SetWindowLevel(width, level)
        display.SetAutoWindowLevel(automatic)


def _normal(slice_node) -> np.ndarray:
    normal = slicer.util.arrayFromVTKMatrix(slice_node.GetSliceToRAS())[:3, 2]
    return normal / np.linalg.norm(normal)


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


def zoom_to_segment(segmentation_node, segment_id: str, volume_node) -> None:
    """Let all slice views show a segment large and in their middle, at the slices that they show.

    An empty segment changes nothing. :func:`restore_zoom` goes back to before the first call.

    Raises:
        QualitySentinelError: the segment cannot be put on the volume's grid.
    """
    corners = _corners(segmentation_node, segment_id, volume_node)
    if corners is None:
        return
    with changing(segmentation_node, ZOOM_BEFORE) as (_display, before):
        for view in slicer.util.getNodesByClass("vtkMRMLSliceNode"):
            place = slicer.util.arrayFromVTKMatrix(view.GetSliceToRAS())[:3, 3]
            before.setdefault(view.GetID(), [*view.GetFieldOfView(), *place, *view.GetXYZOrigin()])
            show_box(view, corners, MARGIN, LEAST_MM)


def show_box(slice_node, corners: np.ndarray, more: float, least_mm: float) -> None:
    """Fill a view with a box times ``more``, but at least so many mm, in the slice that it shows.

    ``corners``: homogeneous RAS mm, ``[8, 4]``.
    """
    to_ras = slicer.util.arrayFromVTKMatrix(slice_node.GetSliceToRAS())
    in_view = (corners @ np.linalg.inv(to_ras).T)[:, :2]
    low, high = in_view.min(axis=0), in_view.max(axis=0)
    to_ras[:, 3] = to_ras @ [*(low + high) / 2, 0.0, 1.0]
    pixels = np.maximum(slice_node.GetDimensions()[:2], 1)
    mm = max(np.maximum(more * (high - low), least_mm) / pixels)
    with slicer.util.NodeModify(slice_node):
        slice_node.GetSliceToRAS().DeepCopy(slicer.util.vtkMatrixFromArray(to_ras))
        slice_node.SetXYZOrigin(0.0, 0.0, 0.0)  # dragging moves it
        slice_node.UpdateMatrices()
        slice_node.SetFieldOfView(*(pixels * mm).tolist(), slice_node.GetFieldOfView()[2])


def restore_zoom(segmentation_node: slicer.vtkMRMLSegmentationNode) -> None:
    """Show as much as before :func:`zoom_to_segment`, of the slices that are shown now; nothing if there was none."""
    before = remembered(segmentation_node, ZOOM_BEFORE)
    for view_id, numbers in (before or {}).items():
        view = slicer.mrmlScene.GetNodeByID(view_id)
        if view is None:
            continue
        fov, place, origin = np.reshape(numbers, (3, 3))
        to_ras = slicer.util.arrayFromVTKMatrix(view.GetSliceToRAS())
        place += to_ras[:3, 2] * (to_ras[:3, 2] @ (to_ras[:3, 3] - place))
        view.SetFieldOfView(*fov.tolist())
        view.JumpSliceByCentering(*place.tolist())
        view.SetXYZOrigin(*origin.tolist())
    if before is not None:
        remember(segmentation_node, ZOOM_BEFORE, None)


def _corners(segmentation_node, segment_id: str, volume_node) -> np.ndarray | None:
    """Homogeneous RAS mm of the corners of a segment's box, ``[8, 4]``; ``None`` when it is empty or not there."""
    for layer in label_layers(segmentation_node, volume_node, [segment_id]):
        (value,) = layer.ids
        for step in dict.fromkeys((max(1, len(layer.labels) // _LOOKED_AT), 1)):
            mask = layer.labels[::step] == value
            if mask.any():
                break
        else:
            continue
        ranges = []
        for axis in range(3):
            used = np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {axis}))) * (step if axis == 0 else 1)
            ranges.append((layer.corner[axis] + used[0], layer.corner[axis] + used[-1]))
        ijk = np.array([(i, j, k, 1.0) for k, j, i in itertools.product(*ranges)])
        return ijk @ frame_of(volume_node).ijk_to_ras.T
    return None
