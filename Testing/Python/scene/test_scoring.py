"""Scoring nodes of the scene in steps, and again after edits: only what changed is read and run."""

from __future__ import annotations

import numpy as np
import pytest

from QualitySentinelLib.errors import InputError
from QualitySentinelLib.options import ScoringOptions
from QualitySentinelLib.review import ReviewSession
from QualitySentinelLib.scores import Stage, Status

torch = pytest.importorskip("torch")
BRIEFLY = ScoringOptions(device="cpu", step_seconds=1e-9)


@pytest.fixture
def runs(monkeypatch):
    """Every slice that goes through the network, as (segment id, k), in order."""
    from QualitySentinelLib.scorer import scorer as scorer_module

    seen: list[tuple[str, int]] = []
    real = scorer_module.make_batch

    def noted(ct, items, *rest, **options):
        seen.extend((segment.id, k) for segment, k in items)
        return real(ct, items, *rest, **options)

    monkeypatch.setattr(scorer_module, "make_batch", noted)
    return seen


@pytest.fixture
def a_session(a_ct_node, a_segmentation_node, a_small_model) -> ReviewSession:
    """A review of the torso's segmentation, scored from the scene."""
    return ReviewSession(scored(a_ct_node, a_segmentation_node, a_small_model))


def scored(ct_node, segmentation_node, model, **options):
    from QualitySentinelLib.scene import score_steps

    *_, last = score_steps(ct_node, segmentation_node, lambda: model, ScoringOptions(device="cpu"), **options)
    assert last.finished
    return last.score


def rescored(ct_node, segmentation_node, model, session, segment_ids):
    from QualitySentinelLib.scene import rescore

    *_, last = rescore(ct_node, segmentation_node, lambda: model, session, segment_ids, ScoringOptions(device="cpu"))
    assert last.finished
    return last.score


def raws(case):
    return {
        (s.segment_id, s.k, type(s).__name__): s.raw
        for segment in case.segments
        for s in (*segment.slices, *segment.empty_slices)
    }


def mask_of(segmentation_node, segment_id, ct_node):
    import slicer

    return slicer.util.arrayFromSegmentBinaryLabelmap(segmentation_node, segment_id, ct_node)


def paint(segmentation_node, segment_id, mask, ct_node):
    import slicer

    slicer.util.updateSegmentBinaryLabelmapFromArray(mask.astype(np.uint8), segmentation_node, segment_id, ct_node)


def test_steps_say_what_comes_next_and_end_with_the_scores_of_the_scorer(a_ct_node, a_segmentation_node, a_small_model):
    from QualitySentinelLib.scene import ct_from_node, score_steps, segmentation_from_node
    from QualitySentinelLib.scorer import Scorer

    steps = list(score_steps(a_ct_node, a_segmentation_node, lambda: a_small_model, ScoringOptions(device="cpu")))
    stages = list(dict.fromkeys(step.stage for step in steps))
    assert stages[0] is Stage.LOADING and stages[1] is Stage.READING and stages[-1] is Stage.SCORING
    assert [step.finished for step in steps] == [False] * (len(steps) - 1) + [True]
    assert not steps[0].score.segments
    ct = ct_from_node(a_ct_node)
    expected = Scorer(a_small_model, device="cpu").score(ct, segmentation_from_node(a_segmentation_node, a_ct_node))
    assert raws(steps[-1].score) == pytest.approx(raws(expected), abs=1e-6)
    seconds = [step.seconds for step in steps]
    assert seconds == sorted(seconds)


def test_segments_are_complete_one_after_another(a_ct_node, a_segmentation_node, a_small_model):
    from QualitySentinelLib.scene import score_steps

    finished = []
    for step in score_steps(a_ct_node, a_segmentation_node, lambda: a_small_model, BRIEFLY):
        finished.append([s.segment_id for s in step.score.segments if s.status is Status.SCORED])
    assert [[], ["liver"], ["liver", "spleen"]] == [f for n, f in enumerate(finished) if not n or f != finished[n - 1]]


@pytest.mark.parametrize("step", range(8))
def test_cancelling_ends_at_the_next_step_whatever_the_stage(a_ct_node, a_segmentation_node, a_small_model, step):
    from QualitySentinelLib.scene import score_steps

    stop = []
    steps = score_steps(
        a_ct_node, a_segmentation_node, lambda: a_small_model, BRIEFLY, cancelled=lambda: bool(stop)
    )
    for _ in range(step):
        next(steps)
    stop.append(True)
    last = list(steps)
    assert len(last) <= 2 and last[-1].cancelled and not last[-1].finished


def test_errors_of_the_inputs_come_as_one_line(a_segmentation_node, a_small_model):
    from QualitySentinelLib.scene import score_steps

    with pytest.raises(InputError, match="no CT is selected"):
        list(score_steps(None, a_segmentation_node, lambda: a_small_model, BRIEFLY))


def test_after_an_edit_of_one_slice_only_that_slice_and_its_empty_neighbours_are_run(
    a_ct_node, a_segmentation_node, a_small_model, a_session, runs
):
    mask = mask_of(a_segmentation_node, "liver", a_ct_node)
    occupied = np.flatnonzero(mask.any(axis=(1, 2)))
    middle, last = int(occupied[len(occupied) // 2]), int(occupied[-1])
    runs.clear()
    mask[middle, :, :18] = 0
    paint(a_segmentation_node, "liver", mask, a_ct_node)
    case = rescored(a_ct_node, a_segmentation_node, a_small_model, a_session, {"liver"})
    assert runs == [("liver", middle)]
    assert case["spleen"] == a_session.case["spleen"]
    before = a_session.profile("liver")
    assert a_session.update(case) == ("liver",)
    assert [new.k for old, new in zip(before, a_session.profile("liver"), strict=True) if old != new] == [middle]
    assert raws(a_session.case) == pytest.approx(raws(scored(a_ct_node, a_segmentation_node, a_small_model)), abs=1e-6)

    runs.clear()
    mask[last] = 0  # the end is erased: the slices beyond it have another neighbour now
    paint(a_segmentation_node, "liver", mask, a_ct_node)
    a_session.update(rescored(a_ct_node, a_segmentation_node, a_small_model, a_session, {"liver"}))
    assert runs == [("liver", last), ("liver", last + 1)]
    assert raws(a_session.case) == pytest.approx(raws(scored(a_ct_node, a_segmentation_node, a_small_model)), abs=1e-6)


def test_only_edited_segments_are_read(a_ct_node, a_segmentation_node, a_small_model, a_session, runs):
    for segment_id in ("liver", "spleen"):
        mask = mask_of(a_segmentation_node, segment_id, a_ct_node)
        mask[np.flatnonzero(mask.any(axis=(1, 2)))[1], ::2] = 0
        paint(a_segmentation_node, segment_id, mask, a_ct_node)
    runs.clear()
    case = rescored(a_ct_node, a_segmentation_node, a_small_model, a_session, {"spleen", "gone long ago"})
    assert {segment_id for segment_id, _ in runs} == {"spleen"}
    assert case["liver"] == a_session.case["liver"]
    assert [s.segment_id for s in case.segments] == ["liver", "spleen"]


def test_segments_that_come_go_and_are_renamed(slicer, a_ct_node, a_segmentation_node, a_small_model, a_session, runs):
    segmentation = a_segmentation_node.GetSegmentation()
    segmentation.RemoveSegment("liver")
    segmentation.GetSegment("spleen").SetName("Milz")
    mask = mask_of(a_segmentation_node, "spleen", a_ct_node)
    new = segmentation.AddEmptySegment("new", "liver")
    paint(a_segmentation_node, new, mask, a_ct_node)
    runs.clear()
    case = rescored(a_ct_node, a_segmentation_node, a_small_model, a_session, {"liver", "spleen"})
    assert [s.segment_id for s in case.segments] == ["spleen", "new"]
    assert {segment_id for segment_id, _ in runs} >= {"new"}
    assert case["new"].status is Status.SCORED
    assert case["spleen"].name == "Milz"


def test_without_segments_nothing_is_left_and_nothing_is_wrong(
    a_ct_node, a_segmentation_node, a_small_model, a_session, runs
):
    runs.clear()
    a_segmentation_node.GetSegmentation().RemoveAllSegments()
    case = rescored(a_ct_node, a_segmentation_node, a_small_model, a_session, None)
    assert case.segments == [] and runs == []


@pytest.fixture
def checksums(monkeypatch):
    """How many stored slices are searched for labels, because they are new or others than before."""
    from QualitySentinelLib.scene import layer_memory

    searched = []
    real = layer_memory.boxes_of_labels

    def noted(*arguments):
        searched.append(1)
        return real(*arguments)

    monkeypatch.setattr(layer_memory, "boxes_of_labels", noted)
    return searched


def test_only_changed_slices_of_a_shared_layer_are_searched_and_only_segments_in_them_read(
    slicer, a_ct_node, a_segmentation_node, a_small_model, a_session, runs, checksums, monkeypatch
):
    from QualitySentinelLib.volume.collector import SegmentCollector

    added = []
    real = SegmentCollector.add
    monkeypatch.setattr(SegmentCollector, "add", lambda self, found, *r: (added.append(found), real(self, found, *r)))
    labels = slicer.util.arrayFromSegmentInternalBinaryLabelmap(a_segmentation_node, "liver")
    value = a_segmentation_node.GetSegmentation().GetSegment("liver").GetLabelValue()
    k = int(np.flatnonzero((labels == value).any(axis=(1, 2)))[0])
    assert len(set(np.unique(labels[k])) - {0}) == 1  # the lowest slice of the liver lies below the spleen
    labels[k][labels[k] == value] = np.where(np.arange((labels[k] == value).sum()) % 2, value, 0)
    checksums.clear(), runs.clear()
    case = rescored(a_ct_node, a_segmentation_node, a_small_model, a_session, {"liver", "spleen"})
    assert len(checksums) == 1
    assert [member.id for found in added for _, member in found] == ["liver"]
    assert {segment_id for segment_id, _ in runs} == {"liver"}
    a_session.update(case)
    assert raws(case) == pytest.approx(raws(scored(a_ct_node, a_segmentation_node, a_small_model)), abs=1e-6)


def test_a_rescoring_that_was_cancelled_leaves_everything_to_the_next(
    a_ct_node, a_segmentation_node, a_small_model, a_session
):
    from QualitySentinelLib.scene import rescore

    mask = mask_of(a_segmentation_node, "liver", a_ct_node)
    mask[np.flatnonzero(mask.any(axis=(1, 2)))[3], ::2] = 0
    paint(a_segmentation_node, "liver", mask, a_ct_node)
    stop = []
    steps = rescore(
        a_ct_node, a_segmentation_node, lambda: a_small_model, a_session, {"liver"}, BRIEFLY,
        cancelled=lambda: bool(stop),
    )  # fmt: skip
    for step in steps:
        if step.stage is Stage.SCORING:
            stop.append(True)
    assert step.cancelled
    a_session.update(step.score)
    a_session.update(rescored(a_ct_node, a_segmentation_node, a_small_model, a_session, {"liver"}))
    assert raws(a_session.case) == pytest.approx(raws(scored(a_ct_node, a_segmentation_node, a_small_model)), abs=1e-6)


def test_a_score_that_the_review_did_not_take_is_not_taken_for_granted(
    a_ct_node, a_segmentation_node, a_small_model, a_session
):
    mask = mask_of(a_segmentation_node, "liver", a_ct_node)
    mask[np.flatnonzero(mask.any(axis=(1, 2)))[3], ::2] = 0
    paint(a_segmentation_node, "liver", mask, a_ct_node)
    rescored(a_ct_node, a_segmentation_node, a_small_model, a_session, {"liver"})  # no update
    a_session.update(rescored(a_ct_node, a_segmentation_node, a_small_model, a_session, {"liver"}))
    assert raws(a_session.case) == pytest.approx(raws(scored(a_ct_node, a_segmentation_node, a_small_model)), abs=1e-6)


def test_another_model_scores_the_edited_segments_wholly(
    a_ct_node, a_segmentation_node, a_small_model, a_session, runs
):
    from dataclasses import replace

    runs.clear()
    other = replace(a_small_model, sha256="1" * 64)
    rescored(a_ct_node, a_segmentation_node, other, a_session, {"liver"})
    scores = a_session.case["liver"]
    assert len(runs) == len(scores.slices) + len(scores.empty_slices)


def test_moving_the_segmentation_is_noticed_although_its_voxels_are_the_same(
    slicer, a_ct_node, a_segmentation_node, a_small_model, a_session
):
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    a_segmentation_node.SetAndObserveTransformNodeID(transform.GetID())
    matrix = np.eye(4)
    matrix[2, 3] = 5.0  # one slice up
    slicer.util.updateTransformMatrixFromArray(transform, matrix)
    a_session.update(rescored(a_ct_node, a_segmentation_node, a_small_model, a_session, None))
    assert raws(a_session.case) == pytest.approx(raws(scored(a_ct_node, a_segmentation_node, a_small_model)), abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_after_any_edits_the_review_has_the_scores_of_a_scoring_from_scratch(
    slicer, a_ct_node, a_segmentation_node, a_small_model, a_session, seed
):
    """Edits as Segment Editor makes them, watched, rescored at times, at times cancelled."""
    from vtk import VTK_UNSIGNED_CHAR, vtkMatrix4x4
    from vtk.util.numpy_support import vtk_to_numpy

    from QualitySentinelLib.scene import SegmentationEdits, rescore

    random = np.random.default_rng(seed)
    told: set[str] = set()
    edits = SegmentationEdits(a_segmentation_node, told.update)
    segmentation = a_segmentation_node.GetSegmentation()
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    for _ in range(12):
        ids = list(segmentation.GetSegmentIDs())
        chosen = str(random.choice(ids))
        kind = random.choice(["paint", "paint", "erase", "erase", "add", "remove", "collapse", "separate"])
        if kind in ("paint", "erase"):
            brush = slicer.vtkOrientedImageData()
            brush.DeepCopy(a_ct_node.GetImageData())
            matrix = vtkMatrix4x4()
            a_ct_node.GetIJKToRASMatrix(matrix)
            brush.SetGeometryFromImageToWorldMatrix(matrix)
            brush.AllocateScalars(VTK_UNSIGNED_CHAR, 1)
            array = vtk_to_numpy(brush.GetPointData().GetScalars()).reshape(20, 32, 48)
            array[:] = kind == "erase"
            k, j, i = random.integers(0, (19, 26, 40))
            array[k : k + random.integers(1, 3), j : j + 6, i : i + 8] = kind == "paint"
            mode = logic.MODE_MERGE_MASK if kind == "paint" else logic.MODE_MERGE_MIN
            others = [x for x in ids if x != chosen and random.random() < 0.5]
            logic.SetBinaryLabelmapToSegment(brush, a_segmentation_node, chosen, mode, brush.GetExtent(), False, others)
        elif kind == "add":
            new = segmentation.AddEmptySegment("", str(random.choice(["liver", "spleen", "thing"])))
            paint(a_segmentation_node, new, random.random((20, 32, 48)) < 0.001, a_ct_node)
        elif kind == "remove" and len(ids) > 1:
            segmentation.RemoveSegment(chosen)
        elif kind == "collapse":
            segmentation.CollapseBinaryLabelmaps(False)
        elif kind == "separate":
            segmentation.SeparateSegmentLabelmap(chosen)
        if random.random() < 0.6:
            edited = set(told)
            steps = rescore(
                a_ct_node, a_segmentation_node, lambda: a_small_model, a_session, edited, BRIEFLY,
                cancelled=lambda: random.random() < 0.02,
            )  # fmt: skip
            *_, last = steps
            if last.finished:
                told -= edited
                a_session.update(last.score)
    a_session.update(rescored(a_ct_node, a_segmentation_node, a_small_model, a_session, told))
    fresh = scored(a_ct_node, a_segmentation_node, a_small_model)
    assert raws(a_session.case) == pytest.approx(raws(fresh), abs=1e-6)
    assert [s.segment_id for s in a_session.case.segments] == [s.segment_id for s in fresh.segments]
    edits.remove()


def test_a_ct_is_read_once_while_it_is_the_same_and_let_go_when_it_is_gone(slicer, a_ct_node, monkeypatch):
    from QualitySentinelLib.scene import ct_node
    from QualitySentinelLib.steps import run_to_end

    read = []
    real = ct_node.ct_steps
    monkeypatch.setattr(ct_node, "ct_steps", lambda node: (read.append(1), real(node))[1])
    last = ct_node.LastCt()
    first = run_to_end(last.steps(a_ct_node))
    assert run_to_end(last.steps(a_ct_node)) is first and len(read) == 1
    slicer.util.arrayFromVolume(a_ct_node)[0] += 1
    slicer.util.arrayFromVolumeModified(a_ct_node)
    second = run_to_end(last.steps(a_ct_node))
    assert second is not first and len(read) == 2
    a_ct_node.SetOrigin(1, 2, 3)
    assert run_to_end(last.steps(a_ct_node)).frame.position_mm(0) == 3
    other = slicer.util.addVolumeFromArray(np.array(slicer.util.arrayFromVolume(a_ct_node)), np.eye(4), "other")
    assert run_to_end(last.steps(other)).source == "other"
    slicer.mrmlScene.RemoveNode(other)
    del other
    assert last._ct is None
