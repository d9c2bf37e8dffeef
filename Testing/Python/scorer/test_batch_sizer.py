"""Batches grow and shrink to the time they may take; scores stay the same."""

from __future__ import annotations

import numpy as np
import pytest

from QualitySentinelLib.scorer.device import BatchSizer
from QualitySentinelLib.steps import TimeBudget, paced, run_to_end


def sizes(sizer, seconds_of, batches=12):
    found = []
    for _ in range(batches):
        found.append(sizer.size)
        sizer.took(found[-1], seconds_of(found[-1]))
    return found


def test_batches_grow_to_what_the_time_allows_and_stay_there():
    assert sizes(BatchSizer(256, 0.05), lambda n: 0.002 * n)[-3:] == [16, 16, 16]
    assert sizes(BatchSizer(256, 0.05), lambda n: 0.0001 * n)[-1] == 256  # a fast device gets its large batches
    assert sizes(BatchSizer(8, 0.05), lambda n: 0.0001 * n)[-1] == 8


def test_batches_shrink_when_slices_become_dearer_but_never_below_one():
    sizer = BatchSizer(256, 0.05)
    sizes(sizer, lambda n: 0.0005 * n)
    assert sizes(sizer, lambda n: 0.02 * n)[-1] == 2
    assert sizes(sizer, lambda n: 9.0)[-1] == 1


def test_a_small_last_batch_says_nothing():
    sizer = BatchSizer(256, 0.05)
    sizer.took(1, 0.0001)
    assert sizer.size == 4


def test_without_a_time_batches_are_as_large_as_the_device_holds_and_memory_has_the_last_word():
    sizer = BatchSizer(16)
    assert sizes(sizer, lambda n: 9.0, 3) == [16, 16, 16]
    sizer.most = 3
    assert sizer.size == 3
    hurried = BatchSizer(64, 0.05)
    sizes(hurried, lambda n: 0.0001)
    hurried.most = 4
    assert sizes(hurried, lambda n: 0.0001, 3) == [4, 4, 4]


def test_steps_are_put_together_until_the_time_is_over(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("QualitySentinelLib.steps.time.perf_counter", lambda: now[0])

    def work():
        for _ in range(20):
            now[0] += 0.002
            yield
        return "made"

    assert run_to_end(work()) == "made"
    assert list(paced(work(), None)) == []
    assert len(list(paced(work(), 0.0099))) == 4
    assert len(list(paced(work(), 0.0))) == 20
    assert run_to_end(paced(work(), 0.01)) == "made"
    assert not TimeBudget(None).is_spent() and TimeBudget(0.0).is_spent()


def test_work_that_is_given_up_is_told():
    ended = []

    def work():
        try:
            while True:
                yield
        finally:
            ended.append(True)

    steps = paced(work(), 0.0)
    next(steps)
    steps.close()
    assert ended


@pytest.mark.parametrize("step_seconds", [1e-9, 0.003, 10.0])
def test_scores_do_not_depend_on_the_pace(a_small_model, a_ct_with_a_liver, step_seconds):
    from QualitySentinelLib.scorer import Scorer

    ct, segmentation = a_ct_with_a_liver
    expected = Scorer(a_small_model, device="cpu").score(ct, segmentation)
    case = Scorer(a_small_model, device="cpu", step_seconds=step_seconds).score(ct, segmentation)
    for segment in expected.segments:
        for group in ("slices", "empty_slices"):
            np.testing.assert_allclose(
                [s.raw for s in getattr(case[segment.segment_id], group)],
                [s.raw for s in getattr(segment, group)],
                atol=1e-6,
            )


def test_warming_up_changes_no_score_and_runs_no_slice(a_small_model, a_ct_with_a_liver):
    from QualitySentinelLib.scorer import Scorer

    expected = Scorer(a_small_model, device="cpu").score(*a_ct_with_a_liver)
    scorer = Scorer(a_small_model, device="cpu", step_seconds=0.05)
    assert run_to_end(scorer.warm_up_steps()) is scorer
    first, *_, last = scorer.run(*a_ct_with_a_liver)
    assert first.done == 0 and last.finished
    assert last.score["1"].predicted_dsc == pytest.approx(expected["1"].predicted_dsc, abs=1e-6)
