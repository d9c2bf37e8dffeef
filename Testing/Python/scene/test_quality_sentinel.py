"""The module QualitySentinel.py in a Slicer without its application: module, logic and self test."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from QualitySentinelLib.errors import CancelledError, InputError, ModelError

ROOT = Path(__file__).resolve().parents[3]
MODULE = ROOT / "QualitySentinel" / "QualitySentinel.py"


@pytest.fixture
def module(slicer):
    """QualitySentinel.py, imported and registered as at Slicer's startup."""
    from Testing.Host.headless_slicer import load_module

    return load_module(MODULE)


@pytest.fixture
def logic(module, a_small_model):
    """The module's logic with a small model in the place of the bundled one."""
    logic = module.QualitySentinelLogic()
    logic._model, logic._modelSource = a_small_model, ("bundled", None)
    return logic


class TestModule:
    def test_says_what_it_is_and_whom_to_cite(self, slicer, module):
        about = slicer.modules.qualitysentinel
        assert about.title == "Quality Sentinel"
        assert about.categories == ["Segmentation"]
        assert "2406.00327" in about.acknowledgementText
        assert "PyTorch" in about.helpText

    def test_slicers_start_loads_no_heavy_package(self):
        heavy = {"torch", "torchvision", "scipy", "SimpleITK", "nibabel", "pydicom", "highdicom", "matplotlib"}
        code = (
            "import sys; from Testing.Host.headless_slicer import *; start(); before = set(sys.modules);"
            f"load_module({str(MODULE)!r}); print({heavy!r} & (set(sys.modules) - before))"
        )
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "set()"

    def test_the_self_test_passes_without_a_model(self, module):
        from QualitySentinelLib.setup.self_test import TESTS

        test = module.QualitySentinelTest()
        for check in TESTS[:-1]:
            test.setUp()
            check(test, module.QualitySentinelLogic, module.QualitySentinelWidget)

    def test_the_self_test_scores_with_the_bundled_model(self, module):
        if not list((MODULE.parent / "Resources" / "Models").glob("*.safetensors")):
            pytest.skip("no model is bundled yet")
        module.QualitySentinelTest().runTest()


class TestLogic:
    def test_scores_every_slice_of_every_segment(self, logic, a_ct_node, a_segmentation_node, a_torso):
        case = logic.score(a_ct_node, a_segmentation_node, device="cpu")
        for value, name in a_torso.names.items():
            occupied = np.flatnonzero((a_torso.labels == value).any(axis=(1, 2)))
            assert [s.slice_index for s in case[name].slices] == occupied.tolist()

    def test_progress_comes_step_by_step(self, logic, a_ct_node, a_segmentation_node):
        steps = list(logic.scoreSteps(a_ct_node, a_segmentation_node, device="cpu"))
        done = [step.done for step in steps]
        assert done == sorted(done) and done[0] == 0
        assert steps[-1].finished and steps[-1].done == steps[-1].total > 0

    def test_stops_when_asked(self, logic, a_ct_node, a_segmentation_node):
        with pytest.raises(CancelledError):
            logic.score(a_ct_node, a_segmentation_node, device="cpu", cancelled=lambda: True)

    def test_refuses_bad_input_in_one_line(self, logic, a_segmentation_node):
        with pytest.raises(InputError, match="no CT is selected"):
            logic.score(None, a_segmentation_node)

    def test_embeddings_may_lie_elsewhere(self, logic, a_ct_node, a_segmentation_node, monkeypatch):
        from QualitySentinelLib import checkpoint

        def load(source, embeddings):
            raise ModelError(f"{source} with {embeddings}")

        monkeypatch.setattr(checkpoint, "load_model", load)
        with pytest.raises(ModelError, match="best.pth with elsewhere.pkl"):
            logic.score(a_ct_node, a_segmentation_node, model="best.pth", embeddings="elsewhere.pkl")

    def test_a_model_is_loaded_again_with_other_embeddings(self, logic, a_small_model, monkeypatch):
        from QualitySentinelLib import checkpoint

        loaded = []
        monkeypatch.setattr(checkpoint, "load_model", lambda *given: loaded.append(given) or a_small_model)
        for embeddings in ("a.pkl", "a.pkl", "b.pkl"):
            logic.model("best.pth", embeddings)
        assert loaded == [("best.pth", "a.pkl"), ("best.pth", "b.pkl")]

    def test_finds_the_volume_that_a_segmentation_was_made_on(self, slicer, a_ct_node, a_segmentation_node):
        from QualitySentinelLib.scene.nodes import volume_of

        assert volume_of(a_segmentation_node) is a_ct_node
        assert volume_of(None) is a_ct_node
        slicer.mrmlScene.Clear(0)
        assert volume_of(None) is None

    def test_exports_the_files_of_the_command_line(self, logic, a_ct_node, a_segmentation_node, tmp_path):
        pytest.importorskip("QualitySentinelLib.report.html_report")
        case = logic.score(a_ct_node, a_segmentation_node, device="cpu")
        logic.exportResults(a_ct_node, a_segmentation_node, case, tmp_path / "out")
        names = {p.name for p in (tmp_path / "out").iterdir()}
        assert names == {"segments.csv", "slices.csv", "report.json", "report.html", "scored.seg.nrrd"}
        assert json.loads((tmp_path / "out" / "report.json").read_text())["inputs"]["ct"] == {"node": "CT"}


class TestSetup:
    def test_what_is_missing_is_installed_by_the_library(self, logic, monkeypatch):
        import QualitySentinelLib.setup as setup

        asked = []
        monkeypatch.setattr(setup, "ensure_packages", lambda force_cpu: asked.append(force_cpu) or True)
        assert logic.setupPythonRequirements() and logic.setupPythonRequirements(forceCpu=True)
        assert asked == [False, True]
