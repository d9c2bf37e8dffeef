"""Inputs, Apply and Cancel, as a user meets them."""

from __future__ import annotations

import numpy as np
import pytest
from Testing.Python.panel.using import apply, run_events_until, texts


def scored_rows(panel):
    """Rows of segments that have a DSC."""
    return [row for row in texts(panel.ui.resultsTable) if row[1]]


def test_chooses_the_inputs_itself(panel, a_ct_node, a_segmentation_node):
    assert panel.ui.inputVolumeSelector.currentNode() is a_ct_node
    assert panel.ui.inputSegmentationSelector.currentNode() is a_segmentation_node
    assert panel.ui.applyButton.enabled
    assert not panel.ui.cancelButton.enabled


def test_apply_waits_for_both_inputs(panel):
    panel.ui.inputVolumeSelector.setCurrentNode(None)
    assert not panel.ui.applyButton.enabled
    assert "CT volume" in panel.ui.applyButton.toolTip


def test_says_how_many_segments_are_matched_to_structures(panel, a_segmentation_node, slicer):
    assert panel.ui.matchedLabel.text == "All 2 segments are matched to structures"
    a_segmentation_node.GetSegmentation().GetSegment("spleen").SetName("xyzzy")
    panel.exit()
    panel.enter()
    assert panel.ui.matchedLabel.text == "1 of 2 segments are matched to structures"
    assert "xyzzy" in panel.ui.matchedLabel.toolTip and "liver" not in panel.ui.matchedLabel.toolTip


def test_matches_follow_names_and_the_scene(slicer, panel, a_segmentation_node):
    label, segmentation = panel.ui.matchedLabel, a_segmentation_node.GetSegmentation()
    segmentation.GetSegment("spleen").SetName("xyzzy")
    slicer.app.processEvents()
    assert label.text == "1 of 2 segments are matched to structures"
    segmentation.RemoveSegment("spleen")
    slicer.app.processEvents()
    assert label.text == "All 1 segments are matched to structures"
    slicer.mrmlScene.Clear(0)
    slicer.app.processEvents()
    assert label.text == "" and label.isHidden()


def test_data_loaded_while_the_panel_is_open_are_chosen(slicer, open_panel, a_torso):
    panel = open_panel()
    assert not panel.ui.applyButton.enabled
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    ct = slicer.util.addVolumeFromArray(a_torso.hu, a_torso.ijk_to_ras, "CT")
    slicer.app.processEvents()
    assert panel.ui.inputSegmentationSelector.currentNode() is segmentation
    assert panel.ui.inputVolumeSelector.currentNode() is ct and panel.ui.applyButton.enabled
    slicer.util.addVolumeFromArray(a_torso.hu, a_torso.ijk_to_ras, "CT 2")
    slicer.app.processEvents()
    assert panel.ui.inputVolumeSelector.currentNode() is ct, "what is chosen stays"


def test_apply_scores_colors_and_lists_worst_first(panel, a_segmentation_node):
    panel.ui.applyButton.click()
    assert panel.ui.cancelButton.enabled and not panel.ui.applyButton.enabled
    assert not panel.ui.progressBar.isHidden()
    run_events_until(lambda: panel.ui.applyButton.enabled)
    assert panel.ui.progressBar.isHidden()
    rows = texts(panel.ui.resultsTable)
    assert {row[0] for row in rows} == {"liver", "spleen"}
    assert [float(row[1]) for row in rows] == sorted(float(row[1]) for row in rows)
    assert min(a_segmentation_node.GetDisplayNode().GetSegmentOverrideColor("liver")) >= 0
    run_events_until(
        lambda: a_segmentation_node.GetSegmentation().GetSegment("liver").HasTag("QualitySentinel.PredictedDSC")
    )


def test_the_bar_says_what_is_going_on(panel):
    seen = set()
    panel.ui.applyButton.click()

    def done():
        seen.add(panel.ui.progressBar.format)
        return panel.ui.applyButton.enabled

    run_events_until(done)
    assert "Reading the volumes..." in seen
    assert any(text.startswith("0 of ") and text.endswith(" slices") for text in seen)


def test_cancel_stops_and_leaves_what_was_finished(panel):
    panel.ui.applyButton.click()
    panel.ui.cancelButton.click()
    run_events_until(lambda: panel.ui.applyButton.enabled)
    assert scored_rows(panel) == []
    apply(panel)
    assert len(scored_rows(panel)) == 2


def test_cancelling_another_scoring_takes_nothing_away(scored, a_segmentation_node, edit):
    before = texts(scored.ui.resultsTable)
    scored.ui.applyButton.click()
    scored.ui.cancelButton.click()
    run_events_until(lambda: scored.ui.applyButton.enabled)
    assert texts(scored.ui.resultsTable) == before


def test_apply_again_scores_only_the_slices_that_were_edited(slicer, panel, a_ct_node, edit, a_torso, monkeypatch):
    panel.ui.autoRescoreCheckBox.click()
    totals = []
    original = panel.logic.scoreSteps

    def watched(*args, **options):
        for progress in original(*args, **options):
            totals.append(progress.total)
            yield progress

    monkeypatch.setattr(panel.logic, "scoreSteps", watched)

    def slices_of_another_apply():
        totals.clear()
        apply(panel)
        return totals[-1]

    everything = slices_of_another_apply()
    rows = texts(panel.ui.resultsTable)
    assert slices_of_another_apply() == 0
    assert texts(panel.ui.resultsTable) == rows
    edit(int(np.flatnonzero((a_torso.labels == 2).any(axis=(1, 2)))[2]))
    assert slices_of_another_apply() == 1
    slicer.util.arrayFromVolume(a_ct_node)[0] += 1
    slicer.util.arrayFromVolumeModified(a_ct_node)
    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda *_: True)  # the edit counts as a correction
    assert slices_of_another_apply() == everything


def test_the_threshold_flags_anew_as_the_slider_moves(scored):
    slider = scored.ui.thresholdSliderWidget
    counts = []
    for value in (0.0, 0.5, 1.0):
        slider.value = value
        counts.append(scored.ui.summaryLabel.text)
        flagged = [row[2].split(" / ") for row in texts(scored.ui.resultsTable)]
        if value == 0.0:
            assert all(n == "0" for n, _ in flagged)
        if value == 1.0:
            assert all(n == total for n, total in flagged)
    assert len(set(counts)) >= 2


def test_colors_are_restored_and_stay_away(scored, a_segmentation_node):
    display = a_segmentation_node.GetDisplayNode()
    scored.ui.restoreColorsButton.click()
    assert max(display.GetSegmentOverrideColor("liver")) < 0
    scored.ui.thresholdSliderWidget.value = 0.3
    assert max(display.GetSegmentOverrideColor("liver")) < 0
    scored.ui.showColorsCheckBox.click()
    assert min(display.GetSegmentOverrideColor("liver")) >= 0


@pytest.mark.filterwarnings("error")
def test_leaving_and_coming_back_leaves_one_observer(panel, module):
    observers = len(panel.Observations)
    for _ in range(2):
        panel.exit()
        assert panel._parameterNode is None
        panel.enter()
    assert len(panel.Observations) == observers
    panel.ui.thresholdSliderWidget.value = 0.4
    assert module.QualitySentinelLogic().getParameterNode().threshold == 0.4


def test_scoring_goes_on_while_another_module_is_open(panel):
    panel.ui.applyButton.click()
    panel.exit()
    run_events_until(lambda: not panel.ui.cancelButton.enabled)
    panel.enter()
    assert len(scored_rows(panel)) == 2 and panel.ui.applyButton.enabled


def test_a_threshold_changed_meanwhile_flags_what_is_shown_then(panel):
    panel.ui.applyButton.click()
    panel.ui.thresholdSliderWidget.value = 1.0
    run_events_until(lambda: not panel.ui.cancelButton.enabled)
    assert all(len(set(row[2].split(" / "))) == 1 for row in texts(panel.ui.resultsTable))


def test_an_error_ends_the_run_and_the_panel_is_ready_again(panel, a_ct_node, a_torso, slicer, capsys):
    slicer.util.updateVolumeFromArray(a_ct_node, (a_torso.hu % 256).astype(np.uint8))  # a screenshot, not HU
    panel.ui.applyButton.click()
    run_events_until(lambda: panel.ui.applyButton.enabled)
    assert texts(panel.ui.resultsTable) == []
    assert "CT: " in capsys.readouterr().err


def test_closing_the_scene_while_scoring_is_safe(panel, slicer):
    panel.ui.applyButton.click()
    slicer.mrmlScene.Clear(0)
    for _ in range(5):
        slicer.app.processEvents()
    assert not panel.ui.cancelButton.enabled
    assert texts(panel.ui.resultsTable) == []


def test_removing_the_segmentation_while_scoring_is_safe(panel, slicer, a_segmentation_node):
    panel.ui.applyButton.click()
    slicer.app.processEvents()
    slicer.mrmlScene.RemoveNode(a_segmentation_node)
    run_events_until(lambda: not panel.ui.cancelButton.enabled)
    assert texts(panel.ui.resultsTable) == []


def test_choices_stay_with_the_scene(panel, module):
    panel.ui.thresholdSliderWidget.value = 0.65
    panel.ui.slicesSpinBox.value = 5
    panel.ui.deviceComboBox.currentIndex = 1
    panel.ui.forceCpuCheckBox.click()
    again = module.QualitySentinelLogic().getParameterNode()
    assert (again.threshold, again.slicesPerSegment, again.device, again.forceCpu) == (0.65, 5, "cpu", True)


def test_the_color_scale_of_an_earlier_scene_is_kept(module):
    node = module.QualitySentinelLogic().getParameterNode().parameterNode
    node.SetParameter("colorBlindSafe", "True")
    assert module.QualitySentinelLogic().getParameterNode().colorScale == "color-blind-safe"
    again = module.QualitySentinelLogic().getParameterNode()
    again.colorScale = "red-yellow-green"
    assert module.QualitySentinelLogic().getParameterNode().colorScale == "red-yellow-green"


def test_warnings_are_shown(scored, a_segmentation_node, a_ct_node, slicer):
    assert scored.ui.warningsLabel.isHidden()
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode", "tilt")
    import vtk

    tilt = vtk.vtkTransform()
    tilt.RotateX(15)
    transform.SetMatrixTransformToParent(tilt.GetMatrix())
    a_ct_node.SetAndObserveTransformNodeID(transform.GetID())
    a_segmentation_node.SetAndObserveTransformNodeID(transform.GetID())
    apply(scored)
    assert "oblique by 15 degrees" in scored.ui.warningsLabel.text
    assert not scored.ui.warningsLabel.isHidden()
