"""Needs ``qt`` and ``slicer``. What of a review the views show: colors, maps, marks, the selected segment alone."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

import slicer

from .. import scene
from ..review import Changed, ReviewEvent, ReviewPresenter
from ..scene import quality_map, views
from ..steps import Steps, paced
from .qt_tools import StepRun

STEP_SECONDS = 0.015
"""How long drawing the quality map may go on at a time."""

_COLORED = ("showColors", "showQualityMap", "showQualitySurface", "showLegend", "showFlagMarks")
PARTS = (*_COLORED, "showOnlySelected", "fitWindow", "zoomToSelected")
"""What of a review can be shown, by the module's parameters, which say what it is."""


class SceneDisplay:
    """Shows :data:`PARTS` of one review in the views, and follows it."""

    def __init__(self, segmentation_node, volume_node, presenter: ReviewPresenter) -> None:
        self._node, self._volume = node, volume = segmentation_node, volume_node
        self._presenter, self._session = presenter, presenter.session
        self._shown: frozenset[str] | None = None
        self._marks: scene.FlagMarks | None = None
        self._map_run: StepRun | None = None
        self._map_due = False
        self._looked_at: str | None = None
        # how each part is shown, and how it is taken away
        self._parts: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
            "fitWindow": (self._show_window, lambda: views.restore_window(volume)),
            "zoomToSelected": (self._zoom, lambda: views.restore_zoom(node)),
            "showColors": (
                lambda: scene.show_score_colors(node, presenter.session.case, presenter.scale),
                lambda: scene.restore_colors(node),
            ),
            "showQualityMap": (self._show_map, self._hide_map),
            "showQualitySurface": (
                lambda: scene.show_quality_surface(node, volume, presenter.session.case, presenter.scale),
                lambda: scene.hide_quality_surface(node),
            ),
            "showLegend": (lambda: scene.show_legend(node, presenter.scale), lambda: scene.hide_legend(node)),
            "showFlagMarks": (self._show_marks, self._remove_marks),
        }

    def apply(self, parts: Iterable[str], scale: str) -> None:
        """Show these parts in a color scale, and nothing else; what is shown already is left alone."""
        before, self._shown = self._shown, frozenset(parts)
        changed = set(self._parts) if before is None else set(before ^ self._shown)
        if scale != self._presenter.scale:
            self._presenter.scale = scale
            changed |= set(_COLORED)
        if not changed:
            return
        self._node.CreateDefaultDisplayNodes()
        with slicer.util.NodeModify(self._node.GetDisplayNode()):  # views draw all segments at every event
            if self._show_selected():  # first: map and surface show what is visible
                changed.add("showQualitySurface")
                if "showQualityMap" not in changed:
                    self._update_map()
            self._show(*(part for part in self._parts if part in changed))
        self._looked_at = self._session.selected

    def follow(self, event: ReviewEvent) -> None:
        if self._shown is None:
            return
        if event.changed is Changed.SCORES:
            self._show("showColors")
            self._update_map()
            self._show("showQualitySurface")
        if event.changed is Changed.CURRENT:
            if self._show_selected():
                self._update_map()
                self._show("showQualitySurface")
            if self._session.selected != self._looked_at:
                self._looked_at = self._session.selected
                self._show("fitWindow", "zoomToSelected")
            self._jump()

    def _jump(self) -> None:
        current = self._session.current
        if current is not None and self._volume.GetScene():
            center = views.segment_center(self._node, current.segment_id, self._volume, current.k)
            views.jump_to_slice(self._volume, current.k, center)

    def show_in_new_views(self) -> None:
        """The layout has changed: views that were not there show what the others show."""
        if self._shown is not None and self._volume.GetScene():
            if "showQualityMap" in self._shown:
                quality_map.show_in_new_views(self._node)
            if self._marks is not None:
                self._marks.update()

    def let_others_see(self) -> None:
        """Another module is open: show all segments, until :meth:`apply` hides them again."""
        if self._shown is not None:
            self.apply(self._shown - {"showOnlySelected"}, self._presenter.scale)

    def leave(self) -> None:
        """Take away what belongs to the review that is shown in the panel, and show all segments. Colors stay."""
        if self._shown is not None and self._node.GetScene():
            self.apply(self._shown & {"showColors"}, self._presenter.scale)
        self._stop_map()
        self._remove_marks()
        self._shown = None

    def _show(self, *parts: str) -> None:
        """Show parts that are wanted, and take others away."""
        for part in parts:
            show, hide = self._parts[part]
            (show if part in self._shown else hide)()

    def _show_map(self) -> None:
        self._stop_map()
        case, scale = self._session.case, self._presenter.scale
        self._draw_map(quality_map.show_quality_map_steps(self._node, self._volume, case, scale))

    def _hide_map(self) -> None:
        self._stop_map()
        quality_map.hide_quality_map(self._node)

    def _update_map(self) -> None:
        if "showQualityMap" not in self._shown:
            return
        if self._map_run is not None:  # first it comes to its end
            self._map_due = True
            return
        self._draw_map(quality_map.update_quality_map_steps(self._node, self._volume, self._session.case))

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
        elif due:
            self._update_map()

    def _stop_map(self) -> None:
        run, self._map_run, self._map_due = self._map_run, None, False
        if run is not None:
            run.stop()

    def _show_window(self) -> None:
        if self._presenter.window is not None and self._volume.GetScene():
            views.show_window(self._volume, self._presenter.window)

    def _zoom(self) -> None:
        if self._session.selected is not None and self._volume.GetScene():
            views.zoom_to_segment(self._node, self._session.selected, self._volume)

    def _show_marks(self) -> None:
        if self._marks is None:
            self._marks = scene.FlagMarks(self._volume, self._presenter)
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
        if "showOnlySelected" in self._shown and there:
            views.show_only(self._node, selected)
        else:
            views.show_all(self._node)
        return self._visible() != before

    def _visible(self) -> list[bool]:
        display = self._node.GetDisplayNode()
        ids = self._node.GetSegmentation().GetSegmentIDs()
        return [True] * len(ids) if display is None else [bool(display.GetSegmentVisibility(i)) for i in ids]
