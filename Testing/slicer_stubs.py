"""Make type stubs of Slicer's API, so that the type checker finds what the product calls and Slicer does not have.

    python Testing/slicer_stubs.py [FOLDER]     write slicer, qt, ctk as .pyi files (build/stubs); say what is wrong
                                                in the .ui files and in class names in text (exit code 1)

Slicer's, CTK's and PythonQt's names come from the list that `Testing/slicer_names.py` makes; VTK has stubs of its own.
Qt follows PythonQt, which Slicer's ``qt`` is, not PySide6:

- A property is an attribute (``button.text``), and hides the method of the same name. ``name`` is ``objectName``.
- Methods are those of PythonQt's generated wrappers (in the list) and the slots, signals and invokable methods that
  Qt's meta-object tells (asked of PySide6). What PySide6 adds itself does not count.
- A name that is a Python keyword takes a trailing underscore: ``exec_``.
- Classes of Slicer and CTK have properties, signals, slots and invokable methods alone; their plain C++ methods are not
  in Python. Signals are connected by a signature that exists: ``connect("clicked(bool)", ...)``.

A method is declared to return some class, and may return an object of a subclass: what it returns has the members of
them all. Arguments are not checked, but for signatures of signals.
"""

from __future__ import annotations

import ast
import difflib
import keyword
import re
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NAMES_FILE = ROOT / "Testing" / "Host" / "slicer_names.txt"
STUBS = ROOT / "build" / "stubs"
PRODUCT = ("QualitySentinel", "QualitySentinelTraining")

TYPES = {
    ("slicer.ScriptedLoadableModule.ScriptedLoadableModule", "parent"): "qSlicerScriptedLoadableModule",
    ("slicer.ScriptedLoadableModule.ScriptedLoadableModuleWidget", "parent"): "qSlicerScriptedLoadableModuleWidget",
    ("slicer.ScriptedLoadableModule.ScriptedLoadableModuleWidget", "layout"): "QVBoxLayout",
    ("slicer.ScriptedLoadableModule.ScriptedLoadableModuleLogic", "getParameterNode"): "vtkMRMLScriptedModuleNode",
    ("slicer.util", "mainWindow"): "qSlicerMainWindow",
    ("QTimer", "singleShot"): "",  # a property of a timer, and a static function of the class
    ("slicer.util", "addVolumeFromArray"): "vtkMRMLVolumeNode",
    ("slicer.util", "loadVolume"): "vtkMRMLVolumeNode",
    ("slicer.util", "loadSegmentation"): "vtkMRMLSegmentationNode",
    ("slicer.util", "getNode"): "vtkMRMLNode",
    ("slicer.util", "childWidgetVariables"): "Ui",
    ("slicer.util", "loadUI"): "qMRMLWidget",
}
"""What Slicer's Python code does not declare."""

PYTHONQT_ADDS = ("className", "inherits", "help", "delete", "disconnect", "findChild", "findChildren", "property",
                 "setProperty", "metaObject", "parent", "setParent", "children", "tr", "deleteLater")  # fmt: skip
PYTHON_TYPES = {"QString": "str", "bool": "bool", "int": "int", "double": "float", "float": "float"}
CLASS_IN_TEXT = re.compile(r"(vtkMRML|vtkSlicer|qMRML|qSlicer|ctk)[A-Z]\w+")
VTK_CLASS = re.compile(r"\bvtk[A-Z]\w+")
HEAD = "from typing import Any, Callable, Literal, overload\nimport abc, collections.abc, unittest\n"


class Names:
    """The list, and behind it VTK and Qt as they are installed here.

    Attributes:
        bases: of each class of the list.
        members: of each class or module of the list, by name: (``()`` method, ``=`` property, ``-`` read-only property,
            ``!`` signal or empty; class).
        signals: signatures of the signals of each class.
    """

    def __init__(self, path: Path = NAMES_FILE):
        self.bases: dict[str, list[str]] = {}
        self.members: dict[str, dict[str, tuple[str, str]]] = {}
        self.signals: dict[str, set[str]] = {}
        for line in path.read_text(encoding="utf-8").splitlines():
            if not line.startswith("#"):
                head, _, words = line.partition(";")
                _, name, *bases = head.split()
                self.bases[name] = bases[0].split(",") if bases else []
                self.signals[name] = {word[1:] for word in words.split() if word.startswith("!")}
                found = [(signal.partition("(")[0], "!", "") for signal in self.signals[name]]
                found += [re.fullmatch(r"(\w+)(\(\)|=|-)?(\w*)", w).groups("") for w in words.split() if w[0] != "!"]
                order = ("!", "()", "", "=", "-")  # a property hides a method in PythonQt
                self.members[name] = {n: (k, t) for n, k, t in sorted(found, key=lambda one: order.index(one[1]))}
        self.members["slicer.modules"] |= dict.fromkeys(map(str.lower, PRODUCT), ("-", "qSlicerScriptedLoadableModule"))
        self.members["slicer.modules"]["SegmentEditorWidget"] = ("-", "")
        for name in self._qt_classes():
            self._add_qt(name)
        for name in sorted(set(VTK_CLASS.findall(" ".join(map(_text_of, scripts())))) | {"vtkObject"}):
            self._add_vtk(name)

    @staticmethod
    @cache
    def _qt_classes() -> dict[str, type]:
        from PySide6 import QtCore, QtGui, QtNetwork, QtUiTools, QtWidgets

        homes = (QtUiTools, QtNetwork, QtCore, QtGui, QtWidgets)
        found = {n: getattr(home, n) for home in homes for n in dir(home) if n[:1] == "Q"}  # made when asked for
        return {n: c for n, c in found.items() if isinstance(c, type) and c.__name__ == n}

    def _add_qt(self, name: str) -> None:
        """What Qt's meta-object tells of a class: properties, slots, signals; and its enumerations."""
        live = self._qt_classes()[name]
        members = self.members.setdefault(name, {})
        self.bases[name] = [b.__name__ for b in live.__bases__ if b.__name__[:1] == "Q" and b.__name__ != name]
        self.signals.setdefault(name, set())
        for enum in (e for e in vars(live).values() if hasattr(e, "__members__")):
            members |= dict.fromkeys((enum.__name__, *enum.__members__), ("", ""))
        meta = getattr(live, "staticMetaObject", None)
        if meta is not None and meta.className() == name:
            for method in (meta.method(i) for i in range(meta.methodOffset(), meta.methodCount())):
                word = bytes(method.name().data()).decode()
                if method.methodType().name == "Signal":
                    signature = bytes(method.methodSignature().data()).decode()
                    self.signals[name].add(signature.replace("QPrivateSignal", ""))
                    members[word] = ("!", "")
                elif method.access().name == "Public":
                    members.setdefault(word, ("()", ""))
            for told in (meta.property(i) for i in range(meta.propertyOffset(), meta.propertyCount())):
                members[told.name()] = ("=" if told.isWritable() else "-", PYTHON_TYPES.get(told.typeName(), ""))
        if name == "QObject":
            members |= dict.fromkeys(PYTHONQT_ADDS, ("()", "")) | dict.fromkeys(("name", "objectName"), ("=", "str"))

    def _add_vtk(self, name: str) -> None:
        """A class of the installed VTK, which may be a little newer than Slicer's, with its bases."""
        import vtk

        live = getattr(vtk, name, None)
        if name in self.members or not isinstance(live, type):
            return
        self.members[name], self.signals[name] = {}, set()
        self.bases[name] = [b.__name__ for b in live.__bases__ if b.__name__[:3] == "vtk" and b.__name__ != name]
        for word, member in vars(live).items():
            if not word.startswith("_"):
                returned = re.search(r"->\s*(vtk\w+)\s*$", str(member.__doc__).partition("\n")[0])
                self.members[name][word] = ("()" if callable(member) else "", returned[1] if returned else "")
        for base in self.bases[name]:
            self._add_vtk(base)

    def has_class(self, name: str) -> bool:
        """Whether there is a class of this name."""
        import vtk

        return name in self.members or isinstance(getattr(vtk, name, None), type)

    @cache  # noqa: B019
    def lineage(self, name: str) -> tuple[str, ...]:
        """A class of the list and all its bases."""
        return tuple(dict.fromkeys([name, *(b for base in self.bases.get(name, ()) for b in self.lineage(base))]))

    @cache  # noqa: B019
    def subclasses(self, name: str) -> tuple[str, ...]:
        """All subclasses of a class."""
        return tuple(sorted(n for n in self.members if n != name and name in self.lineage(n)))

    def member(self, name: str, word: str) -> tuple[str, str] | None:
        """A member of a class or of its bases."""
        return next((self.members[c][word] for c in self.lineage(name) if word in self.members.get(c, ())), None)

    def signatures(self, name: str) -> set[str]:
        """Signatures of the signals of a class and its bases."""
        return set().union(*(self.signals.get(c, set()) for c in self.lineage(name)))


def stubs(names: Names) -> Iterator[tuple[str, str]]:
    """Path and text of each stub file."""
    classes = [n for n in names.members if "." not in n and n != "slicer"]
    text = [HEAD, "class Signal:\n    connect: Any\n    disconnect: Any\n    emit: Any\n"]
    widgets = {n: c for path in ui_files() for n, c in widgets_of(path).items()}
    text.append("class Ui:\n" + "".join(f"    {n}: {_type(c, names)}\n" for n, c in widgets.items()))
    text += [_class(name, name, names) for name in classes]
    for name in classes:
        if subclasses := names.subclasses(name):
            own = {word for base in names.lineage(name) for word in names.members.get(base, ())}
            more = sorted({w for c in subclasses for w in names.members[c]} - own)
            lines = "".join(f"    {_word(w)}: Any\n" for w in more) or "    ...\n"
            text.append(f"class Some_{name}({name}):\n{lines}")
    yield "_slicer_classes.pyi", "\n".join(text)
    exports = "from _slicer_classes import *\nfrom typing import Any\n"
    yield "ctk.pyi", exports
    yield "qt.pyi", exports
    constants = set(re.findall(r"\bvtk\.(VTK_\w+)", " ".join(map(_text_of, scripts()))))
    more = "def calldata_type(kind: Any) -> Any: ...\ndef reference(value: Any) -> Any: ...\n"
    yield "vtk/__init__.pyi", exports + more + "".join(f"{name}: Any\n" for name in sorted(constants))
    yield "vtk/util/__init__.pyi", ""
    yield "vtk/util/numpy_support.pyi", exports + "def numpy_to_vtk(*a: Any, **o: Any) -> Any: ...\nvtk_to_numpy: Any\n"
    for module in (n for n in names.members if n == "slicer" or n.startswith("slicer.")):
        if module.removeprefix("slicer.")[:1].isalpha() and not names.bases[module] and _is_module(module, names):
            yield f"{module.replace('.', '/')}{'/__init__' * (module == 'slicer')}.pyi", _module(module, names)


def _is_module(name: str, names: Names) -> bool:
    return name.count(".") < 2 and not (name.count(".") == 1 and name in names.bases and names.bases[name])


def _module(module: str, names: Names) -> str:
    inside = sorted(n for n in names.members if n.startswith(f"{module}.") and n.count(".") == module.count(".") + 1)
    text = [HEAD, "from _slicer_classes import *\n"]
    if module == "slicer":
        text += [f"from . import {n.rpartition('.')[2]} as {n.rpartition('.')[2]}\n" for n in inside]
        inside = []
    text += [_class(n, n.rpartition(".")[2], names) for n in inside]
    done = {n.rpartition(".")[2] for n in names.members if n.startswith(f"{module}.")}
    text += ["".join(_member(module, n, *m, names, "")) for n, m in names.members[module].items() if n not in done]
    return "\n".join(text)


def _class(name: str, called: str, names: Names) -> str:
    bases = [b for b in names.bases[name] if {b, f"{name.rpartition('.')[0]}.{b}"} & names.members.keys()]
    bases += [b for b in names.bases[name] if b.partition(".")[0] in ("unittest", "abc")]
    lines = [f"class {called}({', '.join(bases)}):\n"]
    if "__init__" not in names.members[name]:
        lines.append("    def __init__(self, *args: Any, **options: Any) -> None: ...\n")
    for word, (kind, returned) in names.members[name].items():
        lines += _member(name, word, kind, returned, names, "    ")
    if "QObject" in names.lineage(name):
        signatures = ", ".join(map(repr, sorted(names.signatures(name))))
        for parameters in (f"signal: Literal[{signatures}], slot: Any", "sender: Any, signal: str, slot: Any"):
            lines.append(f"    @overload\n    def connect(self, {parameters}) -> bool: ...\n")
    return "".join(lines)


def _member(owner: str, word: str, kind: str, told: str, names: Names, indent: str) -> Iterator[str]:
    type_ = _type(TYPES.get((owner, word), told), names)
    word = _word(word)
    if kind == "()" and owner.startswith(("vtk", "QUrl")):  # perhaps called on the class: which are static is not known
        yield f"{indent}{word}: Callable[..., {type_}]\n"
    elif kind == "()":
        parameters = ("self, " if indent else "") + "*args: Any, **options: Any"
        yield f"{indent}def {word}({parameters}) -> {type_ if word != '__init__' else 'None'}: ...\n"
    elif kind == "-" and indent:
        yield f"{indent}@property\n{indent}def {word}(self) -> {type_}: ...\n"
    elif kind == "!":
        yield f"{indent}{word}: Signal\n"
    else:
        yield f"{indent}{word}: {type_}\n"


def _word(word: str) -> str:
    return f"{word}_" if keyword.iskeyword(word) or word in ("exec", "print") else word


def _type(name: str, names: Names) -> str:
    """The type of what is said to be of a class: perhaps of a subclass of it."""
    if name in PYTHON_TYPES.values() or name == "Ui":
        return name
    if name not in names.members:
        return "Any"
    return f"Some_{name}" if names.subclasses(name) else name


def scripts() -> list[Path]:
    """The product's Python files."""
    return [path for module in PRODUCT for path in sorted((ROOT / module).rglob("*.py"))]


def _text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def ui_files() -> list[Path]:
    """The product's .ui files."""
    return sorted(path for module in PRODUCT for path in (ROOT / module).rglob("*.ui"))


def widgets_of(path: Path) -> dict[str, str]:
    """Name to class of the widgets, layouts and actions of a .ui file."""
    elements = (e for e in ET.parse(path).getroot().iter() if e.tag in ("widget", "layout", "action") and e.get("name"))
    return {e.get("name"): e.get("class", "QAction") for e in elements}


def mistakes_in_ui(path: Path, names: Names) -> Iterator[str]:
    """Classes, properties, signals and slots that a .ui file names and that do not exist, one line each."""
    lines = path.read_text(encoding="utf-8").splitlines()

    def say(what: str, text: str, name: str, known: Iterable[str]) -> str:
        line = next((i for i, content in enumerate(lines, 1) if what in content), 1)
        return f"{path}:{line}: {text}{_near(name, known)}"

    def words(name: str) -> set[str]:
        return {word for base in names.lineage(name) for word in names.members.get(base, ())}

    root, classes = ET.parse(path).getroot(), widgets_of(path)
    for widget in root.iter("widget"):
        name = widget.get("class")
        if not names.has_class(name):
            yield say(f'class="{name}"', f"Slicer has no widget class {name}", name, names.members)
            continue
        for entry in widget.findall("property"):
            word = entry.get("name")
            if entry.get("stdset") != "0" and (names.member(name, word) or " ")[0] not in ("=", "-"):
                yield say(f'name="{word}"', f"{name} has no property {word}", word, words(name))
            for text in (text.strip() for text in entry.itertext()):
                if CLASS_IN_TEXT.fullmatch(text) and not names.has_class(text):
                    yield say(text, f"Slicer has no class {text}", text, names.members)
    for connection in root.iter("connection"):
        sender, signal, receiver, slot = (connection.findtext(t) for t in ("sender", "signal", "receiver", "slot"))
        for end in {sender, receiver} - classes.keys():
            yield say(f">{end}<", f"no widget is named {end}", end, classes)
        if sender in classes and signal not in names.signatures(classes[sender]):
            known = names.signatures(classes[sender])
            yield say(signal, f"{classes[sender]} has no signal {signal}", signal, known)
        if receiver in classes and names.member(classes[receiver], slot.partition("(")[0]) is None:
            yield say(slot, f"{classes[receiver]} has no slot {slot}", slot.partition("(")[0], words(classes[receiver]))


def mistakes_in_text(path: Path, names: Names) -> Iterator[str]:
    """Class names in the text of a Python file that Slicer does not have, one line each."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and CLASS_IN_TEXT.fullmatch(node.value):
            if not names.has_class(node.value):
                near = _near(node.value, names.members)
                yield f"{path}:{node.lineno}: Slicer has no class {node.value}{near}"


def _near(name: str, known: Iterable[str]) -> str:
    found = difflib.get_close_matches(name, sorted(known), n=3, cutoff=0.7)
    return f"; nearest: {', '.join(found)}" if found else ""


def main(folder: Path = STUBS) -> int:
    """Write the stubs, print mistakes; the exit code is 1 when there are any."""
    names = Names()
    for path, text in stubs(names):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    mistakes = [m for path in ui_files() for m in mistakes_in_ui(path, names)]
    mistakes += [m for path in scripts() for m in mistakes_in_text(path, names)]
    print(*mistakes, sep="\n", end="\n" * bool(mistakes))
    return bool(mistakes)


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
