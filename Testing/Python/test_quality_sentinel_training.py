"""The headless companion module, in a Slicer without its application."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def the_module():
    """QualitySentinelTraining.py, imported as Slicer imports it at startup."""
    pytest.importorskip("trame_slicer")
    from Testing.Host.headless_slicer import load_module, start

    start()
    return load_module(ROOT / "QualitySentinelTraining" / "QualitySentinelTraining.py")


def test_the_module_is_not_offered_in_the_module_selector(the_module):
    import slicer

    module = slicer.modules.qualitysentineltraining
    assert module.hidden
    assert module.title == "Quality Sentinel Training"
    assert module.dependencies == ["QualitySentinel"]


def test_the_tests_that_slicer_runs_pass(the_module):
    the_module.QualitySentinelTrainingTest().runTest()


def test_the_logic_runs_a_command_and_says_how_it_ended(the_module, capsys):
    logic = the_module.QualitySentinelTrainingLogic()
    assert logic.run(["--version"]) == 0
    assert "quality-sentinel" in capsys.readouterr().out
    assert logic.run(["no-such-command"]) == 2


def test_training_takes_the_options_of_the_command_line(the_module, tmp_path, capsys):
    logic = the_module.QualitySentinelTrainingLogic()
    assert logic.train(tmp_path / "data", tmp_path / "out", ["--architecture", "nonsense"]) == 2
    assert "nonsense" in capsys.readouterr().err
