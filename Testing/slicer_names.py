"""Make the list of names that exist in Slicer: what a module may call on Slicer, CTK and PythonQt's Qt.

    python Testing/slicer_names.py --slicer PATH@v5.12.0 --ctk PATH --vtkaddon PATH --pythonqt PATH

Each PATH is a checkout or a bare mirror; what is read is the commit after ``@``. Without one, CTK and vtkAddon are read
at the commit that Slicer's own build asks for, PythonQt at its HEAD. Nothing is built: names are read from headers and
Python files. `Testing/slicer_stubs.py` makes stubs for the type checker of it; that needs no checkout and no network.

What is listed, because Slicer's Python can reach it:

- vtk classes: public methods, those of VTK's macros too, and constants. Not templates, not what VTK's wrapper skips
  (``__VTK_WRAP__``, C++ containers of pairs, function objects).
- Qt classes of Slicer and CTK: Q_PROPERTY, signals, public slots, Q_INVOKABLE, registered enums, and what the
  *PythonQtDecorators classes add. A public C++ method that is none of these does not exist in Python.
- Qt's own classes: what PythonQt's generated wrappers (Qt 5.15) add to the properties, signals and slots that Qt itself
  tells; the latter are not listed, the check asks PySide6.
- ``slicer.*`` Python modules: public functions, classes and variables; attributes of classes.

One class or module a line: ``class NAME BASES; MEMBER MEMBER ...``. A member is ``name()`` or ``name()Type`` (method
and the class of what it returns), ``name=`` and ``name-`` (property that can, or cannot, be written, with its class),
``!name(types)`` (signal), ``name`` (constant or attribute).
"""

from __future__ import annotations

import argparse
import ast
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NAMES_FILE = ROOT / "Testing" / "Host" / "slicer_names.txt"

HEADERS = {
    "slicer": re.compile(r"^(Base|Libs/(MRML|vtk\w+)|Modules/(Loadable|Core|Scripted))/.*\.h$"),
    "ctk": re.compile(r"^Libs/(Core|Widgets|Visualization/VTK/(Core|Widgets)|Scripting)/.*\.h$"),
    "vtkaddon": re.compile(r"^[^/]+\.h$"),
    "pythonqt": re.compile(r"^generated_cpp_515/com_trolltech_qt_(core|gui|network|uitools|svg)(_builtin)?/.*\.h$"),
}
LEFT_OUT = re.compile(r"(_p\.h$|/Testing/|/DesignerPlugins/|/Resources/|/Archive/|Plugins?/.*Plugin\.h$)")
CLASS_NAMES = re.compile(r"^(vtk|qMRML|qSlicer|ctk)\w+$")
RETURNED = re.compile(r"^(vtk|qMRML|qSlicer|ctk|Q[A-Z])\w+$")
NOT_WRAPPED = re.compile(
    r"std::(map|set|list|pair|function|deque|unordered_\w+|multimap|shared_ptr)\b|\bitk::|\(\s*\*|&&|\bQ[A-Z]\w+"
    r"|std::vector\s*<\s*(?!(std::string|unsigned|int|double|float|bool|long|vtkIdType|char)\s*>)"
    r"|\b[oi]stream\b|char\s*\*\s*\*|\b(ModuleDescription|CodeIdentifier|ObservationVector|rapidjson)\b"
)
PYTHON_FILES = "Base/Python/slicer/"
PYTHON_MODULES = ("ScriptedLoadableModule", "cli", "i18n", "logic", "packaging", "testing", "util")


@dataclass
class Class:
    """A class or a Python module, as it is listed."""

    name: str
    bases: list[str] = field(default_factory=list)
    members: set[str] = field(default_factory=set)
    kind: str = "class"

    def line(self) -> str:
        """The line of the list."""
        head = " ".join([self.kind, self.name, ",".join(self.bases)]).rstrip()
        return f"{head}; {' '.join(sorted(self.members))}".rstrip()


class Repository:
    """A checkout or bare mirror at one commit."""

    def __init__(self, path: str, revision: str):
        self.path = path
        self.commit = self._git("rev-parse", f"{revision}^{{commit}}").strip()

    def _git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", self.path, *arguments], capture_output=True, encoding="utf-8", errors="replace"
        )
        if done.returncode:
            raise SystemExit(f"{self.path}: git {arguments[0]}: {done.stderr.strip()}")
        return done.stdout

    def files(self) -> list[str]:
        """All paths."""
        return self._git("ls-tree", "-r", "--name-only", self.commit).splitlines()

    def read(self, path: str) -> str:
        """One file."""
        return self._git("show", f"{self.commit}:{path}")

    def read_all(self, paths: list[str]):
        """(path, text) of each file, with one call of git for all."""
        wanted = "".join(f"{self.commit}:{path}\n" for path in paths).encode()
        blobs = subprocess.run(
            ["git", "-C", self.path, "cat-file", "--batch"], input=wanted, capture_output=True
        ).stdout
        start = 0
        for path in paths:
            head = blobs.index(b"\n", start)
            end = head + 1 + int(blobs[start:head].rsplit(b" ", 1)[1])
            yield path, blobs[head + 1 : end].decode("utf-8", "replace")
            start = end + 1


def read_header(text: str, wanted: re.Pattern[str] = CLASS_NAMES) -> list[Class]:
    """The classes that a C++ header defines."""
    text = _without_comments(text)
    classes = []
    for found in re.finditer(r"\bclass\s+(?:\w+_(?:EXPORT|Export|API)\s+)?(\w+)(?:\s+final)?\s*(:[^;{}()]*)?\{", text):
        name, heritage = found[1], found[2] or ""
        if not wanted.match(name):
            continue
        bases = [re.sub(r"<.*", "", b.split()[-1]) for b in heritage.lstrip(":").split(",") if b.split()]
        body = text[found.end() : _closing(text, found.end() - 1)]
        of_qt = "Q_OBJECT" in body or "Q_GADGET" in body
        classes.append(_read_body(Class(name, [b for b in bases if "::" not in b]), body, of_qt or name[0] == "q"))
    return classes


def _without_comments(text: str) -> str:
    text = re.sub(
        r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', lambda m: '""' if m[0][0] == '"' else " ", text, flags=re.S
    )
    lines, depth = [], 0  # depth: inside of a block that VTK's wrapper does not see
    for line in text.replace("\\\n", " ").splitlines():
        directive = re.match(r"\s*#\s*(\w+)\s*(.*)", line)
        if directive:
            if depth:
                depth += directive[1].startswith("if") - (directive[1] == "endif")
            elif directive[1] == "ifndef" and directive[2].strip() == "__VTK_WRAP__":
                depth = 1
            elif directive[1] == "if" and directive[2].strip() in ("0", "!defined(__VTK_WRAP__)"):
                depth = 1
        elif not depth:
            lines.append(line)
    return "\n".join(lines)


def _closing(text: str, start: int) -> int:
    """Where the bracket at ``start`` is closed."""
    pairs = {"{": "}", "(": ")"}
    opening, closing, depth = text[start], pairs[text[start]], 0
    for index in range(start, len(text)):
        depth += (text[index] == opening) - (text[index] == closing)
        if depth == 0:
            return index
    return len(text)


def _statements(body: str):
    """Declarations of a class body one by one, without the bodies of functions; sections as ``@public slots``."""
    body = re.sub(
        r"\b(public|protected|private|signals|Q_SIGNALS)\s*(slots|Q_SLOTS)?\s*:(?!:)",
        lambda m: f";@{m[1]} {'slots' if m[2] else ''};",
        body,
    )
    body = re.sub(r"\bQ_(OBJECT|GADGET)\b", ";", body)
    body = re.sub(r"\b(?=Q_(?:PROPERTY|ENUMS?|FLAGS?|CLASSINFO|DISABLE_COPY|DECLARE_\w+|INTERFACES)\s*\()", ";", body)
    start = index = 0
    while index < len(body):
        if body[index] == "(":
            index = _closing(body, index)
            if re.match(r"\s*Q_[A-Z_]+\s*\(", body[start:index]) and "Q_INVOKABLE" not in body[start:index]:
                yield body[start : index + 1].strip()
                start = index + 1
        elif body[index] == "{":
            head, end = body[start:index].strip(), _closing(body, index)
            if re.match(r"(enum|class|struct|union)\b", head):
                yield head + body[index : end + 1]
            elif "=" in re.sub(r"\(.*\)", "", head, flags=re.S):
                index = end + 1
                continue
            else:
                yield head
            index, start = end, end + 1
        elif body[index] == ";":
            if body[start:index].strip():
                yield body[start:index].strip()
            start = index + 1
        index += 1


def _read_body(result: Class, body: str, of_qt: bool) -> Class:
    section, registered, enums = "private", set(), []
    for statement in _statements(body):
        if statement.startswith("@"):
            section = statement[1:].replace("Q_SIGNALS", "signals").strip()
        elif statement.startswith("Q_PROPERTY"):
            _add_property(result, statement)
        elif re.match(r"Q_(ENUM|FLAG)S?\b", statement):
            registered |= {n.rpartition("::")[2] for n in re.findall(r"[\w:]+", statement.partition("(")[2])}
        elif re.match(r"Q_DECLARE_FLAGS\b", statement):
            flags = re.findall(r"\w+", statement.partition("(")[2])
            registered |= {flags[1]} if flags and flags[0] in registered else set()
        elif statement.startswith("enum"):
            if section == "public":
                name = re.match(r"enum\b\s*(?:class\s+|struct\s+)?(\w*)", statement)[1]
                inner = statement.partition("{")[2].rpartition("}")[0]
                values = [m[0] for m in (re.match(r"\w+", e.strip()) for e in inner.split(",")) if m]
                enums.append((name, ["None_" if value == "None" else value for value in values]))
        elif section == "signals":
            result.members |= _signals(statement)
        elif section.startswith("public") and not re.match(
            r"(typedef|using|friend|template|class|struct|Q_D)", statement
        ):
            if not of_qt:
                result.members |= _vtk_method(statement, result.name)
            elif section == "public slots" or re.search(r"\bQ_(INVOKABLE|SLOT|SCRIPTABLE)\b", statement):
                result.members |= _method(statement, result.name)
    for name, values in enums:
        if not of_qt or name in registered or any(name + "s" == r or name == r.removesuffix("s") for r in registered):
            result.members |= {*values, *([name] if name else [])}
    return result


def _add_property(result: Class, statement: str) -> None:
    words = re.sub(r"\s*\*\s*", "* ", statement.partition("(")[2].rpartition(")")[0]).split()
    at = next((i for i, w in enumerate(words) if w in ("READ", "MEMBER")), None)
    if at is None or at < 2:
        return
    kind = words[at - 2].rstrip("*")
    kind = kind if words[at - 2].endswith("*") and RETURNED.match(kind) else ""
    result.members.add(f"{words[at - 1]}{'=' if {'WRITE', 'MEMBER'} & set(words) else '-'}{kind}")


def _declared(statement: str, class_name: str) -> tuple[str, str, str] | None:
    """(what is returned, name, parameters) of a function's declaration; ``None`` for anything else."""
    found = re.match(r"(?P<before>[^()]*?)(?P<name>~?\b\w+)\s*\((?P<after>.*)", statement, flags=re.S)
    if not found or found["name"].startswith("~") or "operator" in found["before"] or found["name"] == class_name:
        return None
    end = _closing("(" + found["after"], 0)
    return found["before"].strip(), found["name"], found["after"][: end - 1]


def _returned(before: str) -> str:
    """The class of the object that is returned as a pointer, empty when it is none that we list."""
    found = re.search(
        r"(?:vtkSmartPointer|QPointer|QSharedPointer)\s*<\s*(\w+)\s*>\s*$|(\w+)\s*(?:const\s*)?\*\s*$", before
    )
    name = (found[1] or found[2]) if found else ""
    return name if RETURNED.match(name) else ""


def _method(statement: str, class_name: str) -> set[str]:
    declared = _declared(statement, class_name)
    return {f"{declared[1]}(){_returned(declared[0])}"} if declared else set()


def _vtk_method(statement: str, class_name: str) -> set[str]:
    macro = re.match(
        r"(?:virtual\s+)?vtk(?P<kind>Set|Get|Boolean)(?P<what>\w*)Macro\s*\(\s*(?P<name>\w+)\s*,?\s*(?P<type>\w*)",
        statement,
    )
    if macro:
        kind, what, name, returned = macro["kind"], macro["what"], macro["name"], macro["type"]
        if kind == "Boolean":
            return {f"{name}On()", f"{name}Off()"}
        names = {
            f"{kind}{name}()" + (returned if kind == "Get" and "Object" in what and RETURNED.match(returned) else "")
        }
        if kind == "Set" and "Clamp" in what:
            names |= {f"Get{name}MinValue()", f"Get{name}MaxValue()"}
        return names
    if re.match(r"(?:static\s+)?(?:constexpr|const)\b[^()]*=", statement) or statement.startswith("static const"):
        constant = re.match(r"[^=(]*?(\w+)\s*=", statement)
        if constant:
            return {constant[1]}
    if re.match(r"vtk\w*Macro\s*\(", statement):
        return set()
    declared = _declared(statement, class_name)
    if not declared or not declared[0] or NOT_WRAPPED.search(declared[0] + " (" + declared[2]):
        return set()
    return {f"{declared[1]}(){_returned(declared[0])}"}


def _signals(statement: str) -> set[str]:
    """A signal in all its forms: parameters with default values may be left out."""
    declared = _declared(statement, "")
    if not declared:
        return set()
    parameters = _split(declared[2])
    types = [_type(p.partition("=")[0]) for p in parameters]
    optional = sum("=" in p for p in parameters)
    return {f"!{declared[1]}({','.join(types[: len(types) - n])})" for n in range(optional + 1)}


def _split(parameters: str) -> list[str]:
    """Parameters, apart at the commas that are not inside of angle brackets or parentheses."""
    parts, depth = [""], 0
    for c in parameters:
        depth += (c in "<(") - (c in ">)")
        if c == "," and not depth:
            parts.append("")
        else:
            parts[-1] += c
    return [p.strip() for p in parts if p.strip() not in ("", "void")]


_NUMBER = {"int", "double", "float", "bool", "char", "long", "short", "unsigned", "signed"}


def _type(parameter: str) -> str:
    """A parameter's type as Qt writes it in a signature: no name, no reference to a constant, no spaces."""
    parameter = re.sub(r"\s*([*&<>,])\s*", r"\1", " ".join(parameter.split()))
    parameter = re.sub(r"^const (.*)&(\w*)$", r"\1 \2", parameter).strip()
    words = re.sub(r"([*&>])(?=\w)", r"\1 ", parameter).split(" ")
    if (
        len(words) > 1
        and words[-1] not in _NUMBER
        and words[-2] not in ("const", "unsigned", "enum", "struct", "class")
    ):
        words.pop()
    return " ".join(words).replace("unsigned int", "uint").replace(" ", "_")


def read_decorators(text: str) -> list[Class]:
    """What a PythonQt decorator class adds to other classes: methods, static methods, constructors' classes."""
    added: dict[str, Class] = {}
    for decorators in re.finditer(r"\bclass\s+(?:\w+_EXPORT\s+)?(\w*Decorators|PythonQtWrapper_\w+)\s*:[^{]*\{", text):
        section, body = "private", text[decorators.end() : _closing(text, decorators.end() - 1)]
        wrapped = decorators[1].removeprefix("PythonQtWrapper_") if "Wrapper_" in decorators[1] else None
        if wrapped:
            added.setdefault(wrapped, Class(wrapped))
        for statement in _statements(body):
            if statement.startswith("@"):
                section = statement[1:]
            elif statement.startswith("enum") and wrapped:
                name = re.match(r"enum\b\s*(?:class\s+)?(\w*)", statement)[1]
                values = re.findall(r"(?:^|,)\s*(\w+)", statement.partition("{")[2])
                added[wrapped].members |= {*values, name} - {""}
            elif wrapped and statement.startswith("Q_DECLARE_FLAGS"):
                added[wrapped].members |= set(re.findall(r"\w+", statement.partition("(")[2])[:2])
            elif section.strip() == "public slots":
                declared = _declared(statement, "")
                if not declared or re.match(r"(new|delete)_|(py_q_|__)", declared[1]):
                    continue
                before, name, parameters = declared
                first = re.match(r"(?:const\s+)?(\w+)\s*\*", parameters)
                static = re.match(r"static_(\w+?)_(\w+)$", name)
                attribute = re.match(r"py_[gs]et_(\w+)$", name)
                owner = wrapped or (static[1] if static else first[1] if first else None)
                if owner:
                    member = (
                        f"{attribute[1]}=" if attribute else f"{static[2] if static else name}(){_returned(before)}"
                    )
                    added.setdefault(owner, Class(owner)).members.add(member)
    return list(added.values())


def read_python(text: str, module: str) -> list[Class]:
    """A Python module and its classes; names with an underscore in front are nobody else's."""
    tree, found = ast.parse(text), Class(module, kind="module")
    classes = []
    for node in tree.body:
        for name in _bound(node):
            if isinstance(node, ast.ClassDef):
                classes.append(_python_class(node, module))
                found.members.add(name)
            elif isinstance(node, ast.FunctionDef):
                returned = ast.unparse(node.returns).rpartition(".")[2] if node.returns else ""
                found.members.add(f"{name}(){returned if RETURNED.match(returned) else ''}")
            else:
                found.members.add(name)
    reserved = re.findall(r'checkedSetAttr\(classtype, "(\w+)"(, \w*lambda|, _\w+)?', text)
    if reserved:  # what @parameterNodeWrapper adds to the class it decorates
        wrapped = Class(f"{module}.wrapped", [], {f"{n}()" if f else n for n, f in reserved} | {"parameterNode"})
        classes.append(wrapped)
    return [found, *classes]


def _bound(node: ast.stmt) -> list[str]:
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        names = [node.name]
    elif isinstance(node, (ast.Assign, ast.AnnAssign)):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        names = [t.id for target in targets for t in ast.walk(target) if isinstance(t, ast.Name)]
    elif isinstance(node, (ast.Try, ast.If)):
        names = [n for part in ast.iter_child_nodes(node) if isinstance(part, ast.stmt) for n in _bound(part)]
    else:
        names = []
    return [n for n in names if not n.startswith("_")]


def _python_class(node: ast.ClassDef, module: str) -> Class:
    result = Class(
        f"{module}.{node.name}", [ast.unparse(b) for b in node.bases if isinstance(b, (ast.Name, ast.Attribute))]
    )
    for inner in ast.walk(node):
        if isinstance(inner, ast.Attribute) and isinstance(inner.ctx, ast.Store) and ast.unparse(inner.value) == "self":
            result.members.add(inner.attr)
    for inner in node.body:
        if isinstance(inner, ast.FunctionDef):
            is_property = any("property" in ast.unparse(d) or ".setter" in ast.unparse(d) for d in inner.decorator_list)
            result.members.add(inner.name if is_property else f"{inner.name}()")
        else:
            result.members |= set(_bound(inner))
    called = {m[:-2] for m in result.members if m.endswith("()")}
    result.members -= called
    return result


def slicer_module_names(paths: list[str], classes: dict[str, Class]) -> Class:
    """``slicer.modules``: every module of the source tree by its lower-case name, as a property with its class."""
    found = Class("slicer.modules", kind="module")
    for path in paths:
        parts = re.match(r"Modules/(Loadable|Scripted|CLI)/(?:\w+/)?(?P<name>\w+)/(?P<file>\w+)\.(py|xml|cxx|h)$", path)
        if not parts:
            continue
        kind, name, stem = parts[1], parts["name"], parts["file"]
        if kind == "Loadable" and stem == f"qSlicer{name}Module":
            found.members.add(f"{name.lower()}-{stem if stem in classes else 'qSlicerLoadableModule'}")
        elif kind == "Scripted" and stem == name:
            found.members.add(f"{name.lower()}-qSlicerScriptedLoadableModule")
        elif kind == "CLI" and stem == name and path.endswith((".xml", ".cxx")):
            found.members.add(f"{name.lower()}-qSlicerCLIModule")
    return found


def make_list(repositories: dict[str, Repository]) -> str:
    """The text of the list."""
    classes: dict[str, Class] = {}

    def add(new: Class) -> None:
        known = classes.setdefault(new.name, new)
        if known is not new:
            known.bases += [b for b in new.bases if b not in known.bases]
            known.members |= new.members

    for name, repository in repositories.items():
        headers = [p for p in repository.files() if HEADERS[name].match(p) and not LEFT_OUT.search("/" + p)]
        for path, text in repository.read_all(headers):
            if name == "pythonqt" or "PythonQtDecorators" in path:
                found = read_decorators(_without_comments(text))
            else:
                found = read_header(text)
            for new in found:
                add(new)
    slicer = repositories["slicer"]
    paths = slicer.files()
    for path in paths:
        name = path.removeprefix(PYTHON_FILES)
        package = re.match(r"parameterNodeWrapper/(?!__init__)\w+\.py$", name)
        if path.startswith(PYTHON_FILES) and (package or name.removesuffix(".py") in PYTHON_MODULES):
            module = "slicer.parameterNodeWrapper" if package else f"slicer.{name.removesuffix('.py')}"
            for new in read_python(slicer.read(path), module):
                add(new)
    add(slicer_module_names(paths, classes))
    of_slicer = {"app-qSlicerApplication", "mrmlScene-vtkMRMLScene", "modules", "moduleNames", "selfTests"}
    of_slicer |= {"pythonApplicationLogHandler", "parameterNodeWrapper", *PYTHON_MODULES}
    add(Class("slicer", [], of_slicer, "module"))
    for new in classes.values():
        new.members.discard(f"New(){new.name}")  # in Python, the class itself is called
    inherited = {name: _inherited(name, classes) for name in classes}
    for name, new in classes.items():
        new.members -= inherited[name]
    kept = [c for c in classes.values() if c.members or c.bases]
    lines = ["# Names that exist in Slicer, by Testing/slicer_names.py, which says what a line means. Do not edit."]
    lines += [f"# {name} {repository.commit}" for name, repository in repositories.items()]
    return "\n".join(lines + sorted(c.line() for c in kept)) + "\n"


def _inherited(name: str, classes: dict[str, Class]) -> set[str]:
    """What a class has from its bases, so that an overridden method is listed once."""
    members: set[str] = set()
    bases = list(classes[name].bases)
    while bases:
        base = classes.get(bases.pop())
        if base is not None and base.name != name:
            members |= base.members
            bases += base.bases
    return members


def pinned(slicer: Repository, name: str) -> str:
    """The commit of another repository that Slicer's build asks for."""
    if name == "ctk":
        found = re.search(r'_GIT_TAG\s+"([0-9a-f]{40})"', slicer.read("SuperBuild/External_CTK.cmake"))
    else:
        text = slicer.read("SuperBuild.cmake")
        found = re.search(r"Slicer_Remote_Add\(vtkAddon\b.*?GIT_TAG\s+([0-9a-f]{40})", text, re.S)
    if not found:
        raise SystemExit(f"Slicer's build does not say which {name} it wants; write PATH@COMMIT")
    return found[1]


def main(arguments: list[str] | None = None) -> int:
    """Write the list."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for name in HEADERS:
        parser.add_argument(f"--{name}", required=True, metavar="PATH[@COMMIT]", help="checkout or bare mirror")
    parser.add_argument("--out", type=Path, default=NAMES_FILE, help="file to write")
    options = vars(parser.parse_args(arguments))
    repositories: dict[str, Repository] = {}
    for name in HEADERS:
        path, _, revision = options[name].partition("@")
        if not revision and name in ("ctk", "vtkaddon"):
            revision = pinned(repositories["slicer"], name)
        repositories[name] = Repository(path, revision or "HEAD")
    text = make_list(repositories)
    sys.path.insert(0, str(ROOT / "QualitySentinel"))
    from QualitySentinelLib.files import atomic_write

    atomic_write(options["out"], text)
    print(f"{options['out']}: {text.count(chr(10))} lines, {len(text)} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
