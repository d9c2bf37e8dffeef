"""Stand-in for tests, no product logic: ``slicer.app.layoutManager()``, after qMRMLLayoutManager: Slicer's usual views.

There are three slice views and a 3D view, in the arrangement *Conventional widescreen* or any that the main window's
maker gives; :meth:`setLayout` is remembered and changes nothing
that is seen, but the signal is sent.
"""

from __future__ import annotations

import slicer
import vtk
from PySide6 import QtCore, QtWidgets

from .pythonqt import in_pythonqt_style, with_signals
from .views import qMRMLSliceWidget, qMRMLThreeDWidget

SLICE_VIEWS = ("Red", "Green", "Yellow")


@with_signals
class LayoutManager(in_pythonqt_style(QtCore.QObject)):
    """The views and the way to each of them."""

    layoutChanged = QtCore.Signal(int)
    pythonQtSignals = {"layoutChanged(int)"}
    tableViewCount = plotViewCount = 0

    def __init__(self, core, draw):
        super().__init__()
        self._core, self._viewport = core, QtWidgets.QWidget()
        self._slices = {name: qMRMLSliceWidget(name, core, draw) for name in SLICE_VIEWS}
        self._solid = qMRMLThreeDWidget(core, draw)
        self._grid = QtWidgets.QGridLayout(self._viewport)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(3)
        self.arrange(("Red", "1"), ("Green", "Yellow"))
        self.layout = slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView

    def viewport(self):
        """The widget that holds the views."""
        return self._viewport

    def arrange(self, *rows) -> None:
        """Show views in rows, by name; a view named again in the next row is that much higher, others are hidden."""
        views = {**self._slices, "1": self._solid}
        for view in views.values():
            self._grid.removeWidget(view)
            view.setParent(self._viewport)
            view.hide()
        width = max(map(len, rows))
        for row in range(4):
            self._grid.setRowStretch(row, int(row < len(rows)))
            self._grid.setColumnStretch(row, int(row < width))
        for row, names in enumerate(rows):
            for column, name in enumerate(names):
                if row and name in rows[row - 1]:
                    continue
                height = sum(name in others for others in rows[row:])
                self._grid.addWidget(views[name], row, column, height, 1)
                views[name].show()

    def setLayout(self, layout):
        """Slot: remember an arrangement of vtkMRMLLayoutNode."""
        self.layout = layout
        self.layoutChanged.emit(layout)

    def sliceViewNames(self):
        """Names of the slice views."""
        return SLICE_VIEWS

    def sliceWidget(self, name):
        """A slice view by name, or None."""
        return self._slices.get(name)

    threeDViewCount = 1

    def threeDWidget(self, which):
        """The 3D view by number or name."""
        return self._solid if which in (0, "1", "View1") else None

    def mrmlSliceLogics(self):
        """The slice logics, a vtkCollection."""
        found = vtk.vtkCollection()
        for widget in self._slices.values():
            found.AddItem(widget.sliceLogic())
        return found

    def mrmlScene(self):
        """The scene."""
        return self._core.scene

    def resetSliceViews(self):
        """Slot: show whole volumes."""
        for widget in self._slices.values():
            widget.sliceController().fitSliceToBackground()

    def resetThreeDViews(self):
        """Slot: show everything there is."""
        self._solid.threeDView().resetFocalPoint()
        self._solid.threeDView().resetCamera()
