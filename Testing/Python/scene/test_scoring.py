"""Scoring nodes of the scene in steps, and again after edits: only what changed is read and run."""

from __future__ import annotations

import numpy as np
import pytest

from QualitySentinelLib.errors import InputError
from QualitySentinelLib.review import ReviewSession
from QualitySentinelLib.scores import Stage, Status

torch = pytest.importorskip("torch")


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

    *_, last = score_steps(ct_node, segmentation_node, model, device="cpu", **options)
    assert last.finished
    return last.score


def rescored(ct_node, segmentation_node, model, session, segment_ids):
    from QualitySentinelLib.scene import rescore

    *_, last = rescore(ct_node, segmentation_node, model, session, segment_ids, device="cpu")
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

    steps = list(score_steps(a_ct_node, a_segmentation_node, lambda: a_small_model, device="cpu"))
    stages = list(dict.fromkeys(step.stage for step in steps))
    assert stages[0] is Stage.LOADING and stages[1] is Stage.READING and stages[-1] is Stage.SCORING
    assert [step.finished for step in steps] == [False] * (len(steps) - 1) + [True]
    assert not steps[0].score.segments
    ct = ct_from_node(a_ct_node)
    expected = Scorer(a_small_model, "cpu").score(ct, segmentation_from_node(a_segmentation_node, a_ct_node))
    assert raws(steps[-1].score) == pytest.approx(raws(expected), abs=1e-6)
    seconds = [step.seconds for step in steps]
    assert seconds == sorted(seconds)


def test_segments_are_complete_one_after_another(a_ct_node, a_segmentation_node, a_small_model):
    from QualitySentinelLib.scene import score_steps

    finished = []
    for step in score_steps(a_ct_node, a_segmentation_node, a_small_model, device="cpu", step_seconds=1e-9):
        finished.append([s.segment_id for s in step.score.segments if s.status is Status.SCORED])
    assert [[], ["liver"], ["liver", "spleen"]] == [f for n, f in enumerate(finished) if not n or f != finished[n - 1]]


@pytest.mark.parametrize("step", range(8))
def test_cancelling_ends_at_the_next_step_whatever_the_stage(a_ct_node, a_segmentation_node, a_small_model, step):
    from QualitySentinelLib.scene import score_steps

    stop = []
    steps = score_steps(
        a_ct_node, a_segmentation_node, a_small_model, device="cpu", step_seconds=1e-9, cancelled=lambda: bool(stop)
    )
    for _ in range(step):
        next(steps)
    stop.append(True)
    last = list(steps)
    assert len(last) <= 2 and last[-1].cancelled and not last[-1].finished


def test_errors_of_the_inputs_come_as_one_line(a_segmentation_node, a_small_model):
    from QualitySentinelLib.scene import score_steps

    with pytest.raises(InputError, match="no CT is selected"):
        list(score_steps(None, a_segmentation_node, a_small_model, device="cpu"))


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
    changes = a_session.update(case)
    assert [(c.segment_id, c.k) for c in changes.slices] == [("liver", middle)]
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
