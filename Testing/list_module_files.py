"""Keep the file lists in both modules' CMakeLists.txt complete.

Slicer packages only the scripts and resources that a module's CMakeLists.txt lists; a file that is forgotten there
is missing on every user's machine although all tests pass in the source tree.

    python Testing/list_module_files.py --check     say what is missing or gone, exit code 1 when anything is
    python Testing/list_module_files.py --update    write the lists
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODULES = ("QualitySentinel", "QualitySentinelTraining")
RESEARCH = "Research"
"""Folder of a module that is not installed."""
CONVERTED = "converted"
"""What scoring keeps beside the model (``network/backends.py``): made on each machine, never installed."""
LISTS = ("MODULE_PYTHON_SCRIPTS", "MODULE_PYTHON_RESOURCES")


def files_of(module_folder: Path) -> dict[str, list[str]]:
    """The scripts and the resources below a module's folder, as sorted paths relative to it, by list name."""
    files = {name: [] for name in LISTS}
    for path in sorted(module_folder.rglob("*")):
        relative = path.relative_to(module_folder)
        left_out = any(part in ("__pycache__", RESEARCH, CONVERTED) or part.startswith(".") for part in relative.parts)
        if path.is_dir() or left_out or path.suffix == ".pyc" or path.name == "CMakeLists.txt":
            continue
        files[LISTS[0] if path.suffix == ".py" else LISTS[1]].append(relative.as_posix())
    return files


def files_listed(cmake_text: str, module: str) -> dict[str, list[str]]:
    """The paths that the text of a CMakeLists.txt lists, ``${MODULE_NAME}`` replaced, by list name."""
    listed = {}
    for name in LISTS:
        match = _pattern(name).search(cmake_text)
        if match is None:
            raise ValueError(f"{module}/CMakeLists.txt has no set({name} ...)")
        listed[name] = match["files"].replace("${MODULE_NAME}", module).split()
    return listed


def with_files(cmake_text: str, files: dict[str, list[str]], module: str) -> str:
    """The text of a CMakeLists.txt with its lists replaced by ``files``; the main script comes first."""
    for name, paths in files.items():
        ordered = sorted(paths, key=lambda path: (path != f"{module}.py", path))
        lines = "".join(f"  {path}\n" for path in ordered).replace(f"  {module}.py\n", "  ${MODULE_NAME}.py\n")
        cmake_text = _pattern(name).sub(lambda match, lines=lines: f"{match['head']}\n{lines}  )", cmake_text)
    return cmake_text


def differences(root: Path = ROOT) -> list[str]:
    """One line for each file that exists and is not listed, or is listed and does not exist, or is listed twice."""
    lines = []
    for module in MODULES:
        listed = files_listed((root / module / "CMakeLists.txt").read_text(encoding="utf-8"), module)
        for name, existing in files_of(root / module).items():
            lines += [f"{module}/{path}: not in {name}" for path in existing if path not in listed[name]]
            lines += [f"{module}/{path}: in {name}, but absent" for path in listed[name] if path not in existing]
            lines += [f"{module}/{path}: twice in {name}" for path in set(listed[name]) if listed[name].count(path) > 1]
    return lines


def update(root: Path = ROOT) -> None:
    """Write both modules' lists."""
    sys.path.insert(0, str(root / "QualitySentinel"))
    from QualitySentinelLib.files import atomic_write

    for module in MODULES:
        path = root / module / "CMakeLists.txt"
        old = path.read_text(encoding="utf-8")
        new = with_files(old, files_of(root / module), module)
        if new != old:
            atomic_write(path, new)


def _pattern(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?P<head>set\({name}\b)(?P<files>[^)]*)\)")


def main(arguments: list[str] | None = None) -> int:
    """Check or update; the exit code is 1 when the check finds a difference."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--check", action="store_true", help="report files that are missing from the lists, or gone")
    mode.add_argument("--update", action="store_true", help="write the lists")
    options = parser.parse_args(arguments)
    if options.update:
        update()
        return 0
    found = differences()
    for line in found:
        print(line, file=sys.stderr)
    if found:
        print("run: python Testing/list_module_files.py --update", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
