"""Needs ``slicer``. The CT in the window of the structure that is looked at, reversibly."""

from __future__ import annotations

import json

import slicer

from ..anatomy.windows import WindowPreset

BEFORE_ATTRIBUTE = "QualitySentinel.WindowBefore"
"""Attribute of the volume's display node: whether its window was automatic, its width and its level."""


def show_window(volume_node: slicer.vtkMRMLScalarVolumeNode, preset: WindowPreset) -> None:
    """Show a CT in a window; :func:`restore_window` brings the one back that it had before the first call."""
    volume_node.CreateDefaultDisplayNodes()
    display = volume_node.GetDisplayNode()
    with slicer.util.NodeModify(display):
        if display.GetAttribute(BEFORE_ATTRIBUTE) is None:
            before = [bool(display.GetAutoWindowLevel()), display.GetWindow(), display.GetLevel()]
            display.SetAttribute(BEFORE_ATTRIBUTE, json.dumps(before))
        display.SetAutoWindowLevel(False)
        display.SetWindowLevel(preset.width, preset.level)


def restore_window(volume_node: slicer.vtkMRMLScalarVolumeNode) -> None:
    """Undo :func:`show_window`; nothing happens if there was none."""
    display = volume_node.GetDisplayNode()
    if display is None or display.GetAttribute(BEFORE_ATTRIBUTE) is None:
        return
    automatic, width, level = json.loads(display.GetAttribute(BEFORE_ATTRIBUTE))
    with slicer.util.NodeModify(display):
        display.RemoveAttribute(BEFORE_ATTRIBUTE)
        display.SetWindowLevel(width, level)
        display.SetAutoWindowLevel(automatic)
