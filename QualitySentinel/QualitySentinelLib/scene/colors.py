"""Needs ``slicer``. Segments colored by predicted DSC, the color scales as nodes of the scene, and the legend.

All of it is reversible: segments get override colors, their own are not touched.
"""

from __future__ import annotations

import slicer

from ..colors import DEFAULT_SCALE, NO_SCORE_COLOR, check_scale, dsc_color
from ..scores import CaseScore
from .nodes import changing, remember, remembered, remove_node, restore_segments

COLORS_BEFORE = "QualitySentinel.OverrideColorsBefore"
"""Attribute of the display node: override colors as they were."""
LEGEND_BEFORE = "QualitySentinel.LegendBefore"
"""Attribute of the display node: its color node and range as they were."""

LEGEND_TITLE = "Predicted DSC"
_LEGEND_SIZE, _LEGEND_POSITION = (0.07, 0.3), (0.98, 0.5)
"""Parts of a view's width and height."""
_LEGEND_LABELS = 6
"""One for each tenth; the text is as high as their distance lets it be, whatever size it is given."""
_SCALE_ATTRIBUTE = "QualitySentinel.Scale"
_COLORS = 256


def show_score_colors(
    segmentation_node, case_score: CaseScore, scale: str = DEFAULT_SCALE, k: int | None = None
) -> None:
    """Give every scored segment the color of its predicted DSC; segments without a score keep their own.

    With ``k``, a segment that has a score in this canonical slice gets the color of that instead.

    Raises:
        UsageError: there is no such scale; nothing has changed.
    """
    check_scale(scale)
    present = set(segmentation_node.GetSegmentation().GetSegmentIDs())
    with changing(segmentation_node, COLORS_BEFORE) as (display, before):
        for score in case_score.segments:
            if score.segment_id not in present:
                continue
            if score.predicted_dsc is None:
                _set(display, score.segment_id, before.pop(score.segment_id, _override(display, score.segment_id)))
                continue
            before.setdefault(score.segment_id, _override(display, score.segment_id))
            dsc = next((s.predicted_dsc for s in score.slices if s.k == k), score.predicted_dsc)
            display.SetSegmentOverrideColor(score.segment_id, *dsc_color(dsc, scale))


def restore_colors(segmentation_node: slicer.vtkMRMLSegmentationNode) -> None:
    """Make all segments look as before the first :func:`show_score_colors`; nothing happens if there was none."""
    restore_segments(segmentation_node, COLORS_BEFORE, _set)


def _override(display, segment_id: str) -> list[float] | None:
    """The segment's override color, ``None`` when it has none (negative components)."""
    color = [float(c) for c in display.GetSegmentOverrideColor(segment_id)]
    return color if min(color) >= 0 else None


def _set(display, segment_id: str, color: list[float] | None) -> None:
    if color is None:
        display.UnsetSegmentOverrideColor(segment_id)
    else:
        display.SetSegmentOverrideColor(segment_id, *color)


def scale_node(scale: str = DEFAULT_SCALE):
    """The vtkMRMLColorTableNode of a scale, for scalars 0..1, made when there is none; saved with the scene."""
    check_scale(scale)
    node = next((n for n in _scale_nodes() if n.GetAttribute(_SCALE_ATTRIBUTE) == scale), None)
    if node is None:
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLColorTableNode", f"Predicted DSC, {scale}")
        node.SetTypeToUser()
        node.SetNumberOfColors(_COLORS)
        node.SetAttribute(_SCALE_ATTRIBUTE, scale)
        with slicer.util.NodeModify(node):
            for number in range(_COLORS):
                dsc = number / (_COLORS - 1)
                node.SetColor(number, f"{dsc:.2f}", *dsc_color(dsc, scale), 1.0)
    node.GetLookupTable().SetNanColor(*NO_SCORE_COLOR, 1.0)  # not saved with a scene
    return node


def remove_unused_scales() -> None:
    """Remove the scales that nothing in the scene is colored by any more."""
    used = {display.GetColorNodeID() for display in slicer.util.getNodesByClass("vtkMRMLDisplayNode")}
    for node in _scale_nodes():
        if node.GetID() not in used:
            remove_node(node)


def _scale_nodes() -> list:
    return [n for n in slicer.util.getNodesByClass("vtkMRMLColorTableNode") if n.GetAttribute(_SCALE_ATTRIBUTE)]


def show_legend(segmentation_node: slicer.vtkMRMLSegmentationNode, scale: str = DEFAULT_SCALE) -> None:
    """Show the colors of DSC 0 to 1 in all views in which the segmentation is visible: Slicer's own color legend.

    A legend shows the colors and the range of the display node that it belongs to. A segmentation's display node uses
    neither for anything else, so that it can carry them for segments, map and surface alike.
    """
    colors = scale_node(scale)
    segmentation_node.CreateDefaultDisplayNodes()
    display = segmentation_node.GetDisplayNode()
    if remembered(segmentation_node, LEGEND_BEFORE) is None:
        remember(segmentation_node, LEGEND_BEFORE, [display.GetColorNodeID(), list(display.GetScalarRange())])
    if display.GetColorNodeID() != colors.GetID():  # a scene is read in order, and a legend needs its colors
        _remove_legend(display)
    with slicer.util.NodeModify(display):
        display.SetAndObserveColorNodeID(colors.GetID())
        display.SetScalarRange(0.0, 1.0)
    legend = slicer.vtkSlicerColorLogic.AddDefaultColorLegendDisplayNode(display)
    with slicer.util.NodeModify(legend):
        legend.SetTitleText(LEGEND_TITLE)
        legend.SetUseColorNamesForLabels(False)
        legend.SetMaxNumberOfColors(colors.GetNumberOfColors())
        legend.SetNumberOfLabels(_LEGEND_LABELS)
        legend.SetLabelFormat("%.1f")
        legend.SetSize(*_LEGEND_SIZE)
        legend.SetPosition(*_LEGEND_POSITION)
        legend.SetVisibility(True)
    legend.Modified()  # the views look at the display node's colors only then
    remove_unused_scales()


def hide_legend(segmentation_node: slicer.vtkMRMLSegmentationNode) -> None:
    """Remove the legend; nothing happens if none is shown."""
    before = remembered(segmentation_node, LEGEND_BEFORE)
    if before is None:
        return
    display = segmentation_node.GetDisplayNode()
    _remove_legend(display)
    colors, scalar_range = before
    with slicer.util.NodeModify(display):
        display.SetAndObserveColorNodeID(colors or "")  # None is not taken in Python ...
        display.SetScalarRange(*scalar_range)
        remember(segmentation_node, LEGEND_BEFORE, None)
    display.UpdateReferences()  # ... but what names no node becomes None here
    remove_unused_scales()


def _remove_legend(display) -> None:
    legend = slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode(display)
    if legend is not None:
        slicer.mrmlScene.RemoveNode(legend)
