"""Stand-in for tests, no product logic: slice and 3D views, after qMRMLSliceWidget and qMRMLThreeDWidget.

What they show is real: MRML nodes, slice logics and displayable managers of the slicer-core wheel, drawn off the
screen by trame-slicer's views and painted into a Qt widget. With ``draw=False`` only the drawing is missing: slice
nodes, logics, mouse and wheel are the same, and no OpenGL is needed.
"""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from PySide6 import QtCore, QtGui, QtWidgets
from trame_slicer.views import SliceView, ThreeDView, ViewLayoutDefinition
from trame_slicer.views.render_scheduler import ScheduledRenderStrategy
from vtk.util.numpy_support import vtk_to_numpy

from .pythonqt import in_pythonqt_style

_Widget = in_pythonqt_style(QtWidgets.QWidget)
MAXIMUM_UPDATE_RATE = 60
"""Renderings a second at most, as ctkVTKAbstractView does by default."""
BAR = 22
"""Height of the colored bar above a view, pixels."""


class _FromTheEventLoop(ScheduledRenderStrategy):
    """Renderings are put off to a timer, as in ctkVTKAbstractView::scheduleRender."""

    def __init__(self):
        super().__init__()
        self.enabled = True
        self._timer = QtCore.QTimer()
        self._timer.setSingleShot(True)

    def draw_by(self, draw):
        self._timer.timeout.connect(draw)

    def schedule_render(self):
        if self.enabled and not self._timer.isActive():
            self._timer.start(1000 // MAXIMUM_UPDATE_RATE)

    def did_render(self):
        self._timer.stop()


class _View(_Widget):
    """What ctkVTKSliceView and ctkVTKRenderView have in common."""

    def __init__(self, drawn=None, parent=None):
        super().__init__(parent)
        self.drawn, self._picture = drawn, None
        self._corners = vtk.vtkCornerAnnotation()
        if drawn is not None:
            drawn._scheduled_render.draw_by(self.forceRender)
            drawn.renderers()[-1].AddViewProp(self._corners)
        self.setMinimumSize(80, 80)

    def cornerAnnotation(self):
        """The texts in the corners."""
        return self._corners

    def renderWindow(self):
        """The render window; None where nothing is drawn."""
        return self.drawn and self.drawn.render_window()

    def interactor(self):
        """The render window's interactor; None where nothing is drawn."""
        return self.drawn and self.drawn.interactor()

    def scheduleRender(self):
        """Slot: render soon."""
        if self.drawn is not None:
            self.drawn.schedule_render()

    def setRenderEnabled(self, enabled):
        """Slot: whether to render when the scene changes."""
        if self.drawn is not None:
            self.drawn._scheduled_render.enabled = enabled

    def forceRender(self):
        """Slot: render now. What is not on the screen is rendered when it is."""
        if self.drawn is not None and self.isVisible():
            self._picture = pixels(self.drawn)
            self.update()

    def grabbed(self) -> np.ndarray:
        """The pixels that are shown, uint8 ``[row, column, RGB]``; rendered now."""
        self.drawn.update_size(*self._size())
        return pixels(self.drawn)

    def _size(self):
        return max(QtWidgets.QWidget.width(self), 8), max(QtWidgets.QWidget.height(self), 8)

    def resizeEvent(self, event):
        """Called by Qt."""
        if self.drawn is not None:
            self.drawn.update_size(*self._size())
            self.scheduleRender()

    def showEvent(self, event):
        """Called by Qt."""
        self.scheduleRender()

    def paintEvent(self, event):
        """Called by Qt: the last rendering."""
        painter = QtGui.QPainter(self)
        painter.fillRect(self.rect, QtCore.Qt.GlobalColor.black)
        if self._picture is not None:
            rows, columns, _ = self._picture.shape
            image = QtGui.QImage(self._picture.data, columns, rows, 3 * columns, QtGui.QImage.Format.Format_RGB888)
            painter.drawImage(self.rect, image)


class qMRMLSliceView(_View):
    """A slice view: the wheel moves the slice, the active effect of the Segment Editor gets the clicks."""

    effect = None
    """Of the Segment Editor while it is active: called with this view, RAS mm, and whether the button went down."""

    def __init__(self, logic, drawn=None, parent=None):
        super().__init__(drawn, parent)
        self._logic = logic

    def mrmlSliceNode(self):
        """The slice node."""
        return self._logic.GetSliceNode()

    def convertDeviceToXYZ(self, xy):
        """Pixels from the upper left corner to pixels from the lower left one."""
        return [xy[0], self._size()[1] - xy[1], 0]

    def convertXYZToRAS(self, xyz):
        """Pixels from the lower left corner to RAS mm."""
        return list(self.mrmlSliceNode().GetXYToRAS().MultiplyPoint([*xyz, 1.0])[:3])

    def convertRASToXYZ(self, ras):
        """RAS mm to pixels from the lower left corner."""
        to_xy = vtk.vtkMatrix4x4()
        vtk.vtkMatrix4x4.Invert(self.mrmlSliceNode().GetXYToRAS(), to_xy)
        return list(to_xy.MultiplyPoint([*ras, 1.0])[:3])

    def resizeEvent(self, event):
        """Called by Qt."""
        super().resizeEvent(event)
        self._logic.ResizeSliceNode(*self._size())

    def wheelEvent(self, event):
        """Called by Qt: one slice up or down, as vtkMRMLSliceIntersectionWidget does."""
        step = self._logic.GetLowestVolumeSliceSpacing()[2]
        self._logic.StartSliceOffsetInteraction()
        offset = self._logic.GetSliceOffset() + (step if event.angleDelta().y() > 0 else -step)
        self._logic.SetSliceOffset(offset)
        self._logic.SnapSliceOffsetToIJK()
        self._logic.EndSliceOffsetInteraction()

    def mousePressEvent(self, event):
        """Called by Qt."""
        self._tell_effect(event, True)

    def mouseMoveEvent(self, event):
        """Called by Qt, while a button is down."""
        self._tell_effect(event, True)

    def mouseReleaseEvent(self, event):
        """Called by Qt."""
        self._tell_effect(event, False)

    def _tell_effect(self, event, down):
        if qMRMLSliceView.effect is not None:
            at = event.position()
            ras = self.convertXYZToRAS(self.convertDeviceToXYZ([at.x(), at.y()]))
            qMRMLSliceView.effect(self, ras, down)


class qMRMLThreeDView(_View):
    """A 3D view."""

    def __init__(self, node, drawn=None, parent=None):
        super().__init__(drawn, parent)
        self._node = node

    def mrmlViewNode(self):
        """The view node."""
        return self._node

    def resetFocalPoint(self):
        """Slot: look at the middle of what is shown."""
        if self.drawn is not None:
            self.drawn.reset_focal_point()

    def resetCamera(self, *_):
        """Slot: step back until everything is seen."""
        if self.drawn is not None:
            self.drawn.reset_camera()


class _ViewWidget(_Widget):
    """A view under its colored bar."""

    def __init__(self, label, color, view, parent=None):
        super().__init__(parent)
        self.label, self._color = label, QtGui.QColor(*color)
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, BAR, 0, 0)
        layout.addWidget(view)

    def paintEvent(self, event):
        """Called by Qt: the bar."""
        painter = QtGui.QPainter(self)
        bar = QtCore.QRect(0, 0, QtWidgets.QWidget.width(self), BAR)
        painter.fillRect(bar, self._color)
        painter.setPen(QtCore.Qt.GlobalColor.white)
        aligned = QtCore.Qt.AlignmentFlag
        painter.drawText(bar.adjusted(8, 0, -8, 0), aligned.AlignVCenter | aligned.AlignLeft, self.label)
        painter.drawText(bar.adjusted(8, 0, -8, 0), aligned.AlignVCenter | aligned.AlignRight, self.position_text())

    def position_text(self) -> str:
        """Written at the bar's end."""
        return ""


class qMRMLSliceWidget(_ViewWidget):
    """A slice view with its logic and nodes."""

    LOOK = {"Red": ("R", (243, 74, 51)), "Green": ("G", (110, 176, 75)), "Yellow": ("Y", (237, 213, 76))}
    MAKERS = {
        "Red": ViewLayoutDefinition.axial_view,
        "Green": ViewLayoutDefinition.coronal_view,
        "Yellow": ViewLayoutDefinition.sagittal_view,
    }
    LETTERS = {"Axial": ("S", 2), "Coronal": ("A", 1), "Sagittal": ("R", 0)}

    def __init__(self, name, core, draw, parent=None):
        definition, drawn = self.MAKERS[name](), None
        if draw:
            drawn = make_view(core, definition)
            self._logic = drawn._logic
        else:
            self._logic = slicer.vtkMRMLSliceLogic()
            self._logic.SetMRMLApplicationLogic(core.app_logic)
            core.app_logic.GetSliceLogics().AddItem(self._logic)
            self._logic.SetMRMLScene(core.scene)
            self._logic.AddSliceNode(name).SetOrientation(definition.properties.orientation)
        self._view = qMRMLSliceView(self._logic, drawn)
        super().__init__(*self.LOOK[name], self._view, parent)
        self.mrmlSliceNode().AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: self.update())

    def sliceLogic(self):
        """The slice logic."""
        return self._logic

    def mrmlSliceNode(self):
        """The slice node."""
        return self._logic.GetSliceNode()

    def mrmlSliceCompositeNode(self):
        """The node that says which volumes are shown."""
        return self._logic.GetSliceCompositeNode()

    def sliceView(self):
        """The view."""
        return self._view

    def fitSliceToBackground(self):
        """Slot: show the whole volume."""
        self._logic.ResizeSliceNode(*self._view._size())
        self._logic.FitSliceToBackground()
        self._logic.SnapSliceOffsetToIJK()

    def sliceController(self):
        """In Slicer a widget of its own; here the slice widget, which has the slots that are needed."""
        return self

    def position_text(self):
        """Letter and mm, as in Slicer's slice controller."""
        node = self.mrmlSliceNode()
        letter, axis = self.LETTERS.get(node.GetOrientation(), ("", 2))
        return f"{letter}: {node.GetSliceToRAS().GetElement(axis, 3) + 0.0:.1f} mm"


class qMRMLThreeDWidget(_ViewWidget):
    """A 3D view with its node."""

    def __init__(self, core, draw, parent=None):
        drawn = None
        if draw:
            drawn = make_view(core, ViewLayoutDefinition.threed_view(name="1"))
            drawn.set_background_gradient_color((193, 195, 232), (116, 120, 190))
            drawn.set_box_visible(False)
            node = drawn.get_view_node()
        else:
            self._logic = slicer.vtkMRMLViewLogic()
            self._logic.SetMRMLScene(core.scene)
            node = self._logic.AddViewNode("1")
        self._view = qMRMLThreeDView(node, drawn)
        super().__init__("1", (116, 121, 190), self._view, parent)

    def threeDView(self):
        """The view."""
        return self._view

    def threeDController(self):
        """In Slicer a widget of its own; here the slots that are needed."""
        return self._view

    def mrmlViewNode(self):
        """The view node."""
        return self._view.mrmlViewNode()


def make_view(core, definition: ViewLayoutDefinition):
    """One of trame-slicer's views, drawn off the screen. To be made before the scene has a node for it."""
    kind = SliceView if definition.singleton_tag in qMRMLSliceWidget.MAKERS else ThreeDView
    view = kind(core.scene, core.app_logic, definition.singleton_tag, scheduled_render_strategy=_FromTheEventLoop())
    if kind is SliceView:  # the volume below all else, as in Slicer: what comes first is drawn below
        view._render_manager._AddSliceActorToRendererIfNeeded()
        view._render_manager.image_actor.SetVisibility(False)
    view.set_view_properties(definition.properties)
    view.set_mapped_in_layout(True)
    return view


def pixels(drawn) -> np.ndarray:
    """Render one of trame-slicer's views; uint8 ``[row, column, RGB]``."""
    drawn.render()
    grab = vtk.vtkWindowToImageFilter()
    grab.SetInput(drawn.render_window())
    grab.ReadFrontBufferOff()
    grab.Update()
    image = grab.GetOutput()
    width, height, _ = image.GetDimensions()
    return np.ascontiguousarray(vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, -1)[::-1, :, :3])
