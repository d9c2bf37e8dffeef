"""What the Slicer Extensions Index asks of an extension, in its validation script and its review questions."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import struct
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXTENSION = "QualitySentinel"
MODULES = ("QualitySentinel", "QualitySentinelTraining")
LIBRARIES = {
    "QualitySentinelLib": ROOT / "QualitySentinel" / "QualitySentinelLib",
    "QualitySentinelTrainingLib": ROOT / "QualitySentinelTraining" / "QualitySentinelTrainingLib",
}
ALLOWED_AT_FILE_SCOPE = {*sys.stdlib_module_names, "slicer", "qt", "ctk", "vtk", "numpy", "scipy", "SimpleITK"}
# A module constant may be built by these and by the classes of the project itself; anything else is running code.
ALLOWED_CALLS = {
    "Path", "TypeVar", "dict", "frozenset", "getLogger", "list", "namedtuple", "compile", "range", "set", "sorted",
    "str", "tuple", "zip", "enumerate", "array", "MappingProxyType", "lower", "join", "items", "keys", "values",
    "split", "format", "parent", "resolve", "float", "int", "len", "min", "max", "field", "fromkeys", "replace",
    "fields", "with_name", "dirname",
}  # fmt: skip
TORCH_AND_WHAT_PULLS_IT_IN = r"torch\w*|lightning|monai|open[-_]clip[-_]torch|sentence[-_]transformers|timm"


@pytest.fixture(scope="module")
def entry() -> dict:
    """The extension's entry in the index."""
    return json.loads((ROOT / f"{EXTENSION}.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def cmake() -> str:
    """The text of the extension's CMakeLists.txt."""
    return (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def readme() -> str:
    """The text of README.md."""
    return (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def tracked_files() -> list[Path]:
    """Every file of the repository that git knows."""
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listing.returncode:
        pytest.skip("not a git checkout")
    return [path for name in listing.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def cmake_value(text: str, variable: str) -> str:
    """The value as the index's validation script reads it: one quoted string on one line."""
    found = re.findall(rf'set\s*\({variable}\s*"([^"]+)"[ ]*\)', text, re.IGNORECASE)
    assert len(found) == 1, f"{variable} is set {len(found)} times"
    return found[0].strip()


class TestTheEntry:
    def test_has_the_keys_of_the_schema_and_no_others(self, entry):
        assert entry.keys() >= {"$schema", "category", "scm_url"}
        assert entry.keys() <= {
            "$schema", "category", "scm_url", "scm_revision", "scm_type", "build_dependencies",
            "dicom_support_rule", "build_subdirectory", "enabled", "tier",
        }  # fmt: skip
        assert re.fullmatch(
            r"https://raw\.githubusercontent\.com/Slicer/Slicer/main/Schemas/"
            r"slicer-extension-catalog-entry-schema-v1\.0\.\d+\.json#",
            entry["$schema"],
        )
        assert entry["tier"] in range(1, 6)

    def test_names_an_accepted_category(self, entry):
        assert entry["category"] == "Segmentation"

    def test_leads_to_a_repository_whose_name_starts_with_slicer(self, entry):
        url = urlsplit(entry["scm_url"])
        assert url.scheme in ("https", "git")
        assert url.path.rsplit("/", 1)[-1].startswith("Slicer")

    def test_depends_on_what_cmake_says_the_extension_depends_on(self, entry, cmake):
        assert cmake_value(cmake, "EXTENSION_DEPENDS").split() == entry["build_dependencies"] == ["PyTorch"]


class TestTheNames:
    def test_project_entry_and_module_agree(self, cmake):
        assert re.findall(r"project\s*\(\s*([^\s)]+)", cmake) == [EXTENSION]
        assert not EXTENSION.lower().startswith("slicer")
        assert tuple(re.findall(r"add_subdirectory\((\w+)\)", cmake)) == MODULES

    @pytest.mark.parametrize("module", MODULES)
    def test_a_module_folder_script_and_classes_have_one_name(self, module):
        text = (ROOT / module / "CMakeLists.txt").read_text(encoding="utf-8")
        assert f"set(MODULE_NAME {module})" in text
        classes = {
            node.name
            for node in _tree(ROOT / module / f"{module}.py").body
            if isinstance(node, ast.ClassDef)
        }  # fmt: skip
        assert {module, f"{module}Logic", f"{module}Test"} <= classes

    @pytest.mark.parametrize("module", MODULES)
    def test_a_module_has_its_icon(self, module):
        assert _png_size(ROOT / module / "Resources" / "Icons" / f"{module}.png") == (64, 64)


class TestTheListsOfFiles:
    def test_cmake_lists_every_script_and_resource_and_nothing_else(self):
        assert _list_module_files().differences() == []

    def test_a_forgotten_or_removed_file_is_named(self, tmp_path):
        tool = _list_module_files()
        for module in MODULES:
            (tmp_path / module).mkdir()
            (tmp_path / module / f"{module}.py").touch()
            text = f"set(MODULE_PYTHON_SCRIPTS\n  {module}.py\n  )\nset(MODULE_PYTHON_RESOURCES\n  gone.ui\n  )\n"
            (tmp_path / module / "CMakeLists.txt").write_text(text)
        (tmp_path / MODULES[0] / "forgotten.py").touch()
        assert tool.differences(tmp_path) == [
            "QualitySentinel/forgotten.py: not in MODULE_PYTHON_SCRIPTS",
            "QualitySentinel/gone.ui: in MODULE_PYTHON_RESOURCES, but absent",
            "QualitySentinelTraining/gone.ui: in MODULE_PYTHON_RESOURCES, but absent",
        ]


class TestThePictures:
    def test_the_icon_lies_where_its_address_says_and_is_128_pixels(self, entry, cmake):
        assert _png_size(_in_repository(cmake_value(cmake, "EXTENSION_ICONURL"), entry)) == (128, 128)

    def test_the_screenshots_lie_where_their_addresses_say(self, entry, cmake, readme):
        if "<!-- hero screenshot" in readme:
            pytest.skip("README.md still carries the marker for the first screenshot")
        for url in cmake_value(cmake, "EXTENSION_SCREENSHOTURLS").split():
            assert min(_png_size(_in_repository(url, entry))) >= 400

    def test_every_picture_and_file_that_the_readme_shows_exists(self, readme):
        targets = re.findall(r'(?:src="|\]\()([^")#]+)', readme)
        local = [target for target in targets if "://" not in target]
        assert local
        assert [target for target in local if not (ROOT / target).exists()] == []


class TestTheReadme:
    def test_says_in_one_or_two_sentences_what_the_extension_is_for(self, readme):
        first = next(p for p in readme.split("\n\n")[1:] if not p.lstrip().startswith("<"))
        assert 1 <= len(re.findall(r"[.](?:\s|$)", first)) <= 2
        assert "without a ground truth" in " ".join(first.split())

    def test_describes_both_modules(self, readme):
        modules = _section(readme, "Modules")
        assert "**Quality Sentinel**" in modules
        assert "**Quality Sentinel Training**" in modules

    def test_cites_the_publication(self, readme):
        assert "arxiv.org/abs/2406.00327" in _section(readme, "Publication")
        assert "```bibtex" in _section(readme, "Publication")

    def test_has_a_step_by_step_tutorial_on_named_sample_data(self, readme):
        tutorial = _section(readme, "Tutorial")
        assert len(re.findall(r"^\d+\. ", tutorial, re.MULTILINE)) >= 4
        assert "Sample Data" in tutorial

    def test_is_open_about_privacy_and_makes_no_clinical_claim(self, readme):
        safety = " ".join(_section(readme, "Safety and privacy").split())
        assert "Nothing leaves your computer" in safety
        assert "no claim for any specific clinical purpose" in safety


class TestTheRepository:
    def test_carries_the_apache_license_everywhere_it_is_named(self):
        assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")[:200]
        assert 'license = "Apache-2.0"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
        assert "license: Apache-2.0" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")

    def test_has_unix_line_ends(self, tracked_files):
        contents = {path: path.read_bytes() for path in tracked_files}
        assert [str(path) for path, data in contents.items() if b"\0" not in data and b"\r" in data] == []

    def test_stays_small(self, tracked_files):
        # The index refuses a clone over 100 MB, its history included: what is checked out stays below 60.
        assert sum(path.stat().st_size for path in tracked_files) < 60e6


class TestWhatSlicerImportsWhenItStarts:
    def test_includes_the_modules_themselves(self):
        assert {path.name for path in _imported_at_start()} >= {f"{module}.py" for module in MODULES}

    def test_imports_only_what_every_slicer_has(self):
        offences = [
            f"{path.relative_to(ROOT)}:{line}: {name}"
            for path in _imported_at_start()
            for name, line in _imports_at_file_scope(path)
            if name.partition(".")[0] not in ALLOWED_AT_FILE_SCOPE | LIBRARIES.keys()
        ]
        assert offences == []

    def test_runs_no_code(self):
        offences = [
            f"{path.relative_to(ROOT)}:{line}: {what}"
            for path in _imported_at_start()
            for line, what in _code_at_file_scope(_tree(path).body)
        ]
        assert offences == []

    @pytest.mark.parametrize(
        "code",
        ["print(1)", "for i in x: pass", "with open('f'): pass", "x = download()", "if y:\n    f()", "import a; a.b()"],
    )
    def test_running_code_would_be_noticed(self, code):
        assert list(_code_at_file_scope(ast.parse(code).body))


class TestPyTorch:
    def test_is_not_a_requirement_that_pip_would_install_in_slicer(self):
        for path in ROOT.glob("QualitySentinel*/Resources/requirements.txt"):
            lines = [line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines()]
            assert [line for line in lines if re.match(rf"({TORCH_AND_WHAT_PULLS_IT_IN})\b", line, re.I)] == []

    def test_is_never_installed_by_pip_from_the_code(self):
        offences = []
        for path in _scripts():
            for node in ast.walk(_tree(path)):
                if not isinstance(node, ast.Call):
                    continue
                words = " ".join(n.value for n in ast.walk(node) if _is_text(n))
                installs = re.search(r"pip_(install|ensure)", ast.unparse(node.func)) or re.search(
                    r"\bpip\b.*\binstall\b", words
                )
                if installs and re.search(rf"\b({TORCH_AND_WHAT_PULLS_IT_IN})\b", words, re.I):
                    offences.append(f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)}")
        assert offences == []


def _scripts() -> list[Path]:
    return [path for module in MODULES for path in sorted((ROOT / module).rglob("*.py"))]


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _section(readme: str, title: str) -> str:
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", readme, re.MULTILINE | re.DOTALL)
    assert found, f"README.md has no section {title}"
    return found[1]


def _png_size(path: Path) -> tuple[int, int]:
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n"), f"{path} is not a PNG"
    return struct.unpack(">II", data[16:24])


def _in_repository(url: str, entry: dict) -> Path:
    """The file in this checkout that a raw.githubusercontent.com address of the repository's branch leads to."""
    repository = urlsplit(entry["scm_url"]).path.removesuffix(".git")
    prefix = f"https://raw.githubusercontent.com{repository}/{entry['scm_revision']}/"
    assert url.startswith(prefix)
    return ROOT / url.removeprefix(prefix)


def _list_module_files():
    spec = importlib.util.spec_from_file_location("list_module_files", ROOT / "Testing" / "list_module_files.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _imported_at_start() -> list[Path]:
    """The modules' scripts, and every file of the project that importing them imports in turn."""
    found: list[Path] = []
    waiting = [ROOT / module / f"{module}.py" for module in MODULES]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.append(path)
        for name, _line in _imports_at_file_scope(path):
            waiting += _files_of(name)
    return found


def _files_of(name: str) -> list[Path]:
    """The project's files that ``import name`` runs, the ``__init__.py`` of every package on the way included."""
    library, *parts = name.split(".")
    if library not in LIBRARIES:
        return []
    files, folder = [], LIBRARIES[library]
    for part in [None, *parts]:
        if part is not None and (folder / f"{part}.py").is_file():
            return [*files, folder / f"{part}.py"]
        folder = folder / part if part is not None else folder
        if not (folder / "__init__.py").is_file():
            return files  # a name in the package, not a module of its own
        files.append(folder / "__init__.py")
    return files


def _imports_at_file_scope(path: Path) -> list[tuple[str, int]]:
    """Full names that a file imports when it is imported itself, with line numbers; relative names resolved."""
    package = []
    for library, folder in LIBRARIES.items():
        if path.is_relative_to(folder):
            package = [library, *path.relative_to(folder).parent.parts]
    names = []
    for node in _statements_at_file_scope(_tree(path).body):
        if isinstance(node, ast.Import):
            names += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            stem = ".".join([*base, *([node.module] if node.module else [])])
            names += [(stem, node.lineno)] if stem else []
            names += [(f"{stem}.{alias.name}", node.lineno) for alias in node.names if stem.split(".")[0] in LIBRARIES]
    return names


def _statements_at_file_scope(body: list[ast.stmt]):
    """Every statement that runs on import: nested blocks and class bodies, but neither functions nor type checking."""
    for node in body:
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            yield from _statements_at_file_scope(node.orelse)
            continue
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for field in ("body", "orelse", "finalbody"):
                yield from _statements_at_file_scope(getattr(node, field, []))
            for handler in getattr(node, "handlers", []):
                yield from _statements_at_file_scope(handler.body)


def _code_at_file_scope(body: list[ast.stmt]):
    """Line and text of statements that do more than import, define, or name a constant."""
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.AsyncFunctionDef | ast.Pass):
            continue
        if isinstance(node, ast.ClassDef):
            yield from _code_at_file_scope(node.body)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            for call in (n for n in ast.walk(node) if isinstance(n, ast.Call)):
                called = ast.unparse(call.func).rsplit(".", 1)[-1]
                if called not in ALLOWED_CALLS and not called.lstrip("_")[:1].isupper():
                    yield node.lineno, ast.unparse(call)
        elif isinstance(node, ast.Expr) and _is_text(node.value):
            continue
        elif isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "__name__ == '__main__'"):
            continue
        elif isinstance(node, ast.Try) and all(isinstance(n, ast.Import | ast.ImportFrom) for n in node.body):
            for handler in node.handlers:
                yield from _code_at_file_scope(handler.body)
        else:
            yield node.lineno, ast.unparse(node).partition("\n")[0]
