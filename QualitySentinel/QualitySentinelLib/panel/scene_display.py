"""Needs ``qt`` and ``slicer``. What of a review the views show: colors, maps, marks, the selected segment alone."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

import slicer

from .. import scene
from ..review import Changed, ReviewEvent, ReviewPresenter
from ..scene import flag_marks, quality_map, quality_surface, views
from ..steps import Steps, paced
from .qt_tools import StepRun

STEP_SECONDS = 0.015
"""How long drawing the quality map may go on at a time."""

SAFE_SCALE = "color-blind-safe"
"""The other scale of ``scores.colors.SCALES``."""

_COLORED = {"colors", "quality_map", "quality_surface", "legend", "flag_marks"}


class SceneDisplay:
    """Shows parts of one review in the views, and follows it.

    The parts are ``colors`` (segments in the color of their DSC), ``quality_map`` and ``quality_surface`` (voxels, and
    surfaces, in the color of their slice's DSC), ``legend`` (the color scale), ``flag_marks`` (slice views say that the
    slice shown is flagged), ``show_only`` (all but the selected segment are hidden), ``window`` (the CT in the window
    of the selected structure) and ``zoom`` (slice views zoomed to the selected segment).
    """

    def __init__(self, segmentation_node, volume_node, presenter: ReviewPresenter) -> None:
        self._node, self._volume = segmentation_node, volume_node
        self._presenter, self._session = presenter, presenter.session
        self._shown: frozenset[str] | None = None
        self._marks: flag_marks.FlagMarks | None = None
        self._map_run: StepRun | None = None
        self._map_due: set[str] | None = set()
        self._looked_at: str | None = None
        self._parts: dict[str, Callable[[], object]] = {
            "window": self._show_window, "zoom": self._show_zoom, "colors": self._show_colors,
            "quality_map": self._show_map, "quality_surface": self._show_surface, "legend": self._show_legend,
            "flag_marks": self._show_marks,
        }  # fmt: skip

    def apply(self, parts: Iterable[str], scale: str) -> None:
        """Show these parts in a color scale, and nothing else; what is shown already is left alone."""
        before, self._shown = self._shown, frozenset(parts)
        changed = set(self._parts) if before is None else set(before ^ self._shown)
        if scale != self._presenter.scale:
            self._presenter.scale = scale
            changed |= _COLORED
        if not changed:
            return
        self._node.CreateDefaultDisplayNodes()
        with slicer.util.NodeModify(self._node.GetDisplayNode()):  # views draw all segments at every event
            if self._show_selected():  # first: map and surface show what is visible
                changed.add("quality_surface")
                if "quality_map" not in changed:
                    self._update_map()
            for part, show in self._parts.items():
                if part in changed:
                    show()

    def follow(self, event: ReviewEvent) -> None:
        """Show what has changed in the review."""
        if self._shown is None:
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
        if self._shown is not None and self._volume.GetScene():
            if "quality_map" in self._shown:
                quality_map.show_in_new_views(self._node)
            if self._marks is not None:
                self._marks.update()

    def let_others_see(self) -> None:
        """Another module is open: show all segments, until :meth:`apply` hides them again."""
        if self._shown is not None:
            self.apply(self._shown - {"show_only"}, self._presenter.scale)

    def leave(self) -> None:
        """Take away what belongs to the review that is shown in the panel, and show all segments. Colors stay."""
        if self._shown is not None and self._node.GetScene():
            self.apply(self._shown & {"colors"}, self._presenter.scale)
        self._stop_map()
        self._remove_marks()
        self._shown = None

    def _show_colors(self) -> None:
        if "colors" in self._shown:
            scene.show_score_colors(self._node, self._session.case, scale=self._presenter.scale)
        else:
            scene.restore_colors(self._node)

    def _show_map(self) -> None:
        self._stop_map()
        if "quality_map" in self._shown:
            case, scale = self._session.case, self._presenter.scale
            self._draw_map(quality_map.show_quality_map_steps(self._node, self._volume, case, scale))
        else:
            quality_map.hide_quality_map(self._node)

    def _update_map(self, segment_ids: Iterable[str] | None = None) -> None:
        """Draw changes of some segments, or of all."""
        if "quality_map" not in self._shown:
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
        if "quality_surface" in self._shown:
            quality_surface.show_quality_surface(self._node, self._volume, self._session.case, self._presenter.scale)
        else:
            quality_surface.hide_quality_surface(self._node)

    def _show_window(self) -> None:
        """Show the CT in the window of the selected structure, or in its own."""
        if not self._volume.GetScene():
            return
        if "window" in self._shown and self._presenter.window is not None:
            views.show_window(self._volume, self._presenter.window)
        elif "window" not in self._shown:
            views.restore_window(self._volume)

    def _show_zoom(self) -> None:
        """Zoom to the selected segment, or out again."""
        self._looked_at = self._session.selected
        if "zoom" in self._shown and self._looked_at is not None and self._volume.GetScene():
            views.zoom_to_segment(self._node, self._looked_at, self._volume)
        elif "zoom" not in self._shown:
            views.restore_zoom(self._node)

    def _show_legend(self) -> None:
        if "legend" in self._shown:
            scene.show_legend(self._node, scale=self._presenter.scale)
        else:
            scene.hide_legend(self._node)

    def _show_marks(self) -> None:
        if "flag_marks" not in self._shown:
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
        if "show_only" in self._shown and there:
            views.show_only(self._node, selected)
        else:
            views.show_all(self._node)
        return self._visible() != before

    def _visible(self) -> list[bool]:
        display = self._node.GetDisplayNode()
        ids = self._node.GetSegmentation().GetSegmentIDs()
        return [True] * len(ids) if display is None else [bool(display.GetSegmentVisibility(i)) for i in ids]
