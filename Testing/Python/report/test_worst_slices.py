from __future__ import annotations

from QualitySentinelLib.report.slice_picture import worst_slices
from QualitySentinelLib.scores import CaseScore, SegmentScore, SliceScore, Status, flag


def a_case(**dsc_by_id):
    segments = []
    for segment_id, dsc in dsc_by_id.items():
        slices = [SliceScore(segment_id, k, k, float(k), d, d, 1.0, "") for k, d in enumerate(dsc)]
        segments.append(SegmentScore(segment_id, segment_id, None, Status.SCORED, len(dsc), slices=slices))
    case = CaseScore(segments, 0.8)
    flag(case)
    return case


def ks(chosen):
    return {segment_id: [s.k for s in slices] for segment_id, slices in chosen.items()}


def test_only_flagged_slices_are_taken_worst_first():
    assert ks(worst_slices(a_case(a=[0.9, 0.5, 0.9, 0.3, 0.9, 0.9], b=[0.9, 0.95]).segments)) == {"a": [3, 1]}


def test_neighbours_that_look_alike_are_passed_over():
    assert ks(worst_slices(a_case(a=[0.1, 0.11, 0.9, 0.9, 0.5, 0.52]).segments)) == {"a": [0, 4]}


def test_every_doubtful_segment_gets_one_before_any_gets_two():
    case = a_case(a=[0.1, 0.9, 0.2, 0.9, 0.3], b=[0.7, 0.9, 0.75], c=[0.6, 0.9])
    assert ks(worst_slices(case.segments, at_most=4)) == {"a": [0, 2], "c": [0], "b": [0]}


def test_no_more_than_asked_for_are_taken():
    case = a_case(**{f"s{n}": [0.1, 0.9, 0.2, 0.9, 0.3] for n in range(30)})
    assert sum(map(len, worst_slices(case.segments).values())) == 80


def test_when_nothing_is_flagged_the_lowest_slice_of_each_of_the_lowest_segments_is_taken():
    case = a_case(a=[0.9, 0.85], b=[0.95, 0.99], c=[])
    assert ks(worst_slices(case.segments)) == {"a": [1], "b": [0]}


def test_missed_slices_take_their_place_among_the_flagged_ones():
    case = a_case(a=[0.9, 0.5, 0.9, 0.9, 0.9, 0.9], b=[0.9, 0.95])
    case["a"].empty_slices = [
        SliceScore("a", k, k, float(k), dsc, dsc, 1.0, "", nearest_k=5, missed=dsc < 0.4)
        for k, dsc in ((8, 0.1), (10, 0.6))
    ]
    assert ks(worst_slices(case.segments)) == {"a": [8, 1]}
