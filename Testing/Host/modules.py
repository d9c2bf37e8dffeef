"""Stand-in for tests, no product logic: modules, their widgets and the module manager, after Slicer's Base/QTGUI.

A module's widget is made when the module is opened the first time, as qSlicerAbstractCoreModule does: the Python class
gets the widget as its parent, then ``setup()`` is called; ``enter()`` and ``exit()`` come from the module panel.
"""

from __future__ import annotations

import slicer
from PySide6 import QtCore, QtWidgets

from .pythonqt import register_widget
from .qmrml_stand_in import qMRMLWidget


@register_widget
class qSlicerScriptedLoadableModuleWidget(qMRMLWidget):
    """The Qt widget of a scripted module; ``self()`` is the Python object behind it."""

    isEntered = False

    def __init__(self, parent=None):
        super().__init__(parent)
        self.setLayout(QtWidgets.QVBoxLayout())
        self._python = None

    def make(self, module, python_class) -> None:
        """Make the Python object and set it up."""
        self.setMRMLScene(slicer.mrmlScene)
        self.setObjectName(f"{module.name}ModuleWidget")
        self.moduleName = module.name
        self._python = python_class(self)
        setattr(slicer.modules, f"{module.name}Widget", self._python)
        self._python.setup()

    def self(self):
        """The Python object of the module's widget class."""
        return self._python

    def enter(self):
        """The module is opened."""
        assert not self.isEntered
        self.isEntered = True
        getattr(self._python, "enter", lambda: None)()

    def exit(self):
        """Another module is opened."""
        assert self.isEntered
        self.isEntered = False
        getattr(self._python, "exit", lambda: None)()


class Module:
    """A module: its metadata and, once opened, its widget. Also the ``parent`` that a scripted module gets."""

    def __init__(self, name, path="", widget_class=None, logic=None):
        self.name, self.path, self.title = name, path, name
        self._widget_class, self._widget = widget_class, None
        self.isEntered = True
        if logic is not None:
            self.logic = lambda: logic

    def widgetRepresentation(self):
        """The module's widget, made when it is asked for the first time."""
        if self._widget is None and self._widget_class is not None:
            self._widget = qSlicerScriptedLoadableModuleWidget()
            self._widget.make(self, self._widget_class)
        return self._widget

    def forget_widget(self) -> None:
        """Clean up and drop the widget, as when the module is unloaded."""
        widget, self._widget = self._widget, None
        if widget is not None:
            widget.self().cleanup()
            widget.setParent(None)
            widget.deleteLater()


class qSlicerScriptedLoadableModule(Module):
    """A module written in Python."""


class ModuleManager(QtCore.QObject):
    """All modules by name."""

    moduleAboutToBeUnloaded = QtCore.Signal(str)
    moduleLoaded = QtCore.Signal(str)

    def connect(self, signature, slot):
        """Only the two signals above."""
        getattr(self, signature.partition("(")[0]).connect(slot)
        return True

    def disconnect(self, signature, slot):
        """Only the two signals above."""
        getattr(self, signature.partition("(")[0]).disconnect(slot)
        return True

    def module(self, name):
        """A module by name, or None."""
        return getattr(slicer.modules, name.lower(), None)

    def modulesNames(self):
        """The names, sorted."""
        return sorted(m.name for m in vars(slicer.modules).values() if isinstance(m, Module))
