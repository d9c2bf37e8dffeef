"""Needs ``slicer`` and ``vtk``. While a reader scrolls, the axial views say which slices are flagged or missed.

A frame around the view and a line of text at its top, drawn by VTK alone: no node of the scene knows of them, so that
nothing is saved, and nothing is left when they are removed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import slicer
import vtk

from ..errors import MismatchError
from ..review import ReviewSession
from ..scores.colors import DEFAULT_SCALE, dsc_color
from .label_layers import frame_of
from .views import is_axial

NAMES_SHOWN = 3
"""Segments called by name in a line, if there is room; of others the number is said."""

_PARALLEL = 1e-6
_FRAME_WIDTH = 8.0
"""Pixels; the outer half is beyond the view's border."""
_FONT_SIZE = 16
_LINE_HEIGHT, _LETTER_WIDTH, _TOP = 1.7, 0.6, 0.5
"""Of a line and of a letter of text, and how far the first line is below the border, in font sizes."""
_POINTS_PER_INCH = 72


class Mark(NamedTuple):
    """What is said of one slice.

    Attributes:
        flagged, missed: (DSC, label) of the segments with an open slice here, worst first.
    """

    flagged: tuple[tuple[float, str], ...] = ()
    missed: tuple[tuple[float, str], ...] = ()

    @property
    def worst(self) -> float:
        """The DSC whose color the frame has; a missed slice is as bad as can be."""
        return 0.0 if self.missed else min((dsc for dsc, _ in self.flagged), default=1.0)

    def lines(self, room: int = 200) -> list[tuple[str, float]]:
        """(text, DSC of its color) of each line, in at most so many letters if that is possible at all."""
        lines = []
        if self.missed:
            lines.append((_listed("Missed: ", [label for _, label in self.missed], room), 0.0))
        if self.flagged:
            names = [f"{label} {dsc:.2f}" for dsc, label in self.flagged]
            lines.append((_listed("Flagged: ", names, room), self.flagged[0][0]))
        return lines


class FlagMarks:
    """Marks open slices of a review in the axial views that show its CT, until :meth:`remove`.

    Accepted slices are not marked. It follows the views and the review by itself.

    Args:
        segmentation_node, volume_node: what is reviewed.
        session: its review.
        scale: a name of ``scores.colors.SCALES``.
        find_view: a function from a slice node to its view, an object with ``renderWindow()`` and
            ``scheduleRender()`` as qMRMLSliceView has, or ``None``; by default the layout manager is asked.
    """

    def __init__(
        self,
        segmentation_node,
        volume_node,
        session: ReviewSession,
        scale: str = DEFAULT_SCALE,
        find_view: Callable | None = None,
    ) -> None:
        self._volume_node = volume_node
        self._session, self._scale = session, scale
        self._find_view = find_view or _view_of_layout
        self._marks: dict[int, Mark] | None = None
        self._drawings: dict[str, _Drawing] = {}
        self._observed: list[tuple] = []
        self._stop = session.observe(lambda _event: self.update())
        self.update()

    def update(self, scale: str | None = None) -> None:
        """Look at the review, and for new views, again; ``scale``: another color scale from now on."""
        self._scale = scale or self._scale
        self._marks = None
        self._forget_views_that_are_gone()
        known = {id(node) for node, _ in self._observed}
        for node in slicer.util.getNodesByClass("vtkMRMLSliceNode"):
            if id(node) not in known:
                self._observed.append((node, node.AddObserver("ModifiedEvent", self._on_view_moved)))
            self._draw(node)

    def mark_of(self, k: int) -> Mark:
        """What is said of canonical slice ``k``; an empty mark when there is nothing to say."""
        if self._marks is None:
            self._marks = marks_of(self._session)
        return self._marks.get(k, Mark())

    def remove(self) -> None:
        """Take everything out of the views, for good."""
        self._stop()
        nodes = {_name_of(node): node for node, _ in self._observed if node.GetScene()}
        for node, tag in self._observed:
            node.RemoveObserver(tag)
        self._observed = []
        for name, drawing in self._drawings.items():
            drawing.remove()
            node = nodes.get(name)
            view = None if node is None else self._find_view(node)
            if view is not None:
                view.scheduleRender()
        self._drawings = {}

    def _on_view_moved(self, slice_node, _event) -> None:
        self._draw(slice_node)

    def _forget_views_that_are_gone(self) -> None:
        for node, tag in [entry for entry in self._observed if not entry[0].GetScene()]:
            node.RemoveObserver(tag)
            self._observed.remove((node, tag))
            drawing = self._drawings.pop(_name_of(node), None)
            if drawing is not None:
                drawing.remove()

    def _draw(self, slice_node) -> None:
        name = _name_of(slice_node)
        drawing = self._drawings.get(name)
        k = self._slice_shown(slice_node)
        mark = Mark() if k is None else self.mark_of(k)
        if drawing is None and mark == Mark():
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
        if drawing.show(mark, self._scale, slice_node.GetDimensions()[:2]):
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
        to_ras = slicer.util.arrayFromVTKMatrix(slice_node.GetSliceToRAS())
        if 1 - abs(normal @ to_ras[:3, 2]) / np.linalg.norm(normal) > _PARALLEL:
            return None
        k = int(np.rint((np.linalg.inv(frame.ijk_to_ras) @ to_ras[:, 3])[2]))
        return k if 0 <= k < frame.shape[0] else None

    def _shows_volume(self, slice_node) -> bool:
        """Whether the view shows the reviewed CT, or no volume at all."""
        for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
            if composite.GetLayoutName() == slice_node.GetLayoutName():
                return composite.GetBackgroundVolumeID() in (None, self._volume_node.GetID())
        return True


def marks_of(session: ReviewSession) -> dict[int, Mark]:
    """The marks of all slices that have one, by canonical k."""
    labels = session.labels
    flagged: dict[int, list] = {}
    missed: dict[int, list] = {}
    for segment_id, k in session.open_slices():
        score = session.slice_score(segment_id, k)
        found = flagged if score.has_mask else missed
        found.setdefault(k, []).append((score.predicted_dsc, labels[segment_id]))
    return {
        k: Mark(tuple(sorted(flagged.get(k, ()))), tuple(sorted(missed.get(k, ()))))
        for k in flagged.keys() | missed.keys()
    }


class _Drawing:
    """The frame and the lines of text in one view's window. It outlives the view, which is Qt's: a layout may end it.

    Attributes:
        window: the vtkRenderWindow.
    """

    def __init__(self, window) -> None:
        self.window = window
        renderers = window.GetRenderers()
        self._renderer = renderers.GetItemAsObject(renderers.GetNumberOfItems() - 1)
        self._frame = _frame_actor()
        self._texts = [_text_actor() for _ in range(2)]
        self._shown: tuple = (Mark(), "", (0, 0))
        for actor in (self._frame, *self._texts):
            actor.VisibilityOff()
            self._renderer.AddViewProp(actor)

    def show(self, mark: Mark, scale: str, size: tuple[int, int]) -> bool:
        """Show a mark, or nothing for an empty one, in a view of ``size`` (width, height in pixels).

        Returns:
            whether the view must be rendered.
        """
        if self._shown == (mark, scale, size) or (mark == self._shown[0] == Mark()):
            return False
        self._shown = mark, scale, size
        letter = _FONT_SIZE * self.window.GetDPI() / _POINTS_PER_INCH
        lines = mark.lines(int(size[0] / (letter * _LETTER_WIDTH)) - 2)
        self._frame.SetVisibility(bool(lines))
        self._frame.GetProperty().SetColor(*dsc_color(mark.worst, scale))
        for number, actor in enumerate(self._texts):
            actor.SetVisibility(number < len(lines))
            if number < len(lines):
                text, dsc = lines[number]
                ground = dsc_color(dsc, scale)
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
    points = vtk.vtkPoints()
    for x, y in ((0, 0), (1, 0), (1, 1), (0, 1)):
        points.InsertNextPoint(x, y, 0)
    lines = vtk.vtkCellArray()
    lines.InsertNextCell(5)
    for corner in (0, 1, 2, 3, 0):
        lines.InsertCellPoint(corner)
    border = vtk.vtkPolyData()
    border.SetPoints(points)
    border.SetLines(lines)
    place = vtk.vtkCoordinate()
    place.SetCoordinateSystemToNormalizedViewport()
    mapper = vtk.vtkPolyDataMapper2D()
    mapper.SetInputData(border)
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
