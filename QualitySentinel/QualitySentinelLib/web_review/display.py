"""Needs ``slicer``. How the views show CT and masks: the CT's window; masks filled, outlined or hidden; colors."""

from __future__ import annotations

from collections.abc import Callable, Collection

import slicer
from vtkmodules.vtkCommonCore import vtkCommand

from ..anatomy.windows import SOFT_TISSUE, WINDOW_PRESETS, WindowPreset
from ..errors import UsageError
from ..review import ReviewPresenter
from ..scene import (
    hide_quality_map,
    quality_map_shown,
    restore_colors,
    show_quality_map,
    show_score_colors,
    update_quality_map,
)  # fmt: skip
from ..scene.views import show_window

FILLED, OUTLINE, HIDDEN = "filled", "outline", "hidden"
MASKS = (FILLED, OUTLINE, HIDDEN)
SLICES, SEGMENTS, OWN = "slices", "segments", "own"
COLORS = (SLICES, SEGMENTS, OWN)
"""Masks in the color of their slices' DSC (the quality map), of their segment's DSC, or as the file has it."""
DEFAULT_OPACITY = 0.4
_STEP = 0.1


class Display:
    """The CT's window and the look of the masks. What a browser sends and is no choice raises a ``UsageError``.

    ``changed`` is called when the CT has another window: dragging in a view changes it.

    Attributes:
        by_structure: the window is that of the structure looked at; ends when the reader chooses another.
        masks: one of :data:`MASKS`.
        opacity: of the filled masks, 0..1.
        colors: one of :data:`COLORS`.
    """

    def __init__(self, volume_node, segmentation_node, presenter: ReviewPresenter, changed: Callable[[], None]) -> None:
        self._ct, self._volume_node = volume_node.GetDisplayNode(), volume_node
        self._segmentation_node, self._presenter, self._changed = segmentation_node, presenter, changed
        self._structure_window = SOFT_TISSUE
        self._painted: tuple = ()
        self.by_structure = True
        self.masks, self.opacity, self.colors = FILLED, DEFAULT_OPACITY, SLICES
        self._show(SOFT_TISSUE)
        self._ct.AddObserver(vtkCommand.ModifiedEvent, self._dragged)
        self.apply()

    # Window

    def window(self) -> dict[str, object]:
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
            self._show(window)

    def use_window(self, name: str) -> None:
        """Use a preset by its name; ``""``: that of the structure looked at, from now on."""
        presets = {"": self._structure_window} | {p.name: p for p in WINDOW_PRESETS}
        self._show(presets[_one_of(name, presets)])
        self.by_structure = not name

    def _show(self, preset: WindowPreset) -> None:
        self._preset = preset
        show_window(self._volume_node, preset)

    def _dragged(self, *_) -> None:
        if (self._ct.GetLevel(), self._ct.GetWindow()) != (self._preset.level, self._preset.width):
            self.by_structure = False
            self._changed()

    # Masks

    def use_masks(self, masks: str) -> None:
        """Show masks in one of the ways of :data:`MASKS`."""
        self.masks = _one_of(masks, MASKS)
        self.apply()

    def toggle_masks(self, masks: str) -> None:
        """Show masks so, or filled when they are shown so."""
        self.use_masks(FILLED if masks == self.masks else masks)

    def use_opacity(self, opacity: float) -> None:
        """Fill the masks with this opacity, 0..1."""
        self.opacity = round(min(max(float(opacity), _STEP), 1.0), 2)
        self.use_masks(FILLED)

    def step_opacity(self, steps: int) -> None:
        self.use_opacity(self.opacity + steps * _STEP)

    def use_colors(self, colors: str = "") -> None:
        """Color masks in one of the ways of :data:`COLORS`; by default the next."""
        self.colors = _one_of(colors or COLORS[(COLORS.index(self.colors) + 1) % len(COLORS)], COLORS)

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

    def paint(self, masks: object, visible: object, k: int | None) -> bool:
        """Color the masks anew, if something has changed; whether it has.

        ``masks`` and ``visible`` are values that are others when a mask was edited, or other segments are shown. ``k``
        is the slice of the axial view: where each slice has its color, outlines have that of this one.
        """
        node, case, scale = self._segmentation_node, self._presenter.session.case, self._presenter.scale
        scores = [(s.segment_id, s.predicted_dsc, s.n_scored, s.status) for s in case.segments]
        state = self.colors, scale, scores, masks, visible, k if self.colors == SLICES else None
        if state == self._painted:
            return False
        before, self._painted = self._painted, state
        if self.colors == OWN:
            restore_colors(node)
        else:
            show_score_colors(node, case, scale, k if self.colors == SLICES else None)
        if self.colors != SLICES:
            hide_quality_map(node)
        elif before[:2] != self._painted[:2]:
            show_quality_map(node, self._volume_node, case, scale)
        elif before[:-1] != self._painted[:-1]:
            update_quality_map(node, self._volume_node, case)
        self.apply()
        return True


def _one_of(word: str, choices: Collection[str]) -> str:
    """What a browser has sent, if it is one of these."""
    if word not in choices:
        raise UsageError(f"{word}: no such choice; choose one of {', '.join(filter(None, choices))}")
    return word
