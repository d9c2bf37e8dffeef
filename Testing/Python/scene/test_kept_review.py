"""Scores and review stay in the scene: saved, loaded, beside others, and when the text is damaged."""

from __future__ import annotations

import base64
import copy
import json
import logging
import zlib

import pytest

from QualitySentinelLib.review import ReviewSession
from QualitySentinelLib.scores import CaseScore, SegmentScore, SliceScore, Status


def a_slice(segment_id, k, dsc, digest="0123456789abcdef"):
    return SliceScore(segment_id, k, 19 - k, -100 + 5.0 * k, dsc, dsc + 1e-9, 100.0, digest, False, dsc - 0.1, dsc)


def a_case(**names) -> CaseScore:
    segments = []
    for segment_id in ("liver", "spleen"):
        slices = [a_slice(segment_id, k, (k % 7) / 8) for k in range(4, 12)]
        score = SegmentScore(segment_id, segment_id, segment_id, Status.SCORED, 8, 0.5, slices=slices)
        score.empty_slices = [SliceScore(segment_id, 12, 7, -40.0, 0.1, 0.1, 100.0, "x+1", nearest_k=11, missed=True)]
        segments.append(score)
    return CaseScore(segments, 0.8, {"name": "test", "sha256": "0" * 64}, "cpu", 1.5, ["a warning"])


@pytest.fixture
def a_session() -> ReviewSession:
    """A review in the middle: another threshold, accepts, a corrected slice, a place."""
    session = ReviewSession(a_case())
    session.set_threshold(0.55)
    session.accept("liver", 8)
    session.accept_segment("spleen")
    corrected = a_case()
    corrected["liver"].slices[0] = a_slice("liver", 4, 0.9, "fedcba9876543210")
    session.update(corrected)
    session.go_to("liver", 4)
    return session


def everything(session):
    return session.case, session.to_state(), session.open_slices(), session.edits(), session.current


def save_and_load(slicer, path):
    """The scene written to a file and read into an empty scene, by MRML itself."""
    scene = slicer.mrmlScene
    if path.suffix == ".mrb":
        assert scene.WriteToMRB(str(path))
        scene.Clear(0)
        assert scene.ReadFromMRB(str(path), True)
    else:
        for node in slicer.util.getNodesByClass("vtkMRMLStorableNode"):  # as the save dialog does: no hidden ones
            if node.GetHideFromEditors() or not node.GetSaveWithScene() or node.IsA("vtkMRMLColorNode"):
                continue
            node.AddDefaultStorageNode()
            if node.GetStorageNode():
                storage = node.GetStorageNode()
                storage.SetFileName(str(path.parent / f"{node.GetID()}.{storage.GetDefaultWriteFileExtension()}"))
                assert storage.WriteData(node)
        scene.SetURL(str(path))
        assert scene.Commit()
        scene.Clear(0)
        assert scene.Connect()
    return slicer.util.getNode("Segmentation")


def test_what_was_kept_comes_back(a_segmentation_node, a_session):
    from QualitySentinelLib.scene import keep_review, kept_review

    assert kept_review(a_segmentation_node) is None
    keep_review(a_segmentation_node, a_session)
    assert everything(kept_review(a_segmentation_node)) == everything(a_session)
    a_session.accept("liver", 4)
    keep_review(a_segmentation_node, a_session)
    assert everything(kept_review(a_segmentation_node)) == everything(a_session)
    a_segmentation_node.RemoveNodeReferenceIDs("QualitySentinelReview")
    assert kept_review(a_segmentation_node) is None


def test_keeping_leaves_one_hidden_node(slicer, a_segmentation_node, a_session):
    from QualitySentinelLib.scene import keep_review

    for _ in range(2):
        keep_review(a_segmentation_node, a_session)
    (node,) = slicer.util.getNodesByClass("vtkMRMLTextNode")
    assert node.GetHideFromEditors() and node.GetSaveWithScene()


@pytest.mark.parametrize("name", ["scene.mrml", "scene.mrb"])
def test_a_saved_scene_brings_the_review_also_when_saved_again(
    slicer, a_segmentation_node, a_session, tmp_path, name, caplog
):
    from QualitySentinelLib.scene import keep_review, kept_review

    keep_review(a_segmentation_node, a_session)
    expected = everything(a_session)
    node = save_and_load(slicer, tmp_path / name)
    assert everything(kept_review(node)) == expected
    (tmp_path / "again").mkdir()
    node = save_and_load(slicer, tmp_path / "again" / name)
    other_way = {"scene.mrml": "other.mrb", "scene.mrb": "other.mrml"}[name]
    (tmp_path / "other").mkdir()
    node = save_and_load(slicer, tmp_path / "other" / other_way)
    assert everything(kept_review(node)) == expected
    assert not caplog.records


def test_two_segmentations_keep_reviews_of_their_own_and_a_copy_does_not_take_the_originals(
    slicer, a_segmentation_node, a_session
):
    from QualitySentinelLib.scene import keep_review, kept_review

    keep_review(a_segmentation_node, a_session)
    other = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Copy")
    other.Copy(a_segmentation_node)
    copied = kept_review(other)
    assert everything(copied) == everything(a_session)
    copied.accept_segment("liver")
    keep_review(other, copied)
    assert everything(kept_review(a_segmentation_node)) == everything(a_session)
    assert everything(kept_review(other)) == everything(copied)


def test_removed_segments_are_told_and_renamed_ones_called_as_they_are(a_segmentation_node, a_session, caplog):
    from QualitySentinelLib.scene import keep_review, kept_review

    keep_review(a_segmentation_node, a_session)
    segmentation = a_segmentation_node.GetSegmentation()
    segmentation.RemoveSegment("spleen")
    segmentation.GetSegment("liver").SetName("Leber")
    with caplog.at_level(logging.WARNING):
        session = kept_review(a_segmentation_node)
    assert [s.segment_id for s in session.case.segments] == ["liver"]
    assert session.labels["liver"] == "Leber"
    assert session.is_accepted("liver", 8)
    assert caplog.text.count("no longer exist: spleen") == 1


def packed(document) -> str:
    return "QualitySentinel zlib base64 " + base64.b64encode(zlib.compress(json.dumps(document).encode())).decode()


GOOD = "quality-sentinel-kept-review/1"


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: "Some note of the user's own",
        lambda text: text[: len(text) // 2],
        lambda text: text[:-5],
        lambda text: text.rpartition(" ")[0],
        lambda text: text + " ",
        lambda text: text.replace(" ", ""),
        lambda text: text[:100] + "AAAA" + text[104:],
        lambda text: text[:200] + "é€" + text[202:],
        lambda text: packed([]),
        lambda text: packed(None),
        lambda text: packed({"schema": "quality-sentinel-kept-review/2"}),
        lambda text: packed({"schema": GOOD}),
        lambda text: packed({"schema": GOOD, "scores": 5, "review": {}, "n_segments": 0}),
        lambda text: packed({"schema": GOOD, "scores": {}, "review": None, "n_segments": 1}) + " " + packed({})[28:],
        lambda text: packed(
            {
                "schema": GOOD,
                "scores": {"threshold": 7, "model": {}, "device": "", "seconds": 0, "warnings": []},
                "review": 5,
                "n_segments": 0,
            }
        ),
        lambda text: "QualitySentinel zlib base64 " + base64.b64encode(zlib.compress(b"[" * 100_000)).decode(),
    ],
)  # fmt: skip
def test_a_damaged_text_is_said_and_the_panel_goes_on(slicer, a_segmentation_node, a_session, damage, caplog):
    from QualitySentinelLib.scene import keep_review, kept_review
    from QualitySentinelLib.scene.kept_review import REVIEW_ROLE

    keep_review(a_segmentation_node, a_session)
    node = a_segmentation_node.GetNodeReference(REVIEW_ROLE)
    node.SetText(damage(node.GetText()))
    with caplog.at_level(logging.WARNING):
        assert kept_review(a_segmentation_node) is None
    assert "score the segmentation again" in caplog.text
    keep_review(a_segmentation_node, a_session)
    assert everything(kept_review(a_segmentation_node)) == everything(a_session)


def test_after_an_edit_only_the_edited_segment_is_packed_again(a_segmentation_node, a_session):
    from QualitySentinelLib.scene import kept_review
    from QualitySentinelLib.scene.kept_review import keep_review_steps

    assert len(list(keep_review_steps(a_segmentation_node, a_session))) == 2
    a_session.set_threshold(0.3)
    a_session.accept("spleen", 6)
    assert len(list(keep_review_steps(a_segmentation_node, a_session))) == 0
    assert everything(kept_review(a_segmentation_node)) == everything(a_session)
    edited = copy.deepcopy(a_session.case)
    edited["liver"].slices[0] = a_slice("liver", 4, 0.1, "another")
    a_session.update(edited)
    assert len(list(keep_review_steps(a_segmentation_node, a_session))) == 1
    assert everything(kept_review(a_segmentation_node)) == everything(a_session)


def test_a_reference_to_something_else_is_said(slicer, a_segmentation_node, a_ct_node, caplog):
    from QualitySentinelLib.scene import kept_review
    from QualitySentinelLib.scene.kept_review import REVIEW_ROLE

    a_segmentation_node.SetNodeReferenceID(REVIEW_ROLE, a_ct_node.GetID())
    with caplog.at_level(logging.WARNING):
        assert kept_review(a_segmentation_node) is None
    assert "score the segmentation again" in caplog.text
