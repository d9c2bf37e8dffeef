"""Check that what the product calls on Slicer exists there, against the list that `Testing/slicer_names.py` makes.

    python Testing/slicer_calls.py [FILE ...]       what does not exist (exit code 1); --all says what is uncertain too

The classes of objects are inferred where that is simple: constructors, ``slicer.mrmlScene`` and ``slicer.app``, what a
method is declared to return, ``self.ui.NAME`` and ``ui.NAME`` by the class in the ``.ui`` file, annotations, and our
own names for nodes (`OUR_NAMES`). A declared class is the least an object can be, so members of its subclasses count
too. Where the class is unknown, a name passes when it exists anywhere: in the list, VTK, Qt, Python's types, NumPy, or
the product.

Qt follows PythonQt, which Slicer's ``qt`` is, not PySide6:

- A property is an attribute (``button.text``), and hides the method of the same name: calling it is an error, and so is
  writing one that cannot be written. ``name`` is ``objectName``.
- Methods are those of PythonQt's generated wrappers (in the list) and the slots, signals and invokable methods that
  Qt's meta-object tells (asked of PySide6). What PySide6 adds itself does not count.
- A name that is a Python keyword takes a trailing underscore: ``exec_``.
- Classes of Slicer and CTK have properties, signals, slots and invokable methods alone; their plain C++ methods are not
  in Python. Signals are connected by a signature that exists: ``connect("clicked(bool)", ...)``.

VTK's own classes are looked up in the installed package. They may be a little newer than Slicer's.
"""

from __future__ import annotations

import argparse
import ast
import builtins
import difflib
import importlib.util
import re
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NAMES_FILE = ROOT / "Testing" / "Host" / "slicer_names.txt"
PRODUCT = ("QualitySentinel", "QualitySentinelTraining")

OUR_NAMES = {
    "segmentation_node": "vtkMRMLSegmentationNode",
    "segmentationNode": "vtkMRMLSegmentationNode",
    "volume_node": "vtkMRMLScalarVolumeNode",
    "volumeNode": "vtkMRMLScalarVolumeNode",
    "ct_node": "vtkMRMLScalarVolumeNode",
    "table_node": "vtkMRMLTableNode",
    "tableNode": "vtkMRMLTableNode",
    "displayNode": "vtkMRMLDisplayNode",
}
"""What parameters of these names hold in our code."""

SELF_TYPES = {
    ("slicer.ScriptedLoadableModule.ScriptedLoadableModule", "parent"): "qSlicerScriptedLoadableModule",
    ("slicer.ScriptedLoadableModule.ScriptedLoadableModuleWidget", "parent"): "qSlicerScriptedLoadableModuleWidget",
    ("slicer.ScriptedLoadableModule.ScriptedLoadableModuleWidget", "layout"): "QVBoxLayout",
}
RETURN_TYPES = {
    ("slicer.ScriptedLoadableModule.ScriptedLoadableModuleLogic", "getParameterNode"): "vtkMRMLScriptedModuleNode",
    ("slicer.util", "mainWindow"): "qSlicerMainWindow",
    ("slicer.util", "addVolumeFromArray"): "vtkMRMLVolumeNode",
    ("slicer.util", "loadVolume"): "vtkMRMLVolumeNode",
    ("slicer.util", "loadSegmentation"): "vtkMRMLSegmentationNode",
    ("slicer.util", "getNode"): "vtkMRMLNode",
}
OTHER_EXTENSIONS = {"pytorchutils"}
"""Modules of extensions that ours depends on."""

PYTHONQT_ADDS = {"className", "inherits", "help", "delete", "connect", "disconnect", "findChild", "findChildren",
                 "property", "setProperty", "metaObject", "parent", "setParent", "children", "tr",
                 "deleteLater"}  # fmt: skip
ROOTS = ("slicer", "qt", "ctk", "vtk", "vtkmodules")
CLASS_IN_TEXT = re.compile(r"(vtkMRML|vtkSlicer|qMRML|qSlicer|ctk)[A-Z]\w+")


@dataclass(frozen=True)
class Member:
    """A member of a class: ``method``, ``property`` (``writable`` or not), ``signal`` or ``constant``."""

    kind: str
    type: str = ""
    writable: bool = True


@dataclass(frozen=True)
class Value:
    """What an expression is. ``kind``: ``module``, ``class``, ``object``, ``ui``, ``own`` (our class), ``foreign``.

    ``unknown`` has no Value. An ``exact`` object is of the class itself, others perhaps of a subclass.
    """

    kind: str
    name: str = ""
    exact: bool = False
    member: Member | None = None
    owner: Value | None = None


FOREIGN = Value("foreign")


@dataclass
class Listed:
    """One line of the list."""

    kind: str
    bases: tuple[str, ...]
    members: dict[str, Member]
    signals: set[str]


class Names:
    """The list, and behind it VTK and Qt as they are installed here."""

    def __init__(self, path: Path = NAMES_FILE):
        self.listed: dict[str, Listed] = {}
        self.children: dict[str, list[str]] = {}
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("#"):
                continue
            head, _, members = line.partition(";")
            kind, name, *bases = head.split()
            bases = tuple(bases[0].split(",")) if bases else ()
            self.listed[name] = self._parse(kind, bases, members.split())
            for base in bases:
                self.children.setdefault(base, []).append(name)

    @staticmethod
    def _parse(kind: str, bases: tuple[str, ...], words: list[str]) -> Listed:
        members: dict[str, Member] = {}
        signals = set()
        found = []
        for word in words:
            if word.startswith("!"):
                signals.add(word[1:])
                found.append((word[1:].partition("(")[0], Member("signal")))
                continue
            name, mark, returned = re.fullmatch(r"(\w+)(\(\)|=|-)?(\w*)", word).groups()
            kinds = {"()": "method", "=": "property", "-": "property", None: "constant"}
            found.append((name, Member(kinds[mark], returned, mark != "-")))
        order = {"signal": 0, "method": 1, "constant": 2, "property": 3}  # a property hides a method in PythonQt
        for name, member in sorted(found, key=lambda item: order[item[1].kind]):
            members[name] = member
        return Listed(kind, bases, members, signals)

    @cached_property
    def vtk(self):
        """The installed vtk."""
        import vtk

        return vtk

    @cache  # noqa: B019
    def qt(self, name: str):
        """PySide6's class of a name, or None."""
        from PySide6 import QtCore, QtGui, QtNetwork, QtUiTools, QtWidgets

        homes = (QtWidgets, QtGui, QtCore, QtNetwork, QtUiTools)
        return next((getattr(home, name) for home in homes if hasattr(home, name)), None)

    @cache  # noqa: B019
    def lineage(self, name: str) -> tuple[str, ...]:
        """A class and all its bases."""
        found = [name]
        for base in self._bases(name):
            found += [b for b in self.lineage(base) if b not in found]
        return tuple(found)

    def _bases(self, name: str) -> tuple[str, ...]:
        listed = self.listed.get(name)
        if listed and listed.bases:
            prefix = name.rpartition(".")[0]
            return tuple(f"{prefix}.{b}" if f"{prefix}.{b}" in self.listed else b for b in listed.bases)
        live = getattr(self.vtk, name, None) if name.startswith("vtk") else self.qt(name) if name[:1] == "Q" else None
        bases = live.__mro__[1:] if isinstance(live, type) else ()  # all at once: VTK gives some bases the same name
        return tuple(b.__name__ for b in bases if b.__name__ not in (name, "object", "Object"))

    @cache  # noqa: B019
    def descendants(self, name: str) -> frozenset[str]:
        """All subclasses: in the list, and of VTK."""
        found = set(self.children.get(name, ()))
        if name.startswith("vtk") and isinstance(getattr(self.vtk, name, None), type):
            found |= {c.__name__ for c in getattr(self.vtk, name).__subclasses__() if c.__module__.startswith("vtk")}
        elif name[:1] == "Q" and isinstance(self.qt(name), type):
            found |= {c.__name__ for c in self.qt(name).__subclasses__() if c.__module__.startswith("PySide6")}
        return frozenset(found.union(*(self.descendants(c) for c in found if c != name)))

    @cache  # noqa: B019
    def has_class(self, name: str) -> bool:
        """Whether there is a class of this name."""
        return name in self.listed or (name.startswith("vtk") and isinstance(getattr(self.vtk, name, None), type))

    @cache  # noqa: B019
    def member(self, class_name: str, name: str, exact: bool = True) -> Member | None:
        """A member of a class or its bases; when the class is not exact, of its subclasses too."""
        for owner in self.lineage(class_name):
            found = self._own_member(owner, name)
            if found:
                return found
        if not exact:
            for owner in sorted(self.descendants(class_name)):
                found = self._own_member(owner, name)
                if found:
                    return found
        return None

    def _own_member(self, owner: str, name: str) -> Member | None:
        if owner[:1] == "Q":
            return self._qt_member(owner, name)
        if owner in self.listed and name in self.listed[owner].members:
            return self.listed[owner].members[name]
        if owner.startswith("vtk") and owner not in self.listed:
            live = getattr(self.vtk, owner, None)
            if isinstance(live, type) and hasattr(live, name):
                returned = re.search(r"->\s*(vtk\w+)\s*$", str(getattr(live, name).__doc__).partition("\n")[0])
                return Member(
                    "method" if callable(getattr(live, name)) else "constant", returned[1] if returned else ""
                )
        return None

    def _qt_member(self, owner: str, name: str) -> Member | None:
        properties, others, _ = self._qt_meta(owner)
        if owner == "QObject" and name in ("name", "objectName"):
            return Member("property")
        if name in properties:
            return Member("property", "", properties[name])
        wrapped = self.listed.get(owner)
        if wrapped:
            found = wrapped.members.get(name) or wrapped.members.get(name.removesuffix("_"))
            if found and (name == name.removesuffix("_") or name in ("exec_", "print_", "raise_", "from_")):
                return found
        if name in others or (name.endswith("_") and name[:-1] in others):
            return Member("method")
        if owner == "QObject" and name in PYTHONQT_ADDS:
            return Member("method")
        live = vars(self.qt(owner)).get(name) if isinstance(self.qt(owner), type) else None
        if live is not None and (hasattr(live, "__members__") or "Enum" in str(type(type(live)))):
            return Member("constant")
        enums = (e for e in vars(self.qt(owner)).values() if hasattr(e, "__members__")) if self.qt(owner) else ()
        return Member("constant") if any(name in e.__members__ for e in enums) else None

    @cache  # noqa: B019
    def _qt_meta(self, owner: str) -> tuple[dict[str, bool], set[str], set[str]]:
        """(properties and whether they can be written, names of slots and signals, signatures of signals)."""
        meta = getattr(self.qt(owner), "staticMetaObject", None)
        if meta is None or isinstance(self.qt(owner), type) is False or meta.className() != owner:
            return {}, set(), set()
        own = (meta.property(i) for i in range(meta.propertyOffset(), meta.propertyCount()))
        properties = {p.name(): p.isWritable() for p in own}
        methods = [meta.method(i) for i in range(meta.methodOffset(), meta.methodCount())]
        signals = [m for m in methods if m.methodType().name == "Signal"]
        names = {bytes(m.name().data()).decode() for m in methods if m.access().name == "Public"}
        signatures = {bytes(m.methodSignature().data()).decode().replace("QPrivateSignal", "") for m in signals}
        return properties, names, signatures

    def signatures(self, class_name: str) -> set[str]:
        """Signatures of the signals of a class and its bases."""
        found: set[str] = set()
        for owner in self.lineage(class_name):
            found |= self.listed[owner].signals if owner in self.listed else set()
            found |= self._qt_meta(owner)[2] if owner[:1] == "Q" else set()
        return found

    def names_of(self, class_name: str) -> set[str]:
        """All member names of a class, to propose one."""
        found: set[str] = set()
        for owner in self.lineage(class_name):
            found |= set(self.listed[owner].members) if owner in self.listed else set()
            if owner[:1] == "Q":
                found |= set(self._qt_meta(owner)[0]) | self._qt_meta(owner)[1]
            elif owner.startswith("vtk") and owner not in self.listed:
                found |= set(dir(getattr(self.vtk, owner, object)))
        return {n for n in found if not n.startswith("_")}

    @cached_property
    def everything(self) -> set[str]:
        """Every member name there is: of the list, of VTK and Qt, of Python's own types and NumPy's."""
        import array
        import collections
        import pathlib

        import numpy as np

        found = {name for listed in self.listed.values() for name in listed.members}
        found |= {n.rpartition(".")[2] for n in self.listed}
        for name in dir(self.vtk):
            if isinstance(getattr(self.vtk, name), type):
                found |= set(vars(getattr(self.vtk, name)))
        from PySide6 import QtCore, QtGui, QtWidgets

        for home in (QtWidgets, QtGui, QtCore):
            for name in dir(home):
                if name[:1] == "Q":
                    found |= set(self._qt_meta(name)[0]) | self._qt_meta(name)[1]
        known = [getattr(builtins, name) for name in dir(builtins)]
        known += [np.ndarray, np.generic, pathlib.Path, re.Pattern, re.Match, array.array, collections.Counter]
        for thing in known:
            if isinstance(thing, type):
                found |= set(dir(thing))
        return found | {"close", "send", "throw"}  # generators


@dataclass(frozen=True)
class Problem:
    """A name that does not exist."""

    path: Path
    line: int
    text: str

    def __str__(self) -> str:
        path = self.path.relative_to(ROOT) if self.path.is_relative_to(ROOT) else self.path
        return f"{path}:{self.line}: {self.text}"


@dataclass
class Report:
    """Problems, and how certain the rest is."""

    problems: list[Problem] = field(default_factory=list)
    by_class: int = 0
    by_name: list[Problem] = field(default_factory=list)
    unverifiable: list[Problem] = field(default_factory=list)


@dataclass
class OwnClass:
    """A class of the product."""

    node: ast.ClassDef
    bases: list[Value | None]
    members: set[str]
    is_wrapper: bool
    attributes: dict[str, Value | None] = field(default_factory=dict)


class FileCheck:
    """The check of one Python file."""

    def __init__(self, path: Path, names: Names, product_names: set[str], report: Report):
        self.path, self.names, self.product_names, self.report = path, names, product_names, report
        self.source = path.read_text(encoding="utf-8")
        self.tree = ast.parse(self.source)
        self.silent = True
        self.seen: set[int] = set()
        self.classes: dict[str, OwnClass] = {}
        self.functions: dict[str, ast.FunctionDef] = {}
        self.returning: set[int] = set()

    # What is where

    def run(self) -> None:
        """Add to the report."""
        self.globals: dict[str, Value | None] = {}
        self._imports(self.tree.body, self.globals)
        for node in self.tree.body:
            if isinstance(node, ast.FunctionDef):
                self.functions[node.name] = node
                self.globals[node.name] = None
            elif isinstance(node, ast.ClassDef):
                self._own_class(node)
        self._bind(self.tree.body, self.globals)
        for _round in range(3):
            for own in self.classes.values():
                self._own_attributes(own)
        self.silent = False
        self._imports(self.tree.body, dict(self.globals))
        self._walk(self.tree.body, self.globals, None)
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and CLASS_IN_TEXT.fullmatch(node.value):
                if not self.names.has_class(node.value):
                    self._problem(node, f"{node.value!r}: Slicer has no such class", node.value, self.names.listed)

    def _own_class(self, node: ast.ClassDef) -> None:
        members = set()
        for inner in ast.walk(node):
            if isinstance(inner, ast.Attribute) and isinstance(inner.ctx, ast.Store):
                if isinstance(inner.value, ast.Name) and inner.value.id in ("self", "cls"):
                    members.add(inner.attr)
        for inner in node.body:
            if isinstance(inner, (ast.FunctionDef, ast.ClassDef)):
                members.add(inner.name)
            elif isinstance(inner, (ast.Assign, ast.AnnAssign)):
                targets = inner.targets if isinstance(inner, ast.Assign) else [inner.target]
                members |= {t.id for t in targets if isinstance(t, ast.Name)}
        wrapper = any("parameterNodeWrapper" in ast.unparse(d) for d in node.decorator_list)
        bases = [self._resolve(base, self.globals) for base in node.bases]
        if wrapper:
            bases.append(Value("class", "slicer.parameterNodeWrapper.wrapped"))
        self.classes[node.name] = OwnClass(node, bases, members, wrapper)
        self.globals[node.name] = Value("ownclass", node.name)

    def _own_attributes(self, own: OwnClass) -> None:
        found: dict[str, list[Value | None]] = {}
        for inner in own.node.body:
            if isinstance(inner, ast.AnnAssign) and isinstance(inner.target, ast.Name):
                found.setdefault(inner.target.id, []).append(self._annotated(inner.annotation))
        for method in (m for m in own.node.body if isinstance(m, ast.FunctionDef)):
            env = self._function_env(method, self.globals, own)
            for node in ast.walk(method):
                for target, value, annotation in _assigned(node):
                    if not isinstance(target, ast.Attribute) or ast.unparse(target.value) != "self":
                        continue
                    if annotation is not None:
                        found.setdefault(target.attr, []).append(self._annotated(annotation))
                    elif not (isinstance(value, ast.Constant) and value.value is None):
                        found.setdefault(target.attr, []).append(self._resolve(value, env))
        own.attributes = {name: values[0] if len(set(values)) == 1 else None for name, values in found.items()}

    def _imports(self, body: Iterable[ast.AST], env: dict[str, Value | None]) -> None:
        """Names that import statements bind, in compound statements too, but not inside of functions."""
        for node in body:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    root = alias.name.partition(".")[0]
                    if root == "slicer" and "." in alias.name and alias.name not in self.names.listed:
                        self._problem(node, f"Slicer has no module {alias.name}", alias.name, self.names.listed)
                    elif root not in ROOTS and not _is_installed(root) and not self.silent:
                        self._unverifiable(node, f"module {root} is not Slicer's")
                    value = Value("module", root) if root in ROOTS else FOREIGN
                    env[alias.asname or root] = Value("module", alias.name) if alias.asname and root in ROOTS else value
            elif isinstance(node, ast.ImportFrom):
                self._import_from(node, env)
            elif not isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.Lambda)):
                self._imports(ast.iter_child_nodes(node), env)

    def _import_from(self, node: ast.ImportFrom, env: dict[str, Value | None]) -> None:
        module = node.module or ""
        root = module.partition(".")[0]
        for alias in node.names:
            name = alias.asname or alias.name
            if node.level or root in ("QualitySentinelLib", "QualitySentinelTrainingLib"):
                env[name] = None
            elif root not in ROOTS:
                env[name] = FOREIGN
            elif module.startswith("vtk"):
                self._live_import(node, module, alias.name)
                env[name] = self._of_module("vtk", alias.name) if module == "vtk" else FOREIGN
            elif module == "slicer" and f"slicer.{alias.name}" in self.names.listed:
                env[name] = Value("module", f"slicer.{alias.name}")
            elif module not in self.names.listed and module not in ("qt", "ctk"):
                self._problem(node, f"Slicer has no module {module}", module, self.names.listed)
            elif alias.name == "*":
                for member in self.names.listed[module].members:
                    env[member] = self._of_module(module, member)
            else:
                env[name] = self._of_module(module, alias.name)
                if env[name] is None:
                    self._missing(node, module, alias.name)

    def _live_import(self, node: ast.AST, module: str, name: str) -> None:
        try:
            found = hasattr(importlib.import_module(module), name) or importlib.util.find_spec(f"{module}.{name}")
        except ImportError:
            found = False
        if not found:
            self._problem(node, f"VTK has no {module}.{name}", name, ())

    # What an expression is

    def _annotated(self, annotation: ast.expr | None) -> Value | None:
        if annotation is None:
            return None
        if isinstance(annotation, ast.BinOp):
            sides = [self._annotated(s) for s in (annotation.left, annotation.right) if ast.unparse(s) != "None"]
            return sides[0] if len(sides) == 1 else None
        if isinstance(annotation, ast.Subscript):
            head = ast.unparse(annotation.value).rpartition(".")[2]
            inner = annotation.slice.elts[0] if isinstance(annotation.slice, ast.Tuple) else annotation.slice
            return self._annotated(inner) if head in ("Optional", "Annotated") else FOREIGN
        found = self._resolve(annotation, self.globals)
        if found and found.kind in ("class", "ownclass"):
            return Value("object" if found.kind == "class" else "own", found.name)
        return FOREIGN if isinstance(annotation, ast.Name) and hasattr(builtins, annotation.id) else None

    def _function_env(self, function, outer: dict[str, Value | None], own: OwnClass | None) -> dict[str, Value | None]:
        env = dict(outer)
        arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
        for argument in arguments:
            env[argument.arg] = self._annotated(argument.annotation)
            if env[argument.arg] is None and argument.arg in OUR_NAMES:
                env[argument.arg] = Value("object", OUR_NAMES[argument.arg])
            if argument.arg == "ui" and self.ui_widgets:
                env[argument.arg] = Value("ui")
        for extra in (function.args.vararg, function.args.kwarg):
            if extra:
                env[extra.arg] = FOREIGN
        decorators = [ast.unparse(d) for d in getattr(function, "decorator_list", ())]
        if own is not None and arguments and "staticmethod" not in decorators:
            kind = "ownclass" if "classmethod" in decorators else "own"
            env[arguments[0].arg] = Value(kind, own.node.name)
        if not isinstance(function, ast.Lambda):
            self._imports(function.body, env)
            self._bind(function.body, env)
        return env

    def _bind(self, body: list[ast.stmt], env: dict[str, Value | None]) -> None:
        """Local names: what all assignments to one agree on. Nothing is known of others."""
        assigned: dict[str, list[ast.expr | None]] = {}
        for node in _in_scope(body):
            if isinstance(node, (ast.Assign, ast.AnnAssign, ast.NamedExpr)):
                for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                    if isinstance(target, ast.Name):
                        assigned.setdefault(target.id, []).append(node.value)
                    else:
                        for name in (n for n in ast.walk(target) if isinstance(n, ast.Name)):
                            if isinstance(name.ctx, ast.Store):
                                assigned.setdefault(name.id, []).append(None)
            elif isinstance(node, (ast.For, ast.comprehension)):
                for name in (n for n in ast.walk(node.target) if isinstance(n, ast.Name)):
                    assigned.setdefault(name.id, []).append(None)
            elif isinstance(node, ast.withitem) and isinstance(node.optional_vars, ast.Name):
                assigned.setdefault(node.optional_vars.id, []).append(None)
            elif isinstance(node, ast.ExceptHandler) and node.name:
                env[node.name] = FOREIGN
            elif isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name not in env:
                env[node.name] = None
        for name in assigned:
            env[name] = None
        for _round in range(3):
            for name, values in assigned.items():
                real = [v for v in values if not (isinstance(v, ast.Constant) and v.value is None)]
                found = {self._resolve(v, env) if v is not None else None for v in real}
                env[name] = found.pop() if len(found) == 1 else None

    def _resolve(self, node: ast.expr, env: dict[str, Value | None]) -> Value | None:
        if isinstance(node, ast.Name):
            if node.id in env:
                return env[node.id]
            return FOREIGN if hasattr(builtins, node.id) else None
        if isinstance(node, ast.Attribute):
            return self._attribute(node, env)
        if isinstance(node, ast.Call):
            return self._call(node, env)
        if isinstance(node, (ast.BoolOp, ast.IfExp)):
            parts = node.values if isinstance(node, ast.BoolOp) else [node.body, node.orelse]
            found = {self._resolve(p, env) for p in parts if not (isinstance(p, ast.Constant) and p.value is None)}
            return found.pop() if len(found) == 1 else None
        if isinstance(node, (ast.NamedExpr, ast.Await)):
            return self._resolve(node.value, env)
        if isinstance(node, ast.Subscript):
            return FOREIGN if self._resolve(node.value, env) == FOREIGN else None
        plain = (ast.Constant, ast.JoinedStr, ast.List, ast.Tuple, ast.Dict, ast.Set, ast.ListComp, ast.DictComp)
        return FOREIGN if isinstance(node, (*plain, ast.SetComp, ast.GeneratorExp, ast.Compare)) else None

    def _of_module(self, module: str, name: str) -> Value | None:
        """A name in one of Slicer's modules, or None."""
        if module == "vtk" or module.startswith("vtk."):
            if module == "vtk" and hasattr(self.names.vtk, name):
                live = getattr(self.names.vtk, name)
                return Value("class", name) if isinstance(live, type) and name.startswith("vtk") else FOREIGN
            return FOREIGN if module != "vtk" or importlib.util.find_spec(f"vtk.{name}") else None
        if module == "vtkmodules":
            return FOREIGN
        if module == "qt":
            known = (name in self.names.listed and name[:1] == "Q") or self.names.qt(name) is not None
            return Value("class", name) if known and name in self.names.listed else FOREIGN if known else None
        if module == "ctk":
            return Value("class", name) if name.startswith("ctk") and name in self.names.listed else None
        if f"{module}.{name}" in self.names.listed:
            listed = self.names.listed[f"{module}.{name}"]
            return Value(listed.kind, f"{module}.{name}")
        listed = self.names.listed.get(module)
        if listed and name in listed.members:
            member = listed.members[name]
            if member.kind == "property":
                return Value("object", member.type)
            return Value("member", name, member=member, owner=Value("module", module))
        if module == "slicer" and self.names.has_class(name) and not name.startswith(("Q", "slicer")):
            return Value("class", name)
        if module in ("slicer.modules", "slicer.moduleNames"):
            own = {m.lower() for m in PRODUCT} | OTHER_EXTENSIONS
            stem = re.sub(r"(Widget|Instance)$", "", name)
            if name in own:
                return Value("object", "qSlicerScriptedLoadableModule")
            known = self.names.listed["slicer.modules"].members
            return FOREIGN if stem.lower() in {*own, *known} and name != stem.lower() else None
        return None

    def _attribute(self, node: ast.Attribute, env: dict[str, Value | None]) -> Value | None:
        base = self._resolve(node.value, env)
        reading = isinstance(node.ctx, ast.Load)
        if base == FOREIGN:
            return FOREIGN
        if base is None or base.kind == "member":
            if not isinstance(node.value, ast.Call) or base is None:
                self._by_name(node)
            return None
        if base.kind == "module":
            found = self._of_module(base.name, node.attr)
            self._count(node)
            if found is None and not (not reading and base.name == "slicer"):
                self._missing(node, base.name, node.attr)
            return found
        if base.kind == "ui":
            return self._ui_widget(node)
        if base.kind in ("own", "ownclass", "super"):
            return self._of_own(node, base)
        return self._of_class(node, base, reading)

    def _of_class(self, node: ast.Attribute, base: Value, reading: bool) -> Value | None:
        exact = base.exact or base.kind == "class"
        if node.attr.startswith("__"):
            return FOREIGN
        if base.kind == "class" and base.name.startswith("slicer.") is False and node.attr in ("SafeDownCast", "New"):
            return Value("member", node.attr, member=Member("method", base.name), owner=base)
        member = self.names.member(base.name, node.attr, exact)
        self._count(node)
        if member is None:
            self._missing(node, base.name, node.attr)
            return None
        is_qt = not base.name.startswith(("vtk", "slicer."))
        if not reading and is_qt and (member.kind != "property" or not member.writable):
            self._problem(node, f"{base.name}.{node.attr} cannot be written", "", ())
        if member.kind == "property" and base.kind != "class":
            return Value("object", member.type) if member.type else Value("property", node.attr, owner=base)
        if member.kind == "method" or member.kind == "signal":
            return Value("member", node.attr, member=member, owner=base)
        return FOREIGN if member.kind == "constant" and not base.name.startswith("slicer.") else None

    def _of_own(self, node: ast.Attribute, base: Value) -> Value | None:
        own = self.classes[base.name]
        if node.attr in own.members and base.kind != "super":
            self._count(node)
            if node.attr in own.attributes:
                return own.attributes[node.attr]
            method = next((m for m in own.node.body if getattr(m, "name", "") == node.attr), None)
            if method is None:
                return None
            if any(ast.unparse(d) == "property" for d in method.decorator_list):
                return self._returned_by(method, own)
            return Value("ownmethod", node.attr, owner=base)
        certain = not node.attr.startswith("__")
        for parent in own.bases:
            if parent is None or parent == FOREIGN:
                certain = False
            elif parent.kind == "ownclass":
                found = self.classes[parent.name]
                if node.attr in found.members:
                    return self._of_own(node, Value("own", parent.name))
            elif parent.kind == "class":
                for owner in self.names.lineage(parent.name):
                    if (owner, node.attr) in SELF_TYPES:
                        self._count(node)
                        return Value("object", SELF_TYPES[owner, node.attr])
                    member = self.names.member(owner, node.attr) or _standard_member(owner, node.attr)
                    if member:
                        self._count(node)
                        owner_value = Value("class", owner)
                        return Value("member", node.attr, member=member, owner=owner_value)
        if not own.bases and certain and not own.node.decorator_list and base.kind == "own":
            return None  # Python's own affair: Pyflakes and tests look after it
        if certain and own.bases:
            known = set(own.members).union(*(self.names.names_of(p.name) for p in own.bases if p and p.kind == "class"))
            self._problem(node, f"{base.name} has no {node.attr}", node.attr, known)
        return None

    def _ui_widget(self, node: ast.Attribute) -> Value | None:
        widgets = self.ui_widgets
        self._count(node)
        if node.attr in widgets:
            return Value("object", widgets[node.attr], exact=True)
        self._problem(node, f"no widget of the .ui file is named {node.attr}", node.attr, widgets)
        return None

    @cached_property
    def ui_widgets(self) -> dict[str, str]:
        """Name to class, of the .ui files that this file names; where it names none, of all of its module."""
        folder = next((p for p in self.path.parents if (p / "Resources" / "UI").is_dir()), None)
        files = sorted((folder / "Resources" / "UI").glob("*.ui")) if folder else []
        found = {}
        for path in [f for f in files if f.name in self.source] or files:
            found.update(widgets_of(path))
        return found

    def _call(self, node: ast.Call, env: dict[str, Value | None]) -> Value | None:
        function = self._resolve(node.func, env)
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        if name == "super" and "self" in env and env["self"]:
            return Value("super", env["self"].name)
        if name in self.functions and env.get(name) is None:
            return self._returned_by(self.functions[name], None)
        if function is None or function == FOREIGN:
            return function
        if function.kind == "property":
            owner = function.owner.name
            self._problem(node, f"{owner}.{function.name} is a property in PythonQt: it cannot be called", "", ())
            return None
        if function.kind == "class":
            return Value("object", function.name, exact=True)
        if function.kind == "ownclass":
            return Value("own", function.name)
        if function.kind == "ownmethod":
            methods = (m for m in self.classes[function.owner.name].node.body if isinstance(m, ast.FunctionDef))
            method = next((m for m in methods if m.name == function.name), None)
            return self._returned_by(method, self.classes[function.owner.name]) if method else None
        if function.kind == "member":
            return self._returned(node, function)
        return None

    def _returned_by(self, function: ast.FunctionDef, own: OwnClass | None) -> Value | None:
        """What one of our functions returns, when all of its return statements agree."""
        if function.returns is not None and ast.unparse(function.returns) != "None":
            return self._annotated(function.returns)
        if id(function) in self.returning:
            return None
        self.returning.add(id(function))
        silent, self.silent = self.silent, True
        try:
            env = self._function_env(function, self.globals, own)
            returns = [n.value for n in _in_scope(function.body) if isinstance(n, ast.Return) and n.value is not None]
            if any(isinstance(n, (ast.Yield, ast.YieldFrom)) for n in _in_scope(function.body)):
                return None
            found = {self._resolve(r, env) for r in returns if not (isinstance(r, ast.Constant) and r.value is None)}
            return found.pop() if len(found) == 1 else None
        finally:
            self.silent = silent
            self.returning.discard(id(function))

    def _returned(self, node: ast.Call, function: Value) -> Value | None:
        owner, name = function.owner, function.name
        texts = [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
        if name in ("connect", "disconnect") and texts and owner.kind == "object":
            self._check_signature(node, owner, texts[0])
        if owner.name == "slicer.util" and name == "childWidgetVariables":
            return Value("ui")
        if owner.name == "slicer.util" and name == "loadUI":
            root = next((c for n, c in self.ui_roots.items() if n in ast.unparse(node)), None)
            return Value("object", root or "QWidget", exact=bool(root))
        if (owner.name, name) in RETURN_TYPES:
            return Value("object", RETURN_TYPES[owner.name, name])
        of_class = next((t for t in texts if re.match(r"vtk\w+$", t) and self.names.has_class(t)), None)
        if of_class and (owner.name == "vtkMRMLScene" or name == "getFirstNodeByClassByName"):
            return Value("object", of_class) if function.member.type or owner.kind == "module" else None
        if function.member.type:
            return Value("object", function.member.type)
        return None

    @cached_property
    def ui_roots(self) -> dict[str, str]:
        """File name of each .ui file to the class of its outermost widget."""
        folder = next((p for p in self.path.parents if (p / "Resources" / "UI").is_dir()), None)
        files = (folder / "Resources" / "UI").glob("*.ui") if folder else ()
        return {p.name: ET.parse(p).getroot().find("widget").get("class") for p in files}

    def _check_signature(self, node: ast.AST, owner: Value, signature: str) -> None:
        known = self.names.signatures(owner.name)
        if not owner.exact:
            known = known.union(*(self.names.signatures(c) for c in self.names.descendants(owner.name)))
        if signature.replace("unsigned int", "uint").replace(" ", "") not in {k.replace("_", "") for k in known}:
            self._problem(node, f"{owner.name} has no signal {signature}", signature, known)

    # The walk

    def _walk(self, body: Iterable[ast.AST], env: dict[str, Value | None], own: OwnClass | None) -> None:
        for node in body:
            if isinstance(node, ast.ClassDef):
                inner = self.classes.get(node.name) if own is None else None
                for decorator in [*node.decorator_list, *node.bases]:
                    self._resolve(decorator, env)
                self._walk(node.body, env, inner)
            elif isinstance(node, (ast.FunctionDef, ast.Lambda)):
                self._look(node, env, own)
            else:
                self._look(node, env, own)

    def _look(self, node: ast.AST, env: dict[str, Value | None], own: OwnClass | None) -> None:
        if isinstance(node, (ast.FunctionDef, ast.Lambda)):
            inner = self._function_env_silently(node, env, own)
            if isinstance(node, ast.FunctionDef):
                for extra in [*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults)]:
                    self._look(extra, env, None)
                self._imports(node.body, dict(inner))  # aloud this time
            for child in node.body if isinstance(node, ast.FunctionDef) else [node.body]:
                self._look(child, inner, None)
            return
        if isinstance(node, (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)):
            env = dict(env)
            for generator in node.generators:
                for name in (n for n in ast.walk(generator.target) if isinstance(n, ast.Name)):
                    env[name.id] = FOREIGN if self._resolve(generator.iter, env) == FOREIGN else None
        if isinstance(node, (ast.Attribute, ast.Call)):
            self._resolve(node, env)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "getattr" and len(node.args) == 2:
            if isinstance(node.args[1], ast.Constant):
                made = ast.Attribute(node.args[0], node.args[1].value, ast.Load())
                self._resolve(ast.copy_location(made, node), env)
            else:
                self._unverifiable(node, f"{ast.unparse(node)}: the name is made at run time")
        for child in ast.iter_child_nodes(node):
            self._look(child, env, None)

    def _function_env_silently(self, node, env, own) -> dict[str, Value | None]:
        silent, self.silent = self.silent, True
        try:
            return self._function_env(node, env, own)
        finally:
            self.silent = silent

    # What is said

    def _once(self, node: ast.AST) -> bool:
        if self.silent or id(node) in self.seen:
            return False
        self.seen.add(id(node))
        return True

    def _count(self, node: ast.AST) -> None:
        if not self.silent and id(node) not in self.seen:
            self.report.by_class += 1
            self.counted = True
        if not self.silent:
            self.seen.add(id(node))

    def _by_name(self, node: ast.Attribute) -> None:
        if not self._once(node):
            return
        name = node.attr
        text = f"{ast.unparse(node)}: of unknown class"
        if name in self.product_names or name in self.names.everything or name.startswith("__"):
            self.report.by_name.append(Problem(self.path, node.lineno, text))
        else:
            near = _near(name, self.names.everything | self.product_names)
            self.report.problems.append(Problem(self.path, node.lineno, f"nothing has {name}{near}"))

    def _missing(self, node: ast.AST, owner: str, name: str) -> None:
        known = self.names.names_of(owner) if owner in self.names.listed else set()
        if owner in ("slicer", "ctk", "qt"):
            known |= set(self.names.listed)
        elif owner == "vtk":
            known = set(dir(self.names.vtk))
        elif not known:
            known = self.names.names_of(owner)
        self._problem(node, f"{owner} has no {name}", name, known)

    def _problem(self, node: ast.AST, text: str, name: str, known: Iterable[str]) -> None:
        problem = Problem(self.path, node.lineno, text + (_near(name, known) if name else ""))
        if not self.silent and problem not in self.report.problems:
            self.report.problems.append(problem)

    def _unverifiable(self, node: ast.AST, text: str) -> None:
        self.report.unverifiable.append(Problem(self.path, node.lineno, text))


def _assigned(node: ast.AST) -> Iterator[tuple[ast.expr, ast.expr | None, ast.expr | None]]:
    """(target, value, annotation) of an assignment; of ``a, b = x, y`` one for each."""
    if isinstance(node, ast.AnnAssign):
        yield node.target, node.value, node.annotation
    elif isinstance(node, ast.Assign):
        for target in node.targets:
            if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                yield from ((t, v, None) for t, v in zip(target.elts, node.value.elts, strict=False))
            elif isinstance(target, ast.Tuple):
                yield from ((t, ast.Call(ast.Name("unknown"), [], []), None) for t in target.elts)
            else:
                yield target, node.value, None


def _in_scope(body: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """All nodes below, without the bodies of functions and classes inside."""
    for node in body:
        yield node
        if not isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.Lambda)):
            yield from _in_scope(ast.iter_child_nodes(node))


def _near(name: str, known: Iterable[str]) -> str:
    found = difflib.get_close_matches(name, sorted(set(known)), n=3, cutoff=0.7)
    return f"; nearest: {', '.join(found)}" if found else ""


@cache
def _is_installed(module: str) -> bool:
    return (
        module in sys.stdlib_module_names or importlib.util.find_spec(module) is not None or module in PRODUCT_LIBRARIES
    )


PRODUCT_LIBRARIES = ("QualitySentinelLib", "QualitySentinelTrainingLib")


@cache
def _standard_member(owner: str, name: str) -> Member | None:
    """A member of a class of the standard library, like ``unittest.TestCase``."""
    module, _, class_name = owner.rpartition(".")
    if module not in sys.stdlib_module_names:
        return None
    found = getattr(getattr(importlib.import_module(module), class_name, None), name, None)
    return Member("method" if callable(found) else "constant") if found is not None else None


def widgets_of(ui_file: Path) -> dict[str, str]:
    """Name to class of the widgets, layouts and actions of a .ui file."""
    found = {}
    for element in ET.parse(ui_file).getroot().iter():
        if element.tag in ("widget", "layout", "action") and element.get("name"):
            found[element.get("name")] = element.get("class", "QAction")
    return found


def check_ui(path: Path, names: Names, report: Report) -> None:
    """Classes, properties, signals and slots that a .ui file names."""
    lines = path.read_text(encoding="utf-8").splitlines()

    def say(what: str, text: str, name: str, known: Iterable[str]) -> None:
        line = next((i for i, content in enumerate(lines, 1) if what in content), 1)
        report.problems.append(Problem(path, line, text + _near(name, known)))

    root = ET.parse(path).getroot()
    for widget in root.iter("widget"):
        cls = widget.get("class")
        if not names.has_class(cls):
            say(f'class="{cls}"', f"Slicer has no widget class {cls}", cls, names.listed)
            continue
        for entry in widget.findall("property"):
            name, report.by_class = entry.get("name"), report.by_class + 1
            member = names.member(cls, name)
            if entry.get("stdset") != "0" and (member is None or member.kind != "property"):
                say(f'name="{name}"', f"{cls} has no property {name}", name, names.names_of(cls))
            for text in entry.itertext():
                if CLASS_IN_TEXT.fullmatch(text.strip()) and not names.has_class(text.strip()):
                    say(text.strip(), f"Slicer has no class {text.strip()}", text.strip(), names.listed)
    classes = widgets_of(path)
    for connection in root.iter("connection"):
        sender, signal, receiver, slot = (connection.findtext(t) for t in ("sender", "signal", "receiver", "slot"))
        for end in (sender, receiver):
            if end not in classes:
                say(f">{end}<", f"no widget is named {end}", end, classes)
        if sender in classes and signal not in names.signatures(classes[sender]):
            say(signal, f"{classes[sender]} has no signal {signal}", signal, names.signatures(classes[sender]))
        name = slot.partition("(")[0]
        if receiver in classes and names.member(classes[receiver], name) is None:
            say(slot, f"{classes[receiver]} has no slot {slot}", name, names.names_of(classes[receiver]))


def product_files(root: Path = ROOT) -> list[Path]:
    """Product files that run in Slicer: those that import slicer, qt, ctk or vtk, all of ``scene``, and .ui files.

    Not those of ``web_review``: they run beside trame-slicer, outside Slicer.
    """
    imports = re.compile(r"^\s*(import|from) (slicer|qt|ctk|vtk|vtkmodules)\b", re.M)
    found = []
    for module in PRODUCT:
        for path in sorted((root / module).rglob("*")):
            if "web_review" in path.parts:
                continue
            if path.suffix == ".ui" or (
                path.suffix == ".py" and (path.parent.name == "scene" or imports.search(path.read_text("utf-8")))
            ):
                found.append(path)
    return found


@cache
def names_of_product(root: Path = ROOT) -> frozenset[str]:
    """Names of functions, classes, attributes and fields that the product defines itself."""
    found = set()
    for module in PRODUCT:
        for path in (root / module).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)):
                    found.add(node.name)
                elif isinstance(node, (ast.Assign, ast.AnnAssign)):
                    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                    found |= {t.id for t in targets if isinstance(t, ast.Name)}
                elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                    if isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"):
                        found.add(node.attr)
                elif isinstance(node, ast.ClassDef):
                    found |= {
                        t.id for n in node.body if isinstance(n, ast.Assign) for t in n.targets if hasattr(t, "id")
                    }
    return frozenset(found)


def check(paths: Iterable[Path], names: Names | None = None) -> Report:
    """Check Python and .ui files."""
    names, report = names or Names(), Report()
    for path in paths:
        if path.suffix == ".ui":
            check_ui(path, names, report)
        else:
            FileCheck(path, names, set(names_of_product()), report).run()
    report.problems.sort(key=lambda p: (str(p.path), p.line))
    return report


def main(arguments: list[str] | None = None) -> int:
    """Print problems; the exit code is 1 when there are any."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("files", nargs="*", type=Path, help="files to check (all product files that run in Slicer)")
    parser.add_argument("--all", action="store_true", help="say too what is checked by its name alone, or not at all")
    options = parser.parse_args(arguments)
    files = [path.resolve() for path in options.files] or product_files()
    report = check(files)
    for problem in report.problems:
        print(problem)
    if options.all:
        for title, entries in (("By name alone", report.by_name), ("Not checked", report.unverifiable)):
            print(f"\n{title}:", *entries, sep="\n")
    print(
        f"{len(files)} files: {len(report.problems)} names do not exist, {report.by_class} are checked by class, "
        f"{len(report.by_name)} by name alone, {len(report.unverifiable)} not at all"
    )
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
