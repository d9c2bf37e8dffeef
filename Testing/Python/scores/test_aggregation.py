from __future__ import annotations

import numpy as np
import pytest

from QualitySentinelLib.errors import UsageError
from QualitySentinelLib.scores import SegmentScore, SliceScore, Status, aggregate


def test_the_mean_counts_every_slice_alike(a_segment_score):
    assert aggregate(a_segment_score, "mean") == pytest.approx(0.7)
    assert a_segment_score.predicted_dsc == pytest.approx(0.7)


def test_the_area_weighted_mean_counts_large_slices_more(a_segment_score):
    assert aggregate(a_segment_score, "area_weighted") == pytest.approx(0.1 * 0.5 + 0.8 * 0.9 + 0.1 * 0.7)


@pytest.mark.parametrize("method", ["mean", "area_weighted"])
def test_both_aggregates_are_kept_whichever_is_chosen(a_segment_score, method):
    aggregate(a_segment_score, method)
    assert a_segment_score.mean_dsc == pytest.approx(0.7)
    assert a_segment_score.area_weighted_dsc == pytest.approx(0.84)


def test_an_unknown_method_is_refused_with_the_choices_named(a_segment_score):
    with pytest.raises(UsageError, match=r"median.*mean, area_weighted"):
        aggregate(a_segment_score, "median")


def test_a_segment_without_scored_slices_has_no_score_and_no_interval():
    empty = SegmentScore("1", "spleen", "spleen", Status.EMPTY, predicted_dsc=0.9, dsc_low=0.8)
    assert aggregate(empty, calibration={"segment_halfwidth": 0.1}) is None
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


def test_the_interval_is_the_models_half_width_cut_at_nought_and_one(a_segment_score):
    aggregate(a_segment_score, "area_weighted", {"slice_halfwidth": 0.3, "segment_halfwidth": 0.2})
    assert a_segment_score.dsc_low == pytest.approx(0.64)
    assert a_segment_score.dsc_high == 1.0


@pytest.mark.parametrize("calibration", [None, {}, {"slice_halfwidth": 0.1}, {"segment_halfwidth": None}])
def test_a_model_without_calibration_gives_no_interval(a_segment_score, calibration):
    aggregate(a_segment_score, calibration=calibration)
    assert a_segment_score.predicted_dsc is not None
    assert (a_segment_score.dsc_low, a_segment_score.dsc_high) == (None, None)
