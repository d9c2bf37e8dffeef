"""The CT in the window of a structure, and views zoomed to a segment: both go back to what was before."""

from __future__ import annotations

import numpy as np
import pytest

from QualitySentinelLib.anatomy.windows import BONE, LUNG


def window(node):
    display = node.GetDisplayNode()
    return bool(display.GetAutoWindowLevel()), display.GetWindow(), display.GetLevel()


@pytest.mark.parametrize("automatic", [False, True])
def test_a_window_is_shown_and_taken_back(slicer, a_ct_node, automatic):
    from QualitySentinelLib.scene.views import restore_window, show_window

    display = a_ct_node.GetDisplayNode()
    display.SetAutoWindowLevel(automatic)
    if not automatic:
        display.SetWindowLevel(321, 123)
    before = window(a_ct_node)
    restore_window(a_ct_node)  # nothing to do
    for preset in (LUNG, BONE):
        show_window(a_ct_node, preset)
        assert window(a_ct_node) == (False, preset.width, preset.level)
    restore_window(a_ct_node)
    assert window(a_ct_node) == pytest.approx(before)
    assert not list(display.GetAttributeNames() or ())


class TestZoom:
    @pytest.fixture
    def views(self, slicer):
        """Three slice views of 300 x 200 pixels that show more than the torso."""
        made = []
        for name, axial in (("Axial", True), ("Coronal", False)):
            view = slicer.vtkMRMLSliceNode()
            view.SetName(name)
            view.SetLayoutName(name)
            view = slicer.mrmlScene.AddNode(view)
            view.SetDimensions(300, 200, 1)
            view.SetFieldOfView(600.0, 400.0, 1.0)
            (view.SetOrientationToAxial if axial else view.SetOrientationToCoronal)()
            view.JumpSliceByCentering(3.0, 4.0, -60.0)
            made.append(view)
        return made

    def place(self, slicer, view):
        to_ras = slicer.util.arrayFromVTKMatrix(view.GetSliceToRAS())
        return [*view.GetFieldOfView(), *to_ras.ravel(), *view.GetXYZOrigin()]

    def test_a_segment_fills_the_views_and_the_way_back_is_the_same(
        self, slicer, views, a_ct_node, a_segmentation_node, a_torso
    ):
        from QualitySentinelLib.scene.views import LEAST_MM, restore_zoom, zoom_to_segment

        views[0].SetXYZOrigin(90.0, -30.0, 0.0)  # the reader has dragged the view
        before = [self.place(slicer, view) for view in views]
        for segment_id, label in (("liver", 1), ("spleen", 2)):
            zoom_to_segment(a_segmentation_node, segment_id, a_ct_node)
            k, j, i = np.nonzero(a_torso.labels == label)
            ras = (np.stack([i, j, k, np.ones(len(i))], axis=1) @ a_torso.ijk_to_ras.T)[:, :3]
            for view in views:
                to_view = np.linalg.inv(slicer.util.arrayFromVTKMatrix(view.GetXYToRAS()))
                x, y, _ = (np.c_[ras, np.ones(len(ras))] @ to_view.T)[:, :3].T
                assert x.min() > 0 and x.max() < 300 and y.min() > 0 and y.max() < 200, "all of it is in sight"
                assert (x.min() + x.max()) / 2 == pytest.approx(150, abs=6)
                width, height, _depth = view.GetFieldOfView()
                assert np.ptp(x) > 300 / 2 or np.ptp(y) > 200 / 2 or min(width, height) == pytest.approx(LEAST_MM)
                assert width / height == pytest.approx(1.5), "nothing is stretched"
        restore_zoom(a_segmentation_node)
        for view, was in zip(views, before, strict=True):
            assert self.place(slicer, view) == pytest.approx(was)
        restore_zoom(a_segmentation_node)  # nothing left to do

    def test_the_slices_shown_stay(self, slicer, views, a_ct_node, a_segmentation_node):
        from QualitySentinelLib.scene.views import restore_zoom, zoom_to_segment

        zoom_to_segment(a_segmentation_node, "liver", a_ct_node)
        assert views[0].GetSliceOffset() == pytest.approx(-60.0)
        views[0].JumpSliceByOffsetting(0, 0, -45.0)
        restore_zoom(a_segmentation_node)
        assert views[0].GetSliceOffset() == pytest.approx(-45.0), "the reader has gone on meanwhile"

    def test_an_empty_segment_changes_nothing(self, slicer, views, a_ct_node, a_segmentation_node):
        from QualitySentinelLib.scene.views import zoom_to_segment

        a_segmentation_node.GetSegmentation().AddEmptySegment("empty", "empty")
        before = [self.place(slicer, view) for view in views]
        for segment_id in ("empty", "gone"):
            zoom_to_segment(a_segmentation_node, segment_id, a_ct_node)
        assert [self.place(slicer, view) for view in views] == before
