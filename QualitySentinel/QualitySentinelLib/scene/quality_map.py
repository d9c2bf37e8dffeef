"""Needs ``slicer``. The quality map: a volume in which each mask voxel carries the predicted DSC of its slice.

It is the foreground of all slice views while it is shown. Where segments overlap, the lower DSC wins; hidden segments
and slices without a score are left out. It lies on the CT's voxels, cropped to the segments, because a float for each
voxel of a whole CT would be large. After an edit only the slices that changed are drawn again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from ..colors import DEFAULT_SCALE, check_scale
from ..scores import CaseScore
from ..steps import Steps, at_once
from .colors import remove_unused_scales, scale_node
from .label_layers import LabelLayer, corner_in, label_layers
from .nodes import MAP_ROLE, changing, frame_of, own_node, remember, remembered, remove_referenced, visible_segments

BEFORE_ATTRIBUTE = "QualitySentinel.QualityMapBefore"
"""Attribute of the segmentation's display node: the views as they were, so that a reloaded scene has the way back."""

NO_SCORE = -1.0
"""Value of voxels outside the masks: no DSC. Not NaN: histograms crash on it. The map's name says so, because Slicer's
Data Probe shows both, and no more than 24 letters of a name."""

OPACITY = 0.6
"""Of the map above the CT."""


class _Drawn(NamedTuple):
    """What of a slice the map shows."""

    digest: str
    dsc: float


_records: dict[str, tuple[int, dict[str, dict[int, _Drawn]]]] = {}
"""By id of a map's volume node: the time of its voxels, another one means that somebody else has changed or loaded
them, and what it shows by segment id and canonical k. Only a hint: where there is none, the map is drawn anew."""


def show_quality_map_steps(
    segmentation_node, volume_node, case_score: CaseScore, scale: str = DEFAULT_SCALE
) -> Steps[None]:
    """Show the map in all slice views; :func:`hide_quality_map` brings their foreground back.

    The 2D fill of the segments is hidden meanwhile, since it would cover the map; outlines stay. Steps take a few
    milliseconds, more where segments must be resampled; the last one changes the scene. What is shown are the scores
    as they were at the beginning: update the map afterwards if they have changed meanwhile.

    Raises:
        UsageError: there is no such scale.
        QualitySentinelError: the segments cannot be put on the CT's grid.
    """
    check_scale(scale)
    drawn = yield from _drawn_steps(segmentation_node, volume_node, case_score)
    name = f"DSC map ({NO_SCORE:.0f}: no score)"
    map_node = own_node(segmentation_node, MAP_ROLE, "vtkMRMLScalarVolumeNode", name)
    if map_node.GetDisplayNode() is None:
        _set_up_display(map_node)
    drawn(map_node)
    map_node.GetDisplayNode().SetAndObserveColorNodeID(scale_node(scale).GetID())
    remove_unused_scales()
    _to_foreground(segmentation_node, map_node)


show_quality_map = at_once(show_quality_map_steps)


def update_quality_map_steps(segmentation_node, volume_node, case_score: CaseScore) -> Steps[None]:
    """Draw what has changed: scores, masks, and which segments are visible. Nothing happens when no map is shown.

    The map must not be hidden between the steps. One that was left half drawn is drawn anew by the next update.

    Raises:
        QualitySentinelError: the segments cannot be put on the CT's grid.
    """
    map_node = segmentation_node.GetNodeReference(MAP_ROLE)
    if map_node is None:
        return
    (time, drawn), image = _records.get(map_node.GetID(), (None, {})), map_node.GetImageData()
    corner = None
    if image is not None and image.GetMTime() == time:
        frame = frame_of(map_node)
        corner = corner_in(frame_of(volume_node), frame)
    if corner is None:
        (yield from _drawn_steps(segmentation_node, volume_node, case_score))(map_node)
        return
    wanted = _wanted(segmentation_node, case_score)
    pairs = [(drawn.get(i, {}), wanted.get(i, {})) for i in drawn.keys() | wanted.keys()]
    changed = {k for old, new in pairs for k in old.keys() | new.keys() if old.get(k) != new.get(k)}
    if not changed:
        return
    parts = [layer.only(changed) for layer in label_layers(segmentation_node, volume_node)]
    edited = yield from _trimmed_steps(parts)
    if not _covers(corner, frame.shape, edited):
        (yield from _drawn_steps(segmentation_node, volume_node, case_score))(map_node)
        return
    changed = {k for k in changed if corner[0] <= k < corner[0] + frame.shape[0]}
    voxels = frame.to_canonical(slicer.util.arrayFromVolume(map_node))
    del _records[map_node.GetID()]  # until all is drawn
    yield from _draw_steps(voxels, corner, edited, wanted, sorted(changed))
    slicer.util.arrayFromVolumeModified(map_node)
    _records[map_node.GetID()] = map_node.GetImageData().GetMTime(), wanted


update_quality_map = at_once(update_quality_map_steps)


def show_in_new_views(segmentation_node: slicer.vtkMRMLSegmentationNode) -> None:
    """Show the map in slice views that were not there when it was shown; nothing happens when it is not."""
    map_node = segmentation_node.GetNodeReference(MAP_ROLE)
    if map_node is not None:
        _to_foreground(segmentation_node, map_node, new_ones_only=True)


def hide_quality_map(segmentation_node: slicer.vtkMRMLSegmentationNode) -> None:
    """Remove the map; views and fills are as before :func:`show_quality_map`. Nothing happens if none is shown."""
    map_node = segmentation_node.GetNodeReference(MAP_ROLE)
    _restore_views(segmentation_node, map_node)
    if map_node is None:
        return
    _records.pop(map_node.GetID(), None)
    remove_referenced(segmentation_node, MAP_ROLE)
    remove_unused_scales()


def quality_map_shown(segmentation_node: slicer.vtkMRMLSegmentationNode) -> bool:
    return segmentation_node.GetNodeReference(MAP_ROLE) is not None


def _wanted(segmentation_node: slicer.vtkMRMLSegmentationNode, case_score: CaseScore) -> dict[str, dict[int, _Drawn]]:
    """What the map should show, by segment id and canonical k."""
    segments = visible_segments(segmentation_node, case_score)
    return {s.segment_id: {x.k: _Drawn(x.digest, x.predicted_dsc) for x in s.slices} for s in segments}


def _drawn_steps(segmentation_node, volume_node, case_score: CaseScore) -> Steps[Callable]:
    """Make a map's voxels anew; returns a function that gives them to a map's node."""
    wanted = _wanted(segmentation_node, case_score)
    yield
    layers = label_layers(segmentation_node, volume_node)
    yield
    layers = yield from _trimmed_steps(layers)
    corner, shape = _box(layers)
    frame = frame_of(volume_node)
    file_shape, file_corner = frame.file_box(corner, shape)
    image = vtk.vtkImageData()
    image.SetDimensions(*file_shape[::-1])
    image.AllocateScalars(vtk.VTK_FLOAT, 1)
    voxels = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(file_shape)
    slices = range(corner[0], corner[0] + shape[0])
    yield from _draw_steps(frame.to_canonical(voxels), corner, layers, wanted, slices)
    matrix = vtk.vtkMatrix4x4()
    volume_node.GetIJKToRASMatrix(matrix)
    moved = slicer.util.arrayFromVTKMatrix(matrix)
    moved[:, 3] += moved @ [*file_corner[::-1], 0.0]
    to_ras = slicer.util.vtkMatrixFromArray(moved)
    transform_id = volume_node.GetTransformNodeID()

    def give_to(map_node) -> None:
        with slicer.util.NodeModify(map_node):
            map_node.SetIJKToRASMatrix(to_ras)
            map_node.SetAndObserveTransformNodeID(transform_id)
            map_node.SetAndObserveImageData(image)
        _records[map_node.GetID()] = image.GetMTime(), wanted

    return give_to


def _trimmed_steps(layers: Iterable[LabelLayer]) -> Steps[list[LabelLayer]]:
    found = []
    for layer in layers:
        trimmed = yield from layer.trimmed_steps()
        if trimmed is not None:
            found.append(trimmed)
    return found


def _draw_steps(
    voxels: np.ndarray,
    corner: tuple[int, ...],
    layers: list[LabelLayer],
    drawn: dict[str, dict[int, _Drawn]],
    slices: Iterable[int],
) -> Steps[None]:
    """Draw whole slices, each in a step.

    ``voxels`` of the map, ``[dk, dj, di]`` canonical, begin at canonical ``corner`` of the CT; ``layers`` are all
    segments' label maps, ``drawn`` what to show by segment id and canonical k.
    """
    by_label = [{value: drawn.get(i, {}) for value, i in layer.ids.items()} for layer in layers]
    for k in slices:
        lowest = np.full(voxels.shape[1:], np.inf, dtype=np.float32)
        for layer, dsc_of in zip(layers, by_label, strict=True):
            plane = layer.plane(k)
            known = {value: dsc[k].dsc for value, dsc in dsc_of.items() if k in dsc}
            if plane is None or not known:
                continue
            table = np.full(max(int(plane.max()), *known) + 1, np.inf, dtype=np.float32)
            table[list(known)] = list(known.values())
            window = tuple(
                slice(c - m, c - m + n) for c, m, n in zip(layer.corner[1:], corner[1:], plane.shape, strict=True)
            )
            np.minimum(lowest[window], table[plane], out=lowest[window])
        lowest[np.isinf(lowest)] = NO_SCORE
        voxels[k - corner[0]] = lowest
        yield


def _box(layers: list[LabelLayer]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Canonical corner and shape of what holds all layers; a single voxel when there are none."""
    if not layers:
        return (0, 0, 0), (1, 1, 1)
    low = np.min([layer.corner for layer in layers], axis=0)
    high = np.max([np.add(layer.corner, layer.labels.shape) for layer in layers], axis=0)
    return tuple(int(n) for n in low), tuple(int(n) for n in high - low)


def _covers(corner, shape, layers: list[LabelLayer]) -> bool:
    """Whether a map with this canonical corner and shape holds all layers."""
    return all(
        c <= a and a + n <= c + m
        for layer in layers
        for c, m, a, n in zip(corner, shape, layer.corner, layer.labels.shape, strict=True)
    )


def _set_up_display(map_node) -> None:
    """Show 0..1 in color, as it is, and nothing else."""
    display = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeDisplayNode")
    with slicer.util.NodeModify(display):
        display.AutoWindowLevelOff()
        display.SetWindowLevelMinMax(0.0, 1.0)
        display.SetThreshold(0.0, 1.0)
        display.ApplyThresholdOn()
        display.InterpolateOff()  # between a DSC and none there is nothing
    map_node.SetAndObserveDisplayNodeID(display.GetID())


def _to_foreground(segmentation_node: slicer.vtkMRMLSegmentationNode, map_node, new_ones_only: bool = False) -> None:
    """Show the map in all slice views, and remember what was there."""
    with changing(segmentation_node, BEFORE_ATTRIBUTE) as (display, before):
        before.setdefault("fill", bool(display.GetVisibility2DFill()))
        views = before.setdefault("views", {})
        for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
            if composite.GetForegroundVolumeID() == map_node.GetID() or (new_ones_only and composite.GetID() in views):
                continue
            views[composite.GetID()] = [composite.GetForegroundVolumeID(), composite.GetForegroundOpacity()]
            composite.SetForegroundVolumeID(map_node.GetID())
            composite.SetForegroundOpacity(OPACITY)
        display.SetVisibility2DFill(False)


def _restore_views(segmentation_node: slicer.vtkMRMLSegmentationNode, map_node) -> None:
    """Undo :func:`_to_foreground`, but in no view whose foreground a user has changed since."""
    before = remembered(segmentation_node, BEFORE_ATTRIBUTE)
    if before is None:
        return
    display = segmentation_node.GetDisplayNode()
    for composite_id, (volume_id, opacity) in before.get("views", {}).items():
        composite = slicer.mrmlScene.GetNodeByID(composite_id)
        if composite is None or (map_node is not None and composite.GetForegroundVolumeID() != map_node.GetID()):
            continue
        there = volume_id is not None and slicer.mrmlScene.GetNodeByID(volume_id) is not None
        composite.SetForegroundVolumeID(volume_id if there else None)
        composite.SetForegroundOpacity(opacity)
    with slicer.util.NodeModify(display):
        display.SetVisibility2DFill(before.get("fill", True))
        remember(segmentation_node, BEFORE_ATTRIBUTE, None)
