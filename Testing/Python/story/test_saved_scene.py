"""Close and reopen the scene: everything is still there. Two segmentations can be reviewed in one scene."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from Testing.Host.user import click, click_row, press, wait_until

from .conftest import wait_for_scores
from .seeing import color_of, look_of, row_of, rows_of


def what_is_seen(panel) -> dict:
    """What the panel shows of a review, as texts."""
    ui = panel.ui
    return {
        "rows": rows_of(panel),
        "summary": ui.summaryLabel.text,
        "current": ui.currentLabel.text,
        "progress": ui.reviewProgressBar.text,
        "threshold": round(ui.thresholdSliderWidget.value, 4),
        "strip": panel.panel.review_panel.slice_profile.bars,
        "selected": ui.resultsTable.currentRow(),
    }


def save_scene(slicer, path) -> None:
    """File, Save, right after the last click: the panel is not told, and gets no time."""
    assert slicer.util.saveScene(str(path))


def close_scene(slicer) -> None:
    """File, Close scene."""
    slicer.mrmlScene.Clear(0)
    slicer.app.processEvents()


class TestReopening:
    @pytest.fixture
    def reviewed(self, scored):
        """A slice accepted, another looked at."""
        click(scored.ui.nextFlaggedButton)
        click(scored.ui.acceptButton)
        press(Qt.Key.Key_Space, widget=scored.parent)
        return scored

    @pytest.mark.parametrize("name", ["case.mrb", "folder"])
    def test_scores_accepts_threshold_place_and_colors_come_back(
        self, slicer, reviewed, a_segmentation, tmp_path, name
    ):
        before, color = what_is_seen(reviewed), color_of(a_segmentation, "liver")
        assert "1 accepted" in before["summary"]
        save_scene(slicer, tmp_path / name)
        close_scene(slicer)
        assert rows_of(reviewed) == []
        saved = next((tmp_path / name).glob("*.mrml")) if name == "folder" else tmp_path / name
        slicer.util.loadScene(str(saved))
        slicer.app.processEvents()
        assert what_is_seen(reviewed) == before
        assert color_of(slicer.util.getNode("Segmentation"), "liver") == pytest.approx(color, abs=1e-3)

    def test_the_review_goes_on_after_reopening(self, slicer, reviewed, tmp_path):
        save_scene(slicer, tmp_path / "case.mrb")
        close_scene(slicer)
        slicer.util.loadScene(str(tmp_path / "case.mrb"))
        here = reviewed.panel.review_panel.session.current
        press(Qt.Key.Key_Space, widget=reviewed.parent)
        assert reviewed.panel.review_panel.session.current != here
        click(reviewed.ui.acceptButton)
        assert "2 accepted" in reviewed.ui.summaryLabel.text

    def test_apply_after_reopening_scores_nothing_again(self, slicer, reviewed, a_small_model, tmp_path):
        rows = rows_of(reviewed)
        save_scene(slicer, tmp_path / "case.mrb")
        close_scene(slicer)
        slicer.util.loadScene(str(tmp_path / "case.mrb"))
        click(reviewed.ui.applyButton)
        wait_for_scores(reviewed)
        assert rows_of(reviewed) == rows
        assert "1 accepted" in reviewed.ui.summaryLabel.text

    def test_a_panel_that_is_opened_after_loading_shows_the_review_too(self, slicer, reviewed, open_panel, tmp_path):
        before = what_is_seen(reviewed)
        save_scene(slicer, tmp_path / "case.mrb")
        slicer.util.mainWindow().leave_module()
        close_scene(slicer)
        slicer.util.loadScene(str(tmp_path / "case.mrb"))
        assert what_is_seen(open_panel()) == before

    def test_restore_colors_works_after_reopening_too(self, slicer, a_segmentation, open_panel, tmp_path):
        before = look_of(a_segmentation)
        panel = open_panel()
        click(panel.ui.applyButton)
        wait_for_scores(panel)
        click_row(panel.ui.resultsTable, 0)
        save_scene(slicer, tmp_path / "case.mrb")
        close_scene(slicer)
        slicer.util.loadScene(str(tmp_path / "case.mrb"))
        segmentation = slicer.util.getNode("Segmentation")
        assert look_of(segmentation) != before
        click(panel.ui.restoreColorsButton)
        after = look_of(segmentation)
        for name, look in before.items():
            assert (
                after[name] == pytest.approx(look)
                if not name
                else flat(after[name]) == pytest.approx(flat(look), abs=1e-3)
            )

    def test_scores_travel_with_the_exported_segmentation(self, slicer, reviewed, a_segmentation, tmp_path):
        wait_until(lambda: not any(review.record.due for review in reviewed.reviews), "the tags")
        path = tmp_path / "out.seg.nrrd"
        slicer.util.saveNode(a_segmentation, str(path))
        assert b"QualitySentinel.PredictedDSC" in path.read_bytes()[:20000]


class TestTwoSegmentations:
    @pytest.fixture
    def two(self, scored, a_torso, a_ct, segmentation_node_of):
        """The first segmentation is scored; another, of the same CT, has a spleen alone."""
        return scored, segmentation_node_of(a_torso.labels, {2: "spleen"}, a_ct, "Other")

    def choose(self, panel, segmentation):
        panel.ui.inputSegmentationSelector.setCurrentNode(segmentation)

    def test_each_has_its_own_scores_threshold_and_place(self, two, a_segmentation):
        panel, other = two
        click_row(panel.ui.resultsTable, row_of(panel, "liver"))
        click(panel.ui.acceptSegmentButton)
        first = what_is_seen(panel)
        self.choose(panel, other)
        assert rows_of(panel) == []
        assert panel.ui.matchedLabel.text == "All 1 segments are matched to structures"
        click(panel.ui.applyButton)
        wait_for_scores(panel)
        assert [row[0] for row in rows_of(panel)] == ["spleen"]
        panel.ui.thresholdSliderWidget.value = 0.11
        second = what_is_seen(panel)
        self.choose(panel, a_segmentation)
        assert what_is_seen(panel) == first
        self.choose(panel, other)
        assert what_is_seen(panel) == second

    def test_clicks_act_on_the_one_that_is_shown(self, two, a_segmentation):
        panel, other = two
        click(panel.ui.nextFlaggedButton)
        first = what_is_seen(panel)
        self.choose(panel, other)
        click(panel.ui.applyButton)
        wait_for_scores(panel)
        panel.ui.thresholdSliderWidget.value = 1.0
        click(panel.ui.nextFlaggedButton)
        click(panel.ui.acceptButton)
        self.choose(panel, a_segmentation)
        assert what_is_seen(panel) == first

    def test_both_come_back_with_the_scene(self, slicer, two, a_segmentation, tmp_path):
        from QualitySentinelLib.scene import kept_review

        panel, other = two
        first = rows_of(panel)
        self.choose(panel, other)
        click(panel.ui.applyButton)
        wait_for_scores(panel)
        second = rows_of(panel)
        wait_until(lambda: kept_review(other) is not None, "the new scores in the scene")
        save_scene(slicer, tmp_path / "case.mrb")
        close_scene(slicer)
        slicer.util.loadScene(str(tmp_path / "case.mrb"))
        assert rows_of(panel) == second, "the one that was shown is shown again"
        self.choose(panel, slicer.util.getNode("Segmentation"))
        assert rows_of(panel) == first

    def test_removing_one_leaves_the_other(self, slicer, two, a_segmentation):
        panel, other = two
        self.choose(panel, other)
        click(panel.ui.applyButton)
        wait_for_scores(panel)
        rows = rows_of(panel)
        slicer.mrmlScene.RemoveNode(a_segmentation)
        assert rows_of(panel) == rows
        slicer.mrmlScene.RemoveNode(other)
        assert rows_of(panel) == []


def flat(look) -> list[float]:
    """Numbers of a segment's look, in one list."""
    return [float(x) for item in look for x in (item if isinstance(item, tuple) else (item,))]
