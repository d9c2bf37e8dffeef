"""Needs ``slicer``. Slice views zoomed to one segment, reversibly. No layout manager is asked."""

from __future__ import annotations

import itertools
import json

import numpy as np
import slicer

from .label_layers import frame_of, label_layers

BEFORE_ATTRIBUTE = "QualitySentinel.ZoomBefore"
"""Attribute of the segmentation's display node: field of view and place of each slice view as they were."""

MARGIN, LEAST_MM = 1.6, 120.0
"""Width and height shown, as a multiple of the segment's, and at least: its surroundings say where it ends."""

_LOOKED_AT = 32
"""Slices of a segment in which its extent is looked for; a large one takes no longer than a small one."""


def zoom_to_segment(segmentation_node, segment_id: str, volume_node) -> None:
    """Let all slice views show a segment large and in their middle, at the slices that they show.

    An empty segment changes nothing. :func:`restore_zoom` goes back to before the first call.

    Raises:
        QualitySentinelError: the segment cannot be put on the volume's grid.
    """
    corners = _corners(segmentation_node, segment_id, volume_node)
    if corners is None:
        return
    segmentation_node.CreateDefaultDisplayNodes()
    display = segmentation_node.GetDisplayNode()
    before = json.loads(display.GetAttribute(BEFORE_ATTRIBUTE) or "{}")
    for view in slicer.util.getNodesByClass("vtkMRMLSliceNode"):
        to_ras = slicer.util.arrayFromVTKMatrix(view.GetSliceToRAS())
        fov = np.array(view.GetFieldOfView())
        before.setdefault(view.GetID(), [*fov, *to_ras[:3, 3], *view.GetXYZOrigin()])
        across, normal = to_ras[:3, :2], to_ras[:3, 2]
        wanted = np.maximum(MARGIN * np.ptp(corners @ across, axis=0), LEAST_MM)
        middle = (corners.min(axis=0) + corners.max(axis=0)) / 2
        middle += normal * (normal @ (to_ras[:3, 3] - middle))  # in the slice that is shown
        factor = float(np.max(wanted / fov[:2]))
        view.SetFieldOfView(*(fov[:2] * factor).tolist(), float(fov[2]))
        view.JumpSliceByCentering(*middle.tolist())
    display.SetAttribute(BEFORE_ATTRIBUTE, json.dumps(before))


def restore_zoom(segmentation_node: slicer.vtkMRMLSegmentationNode) -> None:
    """Show as much as before :func:`zoom_to_segment`, of the slices that are shown now; nothing if there was none."""
    display = segmentation_node.GetDisplayNode()
    if display is None or display.GetAttribute(BEFORE_ATTRIBUTE) is None:
        return
    for view_id, numbers in json.loads(display.GetAttribute(BEFORE_ATTRIBUTE)).items():
        view = slicer.mrmlScene.GetNodeByID(view_id)
        if view is None:
            continue
        fov, place, origin = np.reshape(numbers, (3, 3))
        to_ras = slicer.util.arrayFromVTKMatrix(view.GetSliceToRAS())
        place += to_ras[:3, 2] * (to_ras[:3, 2] @ (to_ras[:3, 3] - place))
        view.SetFieldOfView(*fov.tolist())
        view.JumpSliceByCentering(*place.tolist())
        view.SetXYZOrigin(*origin.tolist())
    display.RemoveAttribute(BEFORE_ATTRIBUTE)


def _corners(segmentation_node, segment_id: str, volume_node) -> np.ndarray | None:
    """RAS mm of the corners of a segment's box, ``[8, 3]``; ``None`` when it is empty or not there."""
    for layer in label_layers(segmentation_node, volume_node, [segment_id]):
        value = next(v for v, i in layer.ids.items() if i == segment_id)
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
        return (ijk @ frame_of(volume_node).ijk_to_ras.T)[:, :3]
    return None
