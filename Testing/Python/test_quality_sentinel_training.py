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


def test_every_command_of_the_training_library_is_a_method_of_the_logic(the_module, tmp_path, capsys):
    logic = the_module.QualitySentinelTrainingLogic()
    gone, out = tmp_path / "gone", tmp_path / "out"
    assert logic.makePairs(gone, out) == 3
    assert str(gone) in capsys.readouterr().err
    assert logic.trainSegmenters(gone, out, ["--epochs", "1"]) == 3
    assert str(gone) in capsys.readouterr().err
    for folders in (gone, [gone, gone]):
        assert logic.train(folders, out, ["--set", "epochs=1"]) == 3
        assert str(gone) in capsys.readouterr().err
    assert logic.train(gone, out, ["--set", "epochs=nonsense"]) == 2
    assert "epochs" in capsys.readouterr().err
    assert logic.evaluate("bundled", out, ["--data", gone]) == 3
    assert str(gone) in capsys.readouterr().err
    assert logic.evaluate(gone / "model.safetensors", out, ["--pairs", tmp_path]) == 5
    assert "model.safetensors" in capsys.readouterr().err
    assert logic.average([gone / "a.safetensors", gone / "b.safetensors"], out / "model.safetensors") == 5
    assert "a.safetensors" in capsys.readouterr().err
    assert logic.calibrate("bundled", [gone / "slices.csv.gz"], out / "model.safetensors") == 3
    assert "slices.csv.gz" in capsys.readouterr().err
    assert logic.audit(gone, out, ["--no-report"]) == 3
    assert str(gone) in capsys.readouterr().err
    assert logic.audit(gone, out, ["--threshold", "7"]) == 2
    assert "7" in capsys.readouterr().err
