"""While scrolling, the axial view says that a slice is flagged or missed; nothing of it stays behind."""

from __future__ import annotations

import numpy as np
import pytest

from QualitySentinelLib.review import ReviewPresenter, ReviewSession
from QualitySentinelLib.scores import CaseScore, SegmentScore, SliceScore, Status, dsc_color, flag

FLAGGED, FINE, MISSED = 7, 8, 12


@pytest.fixture
def a_review() -> ReviewSession:
    """The liver is flagged in a slice, fine in the next, missed in another; the spleen is worse in the first.

    In the slice that misses the liver, the spleen is flagged too.
    """
    liver = SegmentScore("liver", "liver", "liver", Status.SCORED, 2, 0.7)
    liver.slices = [_slice("liver", FLAGGED, 0.6), _slice("liver", FINE, 0.95)]
    liver.empty_slices = [
        SliceScore("liver", MISSED, MISSED, 0.0, 0.1, 0.1, 1.0, "digest", nearest_k=FINE, inner=True, missed=True)
    ]
    spleen = SegmentScore("spleen", "spleen", "spleen", Status.SCORED, 1, 0.3)
    spleen.slices = [_slice("spleen", FLAGGED, 0.3), _slice("spleen", MISSED, 0.5)]
    case = CaseScore([liver, spleen], 0.8)
    flag(case)
    return ReviewSession(case)


def _slice(segment_id, k, dsc):
    return SliceScore(segment_id, k, k, 0.0, dsc, dsc, 100.0, f"digest{k}")


class View:
    """Called like qMRMLSliceView; its window is not drawn unless it is that of a view of trame-slicer's."""

    def __init__(self, window):
        self.window, self.asked = window, 0

    def destroy(self):
        """As Qt does with the views of a layout that is left; PythonQt then complains about every call."""
        self.window = None

    def renderWindow(self):
        if self.window is None:
            raise ValueError("Trying to call 'renderWindow' on a destroyed qMRMLSliceView object")
        return self.window

    def scheduleRender(self):
        if self.window is None:
            raise ValueError("Trying to call 'scheduleRender' on a destroyed qMRMLSliceView object")
        self.asked += 1

    def pixels(self) -> np.ndarray:
        import vtk
        from vtk.util.numpy_support import vtk_to_numpy

        self.window.Render()
        grab = vtk.vtkWindowToImageFilter()
        grab.SetInput(self.window)
        grab.ReadFrontBufferOff()
        grab.Update()
        width, height, _ = grab.GetOutput().GetDimensions()
        rgb = vtk_to_numpy(grab.GetOutput().GetPointData().GetScalars()).reshape(height, width, -1)
        return rgb[::-1, :, :3].astype(int)

    def props(self) -> list:
        return [p for r in self.window.GetRenderers() for p in r.GetViewProps()]

    def texts(self) -> list[str]:
        """What is written in the view now."""
        return [p.GetInput().strip() for p in self.props() if p.IsA("vtkTextActor") and p.GetVisibility()]


@pytest.fixture
def views(slicer):
    """An axial and a coronal view by layout name, 420 pixels wide."""
    import vtk

    found = {}
    for name, orientation in (("Red", "Axial"), ("Green", "Coronal")):
        for made in (slicer.vtkMRMLSliceCompositeNode(), slicer.vtkMRMLSliceNode()):
            made.SetLayoutName(name)
            node = slicer.mrmlScene.AddNode(made)  # the one that is there already, if there is
        node.SetOrientation(orientation)
        node.SetDimensions(420, 240, 1)
        window = vtk.vtkRenderWindow()
        window.AddRenderer(vtk.vtkRenderer())
        found[name] = View(window)
    return found


@pytest.fixture
def a_real_view(slicer, a_ct_node):
    """A function that opens a real axial view of the CT."""
    from Testing.Host.headless_slicer import start
    from trame_slicer.views import DirectViewFactory, ViewLayoutDefinition

    core = start()
    core.app_logic.GetColorLogic().AddDefaultColorNodes()  # an emptied scene has lost them
    a_ct_node.GetDisplayNode().SetDefaultColorMap()
    if not core.view_manager._factories:
        core.view_manager.register_factory(DirectViewFactory(do_render_offscreen=True))
    drawn = core.view_manager.create_view(ViewLayoutDefinition.axial_view())
    drawn.set_background_volume_id(a_ct_node.GetID())
    drawn.update_size(420, 240)
    drawn.fit_view_to_content()
    yield View(drawn.render_window())
    drawn.finalize()


@pytest.fixture
def marks(a_ct_node, a_review, views):
    from QualitySentinelLib.scene import FlagMarks

    marks = FlagMarks(a_ct_node, ReviewPresenter(a_review), find_view=lambda n: views.get(n.GetLayoutName()))
    yield marks
    marks.remove()


def test_a_flagged_slice_has_a_frame_in_its_color_and_leaves_no_trace(
    slicer, a_ct_node, a_review, a_real_view
):
    from QualitySentinelLib.scene import FlagMarks, jump_to_slice

    jump_to_slice(a_ct_node, FLAGGED)
    nodes, props, blank = slicer.mrmlScene.GetNumberOfNodes(), a_real_view.props(), a_real_view.pixels()
    marks = FlagMarks(a_ct_node, ReviewPresenter(a_review), find_view=lambda _node: a_real_view)
    assert slicer.mrmlScene.GetNumberOfNodes() == nodes
    shown = a_real_view.pixels()
    color = [255 * c for c in dsc_color(0.3)]
    for border in (shown[50:-50, :3], shown[50:-50, -3:], shown[-3:, 50:-50]):
        assert border.reshape(-1, 3) == pytest.approx(np.tile(color, (border.size // 3, 1)), abs=3)
    assert np.array_equal(shown[60:-10, 10:-10], blank[60:-10, 10:-10])  # the picture itself is not touched
    jump_to_slice(a_ct_node, FINE)
    assert a_real_view.texts() == []
    assert np.ptp(a_real_view.pixels()[120, :3], axis=1).max() == 0  # no color
    jump_to_slice(a_ct_node, MISSED)
    assert words_on(a_real_view.pixels()[:70], 0.0) > 20 and words_on(a_real_view.pixels()[:70], 0.5) > 20
    jump_to_slice(a_ct_node, FLAGGED)
    marks.remove()
    assert a_real_view.props() == props
    assert np.array_equal(a_real_view.pixels(), blank)


def words_on(pixels: np.ndarray, dsc: float) -> int:
    """White pixels in rows that have the ground of a line of text, and of no other."""
    ground = (np.abs(pixels - [round(255 * c) for c in dsc_color(dsc)]) < 6).all(axis=2)
    rows = np.flatnonzero(ground.sum(axis=1) > 20)
    return int((pixels[rows].min(axis=2) > 180).sum())


def test_a_flagged_slice_names_its_segments_worst_first(a_ct_node, views, marks):
    from QualitySentinelLib.scene import jump_to_slice

    jump_to_slice(a_ct_node, FLAGGED)
    assert views["Red"].texts() == ["Flagged: spleen 0.30, liver 0.60"]
    jump_to_slice(a_ct_node, FINE)
    assert views["Red"].texts() == []


def test_a_missed_slice_is_told_where_no_mask_is(a_ct_node, views, marks):
    from QualitySentinelLib.scene import jump_to_slice

    jump_to_slice(a_ct_node, MISSED)
    assert views["Red"].texts() == ["Missed: liver", "Flagged: spleen 0.50"]


def test_only_axial_views_of_this_ct_are_marked(slicer, a_ct_node, a_torso, views, marks):
    from QualitySentinelLib.scene import jump_to_slice

    jump_to_slice(a_ct_node, FLAGGED, (0, 0, -65))
    assert views["Green"].props() == []
    other = slicer.util.addVolumeFromArray(a_torso.hu, a_torso.ijk_to_ras, "Other")
    assert views["Red"].texts()
    composite = next(c for c in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode") if c.GetLayoutName() == "Red")
    composite.SetBackgroundVolumeID(other.GetID())
    marks.update()
    assert views["Red"].texts() == []


def test_marks_follow_the_threshold_and_accepts(a_ct_node, a_review, views, marks):
    from QualitySentinelLib.scene import jump_to_slice

    jump_to_slice(a_ct_node, FLAGGED)
    a_review.accept("spleen", FLAGGED)
    assert views["Red"].texts() == ["Flagged: liver 0.60"]
    a_review.set_threshold(0.5)
    assert views["Red"].texts() == []
    a_review.undo()
    assert views["Red"].texts() == ["Flagged: spleen 0.30"]


def test_scrolling_draws_only_when_the_mark_changes(a_ct_node, views, marks):
    from QualitySentinelLib.scene import jump_to_slice

    jump_to_slice(a_ct_node, FLAGGED)
    before = views["Red"].asked
    for k in (0, 1, 2, 3, FINE):
        jump_to_slice(a_ct_node, k)
    assert views["Red"].asked == before + 1


def a_view():
    import vtk

    window = vtk.vtkRenderWindow()
    window.AddRenderer(vtk.vtkRenderer())
    return View(window)


@pytest.mark.parametrize("asked_to_look", [True, False])
def test_views_that_another_layout_has_made_anew_are_marked(a_ct_node, views, marks, asked_to_look):
    from QualitySentinelLib.scene import jump_to_slice

    jump_to_slice(a_ct_node, FLAGGED)
    views["Red"].destroy()
    views["Red"] = a_view()
    if asked_to_look:
        marks.update()
    else:
        jump_to_slice(a_ct_node, FINE)
        jump_to_slice(a_ct_node, FLAGGED)
    assert views["Red"].texts() == ["Flagged: spleen 0.30, liver 0.60"] and views["Red"].asked
    jump_to_slice(a_ct_node, MISSED)
    assert views["Red"].texts() == ["Missed: liver", "Flagged: spleen 0.50"]
    marks.remove()
    assert views["Red"].props() == []


def test_views_that_are_gone_for_good_do_no_harm(slicer, a_ct_node, a_review, views, marks):
    from QualitySentinelLib.scene import jump_to_slice

    jump_to_slice(a_ct_node, FLAGGED)
    node = next(n for n in slicer.util.getNodesByClass("vtkMRMLSliceNode") if n.GetLayoutName() == "Red")
    views.pop("Red").destroy()
    a_review.set_threshold(0.4)
    marks.update()
    slicer.mrmlScene.RemoveNode(node)
    marks.update()
    a_review.set_threshold(0.8)
    marks.remove()


def test_removed_marks_follow_nothing_any_more(a_ct_node, a_review, views, marks):
    from QualitySentinelLib.scene import jump_to_slice

    marks.remove()
    jump_to_slice(a_ct_node, FLAGGED)
    a_review.set_threshold(0.99)
    assert views["Red"].props() == []


def test_a_ct_that_was_bent_or_emptied_is_not_marked(slicer, a_ct_node, views, marks):
    import vtk

    from QualitySentinelLib.scene import jump_to_slice

    jump_to_slice(a_ct_node, FLAGGED)
    bend = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode")
    bend.SetAndObserveTransformToParent(vtk.vtkThinPlateSplineTransform())
    a_ct_node.SetAndObserveTransformNodeID(bend.GetID())
    marks.update()
    assert views["Red"].texts() == []
    a_ct_node.SetAndObserveTransformNodeID(None)
    marks.update()
    assert views["Red"].texts()
    a_ct_node.SetAndObserveImageData(None)
    marks.update()
    assert views["Red"].texts() == []


def test_a_ct_that_is_gone_is_not_marked(slicer, a_ct_node, views, marks):
    from QualitySentinelLib.scene import jump_to_slice

    jump_to_slice(a_ct_node, FLAGGED)
    slicer.mrmlScene.RemoveNode(a_ct_node)
    marks.update()
    assert views["Red"].texts() == []


def test_without_a_layout_there_is_nothing_to_mark(a_ct_node, a_review):
    from QualitySentinelLib.scene import FlagMarks

    marks = FlagMarks(a_ct_node, ReviewPresenter(a_review), find_view=lambda _node: None)
    marks.update()
    marks.remove()


def test_many_segments_are_counted_and_the_line_fits_the_view(slicer):
    from QualitySentinelLib.review.presenter import OpenSlice
    from QualitySentinelLib.scene.flag_marks import lines_of

    found = [OpenSlice(str(n), f"vertebra T{n}", 0.1 * n, "#000000", False) for n in range(1, 8)]
    found.append(OpenSlice("8", "costa 7 right", 0.2, "#000000", True))
    assert lines_of(found) == [
        ("Missed: costa 7 right", 0.0),
        ("Flagged: vertebra T1 0.10, vertebra T2 0.20, vertebra T3 0.30 +4", 0.1),
    ]
    assert lines_of(found, 35)[1][0] == "Flagged: vertebra T1 0.10 +6"
