"""Heavy packages are imported while the application stays alive."""

from __future__ import annotations

import gc
import sys

import pytest

from QualitySentinelLib.scene.importing import full_collections_later, import_steps
from QualitySentinelLib.steps import run_to_end


@pytest.fixture
def a_package(tmp_path, monkeypatch):
    """A function ``(name, code)`` that makes a module to be imported."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(name, code):
        (tmp_path / f"{name}.py").write_text(code)
        return name

    return make


@pytest.fixture
def a_slow_package(a_package, tmp_path):
    """A function ``(name, value)``: a module that comes to its end when the function given with its name is called."""

    def make(name, value):
        gate = tmp_path / f"{name}.gate"
        code = f"import pathlib, time\nwhile not pathlib.Path({str(gate)!r}).exists():\n    time.sleep(0.001)\n"
        return a_package(name, f"{code}value = {value}\n"), gate.touch

    return make


def test_a_slow_import_is_waited_for_in_many_steps(a_slow_package):
    name, go_on = a_slow_package("quality_sentinel_slow", 5)
    steps = import_steps([name])
    for _ in range(4):
        next(steps)
    go_on()
    (module,) = run_to_end(steps)
    assert module.value == 5 and sys.modules[name] is module
    assert list(import_steps([name])) == []  # there already: no step


def test_what_is_wrong_with_a_package_is_said(a_package):
    name = a_package("quality_sentinel_broken", "raise OSError('no such library')\n")
    with pytest.raises(OSError, match="no such library"):
        run_to_end(import_steps([name]))
    with pytest.raises(ModuleNotFoundError, match="quality_sentinel_absent"):
        run_to_end(import_steps(["quality_sentinel_absent"]))


def test_an_import_that_is_left_comes_to_its_end(a_slow_package):
    name, go_on = a_slow_package("quality_sentinel_left", 7)
    steps = import_steps([name])
    next(steps)
    steps.close()
    again = import_steps([name])  # begun again while the first goes on
    next(again)
    go_on()
    (module,) = run_to_end(again)
    assert module.value == 7


def test_full_collections_come_back_when_all_have_ended():
    before = gc.get_threshold()

    def steps():
        with full_collections_later():
            yield
            yield

    first, second = steps(), steps()
    next(first), next(second)
    assert gc.get_threshold()[:2] == before[:2] and gc.get_threshold()[2] > before[2]
    first.close()
    assert gc.get_threshold() != before
    assert list(second) == [None]
    assert gc.get_threshold() == before
    with pytest.raises(ValueError, match="a step fails"), full_collections_later():
        raise ValueError("a step fails")
    assert gc.get_threshold() == before
