"""The module QualitySentinel.py in a Slicer without its application: logic, panel and self test."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

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
    logic._model, logic._modelSource = a_small_model, "bundled"
    return logic


@pytest.fixture
def panel(module, logic, a_ct_node, a_segmentation_node):
    """The module's panel, opened with a CT and its segmentation in the scene."""
    widget = module.QualitySentinelWidget()
    widget.logic = logic
    yield widget
    widget.cleanup()
    widget.parent.deleteLater()


def run_events_until(condition, seconds=30):
    """Let the event loop run, as in Slicer, until something has happened."""
    import time

    import slicer

    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        slicer.app.processEvents()


def rows_of(panel):
    """The results table's texts, row by row."""
    table = panel.ui.resultsTable
    return [[table.item(r, c).text() for c in range(table.columnCount)] for r in range(table.rowCount)]


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
        test = module.QualitySentinelTest()
        for name in ("test_NodesAreRead", "test_ScoresAreShownAndTakenBack"):
            test.setUp()
            getattr(test, name)()

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
        assert steps[0].done == 0 < steps[0].total == steps[-1].done

    def test_stops_when_asked(self, logic, a_ct_node, a_segmentation_node):
        with pytest.raises(CancelledError):
            logic.score(a_ct_node, a_segmentation_node, device="cpu", cancelled=lambda: True)

    def test_refuses_bad_input_in_one_line(self, logic, a_segmentation_node):
        with pytest.raises(InputError, match="no CT is selected"):
            logic.score(None, a_segmentation_node)

    def test_finds_the_volume_that_a_segmentation_was_made_on(self, slicer, logic, a_ct_node, a_segmentation_node):
        assert logic.volumeOfSegmentation(a_segmentation_node) is a_ct_node
        assert logic.volumeOfSegmentation(None) is a_ct_node
        slicer.mrmlScene.Clear(0)
        assert logic.volumeOfSegmentation(None) is None

    def test_exports_the_files_of_the_command_line(self, logic, a_ct_node, a_segmentation_node, tmp_path):
        pytest.importorskip("QualitySentinelLib.report.html_report")
        case = logic.score(a_ct_node, a_segmentation_node, device="cpu")
        logic.exportResults(a_ct_node, a_segmentation_node, case, tmp_path / "out")
        names = {p.name for p in (tmp_path / "out").iterdir()}
        assert names == {"segments.csv", "slices.csv", "report.json", "report.html", "scored.seg.nrrd"}
        assert json.loads((tmp_path / "out" / "report.json").read_text())["inputs"]["ct"] == {"node": "CT"}


class TestSetup:
    def test_asks_for_the_pytorch_extension_where_it_is_missing(self, module, logic, monkeypatch):
        monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
        with pytest.raises(ModelError, match="PyTorch extension is missing: install it in the Extensions Manager"):
            logic.setupPythonRequirements()

    def test_pytorch_comes_from_its_extension_after_consent(self, slicer, module, logic, monkeypatch):
        asked = []

        class PyTorchUtilsLogic:
            def installTorch(
                self,
                askConfirmation=False,
                forceComputationBackend=None,
                torchVersionRequirement=None,
                torchvisionVersionRequirement=None,
            ):
                asked.append((askConfirmation, torchVersionRequirement))  # and the user says no

        monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
        monkeypatch.setitem(sys.modules, "PyTorchUtils", SimpleNamespace(PyTorchUtilsLogic=PyTorchUtilsLogic))
        with pytest.raises(ModelError, match="testing mode installs nothing"):
            logic.setupPythonRequirements()
        assert asked == []
        monkeypatch.setattr(slicer.app, "testing", False)
        with pytest.raises(ModelError, match="PyTorch was not installed"):
            logic.setupPythonRequirements()
        assert asked == [(True, ">=2.2")]

    def test_an_old_pytorch_is_refused(self, module, logic, monkeypatch):
        monkeypatch.setattr(module, "TORCH_VERSION", ">=999")
        with pytest.raises(ModelError, match="older than needed"):
            logic.setupPythonRequirements()

    def test_the_version_asked_for_is_the_package_s_own(self, module, repository):
        import tomllib

        project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        assert f"torch{module.TORCH_VERSION}" in project["dependencies"]

    def test_other_packages_are_left_to_slicer(self, slicer, logic, monkeypatch):
        import slicer.packaging

        asked = []
        monkeypatch.setattr(slicer.packaging, "pip_ensure", lambda reqs, requester: asked.append((reqs, requester)))
        logic.setupPythonRequirements()
        assert asked[0][1] == "Quality Sentinel"
        assert "safetensors" in {requirement.name for requirement in asked[0][0]}


def flagged_of(row: list[str]) -> list[str]:
    """Numbers of flagged and of scored slices in a row of the table, without what it says of missed ones."""
    return row[3].split(" + ")[0].split(" / ")


class TestPanel:
    def test_chooses_the_inputs_itself(self, panel, a_ct_node, a_segmentation_node):
        assert panel.ui.inputVolumeSelector.currentNode() is a_ct_node
        assert panel.ui.inputSegmentationSelector.currentNode() is a_segmentation_node
        assert panel.ui.applyButton.enabled
        assert not panel.ui.cancelButton.enabled

    def test_apply_waits_for_both_inputs(self, panel):
        panel.ui.inputVolumeSelector.setCurrentNode(None)
        assert not panel.ui.applyButton.enabled
        assert "CT volume" in panel.ui.applyButton.toolTip

    def test_apply_scores_colours_and_lists_worst_first(self, panel, a_segmentation_node):
        panel.ui.applyButton.click()
        assert panel.ui.cancelButton.enabled and not panel.ui.applyButton.enabled
        run_events_until(lambda: panel.ui.applyButton.enabled)
        rows = rows_of(panel)
        assert {row[0] for row in rows} == {"liver", "spleen"}
        assert [float(row[2]) for row in rows] == sorted(float(row[2]) for row in rows)
        assert a_segmentation_node.GetSegmentation().GetSegment("liver").HasTag("QualitySentinel.PredictedDSC")
        assert min(a_segmentation_node.GetDisplayNode().GetSegmentOverrideColor("liver")) >= 0

    def test_cancel_stops_and_leaves_what_was_finished(self, panel):
        panel.ui.applyButton.click()
        panel.ui.cancelButton.click()
        run_events_until(lambda: panel.ui.applyButton.enabled)
        assert all(row[2] == "" for row in rows_of(panel))
        panel.ui.applyButton.click()
        run_events_until(lambda: panel.ui.applyButton.enabled)
        assert all(row[2] for row in rows_of(panel))

    def test_apply_again_scores_only_the_slices_that_were_edited(
        self, slicer, panel, a_ct_node, a_segmentation_node, a_torso, monkeypatch
    ):
        totals = []
        original = panel.logic.scoreSteps

        def watched(*args, **options):
            for progress in original(*args, **options):
                totals.append(progress.total)
                yield progress

        monkeypatch.setattr(panel.logic, "scoreSteps", watched)

        def apply():
            totals.clear()
            panel.ui.applyButton.click()
            run_events_until(lambda: panel.ui.applyButton.enabled)
            return totals[-1]

        everything = apply()
        scores = rows_of(panel)
        assert apply() == 0
        assert rows_of(panel) == scores
        spleen = (a_torso.labels == 2).astype(np.uint8)
        middle = int(np.flatnonzero(spleen.any(axis=(1, 2)))[2])
        spleen[middle, ::2] = 0
        slicer.util.updateSegmentBinaryLabelmapFromArray(spleen, a_segmentation_node, "spleen", a_ct_node)
        assert apply() == 1
        slicer.util.arrayFromVolume(a_ct_node)[0] += 1
        slicer.util.arrayFromVolumeModified(a_ct_node)
        assert apply() == everything

    def test_the_threshold_flags_anew_without_scoring(self, panel):
        panel.ui.applyButton.click()
        run_events_until(lambda: panel.ui.applyButton.enabled)
        panel.ui.thresholdSliderWidget.value = 1.0
        assert all(len(set(flagged_of(row))) == 1 for row in rows_of(panel))
        panel.ui.thresholdSliderWidget.value = 0.0
        assert all(row[3].startswith("0 / ") for row in rows_of(panel))

    def test_colours_are_restored(self, panel, a_segmentation_node):
        panel.ui.applyButton.click()
        run_events_until(lambda: panel.ui.applyButton.enabled)
        panel.ui.restoreColorsButton.click()
        assert max(a_segmentation_node.GetDisplayNode().GetSegmentOverrideColor("liver")) < 0

    def test_the_threshold_does_not_bring_back_colours_that_the_user_took_away(self, panel, a_segmentation_node):
        panel.ui.applyButton.click()
        run_events_until(lambda: panel.ui.applyButton.enabled)
        panel.ui.restoreColorsButton.click()
        panel.ui.thresholdSliderWidget.value = 0.3
        assert max(a_segmentation_node.GetDisplayNode().GetSegmentOverrideColor("liver")) < 0

    @pytest.mark.filterwarnings("error")
    def test_leaving_and_coming_back_leaves_one_observer(self, panel, module):
        for _ in range(2):
            panel.exit()
            assert panel._parameterNode is None
            panel.enter()
        scene_observers = 2
        assert len(panel.Observations) == scene_observers + 1
        panel.ui.thresholdSliderWidget.value = 0.4
        assert module.QualitySentinelLogic().getParameterNode().threshold == 0.4

    def test_scoring_goes_on_while_another_module_is_open(self, panel):
        panel.ui.applyButton.click()
        panel.exit()
        run_events_until(lambda: not panel.ui.cancelButton.enabled)
        panel.enter()
        assert len(rows_of(panel)) == 2 and panel.ui.applyButton.enabled

    def test_a_threshold_changed_meanwhile_flags_what_is_shown_then(self, panel):
        panel.ui.applyButton.click()
        panel.ui.thresholdSliderWidget.value = 1.0
        run_events_until(lambda: not panel.ui.cancelButton.enabled)
        assert all(len(set(flagged_of(row))) == 1 for row in rows_of(panel))

    def test_an_error_ends_the_run_and_the_panel_is_ready_again(self, panel, a_ct_node, a_torso, slicer, capsys):
        slicer.util.updateVolumeFromArray(a_ct_node, (a_torso.hu % 256).astype(np.uint8))  # a screenshot, not HU
        panel.ui.applyButton.click()
        run_events_until(lambda: panel.ui.applyButton.enabled)
        assert rows_of(panel) == []
        assert "CT: " in capsys.readouterr().err

    def test_closing_the_scene_while_scoring_is_safe(self, panel, slicer):
        panel.ui.applyButton.click()
        slicer.mrmlScene.Clear(0)
        for _ in range(5):
            slicer.app.processEvents()
        assert not panel.ui.cancelButton.enabled
        assert rows_of(panel) == []

    def test_removing_the_segmentation_while_scoring_is_safe(self, panel, slicer, a_segmentation_node):
        panel.ui.applyButton.click()
        slicer.app.processEvents()
        slicer.mrmlScene.RemoveNode(a_segmentation_node)
        run_events_until(lambda: not panel.ui.cancelButton.enabled)
        assert rows_of(panel) == []

    def test_choices_stay_with_the_scene(self, panel, module, slicer):
        panel.ui.thresholdSliderWidget.value = 0.65
        panel.ui.slicesSpinBox.value = 5
        panel.ui.deviceComboBox.currentIndex = 1
        again = module.QualitySentinelLogic().getParameterNode()
        assert (again.threshold, again.slicesPerSegment, again.device) == (0.65, 5, "cpu")
