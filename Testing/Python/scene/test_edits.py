"""Who edits a segmentation, and how, must not matter; what we change ourselves must not count."""

from __future__ import annotations

import numpy as np
import pytest

from QualitySentinelLib.scores import CaseScore, SegmentScore, Status


@pytest.fixture
def edits(a_segmentation_node):
    """The watched segmentation's edits: ``told`` has a set of ids for each call."""
    from QualitySentinelLib.scene import SegmentationEdits

    told: list[set[str]] = []
    watching = SegmentationEdits(a_segmentation_node, told.append)
    watching.told = told
    yield watching
    watching.remove()


def ids(edits) -> set[str]:
    found = set().union(*edits.told)
    edits.told.clear()
    return found


def mask_of(node, segment_id, ct_node):
    import slicer

    return slicer.util.arrayFromSegmentBinaryLabelmap(node, segment_id, ct_node)


def test_a_mask_set_by_a_script_is_told(slicer, a_segmentation_node, a_ct_node, edits):
    mask = mask_of(a_segmentation_node, "liver", a_ct_node)
    mask[8] = 0
    slicer.util.updateSegmentBinaryLabelmapFromArray(mask, a_segmentation_node, "liver", a_ct_node)
    assert "liver" in ids(edits)


def test_the_editors_way_of_painting_names_also_the_neighbour_that_loses_voxels(
    slicer, a_segmentation_node, a_ct_node, edits
):
    brush = slicer.vtkOrientedImageData()
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    assert logic.GetSegmentBinaryLabelmapRepresentation(a_segmentation_node, "spleen", brush)
    ids(edits)
    logic.SetBinaryLabelmapToSegment(
        brush, a_segmentation_node, "liver", logic.MODE_MERGE_MASK, brush.GetExtent(), False, ["spleen"]
    )
    assert ids(edits) == {"liver", "spleen"}
    assert not mask_of(a_segmentation_node, "spleen", a_ct_node).any()


def test_voxels_written_in_place_are_told_once_slicer_is_told(slicer, a_segmentation_node, edits):
    labels = slicer.util.arrayFromSegmentInternalBinaryLabelmap(a_segmentation_node, "liver")
    labels[labels.shape[0] // 2] = 0
    assert not edits.told
    image = a_segmentation_node.GetBinaryLabelmapInternalRepresentation("liver")
    image.GetPointData().GetScalars().Modified()
    image.Modified()
    assert ids(edits) == {"liver", "spleen"}  # they share the labelmap; whose slices changed scoring finds out


def test_segments_that_come_go_or_are_renamed_are_told(a_segmentation_node, edits):
    segmentation = a_segmentation_node.GetSegmentation()
    segmentation.AddEmptySegment("new", "kidney left")
    assert "new" in ids(edits)  # the others perhaps, too: it joins their labelmap
    segmentation.GetSegment("spleen").SetName("Milz")
    assert ids(edits) == {"spleen"}
    segmentation.GetSegment("spleen").SetTag("TerminologyEntry", "Segmentation category~SCT^1^x~~~~~~")
    assert ids(edits) == {"spleen"}
    segmentation.RemoveSegment("new")
    assert "new" in ids(edits)


def test_another_segmentation_in_the_same_node_is_told(slicer, a_segmentation_node, edits):
    other = slicer.vtkSegmentation()
    other.AddEmptySegment("liver", "liver")
    a_segmentation_node.SetAndObserveSegmentation(other)
    assert ids(edits) == {"liver", "spleen"}
    other.AddEmptySegment("lung", "lung")
    assert ids(edits) == {"lung"}


def test_showing_and_keeping_scores_is_no_edit(a_segmentation_node, edits):
    from QualitySentinelLib.review import ReviewSession
    from QualitySentinelLib.scene import (
        keep_review,
        restore_colors,
        show_score_colors,
        update_tables,
        write_score_tags,
    )

    case = CaseScore([SegmentScore("liver", "liver", "liver", Status.SCORED, 3, 0.5)], threshold=0.8)
    write_score_tags(a_segmentation_node, case)
    show_score_colors(a_segmentation_node, case)
    update_tables(a_segmentation_node, case)
    keep_review(a_segmentation_node, ReviewSession(case))
    restore_colors(a_segmentation_node)
    a_segmentation_node.GetDisplayNode().SetSegmentVisibility("liver", False)
    a_segmentation_node.GetSegmentation().GetSegment("liver").SetColor(1, 0, 0)
    a_segmentation_node.SetName("renamed")
    assert not edits.told


def test_showing_the_surface_is_no_edit(a_segmentation_node, edits):
    assert a_segmentation_node.CreateClosedSurfaceRepresentation()
    assert not edits.told


def test_nothing_is_told_of_what_happens_while_paused_nor_after_the_end(a_segmentation_node, edits):
    segmentation = a_segmentation_node.GetSegmentation()
    with edits.paused():
        with edits.paused():
            segmentation.AddEmptySegment("ours", "ours")
        segmentation.GetSegment("ours").SetName("still ours")
    a_segmentation_node.Modified()
    assert not edits.told
    segmentation.RemoveSegment("liver")
    assert "liver" in ids(edits) and not ids(edits)
    edits.remove()
    edits.remove()
    segmentation.RemoveSegment("spleen")
    assert not edits.told


def test_a_callback_may_edit_by_itself(a_segmentation_node):
    from QualitySentinelLib.scene import SegmentationEdits

    told = []

    def rename(edited):
        told.append(edited)
        if len(told) == 1:
            a_segmentation_node.GetSegmentation().GetSegment("spleen").SetName("Milz")

    watching = SegmentationEdits(a_segmentation_node, rename)
    a_segmentation_node.GetSegmentation().GetSegment("liver").SetName("Leber")
    assert told == [{"liver"}, {"spleen"}]
    watching.remove()


def test_the_masks_that_scoring_reads_are_no_edit(a_segmentation_node, a_ct_node, edits):
    from QualitySentinelLib.scene import segmentation_from_node

    segmentation = segmentation_from_node(a_segmentation_node, a_ct_node)
    assert np.any(segmentation["liver"].voxels())
    assert not edits.told
