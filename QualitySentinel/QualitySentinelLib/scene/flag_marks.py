"""Needs ``slicer`` and ``vtk``. While a reader scrolls, the axial views say which slices are flagged or missed.

A frame around the view and a line of text at its top, drawn by VTK alone: no node of the scene knows of them, so that
nothing is saved, and nothing is left when they are removed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import slicer
import vtk
from slicer.util import VTKObservationMixin

from ..colors import dsc_color
from ..errors import MismatchError
from ..review import ReviewPresenter
from ..review.presenter import OpenSlice
from .nodes import frame_of
from .views import is_axial, slice_shown

NAMES_SHOWN = 3
"""Segments called by name in a line, if there is room; of others the number is said."""

_PARALLEL = 1e-6
_FRAME_WIDTH = 8.0
"""Pixels; the outer half is beyond the view's border."""
_FONT_SIZE = 16
_LINE_HEIGHT, _LETTER_WIDTH, _TOP = 1.7, 0.6, 0.5
"""Of a line and of a letter of text, and how far the first line is below the border, in font sizes."""
_POINTS_PER_INCH = 72
_MODIFIED = vtk.vtkCommand.ModifiedEvent


class FlagMarks(VTKObservationMixin):
    """Marks open slices of a review in the axial views that show its CT, until :meth:`remove`.

    Accepted slices are not marked. It follows the views and the review by itself. ``find_view`` gives the view of a
    slice node, with ``renderWindow()`` and ``scheduleRender()`` as qMRMLSliceView has them, or ``None``; by default the
    layout manager is asked.
    """

    def __init__(self, volume_node, presenter: ReviewPresenter, find_view: Callable | None = None) -> None:
        super().__init__()
        self._volume_node, self._presenter = volume_node, presenter
        self._find_view = find_view or _view_of_layout
        self._drawings: dict[str, _Drawing] = {}
        self._stop = presenter.session.observe(lambda _event: self.update())
        self.update()

    def update(self) -> None:
        """Look at the review, at its color scale, and for new views, again."""
        nodes = {_name_of(node): node for node in slicer.util.getNodesByClass("vtkMRMLSliceNode")}
        for name in self._drawings.keys() - nodes.keys():  # the view is gone
            self._drawings.pop(name).remove()
        for node in nodes.values():
            if not self.hasObserver(node, _MODIFIED, self._draw):
                self.addObserver(node, _MODIFIED, self._draw)
            self._draw(node)

    def remove(self) -> None:
        """Take everything out of the views, for good."""
        self._stop()
        self.removeObservers()
        nodes = {_name_of(node): node for node in slicer.util.getNodesByClass("vtkMRMLSliceNode")}
        for name, drawing in self._drawings.items():
            drawing.remove()
            view = self._find_view(nodes[name]) if name in nodes else None
            if view is not None:
                view.scheduleRender()
        self._drawings = {}

    def _draw(self, slice_node, _event=None) -> None:
        if not slice_node.GetScene():
            return
        name = _name_of(slice_node)
        drawing = self._drawings.get(name)
        k = self._slice_shown(slice_node)
        found = () if k is None else tuple(self._presenter.open_in_slice(k))
        if drawing is None and not found:
            return
        view = self._find_view(slice_node)
        window = None if view is None else view.renderWindow()
        if drawing is not None and drawing.window is not window:  # another layout: the view it was made for is gone
            drawing.remove()
            del self._drawings[name]
            drawing = None
        if window is None:
            return
        if drawing is None:
            drawing = self._drawings[name] = _Drawing(window)
        if drawing.show(found, self._presenter.scale, slice_node.GetDimensions()[:2]):
            view.scheduleRender()

    def _slice_shown(self, slice_node) -> int | None:
        """Canonical k of the slice that an axial view of the CT shows; ``None`` for other views and places."""
        if not self._volume_node.GetScene() or self._volume_node.GetImageData() is None:
            return None
        if not is_axial(slice_node) or not self._shows_volume(slice_node):
            return None
        try:
            frame = frame_of(self._volume_node)
        except MismatchError:  # it was put under a transform that bends it: no view shows a slice of it
            return None
        normal = np.cross(frame.ijk_to_ras[:3, 0], frame.ijk_to_ras[:3, 1])
        across = slicer.util.arrayFromVTKMatrix(slice_node.GetSliceToRAS())[:3, 2]
        if 1 - abs(normal @ across) / np.linalg.norm(normal) > _PARALLEL:
            return None
        return slice_shown(slice_node, frame)

    def _shows_volume(self, slice_node) -> bool:
        """Whether the view shows the reviewed CT, or no volume at all."""
        for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
            if composite.GetLayoutName() == slice_node.GetLayoutName():
                return composite.GetBackgroundVolumeID() in (None, self._volume_node.GetID())
        return True


def lines_of(found: Sequence[OpenSlice], room: int = 200) -> list[tuple[str, float]]:
    """(text, DSC of its color) of each line on open slices, in at most so many letters if that is possible at all."""
    missed, flagged = ([s for s in found if s.missed is kind] for kind in (True, False))
    lines = [(_listed("Missed: ", [s.name for s in missed], room), 0.0)] if missed else []
    if flagged:
        lines.append((_listed("Flagged: ", [f"{s.name} {s.dsc:.2f}" for s in flagged], room), flagged[0].dsc))
    return lines


class _Drawing:
    """Frame and lines of text in one view's window. It outlives the view, which is Qt's: a layout may end it."""

    def __init__(self, window) -> None:
        self.window = window
        renderers = window.GetRenderers()
        self._renderer = renderers.GetItemAsObject(renderers.GetNumberOfItems() - 1)
        self._frame = _frame_actor()
        self._texts = [_text_actor() for _ in range(2)]
        self._shown: tuple = ()
        for actor in (self._frame, *self._texts):
            actor.VisibilityOff()
            self._renderer.AddViewProp(actor)

    def show(self, found: tuple[OpenSlice, ...], scale: str, size: tuple[int, int]) -> bool:
        """Show open slices, or nothing, in a view of so many pixels; whether the view must be rendered."""
        shown = (found, scale, size) if found else ()
        if self._shown == shown:
            return False
        self._shown = shown
        letter = _FONT_SIZE * self.window.GetDPI() / _POINTS_PER_INCH
        lines = lines_of(found, int(size[0] / (letter * _LETTER_WIDTH)) - 2)
        self._frame.SetVisibility(bool(lines))
        for number, actor in enumerate(self._texts):
            actor.SetVisibility(number < len(lines))
        for number, (text, dsc) in enumerate(lines):
            ground, actor = dsc_color(dsc, scale), self._texts[number]
            if not number:  # the worst line is the first; a missed slice is as bad as can be
                self._frame.GetProperty().SetColor(*ground)
            actor.SetInput(f" {text} ")
            actor.SetPosition(0.5, 1 - (_TOP + number * _LINE_HEIGHT) * letter / max(size[1], 1))
            actor.GetTextProperty().SetBackgroundColor(*ground)
            actor.GetTextProperty().SetColor(*_readable_on(ground))
        return True

    def remove(self) -> None:
        """Take everything out of the window; whoever has the view renders it."""
        for actor in (self._frame, *self._texts):
            self._renderer.RemoveViewProp(actor)


def _frame_actor() -> vtk.vtkActor2D:
    border = vtk.vtkOutlineSource()
    border.SetBounds(0, 1, 0, 1, 0, 0)
    place = vtk.vtkCoordinate()
    place.SetCoordinateSystemToNormalizedViewport()
    mapper = vtk.vtkPolyDataMapper2D()
    mapper.SetInputConnection(border.GetOutputPort())
    mapper.SetTransformCoordinate(place)
    actor = vtk.vtkActor2D()
    actor.SetMapper(mapper)
    actor.GetProperty().SetLineWidth(_FRAME_WIDTH)
    actor.PickableOff()
    return actor


def _text_actor() -> vtk.vtkTextActor:
    """A line of text in the middle, on a colored ground, below its position."""
    actor = vtk.vtkTextActor()
    actor.GetPositionCoordinate().SetCoordinateSystemToNormalizedViewport()
    text = actor.GetTextProperty()
    text.SetFontSize(_FONT_SIZE)
    text.BoldOn()
    text.SetJustificationToCentered()
    text.SetVerticalJustificationToTop()
    text.SetBackgroundOpacity(1.0)
    actor.PickableOff()
    return actor


def _readable_on(ground: tuple[float, float, float]) -> tuple[float, float, float]:
    """Black or white, whatever stands out more."""
    return (0.0, 0.0, 0.0) if np.dot(ground, (0.299, 0.587, 0.114)) > 0.5 else (1.0, 1.0, 1.0)


def _listed(head: str, names: list[str], room: int) -> str:
    """As many names as there is room for, at least one."""
    for shown in range(min(NAMES_SHOWN, len(names)), 0, -1):
        more = f" +{len(names) - shown}" if len(names) > shown else ""
        text = head + ", ".join(names[:shown]) + more
        if len(text) <= room:
            break
    return text


def _name_of(slice_node) -> str:
    return slice_node.GetLayoutName() or slice_node.GetID()


def _view_of_layout(slice_node):
    """The slice view of the application's layout, ``None`` without one."""
    manager = slicer.app.layoutManager()
    widget = manager.sliceWidget(slice_node.GetLayoutName()) if manager is not None else None
    return widget.sliceView() if widget is not None else None
