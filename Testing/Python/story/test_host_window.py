"""The host's window behaves as Slicer's: modules are entered and left, edits are real, scenes come back from files."""

from __future__ import annotations

import numpy as np
import pytest
from Testing.Host.user import paint, scroll


@pytest.fixture
def red(slicer):
    """The axial slice view."""
    return slicer.app.layoutManager().sliceWidget("Red")


def mask_of(slicer, segmentation, segment_id, ct):
    return slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, segment_id, ct).copy()


def test_modules_are_set_up_once_entered_and_left(slicer):
    from Testing.Host.modules import Module

    done = []

    class TryWidget:
        def __init__(self, parent):
            self.parent = parent

        def setup(self):
            done.append("setup")

        def enter(self):
            done.append(("enter", self.parent.isEntered))

        def exit(self):
            done.append("exit")

    slicer.modules.tryout = Module("TryOut", widget_class=TryWidget)
    for name in ("TryOut", "SegmentEditor", "TryOut"):
        slicer.util.selectModule(name)
    assert done == ["setup", ("enter", True), "exit", ("enter", True)]
    assert slicer.util.getModuleWidget("TryOut") is slicer.modules.TryOutWidget
    with pytest.raises(RuntimeError, match="no module Nothing"):
        slicer.util.selectModule("Nothing")
    slicer.util.mainWindow().leave_module()
    del slicer.modules.tryout, slicer.modules.TryOutWidget


def test_the_wheel_moves_the_slice_and_slice_nodes_are_the_scene_s(slicer, red, a_ct):
    assert red.mrmlSliceNode() is slicer.mrmlScene.GetNodeByID("vtkMRMLSliceNodeRed")
    before = red.sliceLogic().GetSliceOffset()
    scroll(red.sliceView(), 2)
    assert red.sliceLogic().GetSliceOffset() == pytest.approx(before + 2 * 5.0)


def test_erasing_with_the_mouse_changes_one_slice_and_tells_of_it_and_can_be_undone(slicer, red, a_ct, a_segmentation):
    slicer.util.selectModule("SegmentEditor")
    editor = slicer.util.getModuleWidget("SegmentEditor").editor
    assert (editor.segmentationNode(), editor.sourceVolumeNode()) == (a_segmentation, a_ct)
    editor.setCurrentSegmentID("spleen")
    editor.setActiveEffectByName("Erase")
    liver, spleen = (mask_of(slicer, a_segmentation, name, a_ct) for name in ("liver", "spleen"))
    k, j, i = np.argwhere(spleen)[len(np.argwhere(spleen)) // 2]
    ras = (slicer.util.arrayFromVTKMatrix(_ijk_to_ras(a_ct)) @ [i, j, k, 1.0])[:3]
    red.sliceLogic().SetSliceOffset(ras[2])
    events, segments = [], a_segmentation.GetSegmentation()
    segments.AddObserver(segments.SourceRepresentationModified, lambda *_: events.append(1))
    paint(red.sliceView(), ras)
    after = mask_of(slicer, a_segmentation, "spleen", a_ct)
    assert events
    assert np.flatnonzero((after != spleen).any(axis=(1, 2))).tolist() == [k]
    assert np.array_equal(mask_of(slicer, a_segmentation, "liver", a_ct), liver)
    editor.undo()
    assert np.array_equal(mask_of(slicer, a_segmentation, "spleen", a_ct), spleen)


def test_without_a_tool_a_click_edits_nothing(slicer, red, a_ct, a_segmentation):
    slicer.util.selectModule("SegmentEditor")
    before = mask_of(slicer, a_segmentation, "liver", a_ct)
    paint(red.sliceView(), (50.0, 0.0, red.sliceLogic().GetSliceOffset()))
    assert np.array_equal(mask_of(slicer, a_segmentation, "liver", a_ct), before)


@pytest.mark.parametrize("name", ["scene.mrb", "folder"])
def test_a_saved_scene_comes_back(slicer, a_ct, a_segmentation, tmp_path, name):
    liver = mask_of(slicer, a_segmentation, "liver", a_ct)
    assert slicer.util.saveScene(str(tmp_path / name))
    slicer.mrmlScene.Clear(0)
    saved = next((tmp_path / name).glob("*.mrml")) if name == "folder" else tmp_path / name
    slicer.util.loadScene(str(saved))
    segmentation, ct = slicer.util.getNode("Segmentation"), slicer.util.getNode("CT")
    assert np.array_equal(mask_of(slicer, segmentation, "liver", ct), liver)


def test_slice_and_3d_views_are_really_drawn(slicer, seen, a_ct, a_segmentation):
    a_segmentation.CreateClosedSurfaceRepresentation()
    a_segmentation.GetSegmentation().GetSegment("liver").SetColor(1.0, 0.0, 0.0)
    for name in ("Red", "1"):
        picture = seen(name).astype(int)
        assert (picture[..., 0] - picture[..., 1] > 60).mean() > 0.01, name


def _ijk_to_ras(volume):
    import vtk

    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    return matrix
