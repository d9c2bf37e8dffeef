"""Needs ``slicer``. The color scale in the views: Slicer's own color legend, made for the segmentation.

A legend shows the colors and the range of the display node that it belongs to. A segmentation's display node uses
neither for anything else, so that it can carry them for segments, map and surface alike.
"""

from __future__ import annotations

import json

import slicer

from ..scores.colors import DEFAULT_SCALE
from .color_nodes import remove_unused_scales, scale_node

BEFORE_ATTRIBUTE = "QualitySentinel.LegendBefore"
"""Attribute of the segmentation's display node: its color node and range as they were."""

TITLE = "Predicted DSC"
_SIZE = (0.07, 0.3)
"""Width and height, as parts of a view's."""
_POSITION = (0.98, 0.5)
_LABELS = 6
"""One for each tenth; the text is as high as their distance lets it be, whatever size it is given."""


def show_legend(segmentation_node: slicer.vtkMRMLSegmentationNode, scale: str = DEFAULT_SCALE) -> None:
    """Show the colors of DSC 0 to 1 in all views in which the segmentation is visible.

    Raises:
        UsageError: there is no such scale.
    """
    colors = scale_node(scale)
    segmentation_node.CreateDefaultDisplayNodes()
    display = segmentation_node.GetDisplayNode()
    if display.GetAttribute(BEFORE_ATTRIBUTE) is None:
        before = [display.GetColorNodeID(), list(display.GetScalarRange())]
        display.SetAttribute(BEFORE_ATTRIBUTE, json.dumps(before))
    if display.GetColorNodeID() != colors.GetID():  # a scene is read in order, and a legend needs its colors
        _remove_legend(display)
    with slicer.util.NodeModify(display):
        display.SetAndObserveColorNodeID(colors.GetID())
        display.SetScalarRange(0.0, 1.0)
    legend = slicer.vtkSlicerColorLogic.AddDefaultColorLegendDisplayNode(display)
    with slicer.util.NodeModify(legend):
        legend.SetTitleText(TITLE)
        legend.SetUseColorNamesForLabels(False)
        legend.SetMaxNumberOfColors(colors.GetNumberOfColors())
        legend.SetNumberOfLabels(_LABELS)
        legend.SetLabelFormat("%.1f")
        legend.SetSize(*_SIZE)
        legend.SetPosition(*_POSITION)
        legend.SetVisibility(True)
    legend.Modified()  # the views look at the display node's colors only then
    remove_unused_scales()


def hide_legend(segmentation_node: slicer.vtkMRMLSegmentationNode) -> None:
    """Remove the legend; nothing happens if none is shown."""
    display = segmentation_node.GetDisplayNode()
    if display is None or display.GetAttribute(BEFORE_ATTRIBUTE) is None:
        return
    _remove_legend(display)
    colors, scalar_range = json.loads(display.GetAttribute(BEFORE_ATTRIBUTE))
    with slicer.util.NodeModify(display):
        display.SetAndObserveColorNodeID(colors or "")  # None is not taken in Python ...
        display.SetScalarRange(*scalar_range)
        display.RemoveAttribute(BEFORE_ATTRIBUTE)
    display.UpdateReferences()  # ... but what names no node becomes None here
    remove_unused_scales()


def legend_shown(segmentation_node: slicer.vtkMRMLSegmentationNode) -> bool:
    """Whether the segmentation has a legend in the views now."""
    display = segmentation_node.GetDisplayNode()
    return display is not None and display.GetAttribute(BEFORE_ATTRIBUTE) is not None


def _remove_legend(display) -> None:
    legend = slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode(display)
    if legend is not None:
        slicer.mrmlScene.RemoveNode(legend)
