"""The reader goes to other modules and other layouts: what the views show then."""

from __future__ import annotations

from Testing.Host.user import click, click_row

from QualitySentinelLib.scene.views import one_shown


def hidden(segmentation):
    """Ids of the segments that no view shows."""
    display = segmentation.GetDisplayNode()
    return [i for i in segmentation.GetSegmentation().GetSegmentIDs() if not display.GetSegmentVisibility(i)]


def test_while_correcting_others_stay_hidden_and_a_third_module_sees_all(slicer, scored, a_segmentation):
    click_row(scored.ui.resultsTable, 0)
    click(scored.ui.correctButton)
    assert hidden(a_segmentation)
    slicer.util.selectModule("Volumes")
    assert hidden(a_segmentation) == []
    slicer.util.selectModule("QualitySentinel")
    assert hidden(a_segmentation)
    slicer.util.selectModule("Volumes")
    assert hidden(a_segmentation) == [] and not one_shown(a_segmentation)


def test_a_segment_editor_that_was_opened_by_hand_sees_all(slicer, scored, a_segmentation):
    click_row(scored.ui.resultsTable, 0)
    slicer.util.selectModule("SegmentEditor")
    assert hidden(a_segmentation) == []


def test_a_closed_scene_ends_correcting(slicer, scored):
    click_row(scored.ui.resultsTable, 0)
    click(scored.ui.correctButton)
    shortcuts = scored.panel.correcting._shortcuts
    slicer.mrmlScene.Clear(0)
    assert scored.panel.correcting is None and shortcuts._shortcuts == []


def test_while_correcting_a_removed_segment_is_passed_over(slicer, scored, a_segmentation):
    click_row(scored.ui.resultsTable, 0)
    click(scored.ui.correctButton)
    session, editor = scored.panel.review_panel.session, slicer.modules.SegmentEditorWidget.editor
    here = editor.currentSegmentID()
    gone = next(s.segment_id for s in session.segments if s.segment_id != here)
    a_segmentation.GetSegmentation().RemoveSegment(gone)
    session.select(gone)
    assert editor.currentSegmentID() == here


def test_a_view_of_a_new_layout_is_marked_and_has_the_map(slicer, scored):
    click(scored.ui.showQualityMapCheckBox)
    view = slicer.vtkMRMLSliceNode()
    view.SetLayoutName("Slice4")
    slicer.mrmlScene.AddNode(view)
    composite = slicer.vtkMRMLSliceCompositeNode()
    composite.SetLayoutName("Slice4")
    composite = slicer.mrmlScene.AddNode(composite)
    slicer.app.layoutManager().setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutThreeOverThreeView)
    assert "DSC" in slicer.mrmlScene.GetNodeByID(composite.GetForegroundVolumeID()).GetName()
    marks = scored.panel.review_panel.review.display._marks
    assert view.GetLayoutName() in [observation[0].GetLayoutName() for observation in marks.Observations]
    for node in (view, composite):
        slicer.mrmlScene.RemoveNode(node)
