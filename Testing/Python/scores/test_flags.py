from __future__ import annotations

import pytest

from QualitySentinelLib.errors import UsageError
from QualitySentinelLib.scores import flag
from QualitySentinelLib.scores.tags import score_tags


def flags_of(case_score):
    return [s.flagged for segment in case_score.segments for s in segment.slices]


def test_slices_below_the_threshold_are_flagged_and_no_others(a_case_score):
    flag(a_case_score, 0.7)
    assert flags_of(a_case_score) == [True, False, False, True, False]  # 0.7 itself is not below 0.7
    assert [s.n_flagged for s in a_case_score.segments] == [1, 1, 0, 0]
    assert a_case_score.threshold == 0.7


def test_moving_the_threshold_there_and_back_leaves_no_trace(a_case_score):
    flag(a_case_score, 0.7)
    before = flags_of(a_case_score)
    flag(a_case_score, 1.0)
    assert all(flags_of(a_case_score))
    for _ in range(2):
        flag(a_case_score, 0.7)
        assert flags_of(a_case_score) == before


def test_without_a_threshold_the_cases_own_is_used(a_case_score):
    flag(a_case_score)
    assert flags_of(a_case_score) == [True, False, True, True, False]


def test_slices_can_be_flagged_before_the_case_is_complete(a_case_score):
    flag(a_case_score, 0.7, a_case_score.segments[:1])
    assert flags_of(a_case_score) == [True, False, False, False, False]


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan"), "high"])
def test_a_threshold_outside_nought_to_one_is_refused(a_case_score, threshold):
    with pytest.raises(UsageError, match="between 0 and 1"):
        flag(a_case_score, threshold)
    assert a_case_score.threshold == 0.8


def test_structures_with_their_own_threshold_are_flagged_below_it_and_others_below_the_fixed_one(a_case_score):
    a_case_score.model["calibration"] = {"flags": {"structures": {"liver": 0.6, "spleen": 0.9}}}
    flag(a_case_score)
    assert flags_of(a_case_score) == [True, False, True, True, False], "not unless it is asked for"
    a_case_score.own_thresholds = True
    flag(a_case_score)
    assert flags_of(a_case_score) == [True, False, False, True, False]
    assert [a_case_score.threshold_of(s) for s in a_case_score.segments] == [0.6, 0.8, 0.9, 0.8]
    tags = [score_tags(s, a_case_score) for s in a_case_score.segments[:2]]
    assert [t["QualitySentinel.Threshold"] for t in tags] == ["0.6", "0.8"]


def test_a_model_without_thresholds_of_structures_flags_below_the_fixed_one(a_case_score):
    a_case_score.own_thresholds = True
    flag(a_case_score)
    assert flags_of(a_case_score) == [True, False, True, True, False]
