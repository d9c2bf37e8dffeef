"""Needs trame-slicer. Painting and erasing with its segment editor."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import numpy as np
from trame_slicer.core import SlicerApp
from trame_slicer.segmentation import BrushDiameterMode, SegmentationEffectErase, SegmentationEffectPaint

from ..scene.mask_history import MaskHistory

DEFAULT_BRUSH_MM = 12.0
_SMALLEST_MM, _LARGEST_MM = 1.0, 60.0


class Editing:
    """The brush on the segmentation of a case.

    ``changed`` is called when the brush has another size: Shift and the wheel change it in the view.

    Attributes:
        history: strokes, and other edits that are to be undone as they are.
        tool: ``paint``, ``erase``, or empty when the mouse does not edit.
        brush_mm: diameter of the brush.
    """

    def __init__(self, app: SlicerApp, segmentation_node, volume_node, changed: Callable[[], None]) -> None:
        self._editor = app.segmentation_editor
        self._changed = changed
        self._editor.set_active_segmentation(segmentation_node, volume_node)
        self.history = _Stroke.history = MaskHistory(segmentation_node, volume_node)
        self.tool = ""
        self.brush_mm = DEFAULT_BRUSH_MM

    def use(self, tool: str, segment_id: str | None) -> None:
        """Take a tool, or put it down (``""``); the segment is the one that the brush changes."""
        self.tool = tool if segment_id is not None and tool in _TOOLS else ""
        if not self.tool:
            self._editor.deactivate_effect()
            return
        self._editor.set_active_segment_id(segment_id)
        effect = self._editor.set_active_effect_type(_TOOLS[self.tool])
        effect.parameters_changed.disconnect(self._brush_changed)
        effect.parameters_changed.connect(self._brush_changed)
        self.set_brush(self.brush_mm)

    def set_brush(self, diameter_mm: float) -> None:
        """Set the diameter of the brush, mm."""
        self.brush_mm = min(max(float(diameter_mm), _SMALLEST_MM), _LARGEST_MM)
        if self.tool:
            self._editor.active_effect.set_brush_diameter(self.brush_mm, BrushDiameterMode.Absolute)

    def _brush_changed(self) -> None:
        diameter = self._editor.active_effect.get_brush_diameter() if self.tool else self.brush_mm
        if abs(diameter - self.brush_mm) > 1e-3:
            self.set_brush(diameter)
            self._changed()

    def undo_edit(self) -> None:
        self.history.undo()


class _Stroke:
    """A stroke of the brush is an edit that can be undone."""

    history: ClassVar[MaskHistory]

    def paint_glyph_at_world_coordinates(self, polydata, paint_coordinates_world):
        """Called by trame-slicer when the mouse button is released: a brush around 0, and where it was."""
        low, high = np.add(polydata.GetBounds(), paint_coordinates_world.GetBounds()).reshape(3, 2).T
        with self.history.stroke(low, high):
            super().paint_glyph_at_world_coordinates(polydata, paint_coordinates_world)  # type: ignore[misc]  # a mixin


class _Paint(_Stroke, SegmentationEffectPaint):
    pass


class _Erase(_Stroke, SegmentationEffectErase):
    pass


_TOOLS = {"paint": _Paint, "erase": _Erase}
