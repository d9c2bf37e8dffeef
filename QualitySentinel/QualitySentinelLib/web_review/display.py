"""Needs ``slicer``. How the views show CT and masks: the CT's window; masks filled, as outlines, or hidden."""

from __future__ import annotations

from collections.abc import Callable

import slicer
from vtkmodules.vtkCommonCore import vtkCommand

from ..anatomy.windows import SOFT_TISSUE, WINDOW_PRESETS, WindowPreset
from ..errors import UsageError
from ..scene import quality_map_shown

FILLED, OUTLINE, HIDDEN = "filled", "outline", "hidden"
MASKS = (FILLED, OUTLINE, HIDDEN)
DEFAULT_OPACITY = 0.4
_STEP = 0.1


class Display:
    """The CT's window and the look of the masks. :meth:`apply` puts the latter on, whatever else was changed.

    Args:
        volume_node, segmentation_node: of the case, with display nodes.
        changed: called when the CT has another window: dragging in a view changes it.

    Attributes:
        by_structure: the window is that of the structure looked at; ends when the reader chooses another.
        masks: one of :data:`MASKS`.
        opacity: of the filled masks, 0..1.
    """

    def __init__(self, volume_node, segmentation_node, changed: Callable[[], None]) -> None:
        self._ct, self._segmentation_node = volume_node.GetDisplayNode(), segmentation_node
        self._changed = changed
        self._structure_window = SOFT_TISSUE
        self.by_structure = True
        self.masks, self.opacity = FILLED, DEFAULT_OPACITY
        self._show(SOFT_TISSUE)
        self._ct.AddObserver(vtkCommand.ModifiedEvent, self._dragged)
        self.apply()

    # Window

    def state(self) -> dict[str, object]:
        """The window as the page shows it; ``name`` is empty for one that the reader made."""
        level, width = self._ct.GetLevel(), self._ct.GetWindow()
        name = next((p.name for p in WINDOW_PRESETS if (p.level, p.width) == (level, width)), "")
        return {
            "name": name, "level": round(level), "width": round(width), "by_structure": self.by_structure,
            "of_structure": self._structure_window.name,
        }  # fmt: skip

    def look_in(self, window: WindowPreset) -> None:
        """Another structure is looked at: show it in its window, unless the reader has chosen one."""
        self._structure_window = window
        if self.by_structure:
            self._show(self._structure_window)

    def use_window(self, name: str) -> None:
        """Use a preset by its name; ``""``: that of the structure looked at, from now on.

        Raises:
            UsageError: there is no such preset.
        """
        preset = next((p for p in WINDOW_PRESETS if p.name == name), None)
        if preset is None and name:
            raise UsageError(f"{name}: no such window; choose one of {', '.join(p.name for p in WINDOW_PRESETS)}")
        self._show(preset or self._structure_window)
        self.by_structure = preset is None

    def _show(self, preset) -> None:
        self._preset = preset
        with slicer.util.NodeModify(self._ct):
            self._ct.AutoWindowLevelOff()
            self._ct.SetWindowLevel(preset.width, preset.level)

    def _dragged(self, *_) -> None:
        if (self._ct.GetLevel(), self._ct.GetWindow()) != (self._preset.level, self._preset.width):
            self.by_structure = False
            self._changed()

    # Masks

    def use_masks(self, masks: str) -> None:
        """Show masks filled, as outlines, or not at all.

        Raises:
            UsageError: there is no such way.
        """
        if masks not in MASKS:
            raise UsageError(f"{masks}: no such display of masks; choose one of {', '.join(MASKS)}")
        self.masks = masks
        self.apply()

    def toggle_masks(self, masks: str) -> None:
        """Show masks so, or filled when they are shown so."""
        self.use_masks(FILLED if masks == self.masks else masks)

    def use_opacity(self, opacity: float) -> None:
        """Fill the masks with this opacity, 0..1."""
        self.opacity = round(min(max(float(opacity), _STEP), 1.0), 2)
        self.use_masks(FILLED)

    def step_opacity(self, steps: int) -> None:
        """More of it, or less."""
        self.use_opacity(self.opacity + steps * _STEP)

    def apply(self) -> None:
        """Let the views show the masks so. The quality map is a volume, the rest is the segmentation's."""
        filled, mapped = self.masks == FILLED, quality_map_shown(self._segmentation_node)
        if mapped:
            for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
                composite.SetForegroundOpacity(self.opacity if filled else 0.0)
        display = self._segmentation_node.GetDisplayNode()
        with slicer.util.NodeModify(display):
            display.SetVisibility2DFill(filled and not mapped)
            display.SetVisibility2DOutline(self.masks != HIDDEN)
            display.SetOpacity2DFill(self.opacity)
            display.SetOpacity2DOutline(1.0)
            display.SetSliceIntersectionThickness(2 if self.masks == OUTLINE else 1)
