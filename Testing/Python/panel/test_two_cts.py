"""Two CTs, two segmentations: nothing of one review gets into another."""

from __future__ import annotations

import numpy as np
import pytest
from Testing.Python.panel.using import review_of, run_events_until, texts


@pytest.fixture
def other_ct(slicer, a_torso, a_ct_node):
    """Another CT, half as many slices."""
    return slicer.util.addVolumeFromArray(a_torso.hu[::2].copy(), a_torso.ijk_to_ras @ np.diag([1, 1, 2, 1.0]), "CT 2")


@pytest.fixture
def other(slicer, a_torso, other_ct, segmentation_node_of):
    """A segmentation that was made on it."""
    return segmentation_node_of(a_torso.labels[::2], {1: "liver"}, other_ct)


def test_choosing_another_segmentation_chooses_its_ct(panel, a_segmentation_node, a_ct_node, other, other_ct):
    selector = panel.ui.inputSegmentationSelector
    assert panel.ui.inputVolumeSelector.currentNode() is a_ct_node
    selector.setCurrentNode(other)
    assert panel.ui.inputVolumeSelector.currentNode() is other_ct
    selector.setCurrentNode(a_segmentation_node)
    assert panel.ui.inputVolumeSelector.currentNode() is a_ct_node


def test_a_review_brings_the_ct_that_it_was_made_with(
    panel, reviewed, a_segmentation_node, a_ct_node, other, other_ct, a_case
):
    a_case.segments.pop()
    review_of(reviewed, other, a_ct_node, a_case)  # scored on a CT that the user chose
    panel.ui.inputSegmentationSelector.setCurrentNode(other)
    assert panel.ui.inputVolumeSelector.currentNode() is a_ct_node


def test_a_ct_that_the_user_chooses_stays(panel, other_ct):
    panel.ui.inputVolumeSelector.setCurrentNode(other_ct)
    panel.ui.thresholdSliderWidget.value = 0.5
    panel.exit()
    panel.enter()
    assert panel.ui.inputVolumeSelector.currentNode() is other_ct


def test_a_removed_ct_leaves_no_review_on_another_one(slicer, reviewed, a_ct_node, other_ct):
    slicer.mrmlScene.RemoveNode(a_ct_node)
    slicer.app.processEvents()
    reviewed.ui.inputVolumeSelector.setCurrentNode(other_ct)
    assert texts(reviewed.ui.resultsTable) == [] and list(reviewed.reviews) == []


def test_a_label_map_or_a_quality_map_is_not_taken_for_the_ct(slicer, a_torso):
    from QualitySentinelLib.scene.nodes import volume_of

    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    drawn = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Segmentation predicted DSC")
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    node.SetNodeReferenceID("QualitySentinelQualityMap", drawn.GetID())
    assert volume_of(None) is None
    ct = slicer.util.addVolumeFromArray(a_torso.hu, a_torso.ijk_to_ras, "CT")
    assert volume_of(None) is ct


def test_a_review_that_cannot_be_read_is_read_once(slicer, panel, a_segmentation_node, a_ct_node, caplog):
    text = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode")
    text.SetText("damaged")
    a_segmentation_node.SetNodeReferenceID("QualitySentinelReview", text.GetID())
    panel.exit()
    panel.enter()
    for threshold in (0.5, 0.6, 0.7):
        panel.ui.thresholdSliderWidget.value = threshold
    assert len([r for r in caplog.records if "cannot be read" in r.message]) == 1


def test_a_kept_review_is_shown_when_scoring_of_another_one_has_ended(
    slicer, reviewed, a_segmentation_node, other, monkeypatch
):
    rows = texts(reviewed.ui.resultsTable)
    for review in reviewed.reviews:
        review.record.write()
    reviewed.reviews.close_all()
    reviewed.panel.show_review(None)
    go_on = []

    def steps(*_args, **_options):
        from QualitySentinelLib.scores import CaseScore, Progress

        while not go_on:
            yield Progress(0, 1, 0.0, None, CaseScore([], 0.8))
        yield Progress(0, 0, 0.0, None, CaseScore([], 0.8))

    monkeypatch.setattr(reviewed.logic, "scoreSteps", steps)
    reviewed.ui.inputSegmentationSelector.setCurrentNode(other)
    reviewed.ui.applyButton.click()
    reviewed.ui.inputSegmentationSelector.setCurrentNode(a_segmentation_node)
    assert texts(reviewed.ui.resultsTable) == []
    go_on.append(True)
    run_events_until(lambda: not reviewed.ui.cancelButton.enabled)
    assert texts(reviewed.ui.resultsTable) == rows
