"""No module of either library imports, directly or through others, one that imports it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

LIBRARIES = sorted(Path(__file__).resolve().parents[2].glob("QualitySentinel*/QualitySentinel*Lib"))


def imported(name: str, path: Path, modules: dict[str, Path]) -> Iterator[str]:
    """Modules of the library that one imports anywhere, but for those that only types need."""
    package, tree = name.split(".")[: None if path.name == "__init__.py" else -1], ast.parse(path.read_text("utf-8"))
    types = [n for n in ast.walk(tree) if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.dump(n.test)]
    for_types = {id(part) for one in types for part in ast.walk(one)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and id(node) not in for_types:
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                module = f"{base}.{alias.name}" if f"{base}.{alias.name}" in modules else base
                yield from [module] if module in modules and module != name else []


@pytest.mark.parametrize("library", LIBRARIES, ids=lambda path: path.name)
def test_modules_do_not_import_each_other_in_circles(library):
    modules = {}
    for path in library.rglob("*.py"):
        parts = path.relative_to(library.parent).with_suffix("").parts
        modules[".".join(parts[:-1] if path.name == "__init__.py" else parts)] = path
    TopologicalSorter({n: {*imported(n, p, modules)} for n, p in modules.items()}).prepare()  # names a circle
