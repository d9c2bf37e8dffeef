"""Installing the project with pip: what the wheel carries, and that the pinned versions cover everything."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import QualitySentinelLib

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def project() -> dict:
    """The [project] table of pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def the_wheel(tmp_path_factory) -> Path:
    """The wheel, built from the working tree without a network."""
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def test_the_wheel_carries_both_libraries_and_the_models_and_nothing_of_slicer(the_wheel):
    names = set(zipfile.ZipFile(the_wheel).namelist())
    expected = {
        path.relative_to(module).as_posix()
        for module in (ROOT / "QualitySentinel", ROOT / "QualitySentinelTraining")
        for path in module.glob("*Lib/**/*.py")
    }
    models = (path.name for path in ROOT.glob("QualitySentinel/Resources/Models/*.*"))
    models = {f"QualitySentinelLib/Resources/Models/{name}" for name in models}
    assert not any("converted" in name for name in names)
    assert expected | models <= names
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {
        "QualitySentinelLib",
        "QualitySentinelTrainingLib",
    }


def test_the_systems_do_not_import_each_other():
    library = ROOT / "QualitySentinelTraining" / "QualitySentinelTrainingLib"
    rooms = ("audit", "label_errors", "selection", "travelling")
    found = [
        f"{path.relative_to(library)} imports {other}"
        for room in rooms
        for path in (library / room).rglob("*.py")
        for other in rooms
        if other != room and re.search(rf"(from \.+|TrainingLib\.){other}\b", path.read_text(encoding="utf-8"))
    ]
    assert not found


def test_the_wheel_has_the_version_of_the_library(the_wheel):
    assert the_wheel.name.startswith(f"quality_sentinel-{QualitySentinelLib.__version__}-")


def test_the_citation_has_the_version_of_the_library():
    assert f"\nversion: {QualitySentinelLib.__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


def test_the_newest_release_of_the_changelog_is_the_version_of_the_library():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    releases = re.findall(r"^## \[(\d[^]]*)\] - \d{4}-\d\d-\d\d$", text, re.MULTILINE)
    assert releases[0] == QualitySentinelLib.__version__


def test_every_dependency_is_pinned_once_to_one_version(project):
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert [line for line in pins if not re.fullmatch(r"[\w.-]+==[\w.+!]+", line)] == []
    names = [_canonical(line.partition("==")[0]) for line in pins]
    assert len(names) == len(set(names))
    wanted = [*project["dependencies"], *(p for extra in project["optional-dependencies"].values() for p in extra)]
    assert {_canonical(re.match(r"[\w.-]+", requirement)[0]) for requirement in wanted} <= set(names)


def test_every_dependency_is_explained(project):
    explained = _canonical((ROOT / "docs" / "DEPENDENCIES.md").read_text(encoding="utf-8"))
    wanted = [*project["dependencies"], *(p for extra in project["optional-dependencies"].values() for p in extra)]
    names = {_canonical(re.match(r"[\w.-]+", requirement)[0]) for requirement in wanted}
    assert {name for name in names if name not in explained} == set()


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
