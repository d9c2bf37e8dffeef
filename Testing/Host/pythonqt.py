"""Stand-in for tests, no product logic: PySide6 classes behind the conventions of PythonQt (Slicer's ``qt``).

PythonQt gives every Qt property as an attribute (``button.text = "Apply"``) and connects signals by signature
(``button.connect("clicked(bool)", slot)``). ``qt_module()`` builds a module whose classes do both.
"""

from __future__ import annotations

import ctypes
import inspect
import sys
import types
import xml.etree.ElementTree as ET

import shiboken6
from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets

_HOMES = (QtWidgets, QtGui, QtCore)
_STAY_METHODS = {"sizeHint", "minimumSizeHint", "singleShot"}
"""Virtual methods, which Qt itself calls, and a static one: properties of these names would shadow them."""

if sys.version_info < (3, 12):
    # PySide6 (6.12 at least) returns None without counting it, as if None were immortal, which it is from Python 3.12
    # on. Before, Python ends with "none_dealloc" after some thousand calls.
    ctypes.c_ssize_t.from_address(id(None)).value += 1 << 40

_classes: dict[type, type] = {}
_extra_widgets: dict[str, type] = {}


def in_pythonqt_style(base: type) -> type:
    """The subclass of a PySide6 QObject class that behaves as PythonQt's class of the same name."""
    if base not in _classes:
        namespace = {"connect": _connect, "disconnect": _disconnect, "className": _class_name, "__module__": "qt"}
        meta = base.staticMetaObject
        for index in range(meta.propertyCount()):
            name = meta.property(index).name()
            if name not in _STAY_METHODS:
                namespace[name] = _attribute(name)
        namespace["name"] = _attribute("objectName")
        namespace["__bool__"] = lambda self: shiboken6.isValid(self)
        _classes[base] = type(base.__name__, (base,), namespace)
    return _classes[base]


def register_widget(cls: type) -> type:
    """Class decorator: ``.ui`` files may name this class."""
    _extra_widgets[cls.__name__] = cls
    return with_signals(cls)


def with_signals(cls: type) -> type:
    """Class decorator: this class has signals of its own, connected by signature."""
    cls.connect, cls.disconnect = _connect, _disconnect  # PySide6 gives classes with signals its own
    return cls


def qt_module() -> types.ModuleType:
    """A module to stand for ``qt``: any class of QtCore, QtGui and QtWidgets, made when first asked for."""
    module = types.ModuleType("qt", __doc__)

    def find(name: str):
        if name.startswith("__"):
            raise AttributeError(name)
        for home in _HOMES:
            found = getattr(home, name, None)
            if found is not None:
                if inspect.isclass(found) and issubclass(found, QtCore.QObject):
                    found = in_pythonqt_style(found)
                setattr(module, name, found)
                return found
        raise AttributeError(f"Qt has no {name}")

    module.__getattr__ = find
    module.QUiLoader = UiLoader
    return module


def _attribute(name: str) -> property:
    reading = set()

    def read(self):
        if id(self) in reading:  # PySide6 asks whether Python overrides a virtual method of this name: it does not
            return None
        reading.add(id(self))
        try:
            return QtCore.QObject.property(self, name)
        finally:
            reading.discard(id(self))

    def write(self, value):
        if not QtCore.QObject.setProperty(self, name, value):
            raise ValueError(f"{type(self).__name__}.{name} cannot be {value!r}")

    return property(read, write)


def _signal(self: QtCore.QObject, signature: str):
    declared = getattr(type(self), "pythonQtSignals", {})
    name = signature.partition("(")[0]
    if signature not in declared:
        normalized = bytes(QtCore.QMetaObject.normalizedSignature(signature).data())
        meta = self.metaObject()
        methods = (meta.method(index) for index in range(meta.methodCount()))
        signals = (m for m in methods if m.methodType() == QtCore.QMetaMethod.MethodType.Signal)
        if normalized not in {bytes(m.methodSignature().data()).replace(b"QPrivateSignal", b"") for m in signals}:
            raise ValueError(f"{type(self).__name__} has no signal {signature}")
    return getattr(self, name)


def _connect(self: QtCore.QObject, signature: str, slot) -> bool:
    _signal(self, signature).connect(slot)
    return True


def _disconnect(self: QtCore.QObject, signature: str, slot) -> bool:
    _signal(self, signature).disconnect(slot)
    return True


def _class_name(self: QtCore.QObject) -> str:
    return type(self).__name__


class UiLoader(QtUiTools.QUiLoader):
    """``qt.QUiLoader``: makes widgets of our classes, and the connections of the ``.ui`` file between them."""

    def load(self, device: QtCore.QIODevice, parent: QtWidgets.QWidget | None = None) -> QtWidgets.QWidget:
        """Load the file that ``device`` has open."""
        tree = ET.fromstring(bytes(device.readAll().data()))
        connections = tree.find("connections")
        wanted = []
        if connections is not None:
            wanted = [[c.findtext(tag) for tag in ("sender", "signal", "receiver", "slot")] for c in connections]
            tree.remove(connections)  # Qt knows no Slicer signals; they are connected below
        customs = tree.find("customwidgets")
        if customs is not None:
            unknown = {c.findtext("class") for c in customs} - set(_extra_widgets)
            if unknown:
                raise ValueError(f"the stand-in has no widget class {', '.join(sorted(unknown))}")
            tree.remove(customs)
        for element in tree.iter("widget"):
            if element.get("class") in _extra_widgets:  # Qt cannot read flags of classes that are made in Python
                for entry in [p for p in element.findall("property") if p.find("set") is not None]:
                    element.remove(entry)
        buffer = QtCore.QBuffer()
        buffer.setData(ET.tostring(tree))
        buffer.open(QtCore.QIODevice.OpenModeFlag.ReadOnly)
        self._made: dict[str, QtWidgets.QWidget] = {}
        widget = super().load(buffer, parent)
        for sender, signal, receiver, slot in wanted:
            self._made[sender].connect(signal, getattr(self._made[receiver], slot.partition("(")[0]))
        widget._made_by_loader = list(self._made.values())  # keeps the Python side of the children alive
        return widget

    def createWidget(self, class_name, parent=None, name=""):
        """Called by Qt for each widget of the file."""
        cls = _extra_widgets.get(class_name) or in_pythonqt_style(getattr(QtWidgets, class_name))
        made = cls(parent)
        made.setObjectName(name)
        self._made[name] = made
        return made
