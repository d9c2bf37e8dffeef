"""Heavy packages are imported while the application stays alive."""

from __future__ import annotations

import gc
import sys
import time

import pytest

from QualitySentinelLib.scene.garbage import full_collections_later, without_full_collections
from QualitySentinelLib.scene.importing import import_steps
from QualitySentinelLib.steps import run_to_end


@pytest.fixture
def a_package(tmp_path, monkeypatch):
    """A function ``(name, code)`` that makes a module to be imported."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(name, code):
        (tmp_path / f"{name}.py").write_text(code)
        return name

    return make


def test_a_slow_import_is_waited_for_in_many_steps(a_package):
    name = a_package("quality_sentinel_slow", "import time\ntime.sleep(0.4)\nvalue = 5\n")
    steps, turns = import_steps([name]), 0
    while True:
        try:
            next(steps)
        except StopIteration as end:
            (module,) = end.value
            break
        turns += 1
    assert turns > 3
    assert module.value == 5 and sys.modules[name] is module
    assert list(import_steps([name])) == []  # there already: no step


def test_what_is_wrong_with_a_package_is_said(a_package):
    name = a_package("quality_sentinel_broken", "raise OSError('no such library')\n")
    with pytest.raises(OSError, match="no such library"):
        run_to_end(import_steps([name]))
    with pytest.raises(ModuleNotFoundError, match="quality_sentinel_absent"):
        run_to_end(import_steps(["quality_sentinel_absent"]))


def test_an_import_that_is_left_comes_to_its_end(a_package):
    name = a_package("quality_sentinel_left", "import time\ntime.sleep(0.3)\nvalue = 7\n")
    steps = import_steps([name])
    next(steps)
    steps.close()
    time.sleep(0.05)
    (module,) = run_to_end(import_steps([name]))  # begun again while the first goes on
    assert module.value == 7


def test_full_collections_come_back_when_all_have_ended():
    before = gc.get_threshold()

    @without_full_collections
    def steps():
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
