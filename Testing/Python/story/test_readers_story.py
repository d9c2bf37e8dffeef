"""A reader's day, sentence by sentence, as it is told in the issue: clicks and keys in, what is seen out."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt, QTimer
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QSlider, QWidget
from Testing.Host.user import LEFT, NONE, click, click_row, paint, press, scroll, show, wait_until
from Testing.Python.panel.using import scored_again

from QualitySentinelLib.scores import dsc_color

from .conftest import wait_for_scores
from .seeing import close_to, color_of, pixels_of, position_in, position_of, row_of, rows_of, visible_segments

SHIFT = Qt.KeyboardModifier.ShiftModifier


def click_bar(panel, k: int) -> None:
    """Click the middle of a bar of the slice profile."""
    plot = panel.panel.review_panel.slice_profile
    show(plot)
    QTest.mouseClick(plot, LEFT, NONE, QPoint(round(sum(plot.bar_of(k)) / 2), plot.height // 2))


def open_slices(panel) -> list[tuple[str, int]]:
    """(segment, k) of the slices to look at, in the order that Space goes through."""
    return [tuple(ref) for ref in panel.panel.review_panel.session.open_slices()]


def go_to_a_flagged_slice(panel) -> tuple[str, int]:
    """Flag every slice, click the row and a bar in the middle of the worst segment; (segment, k)."""
    panel.ui.thresholdSliderWidget.value = 1.0
    segment = panel.panel.review_panel.session.segments[0]
    segment_id, k = segment.segment_id, segment.slices[len(segment.slices) // 2].k
    click_row(panel.ui.resultsTable, row_of(panel, segment_id))
    click_bar(panel, k)
    return segment_id, k


def place_of(panel, k: int) -> float:
    """S position of a canonical slice of the torso, mm."""
    return -100 + 5.0 * k


class TestOpening:
    def test_inputs_are_already_chosen_and_structures_matched(self, panel, a_ct, a_segmentation):
        assert panel.ui.inputVolumeSelector.currentNode() is a_ct
        assert panel.ui.inputSegmentationSelector.currentNode() is a_segmentation
        assert panel.ui.matchedLabel.text == "All 2 segments are matched to structures"
        assert panel.ui.applyButton.enabled

    def test_segments_without_structure_are_named(self, slicer, a_ct, a_torso, segmentation_node_of, open_panel):
        segmentation_node_of(a_torso.labels, {1: "liver", 2: "Segment_2"}, a_ct)
        panel = open_panel()
        assert panel.ui.matchedLabel.text == "1 of 2 segments are matched to structures"
        assert "Segment_2" in panel.ui.matchedLabel.toolTip

    def test_before_apply_there_is_nothing_to_review(self, panel):
        assert rows_of(panel) == []
        buttons = "nextFlaggedButton previousFlaggedButton acceptButton acceptSegmentButton undoButton correctButton "
        buttons += "exportButton"
        assert not any(getattr(panel.ui, name).enabled for name in buttons.split())


class TestApply:
    @pytest.fixture
    def slow_model(self, panel, a_small_model, monkeypatch):
        """The model takes its time, so that there is something to watch."""
        real = a_small_model.draw

        def draw(*arguments):
            time.sleep(0.3)
            return real(*arguments)

        monkeypatch.setattr(a_small_model, "draw", draw, raising=False)

    def test_a_progress_bar_runs_and_slicer_stays_alive(self, panel):
        texts, ticks = [], []
        timer = QTimer()
        timer.timeout.connect(lambda: ticks.append(time.perf_counter()))
        timer.start(0)
        assert not panel.ui.progressBar.isVisible()
        click(panel.ui.applyButton)
        assert panel.ui.progressBar.isVisible() and panel.ui.cancelButton.enabled
        assert not panel.ui.applyButton.enabled

        def done():
            texts.append(panel.ui.progressBar.text)
            return panel.ui.applyButton.enabled

        wait_until(done, "the end of scoring")
        assert not panel.ui.progressBar.isVisible()
        assert len(set(texts)) > 2
        assert any("slices" in text for text in texts)
        assert len(ticks) > 5

    def test_the_progress_bar_says_how_long_it_will_take(self, panel, slow_model):
        seen = []
        click(panel.ui.applyButton)

        def said():
            seen.append(panel.ui.progressBar.text)
            return " left" in seen[-1] or panel.ui.applyButton.enabled

        wait_until(said, "a word on the time left")
        click(panel.ui.cancelButton) if panel.ui.cancelButton.enabled else None
        wait_for_scores(panel)
        if not any(" left" in text for text in seen):
            pytest.skip("the whole case took less than two seconds")
        assert "about" in seen[-1]

    def test_cancel_stops_and_what_was_finished_stays(self, panel):
        click(panel.ui.applyButton)
        click(panel.ui.cancelButton)
        wait_for_scores(panel)
        unfinished = rows_of(panel)
        assert [row for row in unfinished if not row[1]] == unfinished
        click(panel.ui.applyButton)
        wait_for_scores(panel)
        assert len(rows_of(panel)) == 2
        assert all(row[1] for row in rows_of(panel))

    def test_segments_turn_from_red_to_green(self, panel, a_segmentation, seen):
        own = color_of(a_segmentation, "liver")
        click(panel.ui.applyButton)
        wait_for_scores(panel)
        scores = {s.segment_id: s.predicted_dsc for s in panel.panel.review_panel.session.segments}
        for name, dsc in scores.items():
            assert color_of(a_segmentation, name) == pytest.approx(dsc_color(dsc), abs=1e-3)
        assert color_of(a_segmentation, "liver") != own
        a_segmentation.GetDisplayNode().SetOpacity2DFill(1.0)
        assert close_to(seen("Red"), dsc_color(scores["liver"]), within=8).mean() > 0.02

    def test_the_table_lists_them_worst_first_with_the_color_of_their_score(self, panel):
        click(panel.ui.applyButton)
        wait_for_scores(panel)
        rows = rows_of(panel)
        assert {row[0] for row in rows} == {"liver", "spleen"}
        assert [float(row[1]) for row in rows] == sorted(float(row[1]) for row in rows)
        swatch = panel.ui.resultsTable.item(0, 1).icon().pixmap(8).toImage().pixelColor(1, 1)
        worst = panel.panel.review_panel.session.segments[0]
        assert swatch.getRgbF()[:3] == pytest.approx(dsc_color(worst.predicted_dsc), abs=0.01)


class TestLooking:
    def test_a_click_on_a_row_shows_the_segment_alone_at_its_worst_slice(self, scored, a_segmentation):
        click_row(scored.ui.resultsTable, row_of(scored, "spleen"))
        assert visible_segments(a_segmentation) == {"spleen"}
        points = scored.panel.review_panel.session.profile(segment_id="spleen")
        worst = min((p for p in points if p.flagged or p.missed), key=lambda p: (p.predicted_dsc, p.k))
        assert position_of("Red") == pytest.approx(place_of(scored, worst.k))
        assert position_in("Red") == f"S: {worst.position_mm + 0.0:.1f} mm"
        assert f"slice {worst.slice_index}" in scored.ui.currentLabel.text
        click_row(scored.ui.resultsTable, row_of(scored, "liver"))
        assert visible_segments(a_segmentation) == {"liver"}

    def test_the_other_views_cut_the_segment_too(self, scored, a_torso):
        click_row(scored.ui.resultsTable, row_of(scored, "spleen"))
        k = scored.panel.review_panel.session.segment("spleen").slices[2].k
        click_bar(scored, k)
        ras = [a_torso.ijk_to_ras @ [i, j, k, 1.0] for j, i in np.argwhere(a_torso.labels[k] == 2)]
        assert min(abs(position_of("Yellow") - r) for r, *_ in ras) < 3.1
        assert min(abs(position_of("Green") - a) for _, a, *_ in ras) < 3.1

    def test_all_segments_come_back_when_one_alone_is_not_wanted(self, scored, a_segmentation):
        click_row(scored.ui.resultsTable, 0)
        click(scored.ui.showOnlySelectedCheckBox)
        assert visible_segments(a_segmentation) == {"liver", "spleen"}

    def test_the_slice_profile_shows_the_dsc_along_the_slices_flagged_ones_marked(self, scored):
        click_row(scored.ui.resultsTable, row_of(scored, "liver"))
        plot = scored.panel.review_panel.slice_profile
        slices = scored.panel.review_panel.session.segment("liver").slices
        masked = [p for p in plot.bars if not p.missed]
        assert [p.k for p in masked] == [s.k for s in slices]
        threshold = scored.ui.thresholdSliderWidget.value
        assert [p.mark == "flagged" for p in masked] == [s.predicted_dsc < threshold for s in slices]
        assert len({p.mark for p in masked}) == 2
        from QualitySentinelLib.panel.slice_profile import OPEN_COLOR

        show(plot)
        picture = pixels_of(plot)
        color = [int(OPEN_COLOR[n : n + 2], 16) / 255 for n in (1, 3, 5)]
        for bar in plot.bars:
            left, right = (round(x) for x in plot.bar_of(bar.k))
            assert close_to(picture[:, left + 1 : max(right - 1, left + 2)], color).any() == bool(bar.mark), bar

    def test_a_click_on_a_bar_jumps_there(self, scored):
        click_row(scored.ui.resultsTable, row_of(scored, "liver"))
        for slice_score in scored.panel.review_panel.session.segment("liver").slices[1:6:2]:
            click_bar(scored, slice_score.k)
            assert position_of("Red") == pytest.approx(slice_score.position_mm)
            assert f"slice {slice_score.slice_index}" in scored.ui.currentLabel.text

    def test_flagged_slices_are_told_at_a_glance_while_scrolling(self, scored, seen, slicer):
        click_row(scored.ui.resultsTable, row_of(scored, "liver"))
        session = scored.panel.review_panel.session
        flagged = {s.k: s.flagged for s in session.segment("liver").slices}
        also = {s.k for s in session.segment("spleen").slices if s.flagged}
        fine = next(k for k, f in flagged.items() if not f and k not in also)
        bad = next(k for k, f in flagged.items() if f)
        red = slicer.app.layoutManager().sliceWidget("Red")
        pictures = {}
        for k in (fine, bad):
            click_bar(scored, fine)
            scroll(red.sliceView(), k - fine)
            assert position_of("Red") == pytest.approx(place_of(scored, k))
            pictures[k] = seen("Red")
        strip = np.concatenate([pictures[bad][:, :6].ravel(), pictures[bad][:40].ravel()])
        calm = np.concatenate([pictures[fine][:, :6].ravel(), pictures[fine][:40].ravel()])
        assert (strip != calm).any(), "the border or the upper part of the view says nothing"


class TestKeys:
    def test_space_goes_to_the_next_flagged_slice_and_shift_space_back(self, scored):
        wanted = open_slices(scored)
        assert len(wanted) > 2
        visited = []
        for _ in wanted:
            press(Qt.Key.Key_Space, widget=scored.parent)
            visited.append(tuple(scored.panel.review_panel.session.current))
            assert position_of("Red") == pytest.approx(place_of(scored, visited[-1][1]))
        assert visited == wanted
        press(Qt.Key.Key_Space, SHIFT, scored.parent)
        assert tuple(scored.panel.review_panel.session.current) == wanted[-2]
        assert position_of("Red") == pytest.approx(place_of(scored, wanted[-2][1]))

    def test_keys_work_wherever_the_mouse_was_clicked_last(self, scored, slicer):
        wanted = open_slices(scored)
        click_row(scored.ui.resultsTable, row_of(scored, wanted[0][0]))
        view = slicer.app.layoutManager().sliceWidget("Red").sliceView()
        for widget in (scored.ui.resultsTable, view, scored.ui.acceptButton, scored.ui.thresholdSliderWidget):
            click_bar(scored, wanted[0][1])
            QWidget.setFocus(widget)
            press(Qt.Key.Key_N, widget=widget)
            assert tuple(scored.panel.review_panel.session.current) == wanted[1], widget

    def test_space_on_a_button_that_was_clicked_does_not_click_it_again(self, scored):
        wanted = open_slices(scored)
        click(scored.ui.nextFlaggedButton)
        press(Qt.Key.Key_Space, widget=scored.ui.nextFlaggedButton)
        assert tuple(scored.panel.review_panel.session.current) == wanted[1]
        click(scored.ui.acceptButton)
        press(Qt.Key.Key_Space, widget=scored.ui.acceptButton)
        assert tuple(scored.panel.review_panel.session.current) == wanted[2]
        assert scored.panel.review_panel.session.is_accepted(*wanted[1])
        assert not scored.panel.review_panel.session.is_accepted(*wanted[2])

    def test_keys_are_named_in_the_tooltips(self, panel):
        keys = {"nextFlagged": "Space", "previousFlagged": "Shift+Space", "accept": "(A)", "undo": "(Z)", "redo": "(Y)",
                "correct": "(E)", "acceptSegment": "(Shift+A)"}  # fmt: skip
        for name, key in keys.items():
            assert key in getattr(panel.ui, f"{name}Button").toolTip


class TestAccepting:
    def test_accept_marks_a_slice_as_fine_and_it_is_not_visited_again(self, scored):
        first, *rest = open_slices(scored)
        click(scored.ui.nextFlaggedButton)
        before = rows_of(scored)[row_of(scored, first[0])]
        click(scored.ui.acceptButton)
        after = rows_of(scored)[row_of(scored, first[0])]
        assert int(before[4]) - int(after[4] or 0) == 1
        assert before[2] == after[2], "an accepted slice is still predicted below the threshold"
        assert scored.ui.acceptButton.text == "Undo accept"
        assert "accepted" in scored.ui.currentLabel.text
        assert f"1 of {len(rest) + 1} reviewed" in scored.ui.reviewProgressBar.text
        assert open_slices(scored) == rest
        point = next(p for p in scored.panel.review_panel.slice_profile.bars if p.k == first[1])
        assert point.mark == "accepted"

    def test_an_accept_can_be_undone_and_done_again(self, scored):
        wanted = open_slices(scored)
        click(scored.ui.nextFlaggedButton)
        press(Qt.Key.Key_A, widget=scored.parent)
        assert len(open_slices(scored)) == len(wanted) - 1
        press(Qt.Key.Key_Z, widget=scored.parent)
        assert open_slices(scored) == wanted
        assert scored.ui.acceptButton.text == "Accept"
        click(scored.ui.redoButton)
        assert len(open_slices(scored)) == len(wanted) - 1

    def test_a_whole_segment_is_accepted_at_once(self, scored):
        click_row(scored.ui.resultsTable, row_of(scored, "liver"))
        click(scored.ui.acceptSegmentButton)
        assert {name for name, _ in open_slices(scored)} <= {"spleen"}
        assert rows_of(scored)[row_of(scored, "liver")][4] == ""
        click(scored.ui.undoButton)
        assert "liver" in {name for name, _ in open_slices(scored)}


class TestThreshold:
    def test_counts_follow_the_slider_as_it_moves(self, scored):
        slider = scored.ui.thresholdSliderWidget.findChild(QSlider)
        show(slider)
        texts, values = [], []
        width, middle = QWidget.width(slider), QWidget.height(slider) // 2
        start = round(width * scored.ui.thresholdSliderWidget.value)
        QTest.mousePress(slider, LEFT, NONE, QPoint(start, middle))
        for x in np.linspace(start, width - 2, 12):
            QTest.mouseMove(slider, QPoint(round(x), middle))
            texts.append(scored.ui.summaryLabel.text)
            values.append(scored.ui.thresholdSliderWidget.value)
        QTest.mouseRelease(slider, LEFT, NONE, QPoint(width - 2, middle))
        assert values[-1] > values[0]
        assert len(set(texts)) > 2, "the figures did not move with the slider"
        session = scored.panel.review_panel.session
        assert session.threshold == pytest.approx(scored.ui.thresholdSliderWidget.value, abs=1e-6)
        for row in rows_of(scored):
            slices = session.segment(row[0]).slices
            assert row[2] == f"{sum(s.predicted_dsc < session.threshold for s in slices)} / {len(slices)}"

    def test_nothing_is_scored_again_for_it(self, scored, a_small_model, monkeypatch):
        monkeypatch.setattr(a_small_model, "draw", lambda *_: pytest.fail("scored again"), raising=False)
        scored.ui.thresholdSliderWidget.value = 1.0
        assert all(len(set(row[2].split(" / "))) == 1 for row in rows_of(scored))
        scored.ui.thresholdSliderWidget.value = 0.0
        assert all(row[2].startswith("0 / ") for row in rows_of(scored))
        session = scored.panel.review_panel.session
        missed = {(s.segment_id, p.k) for s in session.segments for p in session.profile(s.segment_id) if p.missed}
        assert set(open_slices(scored)) == missed, "only missed slices are left"


class TestErrors:
    @pytest.fixture
    def critical(self, panel, a_small_model, monkeypatch):
        """The panel after Apply, with a model that finds the left half of every mask wrong, and a band missing."""

        def draw(images, *others):
            shares = np.zeros((len(images), 2, 64, 64), np.float32)
            shares[:, 0, :, :32] = 1.0  # the patient's right is on the left
            shares[:, 1, :, 28:32] = 1.0
            return a_small_model.score(images, *others), shares

        monkeypatch.setattr(a_small_model, "draw", draw, raising=False)
        click(panel.ui.applyButton)
        wait_for_scores(panel)
        panel.ui.thresholdSliderWidget.value = 1.0
        click_row(panel.ui.resultsTable, row_of(panel, "liver"))
        slices = panel.panel.review_panel.session.segment("liver").slices
        click_bar(panel, slices[len(slices) // 2].k)
        return panel

    @staticmethod
    def rest(panel) -> None:
        """Let edits be scored again."""
        review = panel.panel.review_panel.review
        wait_until(lambda: not panel.panel.rescoring.busy(review), "edits to be scored again")

    @staticmethod
    def mask(segmentation, ct) -> np.ndarray:
        from QualitySentinelLib.scene import segmentation_from_node

        whole = np.zeros((20, 32, 48), bool)
        (liver,) = segmentation_from_node(segmentation, ct, ["liver"])
        whole[liver.box] = liver.voxels()
        return whole

    def test_errors_are_in_the_views_while_they_are_wanted(self, critical, a_segmentation, seen):
        assert not critical.ui.applyToSliceButton.isVisible()
        before = seen("Red")
        press(Qt.Key.Key_X, widget=critical.parent)
        errors = a_segmentation.GetNodeReference("QualitySentinelErrors")
        assert errors.GetSegmentation().GetNumberOfSegments() == 2 and errors.GetName() == "Errors of liver"
        assert critical.ui.errorsLabel.text.startswith("This slice: remove ")
        shown = seen("Red")
        red, green, blue = np.moveaxis(shown.astype(int) - before.astype(int), 2, 0)
        assert ((red - green > 40) & (blue - green > 20)).mean() > 0.001, "magenta"
        assert critical.ui.inputSegmentationSelector.currentNode() is a_segmentation
        click(critical.ui.toggleErrorsButton)
        assert a_segmentation.GetNodeReference("QualitySentinelErrors") is None
        assert not critical.ui.errorsLabel.isVisible()

    def test_an_island_is_reached_applied_scored_again_and_undone(self, critical, a_segmentation, a_ct):
        before = self.mask(a_segmentation, a_ct)
        press(Qt.Key.Key_I, widget=critical.parent)
        assert critical.ui.errorsLabel.text.startswith("Island 1 of ")
        review = critical.panel.review_panel.review
        island, k = review.suggestions.island, review.session.current.k
        assert position_of("Red") == pytest.approx(place_of(critical, k))
        columns = sorted(set(island.voxels[island.voxels[:, 0] == k, 2].tolist()))
        first, last = (141 - 6.0 * i for i in (columns[-1], columns[0]))  # the torso's affine
        assert first - 3 <= position_of("Yellow") <= last + 3, "the other views cut the island, too"
        click(critical.ui.applyToIslandButton)
        wanted = before.copy()
        wanted[tuple(island.voxels.T)] = island.kind == "add"
        np.testing.assert_array_equal(self.mask(a_segmentation, a_ct), wanted)
        self.rest(critical)
        edited = {bar.k for bar in critical.panel.review_panel.slice_profile.bars if bar.edit}
        assert edited == set(island.voxels[:, 0].tolist())
        assert critical.ui.errorsLabel.text.startswith("Applied: predicted DSC ")
        click(critical.ui.undoEditButton)
        np.testing.assert_array_equal(self.mask(a_segmentation, a_ct), before)
        self.rest(critical)
        assert not any(bar.edit for bar in critical.panel.review_panel.slice_profile.bars)
        assert not critical.ui.undoEditButton.enabled

    def test_a_slice_gets_its_expected_mask_and_errors_are_exported(self, critical, a_segmentation, a_ct, tmp_path):
        before = self.mask(a_segmentation, a_ct)
        press(Qt.Key.Key_X, widget=critical.parent)
        k = critical.panel.review_panel.session.current.k
        press(Qt.Key.Key_V, widget=critical.parent)
        after = self.mask(a_segmentation, a_ct)
        assert [n for n in range(len(after)) if (after[n] != before[n]).any()] == [k]
        self.rest(critical)
        critical.ui.exportFolderEdit.currentPath = str(tmp_path / "out")
        click(critical.ui.exportButton)
        assert (tmp_path / "out" / "errors.seg.nrrd").is_file()
        assert "expected contour dashed" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


class TestCorrecting:
    @pytest.fixture
    def runs(self, scored, monkeypatch):
        """How many slices each scoring after an edit had to score."""
        return scored_again(scored.logic, monkeypatch)

    @pytest.fixture
    def correcting(self, scored, slicer):
        """The Segment Editor after Correct, at a flagged slice; gives (editor, segment id, k)."""
        segment_id, k = go_to_a_flagged_slice(scored)
        click(scored.ui.correctButton)
        return slicer.util.getModuleWidget("SegmentEditor").editor, segment_id, k

    def test_correct_opens_the_segment_editor_with_that_segment_and_slice(
        self, slicer, scored, correcting, a_ct, a_segmentation
    ):
        editor, segment_id, k = correcting
        assert slicer.util.mainWindow().moduleSelector().selectedModule == "SegmentEditor"
        assert editor.isVisible()
        assert (editor.segmentationNode(), editor.sourceVolumeNode()) == (a_segmentation, a_ct)
        assert editor.currentSegmentID() == segment_id
        assert position_of("Red") == pytest.approx(place_of(scored, k))

    def test_after_an_edit_only_the_changed_slice_is_scored_again_and_the_table_moves(
        self, slicer, scored, correcting, runs, a_torso
    ):
        editor, segment_id, k = correcting
        session = scored.panel.review_panel.session
        before = session.segment(segment_id).predicted_dsc
        other = "spleen" if segment_id == "liver" else "liver"
        old = {s.k: s.predicted_dsc for s in session.segment(segment_id).slices}
        untouched = {s.k: s.predicted_dsc for s in session.segment(other).slices}
        editor.setActiveEffectByName("Erase")
        editor.activeEffect().setParameter("BrushDiameterMm", 14)
        label = 1 if segment_id == "liver" else 2
        j, i = np.argwhere(a_torso.labels[k] == label).mean(axis=0)
        paint(slicer.app.layoutManager().sliceWidget("Red").sliceView(), (a_torso.ijk_to_ras @ [i, j, k, 1.0])[:3])
        wait_until(lambda: session.slice_score(segment_id, k).predicted_dsc != old[k], "a new score of the slice")
        wait_until(lambda: runs, "the end of scoring again")
        assert runs == [1], "slices that were not edited were scored, too"
        after = {s.k: s.predicted_dsc for s in session.segment(segment_id).slices}
        assert {n for n in old if old[n] != after[n]} == {k}
        assert {s.k: s.predicted_dsc for s in session.segment(other).slices} == untouched
        slicer.util.selectModule("QualitySentinel")
        rows = rows_of(scored)
        dsc = session.segment(segment_id).predicted_dsc
        assert dsc != before
        assert [float(row[1]) for row in rows] == sorted(float(row[1]) for row in rows)
        assert rows[row_of(scored, segment_id)][1] == f"{dsc:.2f}"
        assert session.edit_of(session.slice_score(segment_id, k)) is not None

    def test_painting_takes_nothing_from_segments_that_are_hidden(
        self, slicer, scored, correcting, a_segmentation, a_ct, a_torso
    ):
        editor, segment_id, _k = correcting
        hidden, label = ("spleen", 2) if segment_id == "liver" else ("liver", 1)
        assert not a_segmentation.GetDisplayNode().GetSegmentVisibility(hidden)
        here = slicer.util.getNode("vtkMRMLSliceNodeRed")
        k = int(np.argmax((a_torso.labels == label).sum(axis=(1, 2))))
        j, i = np.argwhere(a_torso.labels[k] == label).mean(axis=0)
        place = (a_torso.ijk_to_ras @ [i, j, k, 1.0])[:3]
        here.JumpSliceByCentering(*place)  # the views are zoomed to the other one
        before = slicer.util.arrayFromSegmentBinaryLabelmap(a_segmentation, hidden, a_ct).sum()
        painted = slicer.util.arrayFromSegmentBinaryLabelmap(a_segmentation, segment_id, a_ct).sum()
        editor.setActiveEffectByName("Paint")
        editor.activeEffect().setParameter("BrushDiameterMm", 14)
        paint(slicer.app.layoutManager().sliceWidget("Red").sliceView(), place)
        assert slicer.util.arrayFromSegmentBinaryLabelmap(a_segmentation, segment_id, a_ct).sum() > painted
        assert slicer.util.arrayFromSegmentBinaryLabelmap(a_segmentation, hidden, a_ct).sum() == before
        slicer.util.selectModule("QualitySentinel")
        settings = editor.mrmlSegmentEditorNode()
        assert settings.GetOverwriteMode() == settings.OverwriteAllSegments, "the user's setting has not come back"

    def test_a_slice_that_was_accepted_and_then_edited_is_open_again_or_fine(self, slicer, scored, runs, a_torso):
        segment_id, k = go_to_a_flagged_slice(scored)
        click(scored.ui.acceptButton)
        press(Qt.Key.Key_E, widget=scored.parent)
        editor = slicer.util.getModuleWidget("SegmentEditor").editor
        editor.setActiveEffectByName("Erase")
        label = 1 if segment_id == "liver" else 2
        j, i = np.argwhere(a_torso.labels[k] == label).mean(axis=0)
        paint(slicer.app.layoutManager().sliceWidget("Red").sliceView(), (a_torso.ijk_to_ras @ [i, j, k, 1.0])[:3])
        wait_until(lambda: runs, "scoring again")
        wait_until(lambda: not scored.panel.review_panel.session.is_accepted(segment_id, k), "the end of the accept")

    def test_in_the_segment_editor_n_goes_on_to_the_next_flagged_slice(self, slicer, scored, correcting):
        editor, segment_id, k = correcting
        wanted = open_slices(scored)
        segment_id, k = wanted[(wanted.index((segment_id, k)) + 1) % len(wanted)]
        press(Qt.Key.Key_N, widget=editor)
        assert position_of("Red") == pytest.approx(place_of(scored, k))
        assert editor.currentSegmentID() == segment_id

    def test_back_in_the_panel_keys_are_the_panel_s_again(self, slicer, scored, correcting):
        here = scored.panel.review_panel.session.current
        slicer.util.selectModule("QualitySentinel")
        press(Qt.Key.Key_N, widget=scored.parent)
        assert scored.panel.review_panel.session.current != here
        wanted = open_slices(scored)
        assert tuple(scored.panel.review_panel.session.current) == wanted[(wanted.index(tuple(here)) + 1) % len(wanted)]

    def test_undo_in_the_segment_editor_brings_the_score_back(self, slicer, scored, correcting, a_torso):
        editor, segment_id, k = correcting
        session = scored.panel.review_panel.session
        old = session.slice_score(segment_id, k).predicted_dsc
        editor.setActiveEffectByName("Erase")
        label = 1 if segment_id == "liver" else 2
        j, i = np.argwhere(a_torso.labels[k] == label).mean(axis=0)
        paint(slicer.app.layoutManager().sliceWidget("Red").sliceView(), (a_torso.ijk_to_ras @ [i, j, k, 1.0])[:3])
        wait_until(lambda: session.slice_score(segment_id, k).predicted_dsc != old, "a new score")
        editor.undo()
        wait_until(lambda: session.slice_score(segment_id, k).predicted_dsc == pytest.approx(old), "the old score")


class TestExport:
    def test_export_writes_tables_json_and_the_report(self, scored, tmp_path):
        click(scored.ui.nextFlaggedButton)
        click(scored.ui.acceptButton)
        scored.ui.exportFolderEdit.currentPath = str(tmp_path / "results")
        click(scored.ui.exportButton)
        folder = tmp_path / "results"
        names = {path.name for path in folder.iterdir()}
        assert names - {"errors.seg.nrrd"} == {
            "segments.csv", "slices.csv", "report.json", "report.html", "scored.seg.nrrd",
        }  # fmt: skip
        assert "results" in scored.ui.exportLabel.text
        report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        assert report["threshold"] == pytest.approx(scored.ui.thresholdSliderWidget.value)
        header, *lines = (folder / "slices.csv").read_text(encoding="utf-8").splitlines()
        columns = header.split(",")
        rows = [dict(zip(columns, line.split(","), strict=True)) for line in lines]
        assert sum(row["accepted"] == "1" for row in rows) == 1
        assert (folder / "report.html").stat().st_size > 5000


class TestRestoring:
    def test_restore_colors_leaves_the_segmentation_as_it_was(self, panel, a_segmentation):
        from .seeing import look_of

        a_segmentation.GetDisplayNode().SetSegmentVisibility("spleen", False)
        before = look_of(a_segmentation)
        click(panel.ui.applyButton)
        wait_for_scores(panel)
        for name in ("showQualityMap", "showQualitySurface", "showLegend"):
            click(getattr(panel.ui, f"{name}CheckBox"))
        click_row(panel.ui.resultsTable, 0)
        assert look_of(a_segmentation) != before
        click(panel.ui.restoreColorsButton)
        assert look_of(a_segmentation) == before
        assert len(rows_of(panel)) == 2, "scores are kept"
