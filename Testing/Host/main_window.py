"""Stand-in for tests, no product logic: Slicer's main window, after qSlicerMainWindow: module panel left, views right.

    window = open_main_window(core, draw=True)
    slicer.util.selectModule("QualitySentinel")

Before it is opened, ``slicer.util.mainWindow()`` and ``slicer.app.layoutManager()`` give None, as in a Slicer that was
started with ``--no-main-window``.
"""

from __future__ import annotations

import slicer
from PySide6 import QtCore, QtWidgets

from .layout_manager import LayoutManager
from .pythonqt import in_pythonqt_style, with_signals

PANEL_WIDTH = 350
"""Pixels the module's widget gets; the panel's frame and scroll bar come on top."""

_open = None


@with_signals
class _ModuleSelector(in_pythonqt_style(QtCore.QObject)):
    """The list of modules in the tool bar."""

    moduleSelected = QtCore.Signal(str)
    pythonQtSignals = {"moduleSelected(QString)"}

    def __init__(self, window):
        super().__init__()
        self._window, self.selectedModule = window, ""

    def selectModule(self, name):
        """Slot: leave the module that is open, and open this one."""
        if name == self.selectedModule:
            return
        module = slicer.app.moduleManager().module(name)
        if module is None:
            raise RuntimeError(f"no module {name}")
        widget = module.widgetRepresentation()
        self._window.show_module(widget)
        self.selectedModule = name
        self.moduleSelected.emit(name)


class qSlicerMainWindow(in_pythonqt_style(QtWidgets.QMainWindow)):
    """The main window."""

    def __init__(self, core, draw):
        super().__init__()
        self.setObjectName("qSlicerMainWindow")
        self.layout_manager = LayoutManager(core, draw)
        self._selector, self._module = _ModuleSelector(self), None
        self.panel = QtWidgets.QScrollArea()
        self.panel.setWidgetResizable(True)
        self.panel.setFrameShape(QtWidgets.QFrame.Shape.NoFrame)
        self.panel.setHorizontalScrollBarPolicy(QtCore.Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        contents = QtWidgets.QWidget()
        self._contents = QtWidgets.QVBoxLayout(contents)
        self._contents.setContentsMargins(0, 0, 0, 0)
        self.panel.setWidget(contents)
        middle = QtWidgets.QWidget()
        row = QtWidgets.QHBoxLayout(middle)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        row.addWidget(self.panel)
        row.addWidget(self.layout_manager.viewport(), 1)
        self.setCentralWidget(middle)
        self.set_panel_width(PANEL_WIDTH)
        self.resize(1280, 900)

    def set_panel_width(self, width: int) -> None:
        """Give the module's widget so many pixels."""
        self.panel.setFixedWidth(width + self.panel.verticalScrollBar().sizeHint().width())

    def moduleSelector(self):
        """What opens modules."""
        return self._selector

    def show_module(self, widget) -> None:
        """qSlicerModulePanel::setModule: the old module exits, then the new one enters."""
        self.leave_module()
        if widget is not None:
            widget.layout().setContentsMargins(0, 0, 0, 0)
            self._contents.addWidget(widget, 1)
            widget.setVisible(True)
            widget.enter()
        self._module = widget

    def leave_module(self) -> None:
        """No module is open."""
        if self._module is not None:
            self._module.exit()
            self._contents.removeWidget(self._module)
            self._module.setVisible(False)
            self._module.setParent(None)
        self._module, self._selector.selectedModule = None, ""


def open_main_window(core, draw=True) -> qSlicerMainWindow:
    """Open the main window, the same one each time; the first call says whether views are drawn, which needs OpenGL."""
    global _open
    if _open is None:
        _open = qSlicerMainWindow(core, draw)
    slicer.app.main_window = _open
    _open.show()
    return _open
