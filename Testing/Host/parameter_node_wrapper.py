"""Stand-in for tests, no product logic: ``slicer.parameterNodeWrapper`` for str, bool, int, float and node parameters.

Values live in a real vtkMRMLScriptedModuleNode, as strings and node references, under the names Slicer would use. They
are read when that node says that it was modified, and then only: Slicer's wrapper caches them, nodes too.
"""

from __future__ import annotations

import typing
import weakref
from dataclasses import dataclass

import slicer
import vtk

PROPERTY = "SlicerParameterName"


@dataclass
class Default:
    """Annotation: the value a new node starts with."""

    value: object


@dataclass
class WithinRange:
    """Annotation: both ends are allowed."""

    minimum: float
    maximum: float

    def validate(self, value):
        """Raise ValueError for a value that is not allowed."""
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"Value must be within [{self.minimum}, {self.maximum}], is {value}")


class Choice:
    """Annotation: one of a list."""

    def __init__(self, choices):
        self.choices = list(choices)

    def validate(self, value):
        """Raise ValueError for a value that is not allowed."""
        if value not in self.choices:
            raise ValueError(f"Value must be one of {self.choices}, is {value}")


class _Parameter:
    def __init__(self, cls, name, hint):
        self.name = name
        self.type, *self.annotations = typing.get_args(hint) if typing.get_origin(hint) is typing.Annotated else (hint,)
        self.is_node = issubclass(self.type, slicer.vtkMRMLNode)
        if not self.is_node and self.type not in (str, bool, int, float):
            raise TypeError(f"the stand-in has no serializer for {self.type}")
        defaults = [a.value for a in self.annotations if isinstance(a, Default)]
        zero = None if self.is_node else self.type()
        self.default = getattr(cls, name, defaults[0] if defaults else zero)

    def annotation(self, kind):
        return next((a for a in self.annotations if isinstance(a, kind)), None)

    def read(self, node):
        if not node.HasParameter(self.name):  # the scene was cleared
            self.write(node, self.default)
        if self.is_node:
            return node.GetNodeReference(self.name)
        text = node.GetParameter(self.name)
        return text == "True" if self.type is bool else self.type(text)

    def write(self, node, value):
        allowed = (int, float) if self.type is float else self.type
        if not isinstance(value, allowed) and not (self.is_node and value is None):
            raise TypeError(f"{self.name} must be {self.type.__name__}, is {value!r}")
        for annotation in self.annotations:
            if hasattr(annotation, "validate"):
                annotation.validate(value)
        if self.is_node:
            node.SetParameter(self.name, "")
            node.SetNodeReferenceID(self.name, value.GetID() if value is not None else None)
        else:
            node.SetParameter(self.name, str(value))


def parameterNodeWrapper(cls):
    """Class decorator: annotated members become properties kept in a parameter node."""
    parameters = {n: _Parameter(cls, n, h) for n, h in typing.get_type_hints(cls, include_extras=True).items()}

    def init(self, parameterNode, prefix=None):
        self.parameterNode, self._connections, self._updating = parameterNode, {}, False
        for parameter in parameters.values():
            if not parameterNode.HasParameter(parameter.name):
                parameter.write(parameterNode, parameter.default)
        self._values = {name: p.read(parameterNode) for name, p in parameters.items()}
        me = weakref.ref(self)
        self._observer = parameterNode.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: me()._read_anew())

    def read_anew(self):
        self._values.update({name: p.read(self.parameterNode) for name, p in parameters.items()})

    def write(self, parameter, value):
        with slicer.util.NodeModify(self.parameterNode):  # observers that are called in the end read the new value
            parameter.write(self.parameterNode, value)
            self._values[parameter.name] = parameter.read(self.parameterNode)

    for parameter in parameters.values():
        setattr(cls, parameter.name, property(
            lambda self, p=parameter: self._values[p.name],
            lambda self, value, p=parameter: write(self, p, value),
        ))  # fmt: skip
    cls.__init__, cls._read_anew = init, read_anew
    cls.__del__ = lambda self: self.parameterNode.RemoveObserver(self._observer)
    cls.allParameters = parameters
    cls.getValue = lambda self, name: getattr(self, name)
    cls.setValue = lambda self, name, value: setattr(self, name, value)
    cls.connectGui = _connect_gui
    cls.disconnectGui = _disconnect_gui
    cls.StartModify = lambda self: self.parameterNode.StartModify()
    cls.EndModify = lambda self, was: self.parameterNode.EndModify(was)
    cls.AddObserver = lambda self, event, callback, priority=0.0: self.parameterNode.AddObserver(
        event, callback, priority
    )
    cls.RemoveObserver = lambda self, tag: self.parameterNode.RemoveObserver(tag)
    cls.Modified = lambda self: self.parameterNode.Modified()
    return cls


def _connect_gui(self, gui):
    connectors = []
    for widget in vars(gui).values():
        name = widget.property(PROPERTY)
        if name:
            connectors.append(_Connector(widget, self.allParameters[name]))

    def to_gui(caller=None, event=None):
        if not self._updating:
            self._updating = True
            try:
                for connector in connectors:
                    connector.write(connector.parameter.read(self.parameterNode))
            finally:
                self._updating = False

    for connector in connectors:
        connector.write(connector.parameter.read(self.parameterNode))
        connector.changed = lambda *_, c=connector: self._updating or setattr(self, c.parameter.name, c.read())
        connector.signal.connect(connector.changed)
    tag = len(self._connections)
    self._connections[tag] = (connectors, self.parameterNode.AddObserver(vtk.vtkCommand.ModifiedEvent, to_gui))
    return tag


def _disconnect_gui(self, tag):
    connectors, observer = self._connections.pop(tag, ([], None))
    for connector in connectors:
        connector.signal.disconnect(connector.changed)
    if observer is not None:
        self.parameterNode.RemoveObserver(observer)


class _Connector:
    """Between one widget and one parameter: the widget classes that Slicer can connect, as far as we need them."""

    def __init__(self, widget, parameter):
        import ctk
        import qt

        self.widget, self.parameter = widget, parameter
        kind, wanted = type(widget), parameter.type
        within, choice = parameter.annotation(WithinRange), parameter.annotation(Choice)
        if kind is slicer.qMRMLNodeComboBox and parameter.is_node:
            self.signal, self.read, self.write = widget.currentNodeChanged, widget.currentNode, widget.setCurrentNode
        elif kind is qt.QCheckBox and wanted is bool:
            self._by_property("checked", widget.stateChanged)
        elif kind is qt.QLineEdit and wanted is str:
            self._by_property("text", widget.textChanged)
        elif (kind is qt.QSpinBox and wanted is int) or (kind is ctk.ctkSliderWidget and wanted is float and within):
            if within:
                widget.minimum, widget.maximum = within.minimum, within.maximum
            self._by_property("value", widget.valueChanged)
        elif kind is qt.QComboBox and choice:
            widget.clear()
            for item in choice.choices:
                widget.addItem(str(item))
            self.signal = widget.currentIndexChanged
            self.read = lambda: choice.choices[widget.currentIndex]
            self.write = lambda value: setattr(widget, "currentIndex", choice.choices.index(value))
        else:
            raise RuntimeError(f"Unable to create GUI connector from datatype '{wanted}' to widget type '{kind}'.")

    def _by_property(self, name, signal):
        self.signal = signal
        self.read = lambda: getattr(self.widget, name)
        self.write = lambda value: setattr(self.widget, name, value)
