"""What the views show of a review while the reader goes through it, leaves the panel, or reviews another one."""

from __future__ import annotations

import pytest
from Testing.Python.panel.using import click, click_row, review_of, run_events_until


def visible(segmentation_node):
    """Ids of the segments that are shown."""
    display = segmentation_node.GetDisplayNode()
    return {i for i in segmentation_node.GetSegmentation().GetSegmentIDs() if display.GetSegmentVisibility(i)}


def map_of(segmentation_node):
    """The quality map's node, ``None`` when it is not shown."""
    return segmentation_node.GetNodeReference("QualitySentinelQualityMap")


def voxels_with_dsc(slicer, segmentation_node):
    """How many voxels of the quality map have a value."""
    return int((slicer.util.arrayFromVolume(map_of(segmentation_node)) >= 0).sum())


def surface_of(segmentation_node):
    """The model's number of points in 3D views."""
    model = segmentation_node.GetNodeReference("QualitySentinelQualitySurface")
    return model.GetPolyData().GetNumberOfPoints()


@pytest.fixture
def other(a_torso, a_ct_node, segmentation_node_of):
    """Another segmentation of the same CT."""
    return segmentation_node_of(a_torso.labels, {1: "liver"}, a_ct_node)


class TestSelection:
    def test_the_quality_map_shows_the_segment_that_is_shown_alone(self, slicer, reviewed, a_segmentation_node):
        click(reviewed.ui.showQualityMapCheckBox)
        both = voxels_with_dsc(slicer, a_segmentation_node)
        click_row(reviewed.ui.resultsTable, 0)
        spleen = voxels_with_dsc(slicer, a_segmentation_node)
        click_row(reviewed.ui.resultsTable, 1)
        liver = voxels_with_dsc(slicer, a_segmentation_node)
        assert 0 < spleen < both and 0 < liver < both and spleen + liver == both
        click(reviewed.ui.showOnlySelectedCheckBox)
        assert voxels_with_dsc(slicer, a_segmentation_node) == both

    def test_so_does_the_surface(self, reviewed, a_segmentation_node):
        click(reviewed.ui.showQualitySurfaceCheckBox)
        both = surface_of(a_segmentation_node)
        click_row(reviewed.ui.resultsTable, 0)
        spleen = surface_of(a_segmentation_node)
        assert 0 < spleen < both
        click_row(reviewed.ui.resultsTable, 1)
        assert 0 < surface_of(a_segmentation_node) != spleen
        click(reviewed.ui.showOnlySelectedCheckBox)
        assert surface_of(a_segmentation_node) == both

    def test_a_step_inside_a_segment_draws_neither_anew(self, reviewed, monkeypatch):
        from QualitySentinelLib.panel import scene_display

        for name in ("showQualityMapCheckBox", "showQualitySurfaceCheckBox"):
            click(getattr(reviewed.ui, name))
        click_row(reviewed.ui.resultsTable, 0)
        drawn = []
        monkeypatch.setattr(scene_display.quality_map, "update_quality_map_steps", lambda *_: drawn.append("map"))
        monkeypatch.setattr(scene_display.scene, "show_quality_surface", lambda *_, **__: drawn.append("3D"))
        reviewed.ui.previousFlaggedButton.click()
        assert drawn == []

    def test_a_segment_that_was_removed_hides_no_other(self, reviewed, a_segmentation_node):
        reviewed.ui.autoRescoreCheckBox.click()
        a_segmentation_node.GetSegmentation().RemoveSegment("spleen")
        click_row(reviewed.ui.resultsTable, 0)
        assert visible(a_segmentation_node) == {"liver"}


class TestALargeQualityMap:
    """It is drawn in steps from the event loop."""

    @pytest.fixture(autouse=True)
    def in_steps(self, monkeypatch):
        from QualitySentinelLib.panel import scene_display

        monkeypatch.setattr(scene_display, "STEP_SECONDS", 0)

    def test_is_shown_when_it_is_drawn(self, slicer, reviewed, a_segmentation_node):
        click(reviewed.ui.showQualityMapCheckBox)
        assert map_of(a_segmentation_node) is None
        run_events_until(lambda: map_of(a_segmentation_node) is not None)
        assert voxels_with_dsc(slicer, a_segmentation_node) > 0

    def test_has_what_changed_while_it_was_drawn(self, slicer, reviewed, a_segmentation_node, a_case):
        click(reviewed.ui.showQualityMapCheckBox)
        segment = a_case["spleen"]
        for score in segment.slices:
            score.predicted_dsc, score.digest = 0.125, "edited"
        reviewed.panel.review_panel.session.update(a_case)

        def shown():
            return map_of(a_segmentation_node) and (slicer.util.arrayFromVolume(map_of(a_segmentation_node)) == 0.125)

        run_events_until(lambda: shown() is not None and shown().any())
        both = voxels_with_dsc(slicer, a_segmentation_node)
        click_row(reviewed.ui.resultsTable, 0)
        run_events_until(lambda: reviewed.panel.review_panel.review.display._map_run is None)
        assert shown().sum() == voxels_with_dsc(slicer, a_segmentation_node) < both

    def test_that_is_switched_off_before_it_is_drawn_is_not_shown(self, slicer, reviewed, a_segmentation_node):
        for _ in range(2):
            click(reviewed.ui.showQualityMapCheckBox)
        for _ in range(30):
            slicer.app.processEvents()
        assert map_of(a_segmentation_node) is None

    def test_that_is_drawn_when_its_scene_is_closed_is_dropped(self, slicer, reviewed):
        click(reviewed.ui.showQualityMapCheckBox)
        slicer.mrmlScene.Clear(0)
        for _ in range(30):
            slicer.app.processEvents()
        assert slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode") == []


class TestLeaving:
    def test_another_module_sees_all_segments_and_the_panel_one_again(self, slicer, reviewed, a_segmentation_node):
        click_row(reviewed.ui.resultsTable, 0)
        reviewed.exit()
        assert visible(a_segmentation_node) == {"liver", "spleen"}
        reviewed.enter()
        assert visible(a_segmentation_node) == {"spleen"}

    def test_another_review_takes_its_place_in_the_views(
        self, slicer, reviewed, a_segmentation_node, a_ct_node, other, a_case
    ):
        for name in ("showQualityMapCheckBox", "showQualitySurfaceCheckBox"):
            click(getattr(reviewed.ui, name))
        click_row(reviewed.ui.resultsTable, 0)
        reviewed.ui.inputSegmentationSelector.setCurrentNode(other)
        assert map_of(a_segmentation_node) is None and visible(a_segmentation_node) == {"liver", "spleen"}
        a_case.segments.pop()
        review_of(reviewed, other, a_ct_node, a_case)
        assert map_of(other) is not None
        reviewed.ui.inputSegmentationSelector.setCurrentNode(a_segmentation_node)
        assert map_of(other) is None and map_of(a_segmentation_node) is not None
        assert visible(a_segmentation_node) == {"spleen"}

    def test_a_segmentation_that_is_removed_takes_its_map_along(self, slicer, reviewed, a_segmentation_node):
        for name in ("showQualityMapCheckBox", "showQualitySurfaceCheckBox", "showLegendCheckBox"):
            click(getattr(reviewed.ui, name))
        slicer.mrmlScene.RemoveNode(a_segmentation_node)
        slicer.app.processEvents()
        assert [n.GetName() for n in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")] == ["CT"]
        assert not [n for n in slicer.util.getNodesByClass("vtkMRMLModelNode") if "DSC" in n.GetName()]
        assert slicer.util.getNodesByClass("vtkMRMLColorLegendDisplayNode") == []

    def test_a_map_that_is_hidden_is_not_saved(self, slicer, reviewed, tmp_path):
        click(reviewed.ui.showQualityMapCheckBox)
        click(reviewed.ui.showQualityMapCheckBox)
        path = tmp_path / "scene.mrb"
        assert slicer.util.saveScene(str(path))
        slicer.mrmlScene.Clear(0)
        slicer.util.loadScene(str(path))
        assert [n.GetName() for n in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")] == ["CT"]

    def test_restore_colors_works_without_a_review_too(self, slicer, reviewed, a_segmentation_node):
        from QualitySentinelLib.scene import show_only, show_quality_map, show_quality_surface

        case = reviewed.panel.review_panel.session.case
        reviewed.reviews.close_all()
        reviewed.panel.show_review(None)
        a_segmentation_node.RemoveNodeReferenceIDs("QualitySentinelReview")  # as when it cannot be read
        ct_node = reviewed.ui.inputVolumeSelector.currentNode()
        show_quality_map(a_segmentation_node, ct_node, case)
        show_quality_surface(a_segmentation_node, ct_node, case)
        show_only(a_segmentation_node, "spleen")
        reviewed.ui.restoreColorsButton.click()
        assert map_of(a_segmentation_node) is None
        assert a_segmentation_node.GetNodeReference("QualitySentinelQualitySurface") is None
        assert visible(a_segmentation_node) == {"liver", "spleen"}


def tag(segmentation_node, segment_id, name):
    """A segment's tag, ``None`` without."""
    from QualitySentinelLib.scene.tags import read_tags

    return read_tags(segmentation_node.GetSegmentation().GetSegment(segment_id)).get(f"QualitySentinel.{name}")


class TestRecord:
    def test_accepts_are_written_into_tags(self, reviewed, a_segmentation_node):
        click_row(reviewed.ui.resultsTable, 0)
        reviewed.ui.acceptButton.click()
        run_events_until(lambda: tag(a_segmentation_node, "spleen", "AcceptedSlices") == "1", 5)
        reviewed.ui.undoButton.click()
        run_events_until(lambda: tag(a_segmentation_node, "spleen", "AcceptedSlices") == "0", 5)
        assert tag(a_segmentation_node, "liver", "AcceptedSlices") == "0"

    def test_what_cannot_be_shown_is_written_all_the_same(self, reviewed, monkeypatch):
        review = reviewed.panel.review_panel.review
        review.record.write()

        def fail(_event):
            raise RuntimeError("nothing can be drawn")

        monkeypatch.setattr(review.display, "follow", fail)
        reviewed.ui.nextFlaggedButton.click()
        assert review.record.due

    def test_an_accept_just_before_the_panel_goes_is_kept(self, reviewed, a_segmentation_node):
        from QualitySentinelLib.scene import kept_review

        click_row(reviewed.ui.resultsTable, 0)
        k = reviewed.panel.review_panel.session.current.k
        reviewed.ui.acceptButton.click()
        reviewed.cleanup()
        assert kept_review(a_segmentation_node).is_accepted("spleen", k)


@pytest.fixture
def add_view(slicer):
    """A function that adds a view's node of a class, as a new layout does. A scene that is closed keeps such nodes."""
    nodes = []

    def add(kind, name="Slice4"):
        node = kind()
        node.SetLayoutName(name)
        nodes.append(slicer.mrmlScene.AddNode(node))
        return nodes[-1]

    yield add
    for node in nodes:
        slicer.mrmlScene.RemoveNode(node)


def test_a_map_in_views_of_a_new_layout(slicer, reviewed, a_segmentation_node, add_view):
    click(reviewed.ui.showQualityMapCheckBox)
    composite, chosen = (add_view(slicer.vtkMRMLSliceCompositeNode, name) for name in ("Slice4", "Slice5"))
    reviewed.panel.show_in_new_views(3)
    assert composite.GetForegroundVolumeID() == map_of(a_segmentation_node).GetID()
    chosen.SetForegroundVolumeID(reviewed.ui.inputVolumeSelector.currentNode().GetID())
    drawn = map_of(a_segmentation_node).GetImageData().GetMTime()
    reviewed.panel.show_in_new_views(4)
    assert chosen.GetForegroundVolumeID() == reviewed.ui.inputVolumeSelector.currentNode().GetID(), "the user's choice"
    assert map_of(a_segmentation_node).GetImageData().GetMTime() == drawn, "a layout changes no voxel"
    click(reviewed.ui.showQualityMapCheckBox)
    assert composite.GetForegroundVolumeID() is None


def test_views_of_a_new_layout_are_marked(slicer, reviewed, add_view):
    before = len(reviewed.panel.review_panel.review.display._marks.Observations)
    add_view(slicer.vtkMRMLSliceNode)
    reviewed.panel.show_in_new_views(3)
    assert len(reviewed.panel.review_panel.review.display._marks.Observations) == before + 1


class TestWindowAndZoom:
    @pytest.fixture
    def lung(self, slicer, panel, a_case, a_segmentation_node, a_ct_node):
        """A review of liver and of a segment called lung, which is the spleen's."""
        a_segmentation_node.GetSegmentation().GetSegment("spleen").SetName("lung upper lobe left")
        a_case["spleen"].name = a_case["spleen"].structure = "lung upper lobe left"
        a_ct_node.GetDisplayNode().SetAutoWindowLevel(False)
        a_ct_node.GetDisplayNode().SetWindowLevel(2000, 500)
        review_of(panel, a_segmentation_node, a_ct_node, a_case)
        return panel

    def window(self, ct_node):
        display = ct_node.GetDisplayNode()
        return display.GetLevel(), display.GetWindow()

    def test_the_ct_has_the_window_of_the_selected_structure(self, lung, a_ct_node):
        assert self.window(a_ct_node) == (500, 2000), "nothing is selected"
        click_row(lung.ui.resultsTable, 0)
        assert self.window(a_ct_node) == (-600, 1500)
        click_row(lung.ui.resultsTable, 1)
        assert self.window(a_ct_node) == (40, 400)
        click(lung.ui.fitWindowCheckBox)
        assert self.window(a_ct_node) == (500, 2000)

    def test_a_window_that_the_reader_has_set_stays_within_a_segment(self, lung, a_ct_node):
        click_row(lung.ui.resultsTable, 0)
        a_ct_node.GetDisplayNode().SetWindowLevel(900, -100)
        lung.panel.review_panel.session.go_to("spleen", 8)
        assert self.window(a_ct_node) == (-100, 900)

    def test_restore_and_another_segmentation_take_both_back(self, slicer, lung, a_ct_node, a_segmentation_node):
        view = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSliceNode")
        view.SetFieldOfView(900, 600, 1)
        click_row(lung.ui.resultsTable, 0)
        assert view.GetFieldOfView()[0] < 900
        click(lung.ui.restoreColorsButton)
        assert self.window(a_ct_node) == (500, 2000) and view.GetFieldOfView() == (900, 600, 1)
        for box in (lung.ui.fitWindowCheckBox, lung.ui.zoomToSelectedCheckBox):
            assert not box.checked
            click(box)
        assert self.window(a_ct_node) == (-600, 1500) and view.GetFieldOfView()[0] < 900
        lung.panel.show_review(None)
        assert self.window(a_ct_node) == (500, 2000) and view.GetFieldOfView() == (900, 600, 1)
