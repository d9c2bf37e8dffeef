"""Needs ``slicer``. The color scales as color nodes of the scene: one for each scale in use."""

from __future__ import annotations

import slicer

from ..scores.colors import DEFAULT_SCALE, NO_SCORE_COLOR, check_scale, dsc_color

_ATTRIBUTE = "QualitySentinel.Scale"
_COLORS = 256


def scale_node(scale: str = DEFAULT_SCALE):
    """The vtkMRMLColorTableNode of a scale, for scalars 0..1, made when there is none; saved with the scene.

    Raises:
        UsageError: there is no such scale.
    """
    check_scale(scale)
    node = next((n for n in _ours() if n.GetAttribute(_ATTRIBUTE) == scale), None)
    if node is None:
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLColorTableNode", f"Predicted DSC, {scale}")
        node.SetTypeToUser()
        node.SetNumberOfColors(_COLORS)
        node.SetAttribute(_ATTRIBUTE, scale)
        with slicer.util.NodeModify(node):
            for number in range(_COLORS):
                dsc = number / (_COLORS - 1)
                node.SetColor(number, f"{dsc:.2f}", *dsc_color(dsc, scale), 1.0)
    node.GetLookupTable().SetNanColor(*NO_SCORE_COLOR, 1.0)  # not saved with a scene
    return node


def remove_unused_scales() -> None:
    """Remove the scales that nothing in the scene is colored by any more."""
    used = {display.GetColorNodeID() for display in slicer.util.getNodesByClass("vtkMRMLDisplayNode")}
    for node in _ours():
        if node.GetID() not in used:
            storage = node.GetStorageNode()
            slicer.mrmlScene.RemoveNode(node)
            if storage is not None:
                slicer.mrmlScene.RemoveNode(storage)


def _ours() -> list:
    return [n for n in slicer.util.getNodesByClass("vtkMRMLColorTableNode") if n.GetAttribute(_ATTRIBUTE)]
