"""Results and Review: what a reader clicks, and what is seen then. The whole story is in ``story/``."""

from __future__ import annotations

import pytest
from Testing.Python.panel.using import click, click_row, review_of, texts

from QualitySentinelLib.colors import SCALES, dsc_color


def visible(segmentation_node):
    """Ids of the segments that are shown."""
    display = segmentation_node.GetDisplayNode()
    return {i for i in segmentation_node.GetSegmentation().GetSegmentIDs() if display.GetSegmentVisibility(i)}


def test_the_table_says_what_each_segment_needs(reviewed):
    assert texts(reviewed.ui.resultsTable) == [
        ["spleen", "0.57", "3 / 4", "1", "4"],
        ["liver", "0.86", "1 / 5", "", "1"],
    ]
    tip = reviewed.ui.resultsTable.item(0, 1).toolTip()
    assert "Structure: spleen" in tip and "0.57, likely 0.47 to 0.67" in tip
    assert reviewed.ui.summaryLabel.text == "<b>4</b> flagged and <b>1</b> missed slices in 2 of 2 segments"


def test_swatches_have_the_color_of_the_scale(reviewed):
    def swatch():
        return reviewed.ui.resultsTable.item(0, 1).icon().pixmap(8).toImage().pixelColor(1, 1).getRgb()[:3]

    dsc = reviewed.panel.review_panel.session.segments[0].predicted_dsc
    assert swatch() == tuple(round(255 * c) for c in dsc_color(dsc))
    choice = reviewed.ui.colorScaleComboBox
    assert [choice.itemText(i) for i in range(choice.count)] == list(SCALES)
    choice.setCurrentText("color-blind-safe")
    assert swatch() == tuple(round(255 * c) for c in dsc_color(dsc, "color-blind-safe"))


def test_a_row_shows_its_segment_alone_and_its_worst_slice(reviewed, a_segmentation_node):
    click_row(reviewed.ui.resultsTable, 0)
    assert visible(a_segmentation_node) == {"spleen"}
    assert "<b>spleen</b>, slice 10 (S -50.0 mm): missed" in reviewed.ui.currentLabel.text
    assert reviewed.panel.review_panel.slice_profile.current == 10
    click(reviewed.ui.showOnlySelectedCheckBox)
    assert visible(a_segmentation_node) == {"spleen", "liver"}


def test_a_row_that_is_clicked_again_goes_back_to_the_worst_slice(reviewed):
    click_row(reviewed.ui.resultsTable, 0)
    reviewed.ui.previousFlaggedButton.click()
    assert reviewed.panel.review_panel.session.current.k == 9
    click_row(reviewed.ui.resultsTable, 0)
    assert reviewed.panel.review_panel.session.current.k == 10


def test_the_keyboard_moves_through_the_table(reviewed):
    from PySide6.QtCore import Qt
    from PySide6.QtTest import QTest

    click_row(reviewed.ui.resultsTable, 0)
    QTest.keyClick(reviewed.ui.resultsTable, Qt.Key.Key_Down)
    assert reviewed.panel.review_panel.session.selected == "liver"


def test_accepting_a_segment_and_taking_that_back(reviewed):
    ui = reviewed.ui
    click_row(ui.resultsTable, 0)
    click(ui.acceptSegmentButton)
    assert texts(ui.resultsTable)[0][4] == ""
    assert ui.reviewProgressBar.text == "4 of 5 reviewed"
    assert ui.acceptSegmentButton.text == "Undo accepts"
    click(ui.acceptSegmentButton)
    assert texts(ui.resultsTable)[0][4] == "4"
    assert ui.acceptSegmentButton.text == "Accept segment"


def test_undo_shows_what_it_has_changed(reviewed):
    ui, session = reviewed.ui, reviewed.panel.review_panel.session
    ui.nextFlaggedButton.click()
    first = session.current
    ui.acceptButton.click()
    click_row(ui.resultsTable, 1)
    ui.undoButton.click()
    assert session.current == first
    assert ui.acceptButton.text == "Accept" and not ui.acceptButton.checked
    assert not ui.undoButton.enabled and ui.redoButton.enabled


def test_buttons_are_off_where_they_would_do_nothing(reviewed):
    ui = reviewed.ui
    assert not ui.acceptButton.enabled and not ui.correctButton.enabled and not ui.undoButton.enabled
    assert ui.nextFlaggedButton.enabled
    ui.thresholdSliderWidget.value = 0.0
    click_row(ui.resultsTable, 1)
    assert not ui.acceptSegmentButton.enabled, "the liver has no open slice left"
    click_row(ui.resultsTable, 0)
    click(ui.acceptSegmentButton)
    assert not ui.nextFlaggedButton.enabled, "nothing is open any more"


def test_each_segmentation_has_its_own_review(
    slicer, reviewed, a_case, a_segmentation_node, a_ct_node, a_torso, segmentation_node_of
):
    ui = reviewed.ui
    ui.nextFlaggedButton.click()
    ui.acceptButton.click()
    ui.thresholdSliderWidget.value = 0.65
    before = texts(ui.resultsTable)
    other = segmentation_node_of(a_torso.labels, {1: "liver"}, a_ct_node)
    ui.inputSegmentationSelector.setCurrentNode(other)
    assert texts(ui.resultsTable) == [] and ui.summaryLabel.text == "Not scored yet"
    assert not ui.nextFlaggedButton.enabled and not ui.exportButton.enabled
    a_case.segments.pop()
    review_of(reviewed, other, a_ct_node, a_case)
    ui.thresholdSliderWidget.value = 0.92
    assert [row[0] for row in texts(ui.resultsTable)] == ["liver"]
    ui.inputSegmentationSelector.setCurrentNode(a_segmentation_node)
    assert texts(ui.resultsTable) == before
    assert ui.thresholdSliderWidget.value == 0.65
    assert ui.undoButton.enabled
    ui.inputSegmentationSelector.setCurrentNode(other)
    assert ui.thresholdSliderWidget.value == 0.92


@pytest.mark.parametrize("threshold", [0.15, 0.7, 0.85, 0.95])
def test_the_threshold_is_what_the_slider_shows(reviewed, threshold):
    reviewed.ui.thresholdSliderWidget.value = threshold
    assert reviewed.panel.review_panel.session.threshold == threshold


def test_a_model_without_thresholds_of_structures_disables_the_check_box(reviewed):
    box = reviewed.ui.ownThresholdsCheckBox
    assert not box.enabled and "no thresholds" in box.toolTip


def test_the_check_box_flags_below_the_thresholds_of_structures(
    slicer, panel, open_panel, a_case, a_segmentation_node, a_ct_node
):
    a_case.model["calibration"] = {
        "flags": {"threshold": [0, 1], "share": [0, 1], "structures": {"spleen": 0.4}, "structures_share": 0.06}
    }
    review_of(panel, a_segmentation_node, a_ct_node, a_case)
    ui, profile = panel.ui, panel.panel.review_panel.slice_profile
    assert ui.ownThresholdsCheckBox.enabled and [row[2] for row in texts(ui.resultsTable)] == ["3 / 4", "1 / 5"]
    click_row(ui.resultsTable, 0)
    assert profile.threshold == 0.8
    ui.ownThresholdsCheckBox.click()
    assert [row[2] for row in texts(ui.resultsTable)] == ["1 / 4", "1 / 5"] and profile.threshold == 0.4
    assert "6% of the slices of correct masks" in ui.thresholdSliderWidget.toolTip
    ui.thresholdSliderWidget.value = 0.6
    assert [row[2] for row in texts(ui.resultsTable)] == ["1 / 4", "0 / 5"], "the liver has none"
    panel.reviews.close_all()
    again = open_panel()
    assert again.ui.ownThresholdsCheckBox.checked
    assert [row[2] for row in texts(again.ui.resultsTable)] == ["1 / 4", "0 / 5"]


def test_a_review_goes_with_its_segmentation_or_ct(slicer, reviewed, a_ct_node):
    slicer.mrmlScene.RemoveNode(a_ct_node)
    slicer.app.processEvents()
    assert texts(reviewed.ui.resultsTable) == []
    assert list(reviewed.reviews) == []


def test_a_closed_scene_leaves_nothing(slicer, reviewed):
    reviewed.ui.nextFlaggedButton.click()
    slicer.mrmlScene.Clear(0)
    slicer.app.processEvents()
    assert texts(reviewed.ui.resultsTable) == []
    assert reviewed.panel.review_panel.slice_profile.bars == ()
    assert not reviewed.ui.applyButton.enabled


def test_a_new_panel_takes_the_review_up_without_scoring(reviewed, open_panel, a_segmentation_node, monkeypatch):
    reviewed.ui.nextFlaggedButton.click()
    reviewed.ui.acceptButton.click()
    reviewed.ui.thresholdSliderWidget.value = 0.7
    rows = texts(reviewed.ui.resultsTable)
    reviewed.reviews.close_all()
    again = open_panel()
    assert texts(again.ui.resultsTable) == rows
    assert again.ui.thresholdSliderWidget.value == pytest.approx(0.7)
    assert again.ui.acceptButton.text == "Undo accept"
    assert again.panel.review_panel.session.counts.accepted == 1


def test_the_scene_brings_the_review_back(slicer, reviewed, tmp_path):
    reviewed.ui.nextFlaggedButton.click()
    reviewed.ui.acceptButton.click()
    rows, label = texts(reviewed.ui.resultsTable), reviewed.ui.currentLabel.text
    path = tmp_path / "scene.mrb"
    assert slicer.util.saveScene(str(path))
    slicer.mrmlScene.Clear(0)
    assert texts(reviewed.ui.resultsTable) == []
    slicer.util.loadScene(str(path))
    slicer.app.processEvents()
    assert texts(reviewed.ui.resultsTable) == rows
    assert reviewed.ui.currentLabel.text == label
    assert reviewed.ui.acceptButton.text == "Undo accept"


def test_a_segment_that_was_removed_is_not_corrected_but_named(slicer, reviewed, a_segmentation_node, monkeypatch):
    said = []
    monkeypatch.setattr(slicer.util, "warningDisplay", lambda text, *_args, **_options: said.append(text))
    reviewed.ui.autoRescoreCheckBox.checked = False  # the row stays
    click_row(reviewed.ui.resultsTable, 0)
    a_segmentation_node.GetSegmentation().RemoveSegment("spleen")
    click(reviewed.ui.correctButton)
    assert said == ["spleen was removed from the segmentation, so there is nothing to correct"]
    assert reviewed.panel.correcting is None
    assert "spleen" in reviewed.ui.warningsLabel.text


def test_every_action_of_the_reader_is_in_the_scene_at_once(reviewed, a_segmentation_node):
    """Slicer does not tell before it saves, and a script gives the panel no time."""
    from QualitySentinelLib.scene import kept_review

    session, ui = reviewed.panel.review_panel.session, reviewed.ui
    actions = (
        ui.nextFlaggedButton.click, ui.acceptButton.click, ui.acceptSegmentButton.click, ui.undoButton.click,
        ui.redoButton.click, lambda: setattr(ui.thresholdSliderWidget, "value", 0.65),
    )  # fmt: skip
    for action in actions:
        before = session.to_state()
        action()
        assert session.to_state() != before
        assert kept_review(a_segmentation_node).to_state() == session.to_state()
