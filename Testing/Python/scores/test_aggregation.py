from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from QualitySentinelLib.errors import UsageError
from QualitySentinelLib.scores import AGGREGATIONS, SegmentScore, SliceScore, Status, aggregate

CALIBRATION = {
    "coverage": 0.9,
    "slice": {"predicted": [0.0, 0.5, 1.0], "low": [0.0, 0.3, 0.9], "high": [0.4, 0.7, 1.0]},
    "segment": {"aggregated": [0.2, 1.0], "dsc": [0.0, 0.8], "low": [0.0, 0.7], "high": [0.1, 0.9]},
    "missed": {"threshold": 0.4, "false_flags": 0.05, "reach_mm": 10.0},
}
SHOWN_CALIBRATED = {**CALIBRATION, "segment": {**CALIBRATION["segment"], "shown": "calibrated"}}


def an_empty_slice(k, dsc, area, nearest_k=11):
    return SliceScore("5", k, 99 - k, -50.0 + 2.5 * k, dsc, dsc, area, "digest", nearest_k=nearest_k)


def test_the_mean_counts_every_slice_alike(a_segment_score):
    assert aggregate(a_segment_score, "mean") == pytest.approx(0.7)
    assert a_segment_score.predicted_dsc == pytest.approx(0.7)


def test_the_area_weighted_mean_counts_large_slices_more(a_segment_score):
    assert aggregate(a_segment_score, "area_weighted") == pytest.approx(0.1 * 0.5 + 0.8 * 0.9 + 0.1 * 0.7)


@pytest.mark.parametrize("method", AGGREGATIONS)
class TestEveryAggregation:
    def test_of_equal_slices_is_theirs(self, a_segment_score, method):
        for s in a_segment_score.slices:
            s.predicted_dsc = 0.6
        assert aggregate(a_segment_score, method) == pytest.approx(0.6)

    def test_lies_between_the_slices(self, a_segment_score, method):
        dsc = [s.predicted_dsc for s in a_segment_score.slices]
        assert min(dsc) <= aggregate(a_segment_score, method) <= max(dsc)

    def test_of_a_segment_without_scored_slices_is_none(self, method):
        assert aggregate(SegmentScore("1", "a", None, Status.EMPTY), method) is None

    def test_is_in_the_guide(self, method):
        page = Path(__file__).resolve().parents[3] / "docs" / "OUTPUTS.md"
        assert f"`{method}" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("method", AGGREGATIONS)
def test_both_aggregates_are_kept_whichever_is_chosen(a_segment_score, method):
    aggregate(a_segment_score, method)
    assert a_segment_score.mean_dsc == pytest.approx(0.7)
    assert a_segment_score.area_weighted_dsc == pytest.approx(0.84)


def test_an_unknown_method_is_refused_with_the_choices_named(a_segment_score):
    with pytest.raises(UsageError, match=r"median.*mean, area_weighted"):
        aggregate(a_segment_score, "median")


def test_a_segment_without_scored_slices_has_no_score_and_no_interval():
    empty = SegmentScore("1", "spleen", "spleen", Status.EMPTY, predicted_dsc=0.9, dsc_low=0.8)
    assert aggregate(empty, calibration=CALIBRATION) is None
    assert (empty.predicted_dsc, empty.mean_dsc, empty.area_weighted_dsc) == (None, None, None)
    assert (empty.dsc_low, empty.dsc_high) == (None, None)


def test_area_weighting_gives_the_volumetric_dsc_when_mask_and_truth_are_of_one_size():
    areas = np.array([20.0, 300.0, 500.0, 80.0])
    overlap = np.array([5.0, 270.0, 490.0, 40.0])
    slices = [
        SliceScore("1", k, k, float(k), o / a, o / a, a, "")
        for k, (o, a) in enumerate(zip(overlap, areas, strict=True))
    ]
    segment = SegmentScore("1", "liver", "liver", Status.SCORED, n_slices=4, slices=slices)
    assert aggregate(segment, "area_weighted") == pytest.approx(overlap.sum() / areas.sum())


def test_scoring_n_slices_comes_close_to_scoring_all_of_a_smooth_segment():
    ks = np.arange(101)
    dsc = 0.95 - 0.4 * np.abs(ks - 50) / 50
    area = 1000.0 * (1 - (np.abs(ks - 50) / 51) ** 2)

    def segment(chosen):
        slices = [SliceScore("1", int(k), int(k), float(k), dsc[k], dsc[k], area[k], "") for k in chosen]
        return SegmentScore("1", "liver", "liver", Status.SCORED, n_slices=101, slices=slices)

    everything = aggregate(segment(ks), "area_weighted")
    a_few = aggregate(segment(np.linspace(0, 100, 11).astype(int)), "area_weighted")
    uneven = aggregate(segment([0, 5, 10, 15, 20, 25, 30, 60, 80, 100]), "area_weighted")
    assert a_few == pytest.approx(everything, abs=0.005)
    assert uneven == pytest.approx(everything, abs=0.03)


def test_a_gap_in_the_mask_gives_its_neighbours_no_extra_weight(a_segment_score):
    whole = aggregate(a_segment_score)
    a_segment_score.slices[2].k = 60  # an island far above, all slices scored
    assert aggregate(a_segment_score) == pytest.approx(whole)


def test_a_missed_slice_counts_with_half_its_neighbours_area(a_segment_score):
    """A slice removed from a mask of equal slices gives the volumetric DSC of the rest."""
    for s in a_segment_score.slices:
        s.predicted_dsc, s.area_mm2 = 1.0, 40.0
    a_segment_score.empty_slices = [an_empty_slice(13, 0.0, 40.0, nearest_k=12)]
    overlap, both = 3 * 40, 3 * 40 + 4 * 40
    assert aggregate(a_segment_score) == pytest.approx(2 * overlap / both)
    assert a_segment_score.mean_dsc == 1.0  # as published: the slices of the mask alone


def test_an_empty_slice_counts_by_the_probability_that_something_is_missed(a_segment_score):
    before = aggregate(a_segment_score)
    a_segment_score.empty_slices = [an_empty_slice(13, 1.0, 1000.0), an_empty_slice(14, 0.75, 80.0)]
    assert aggregate(a_segment_score) == pytest.approx(before * 100 / (100 + 0.25 * 80 / 2))


def test_empty_slices_below_the_models_threshold_are_missed(a_segment_score):
    a_segment_score.empty_slices = [an_empty_slice(k, dsc, 10.0) for k, dsc in ((13, 0.39), (14, 0.4), (15, 0.1))]
    aggregate(a_segment_score, calibration=CALIBRATION)
    assert [s.k for s in a_segment_score.missed_slices] == [13, 15]
    assert a_segment_score.n_missed == 2
    aggregate(a_segment_score)  # without a calibration: more likely missed than not
    assert [s.k for s in a_segment_score.missed_slices] == [13, 14, 15]


def test_a_hole_in_the_mask_has_a_threshold_of_its_own(a_segment_score):
    hole, end = an_empty_slice(11, 0.45, 10.0), an_empty_slice(13, 0.45, 10.0)
    hole.inner = True
    a_segment_score.empty_slices = [hole, end]
    aggregate(a_segment_score, calibration={"missed": {"threshold": 0.1, "inner_threshold": 0.6}})
    assert [s.k for s in a_segment_score.missed_slices] == [11]
    aggregate(a_segment_score, calibration={"missed": {"threshold": 0.5}})  # a model that has one for both
    assert [s.k for s in a_segment_score.missed_slices] == [11, 13]


def test_a_model_file_says_when_the_calibrated_dsc_was_the_better_one(a_segment_score):
    assert aggregate(a_segment_score, calibration=SHOWN_CALIBRATED) == pytest.approx(0.64)
    assert a_segment_score.predicted_dsc == pytest.approx(0.64)
    assert a_segment_score.area_weighted_dsc == pytest.approx(0.84)  # as it was
    assert a_segment_score.dsc_low == pytest.approx(0.56)
    assert a_segment_score.dsc_high == pytest.approx(0.74)


@pytest.mark.parametrize("shown", [{}, {"shown": "area_weighted"}, {"shown": None}])
def test_otherwise_the_area_weighted_dsc_is_shown_within_an_interval_that_holds_it(a_segment_score, shown):
    calibration = {**CALIBRATION, "segment": {**CALIBRATION["segment"], **shown}}
    assert aggregate(a_segment_score, calibration=calibration) == a_segment_score.area_weighted_dsc
    assert a_segment_score.dsc_low == pytest.approx(0.56)
    assert a_segment_score.dsc_high == pytest.approx(0.84)  # the curve says 0.74


def test_below_and_above_the_curve_its_ends_hold(a_segment_score):
    for s in a_segment_score.slices:
        s.predicted_dsc = 0.1
    aggregate(a_segment_score, calibration=SHOWN_CALIBRATED)
    assert (a_segment_score.predicted_dsc, a_segment_score.dsc_low, a_segment_score.dsc_high) == (0.0, 0.0, 0.1)


def test_the_plain_mean_is_not_calibrated(a_segment_score):
    assert aggregate(a_segment_score, "mean", CALIBRATION) == pytest.approx(0.7)
    assert (a_segment_score.dsc_low, a_segment_score.dsc_high) == (None, None)


def test_slices_have_intervals_of_their_own(a_segment_score):
    aggregate(a_segment_score, calibration=CALIBRATION)
    found = [(s.predicted_dsc, s.dsc_low, s.dsc_high) for s in a_segment_score.slices]
    assert found == [pytest.approx(row) for row in ((0.5, 0.3, 0.7), (0.9, 0.78, 0.94), (0.7, 0.54, 0.82))]
    aggregate(a_segment_score)
    assert a_segment_score.slices[0].dsc_low is None


@pytest.mark.parametrize(
    "calibration", [None, {}, {"slice": None, "segment": None, "missed": None}, {"segment_halfwidth": 0.1}]
)
def test_a_model_without_calibration_gives_no_interval(a_segment_score, calibration):
    assert aggregate(a_segment_score, calibration=calibration) == a_segment_score.area_weighted_dsc
    assert (a_segment_score.dsc_low, a_segment_score.dsc_high) == (None, None)
