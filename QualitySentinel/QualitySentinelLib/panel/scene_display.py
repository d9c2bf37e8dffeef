"""Needs ``qt`` and ``slicer``. What of a review the views show: colors, maps, marks, the selected segment alone."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace

import slicer

from .. import scene
from ..review import Changed, ReviewEvent, ReviewPresenter
from ..scene import flag_marks, quality_map, quality_surface, views
from ..scores.colors import DEFAULT_SCALE
from ..steps import Steps, paced
from .qt_tools import StepRun

STEP_SECONDS = 0.015
"""How long drawing the quality map may go on at a time."""

SAFE_SCALE = "color-blind-safe"
"""The other scale of ``scores.colors.SCALES``."""


@dataclass(frozen=True)
class DisplayOptions:
    """What a reader wants to see.

    Attributes:
        colors: segments in the color of their DSC.
        quality_map, quality_surface: voxels, and surfaces, in the color of their slice's DSC.
        legend: the color scale in the views.
        flag_marks: slice views say that the slice shown is flagged.
        show_only: hide all but the selected segment.
        window: the CT in the window of the selected segment's structure.
        zoom: slice views zoomed to the selected segment.
        scale: name of the color scale.
    """

    colors: bool = True
    quality_map: bool = False
    quality_surface: bool = False
    legend: bool = False
    flag_marks: bool = True
    show_only: bool = True
    window: bool = True
    zoom: bool = True
    scale: str = DEFAULT_SCALE


class SceneDisplay:
    """Shows one review in the views, as the options say, and follows it.

    Args:
        segmentation_node, volume_node: what is reviewed.
        presenter: of the review.
    """

    def __init__(self, segmentation_node, volume_node, presenter: ReviewPresenter) -> None:
        self._node, self._volume = segmentation_node, volume_node
        self._presenter, self._session = presenter, presenter.session
        self._options: DisplayOptions | None = None
        self._marks: flag_marks.FlagMarks | None = None
        self._map_run: StepRun | None = None
        self._map_due: set[str] | None = set()
        self._looked_at: str | None = None

    @property
    def options(self) -> DisplayOptions | None:
        """What is shown now; ``None`` before anything was."""
        return self._options

    def apply(self, options: DisplayOptions) -> None:
        """Show what the options say, and nothing else; what is shown already is left alone."""
        before, self._options = self._options, options
        if before == options:
            return
        self._presenter.scale = options.scale
        self._node.CreateDefaultDisplayNodes()

        def changed(*names: str) -> bool:
            return before is None or any(getattr(before, name) != getattr(options, name) for name in names)

        with slicer.util.NodeModify(self._node.GetDisplayNode()):  # views draw all segments at every event
            moved = self._show_selected()  # first: map and surface show what is visible
            if changed("window"):
                self._show_window()
            if changed("zoom"):
                self._show_zoom()
            if changed("colors", "scale"):
                self._show_colors()
            if changed("quality_map", "scale"):
                self._show_map()
            elif moved:
                self._update_map()
            if moved or changed("quality_surface", "scale"):
                self._show_surface()
            if changed("legend", "scale"):
                self._show_legend()
            if changed("flag_marks", "scale"):
                self._show_marks()

    def follow(self, event: ReviewEvent) -> None:
        """Show what has changed in the review."""
        if self._options is None:
            return
        if event.changed is Changed.SCORES:
            self._show_colors()
            self._update_map(event.segments)
            self._show_surface()
        if event.changed is Changed.CURRENT:
            if self._show_selected():
                self._update_map()
                self._show_surface()
            if self._session.selected != self._looked_at:
                self._show_window()
                self._show_zoom()
            self.jump()

    def jump(self) -> None:
        """Let the views show the slice that is looked at."""
        current = self._session.current
        if current is not None and self._volume.GetScene():
            center = views.segment_center(self._node, current.segment_id, self._volume, current.k)
            views.jump_to_slice(self._volume, current.k, center)

    def show_in_new_views(self) -> None:
        """The layout has changed: views that were not there show what the others show."""
        if self._options is not None and self._volume.GetScene():
            if self._options.quality_map:
                quality_map.show_in_new_views(self._node)
            if self._marks is not None:
                self._marks.update()

    def let_others_see(self) -> None:
        """Another module is open: show all segments, until :meth:`apply` hides them again."""
        if self._options is not None:
            self.apply(replace(self._options, show_only=False))

    def leave(self) -> None:
        """Take away what belongs to the review that is shown in the panel, and show all segments. Colors stay."""
        if self._options is not None and self._node.GetScene():
            parts = ("quality_map", "quality_surface", "legend", "flag_marks", "show_only", "window", "zoom")
            self.apply(replace(self._options, **dict.fromkeys(parts, False)))
        self._stop_map()
        self._remove_marks()
        self._options = None

    def _show_colors(self) -> None:
        if self._options.colors:
            scene.show_score_colors(self._node, self._session.case, scale=self._options.scale)
        else:
            scene.restore_colors(self._node)

    def _show_map(self) -> None:
        self._stop_map()
        if self._options.quality_map:
            case, scale = self._session.case, self._options.scale
            self._draw_map(quality_map.show_quality_map_steps(self._node, self._volume, case, scale))
        else:
            quality_map.hide_quality_map(self._node)

    def _update_map(self, segment_ids: Iterable[str] | None = None) -> None:
        """Draw changes of some segments, or of all."""
        if not self._options.quality_map:
            return
        if self._map_run is not None:  # first it comes to its end
            self._map_due = None if segment_ids is None or self._map_due is None else {*self._map_due, *segment_ids}
            return
        case = self._session.case
        self._draw_map(quality_map.update_quality_map_steps(self._node, self._volume, case, segment_ids))

    def _draw_map(self, steps: Steps[None]) -> None:
        """Draw now what takes no longer than a step; the rest from the event loop."""
        steps = paced(steps, STEP_SECONDS)
        try:
            next(steps)
        except StopIteration:
            return
        self._map_run = StepRun(steps, self._on_map_end, lambda _step: self._check_nodes())

    def _check_nodes(self) -> None:
        if not self._node.GetScene() or not self._volume.GetScene():  # removed meanwhile
            self._stop_map()

    def _on_map_end(self, error: Exception | None) -> None:
        due = self._map_due
        self._stop_map()
        if error is not None:  # nobody has asked for it just now: no message box
            logging.error("the quality map could not be drawn", exc_info=error)
        elif due is None or due:
            self._update_map(due)

    def _stop_map(self) -> None:
        run, self._map_run, self._map_due = self._map_run, None, set()
        if run is not None:
            run.stop()

    def _show_surface(self) -> None:
        if self._options.quality_surface:
            quality_surface.show_quality_surface(self._node, self._volume, self._session.case, self._options.scale)
        else:
            quality_surface.hide_quality_surface(self._node)

    def _show_window(self) -> None:
        """Show the CT in the window of the selected structure, or in its own."""
        if not self._volume.GetScene():
            return
        if self._options.window and self._presenter.window is not None:
            views.show_window(self._volume, self._presenter.window)
        elif not self._options.window:
            views.restore_window(self._volume)

    def _show_zoom(self) -> None:
        """Zoom to the selected segment, or out again."""
        self._looked_at = self._session.selected
        if self._options.zoom and self._looked_at is not None and self._volume.GetScene():
            views.zoom_to_segment(self._node, self._looked_at, self._volume)
        elif not self._options.zoom:
            views.restore_zoom(self._node)

    def _show_legend(self) -> None:
        if self._options.legend:
            scene.show_legend(self._node, scale=self._options.scale)
        else:
            scene.hide_legend(self._node)

    def _show_marks(self) -> None:
        if not self._options.flag_marks:
            self._remove_marks()
        elif self._marks is None:
            self._marks = flag_marks.FlagMarks(self._volume, self._presenter)
        else:
            self._marks.update()

    def _remove_marks(self) -> None:
        if self._marks is not None:
            self._marks.remove()
            self._marks = None

    def _show_selected(self) -> bool:
        """Hide the other segments, or show all; whether others are visible now."""
        before = self._visible()
        selected = self._session.selected
        there = selected is not None and self._node.GetSegmentation().GetSegment(selected) is not None
        if self._options.show_only and there:
            views.show_only(self._node, selected)
        else:
            views.show_all(self._node)
        return self._visible() != before

    def _visible(self) -> list[bool]:
        display = self._node.GetDisplayNode()
        ids = self._node.GetSegmentation().GetSegmentIDs()
        return [True] * len(ids) if display is None else [bool(display.GetSegmentVisibility(i)) for i in ids]
