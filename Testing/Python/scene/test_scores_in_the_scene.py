"""Scores in the scene: override colors, tags and tables, all of them reversible or replaced, and saved with it."""

from __future__ import annotations

import math

import pytest

from QualitySentinelLib.scores import CaseScore, SegmentScore, SliceScore, Status, dsc_color


@pytest.fixture
def a_score() -> CaseScore:
    """Liver good, both slices of the spleen bad."""
    liver = SegmentScore("liver", "liver", "liver", Status.SCORED, 3, 0.95, 0.9, 1.0)
    liver.slices = [_slice("liver", 5, 0.95)]
    spleen = SegmentScore("spleen", "spleen", "spleen", Status.SCORED, 2, 0.6)
    spleen.slices = [_slice("spleen", 7, 0.5, True), _slice("spleen", 8, 0.7, True)]
    return CaseScore([liver, spleen], threshold=0.8, model={"name": "test", "sha256": "abc"})


def _slice(segment_id, k, dsc, flagged=False):
    return SliceScore(segment_id, k, k, -100 + 5.0 * k, dsc, dsc, 100.0, "digest", flagged)


def override(node, segment_id):
    return tuple(node.GetDisplayNode().GetSegmentOverrideColor(segment_id))


def test_segments_take_the_color_of_their_score_and_keep_their_own(a_segmentation_node, a_score):
    from QualitySentinelLib.scene import show_score_colors

    own = a_segmentation_node.GetSegmentation().GetSegment("liver").GetColor()
    show_score_colors(a_segmentation_node, a_score)
    assert override(a_segmentation_node, "liver") == pytest.approx(dsc_color(0.95))
    assert override(a_segmentation_node, "spleen") == pytest.approx(dsc_color(0.6))
    assert a_segmentation_node.GetSegmentation().GetSegment("liver").GetColor() == own


def test_colors_come_back_as_they_were_also_after_scoring_twice(a_segmentation_node, a_score):
    from QualitySentinelLib.scene import restore_colors, show_score_colors

    a_segmentation_node.GetDisplayNode().SetSegmentOverrideColor("spleen", 0.0, 0.0, 1.0)  # the user's own wish
    for _ in range(2):
        show_score_colors(a_segmentation_node, a_score)
    restore_colors(a_segmentation_node)
    assert max(override(a_segmentation_node, "liver")) < 0
    assert override(a_segmentation_node, "spleen") == (0.0, 0.0, 1.0)
    restore_colors(a_segmentation_node)  # nothing left to do


def test_a_segment_that_lost_its_score_gets_its_own_color_back(a_segmentation_node, a_score):
    from QualitySentinelLib.scene import show_score_colors

    show_score_colors(a_segmentation_node, a_score)
    a_score["spleen"].predicted_dsc = None
    show_score_colors(a_segmentation_node, a_score)
    assert max(override(a_segmentation_node, "spleen")) < 0


def test_tags_carry_the_score_and_are_replaced_by_the_next(a_segmentation_node, a_score):
    from QualitySentinelLib.scene import write_score_tags
    from QualitySentinelLib.scene.tags import read_tags
    from QualitySentinelLib.scores.tags import TAG_NAMES

    write_score_tags(a_segmentation_node, a_score)
    segments = a_segmentation_node.GetSegmentation()
    ours = {tag: v for tag, v in read_tags(segments.GetSegment("liver")).items() if tag in TAG_NAMES}
    assert ours == {
        "QualitySentinel.PredictedDSC": "0.9500",
        "QualitySentinel.DSCLow": "0.9000",
        "QualitySentinel.DSCHigh": "1.0000",
        "QualitySentinel.Status": "scored",
        "QualitySentinel.Structure": "liver",
        "QualitySentinel.ScoredSlices": "1",
        "QualitySentinel.FlaggedSlices": "0",
        "QualitySentinel.MissedSlices": "0",
        "QualitySentinel.Threshold": "0.8",
        "QualitySentinel.Model": "test abc",
    }
    assert set(ours) == set(TAG_NAMES) - {"QualitySentinel.AcceptedSlices"}  # there is no review
    assert read_tags(segments.GetSegment("spleen"))["QualitySentinel.FlaggedSlices"] == "2"
    a_score["liver"].dsc_low = None
    write_score_tags(a_segmentation_node, a_score)
    assert not segments.GetSegment("liver").HasTag("QualitySentinel.DSCLow")


def test_accepted_slices_are_in_tags_and_tables_once_there_is_a_review(a_segmentation_node, a_score):
    from QualitySentinelLib.review import ReviewSession
    from QualitySentinelLib.scene import update_tables, write_score_tags
    from QualitySentinelLib.scene.tags import read_tags
    from QualitySentinelLib.scores.columns import REVIEW_SEGMENT_COLUMNS, REVIEW_SLICE_COLUMNS

    session = ReviewSession(a_score)
    session.accept("spleen", 8)
    write_score_tags(a_segmentation_node, session.case, session)
    segments = a_segmentation_node.GetSegmentation()
    tags = [read_tags(segments.GetSegment(i))["QualitySentinel.AcceptedSlices"] for i in ("liver", "spleen")]
    assert tags == ["0", "1"]
    by_segment, by_slice = update_tables(a_segmentation_node, session.case, session)
    assert columns(by_segment) == list(REVIEW_SEGMENT_COLUMNS)
    assert columns(by_slice) == list(REVIEW_SLICE_COLUMNS)
    assert [by_segment.GetTable().GetValueByName(r, "n_open").ToInt() for r in range(2)] == [0, 1]
    assert [by_slice.GetTable().GetValueByName(r, "accepted").ToInt() for r in range(3)] == [0, 0, 1]
    assert math.isnan(by_slice.GetTable().GetValueByName(2, "first_dsc").ToDouble())
    session.unaccept("spleen", 8)
    write_score_tags(a_segmentation_node, session.case, session)
    assert read_tags(segments.GetSegment("spleen"))["QualitySentinel.AcceptedSlices"] == "0"


def test_scores_and_accepts_in_tags_survive_export_as_seg_nrrd(slicer, a_segmentation_node, a_score, tmp_path):
    from QualitySentinelLib.review import ReviewSession
    from QualitySentinelLib.scene import write_score_tags
    from QualitySentinelLib.scene.tags import read_tags

    session = ReviewSession(a_score, threshold=0.65)
    session.accept_segment("spleen")
    write_score_tags(a_segmentation_node, session.case, session)
    written = {i: read_tags(a_segmentation_node.GetSegmentation().GetSegment(i)) for i in ("liver", "spleen")}
    path = str(tmp_path / "exported.seg.nrrd")
    a_segmentation_node.AddDefaultStorageNode()
    storage = a_segmentation_node.GetStorageNode()
    storage.SetFileName(path)
    assert storage.WriteData(a_segmentation_node)
    other = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Other")
    other.AddDefaultStorageNode()
    other.GetStorageNode().SetFileName(path)
    assert other.GetStorageNode().ReadData(other)
    read = {i: read_tags(other.GetSegmentation().GetSegment(i)) for i in ("liver", "spleen")}
    assert read == written
    assert read["spleen"]["QualitySentinel.Threshold"] == "0.65"
    assert read["spleen"]["QualitySentinel.FlaggedSlices"] == read["spleen"]["QualitySentinel.AcceptedSlices"] == "1"


def test_tags_that_are_as_they_were_wake_nobody(a_segmentation_node, a_score):
    from QualitySentinelLib.scene import write_score_tags

    write_score_tags(a_segmentation_node, a_score)
    events = []
    a_segmentation_node.AddObserver(a_segmentation_node.GetSegmentation().SegmentModified, lambda *_: events.append(1))
    write_score_tags(a_segmentation_node, a_score)
    assert not events


def test_all_tags_together_wake_the_views_once(a_segmentation_node, a_score):
    from QualitySentinelLib.scene import write_score_tags

    events = []
    event = a_segmentation_node.GetSegmentation().SegmentModified
    a_segmentation_node.AddObserver(event, lambda *_: events.append(1))
    write_score_tags(a_segmentation_node, a_score)
    assert events == [1]


def test_tables_have_the_columns_of_the_files(a_segmentation_node, a_score):
    from QualitySentinelLib.scene import update_tables
    from QualitySentinelLib.scores.columns import SEGMENT_COLUMNS, SLICE_COLUMNS

    segments, slices = update_tables(a_segmentation_node, a_score)
    assert columns(segments) == list(SEGMENT_COLUMNS)
    assert columns(slices) == list(SLICE_COLUMNS)
    assert (segments.GetNumberOfRows(), slices.GetNumberOfRows()) == (2, 3)
    table = slices.GetTable()
    assert [table.GetValueByName(r, "slice_index").ToInt() for r in range(3)] == [5, 7, 8]
    assert [table.GetValueByName(r, "flagged").ToInt() for r in range(3)] == [0, 1, 1]
    assert table.GetValueByName(1, "position_mm").ToDouble() == -65.0
    assert math.isnan(segments.GetTable().GetValueByName(1, "dsc_low").ToDouble())


def test_missed_slices_are_counted_in_tags_and_tables_and_listed(a_segmentation_node, a_score):
    from QualitySentinelLib.scene import update_tables, write_score_tags
    from QualitySentinelLib.scene.tags import read_tags

    a_score["liver"].empty_slices = [
        SliceScore("liver", k, k, -100 + 5.0 * k, 0.1, 0.1, 100.0, "digest", nearest_k=5, missed=k == 4) for k in (4, 6)
    ]
    write_score_tags(a_segmentation_node, a_score)
    liver = a_segmentation_node.GetSegmentation().GetSegment("liver")
    assert read_tags(liver)["QualitySentinel.MissedSlices"] == "1"
    segments, slices = (node.GetTable() for node in update_tables(a_segmentation_node, a_score))
    assert [segments.GetValueByName(r, "missed_slices").ToInt() for r in range(2)] == [1, 0]
    assert [slices.GetValueByName(r, "slice_index").ToInt() for r in range(4)] == [4, 5, 7, 8]
    assert [slices.GetValueByName(r, "missed").ToInt() for r in range(4)] == [1, 0, 0, 0]


def test_scoring_again_fills_the_same_tables(slicer, a_segmentation_node, a_score):
    from QualitySentinelLib.scene import update_tables

    first = update_tables(a_segmentation_node, a_score)
    a_score.segments.pop()
    assert update_tables(a_segmentation_node, a_score) == first
    assert first[0].GetNumberOfRows() == 1
    assert len(slicer.util.getNodesByClass("vtkMRMLTableNode")) == 2


def test_two_segmentations_have_tables_of_their_own(slicer, a_segmentation_node, a_score):
    from QualitySentinelLib.scene import update_tables

    other = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Other")
    assert not set(update_tables(a_segmentation_node, a_score)) & set(update_tables(other, a_score))


def test_a_saved_scene_brings_colors_tables_and_the_way_back(slicer, a_segmentation_node, a_score, tmp_path):
    from QualitySentinelLib.scene import restore_colors, show_score_colors, update_tables

    show_score_colors(a_segmentation_node, a_score)
    update_tables(a_segmentation_node, a_score)
    for node in slicer.util.getNodesByClass("vtkMRMLStorableNode"):
        if node.GetSaveWithScene() and node.GetScene() and not node.IsA("vtkMRMLColorNode"):
            node.AddDefaultStorageNode()
            storage = node.GetStorageNode()
            if storage:
                storage.SetFileName(str(tmp_path / f"{node.GetID()}.{storage.GetDefaultWriteFileExtension()}"))
                storage.WriteData(node)
    slicer.mrmlScene.SetURL(str(tmp_path / "scene.mrml"))
    assert slicer.mrmlScene.Commit()
    slicer.mrmlScene.Clear(0)
    assert slicer.mrmlScene.Connect()
    node = slicer.util.getNode("Segmentation")
    assert override(node, "spleen") == pytest.approx(dsc_color(0.6), abs=1e-4)
    assert columns(node.GetNodeReference("QualitySentinelSegments"))[0] == "segment"
    assert node.GetNodeReference("QualitySentinelSlices").GetNumberOfRows() == 3
    restore_colors(node)
    assert max(override(node, "spleen")) < 0


def columns(table_node) -> list[str]:
    return [table_node.GetColumnName(i) for i in range(table_node.GetNumberOfColumns())]
