"""Figures of agreement on cases worked by hand."""

import math

import numpy as np
import pytest

from QualitySentinelTrainingLib.stats import (
    FIGURES,
    Agreement,
    agreement,
    auroc,
    bootstrap_intervals,
    calibration_curve,
    risk_coverage,
)


def test_a_constant_offset_is_bias_and_error_but_not_loss_of_correlation():
    true = np.array([0.2, 0.5, 0.9])
    figures = agreement(true + 0.1, true)
    assert figures["pearson_r"] == pytest.approx(1.0)
    assert figures["spearman_r"] == pytest.approx(1.0)
    assert figures["mae"] == pytest.approx(0.1)
    assert figures["bias"] == pytest.approx(0.1)
    assert figures["auroc_below_0.7"] == 1.0
    assert figures["ece"] == pytest.approx(0.1)


def test_figures_equal_those_of_scipy():
    from scipy import stats

    rng = np.random.default_rng(0)
    true = np.round(rng.random(300), 1)  # with ties
    predicted = np.clip(np.round(true + rng.normal(0, 0.2, 300), 2), 0, 1)
    figures = agreement(predicted, true)
    assert figures["pearson_r"] == pytest.approx(stats.pearsonr(predicted, true).statistic)
    assert figures["spearman_r"] == pytest.approx(stats.spearmanr(predicted, true).statistic)
    bad = true < 0.5
    u = stats.mannwhitneyu(-predicted[bad], -predicted[~bad]).statistic
    assert figures["auroc_below_0.5"] == pytest.approx(u / (bad.sum() * (~bad).sum()))


def test_weights_count_things_several_times():
    rng = np.random.default_rng(1)
    true, predicted = rng.random(40), rng.random(40)
    weights = rng.integers(0, 4, 40)
    weighted = Agreement(predicted, true).figures(weights)
    repeated = agreement(np.repeat(predicted, weights), np.repeat(true, weights))
    for name in FIGURES:
        assert weighted[name] == pytest.approx(repeated[name]), name


def test_auroc_counts_pairs_in_the_right_order_and_ties_half():
    assert auroc(np.array([3.0, 1.0, 2.0]), np.array([True, False, False])) == 1.0
    assert auroc(np.array([1.0, 1.0]), np.array([True, False])) == 0.5
    assert auroc(np.array([2.0, 1.0, 3.0, 4.0]), np.array([True, True, False, True])) == pytest.approx(1 / 3)


def test_the_risk_of_keeping_the_best_predicted():
    share, risk = risk_coverage(np.array([0.9, 0.1, 0.5]), np.array([1.0, 0.4, 0.7]))
    assert share == pytest.approx([1 / 3, 2 / 3, 1])
    assert risk == pytest.approx([0.0, 0.15, 0.3])


def test_the_area_under_the_risk_coverage_curve_is_that_of_the_curve():
    rng = np.random.default_rng(2)
    true = rng.random(4000)
    predicted = np.clip(true + rng.normal(0, 0.2, 4000), 0, 1)
    assert agreement(predicted, true)["aurc"] == pytest.approx(risk_coverage(predicted, true)[1].mean(), abs=1e-3)


def test_a_perfect_order_has_no_excess_risk_and_none_at_all_the_mean_risk():
    true = np.linspace(0, 1, 50)
    assert agreement(true**3, true)["aurc_excess"] == pytest.approx(0.0, abs=1e-12)
    assert agreement(np.full(50, 0.5), true)["aurc"] == pytest.approx(0.5)
    assert agreement(1 - true, true)["aurc"] > 0.5


def test_figures_that_cannot_be_had_are_not_invented():
    assert math.isnan(agreement(np.array([0.5, 0.5]), np.array([0.1, 0.9]))["pearson_r"])
    assert math.isnan(auroc(np.array([0.5]), np.array([True])))
    assert all(math.isnan(agreement(np.zeros(0), np.zeros(0))[name]) for name in FIGURES)


def test_the_calibration_curve_leaves_out_empty_bins():
    curve = calibration_curve(np.array([0.05, 0.07, 1.0]), np.array([0.2, 0.4, 0.8]))
    assert [point["n"] for point in curve] == [2, 1]
    assert curve[0]["predicted"] == pytest.approx(0.06) and curve[0]["true"] == pytest.approx(0.3)


def test_the_bootstrap_draws_whole_persons():
    rng = np.random.default_rng(0)
    patient = np.repeat(np.arange(10), 50)
    true = rng.random(500)
    own_bias = rng.normal(0, 0.1, 10)
    predicted = true + own_bias[patient]
    together = bootstrap_intervals(predicted, true, patient, ["bias"], draws=200)["bias"]
    apart = bootstrap_intervals(predicted, true, np.arange(500), ["bias"], draws=200)["bias"]
    assert together[0] < (predicted - true).mean() < together[1]
    assert together[1] - together[0] > 3 * (apart[1] - apart[0])  # slices of a patient share its bias


def test_one_person_gives_no_interval():
    assert bootstrap_intervals(np.array([0.1, 0.4]), np.array([0.2, 0.3]), np.array(["a", "a"])) == {}


def test_figures_and_intervals_are_those_of_version_0_1():
    rng = np.random.default_rng(3)
    true = rng.random(60)
    predicted = np.clip(true + rng.normal(0, 0.2, 60), 0, 1)
    assert agreement(predicted, true) == pytest.approx({
        "n": 60, "pearson_r": 0.8349263059958175, "spearman_r": 0.8380076383172855, "mae": 0.1526507074243891,
        "bias": 0.0069329248182435155, "auroc_below_0.5": 0.9555555555555556, "auroc_below_0.7": 0.905608755129959,
        "auroc_below_0.8": 0.91, "aurc": 0.3038243921383231, "aurc_excess": 0.03665861788398672,
        "ece": 0.10573745079202457,
    }, rel=1e-9)  # fmt: skip
    intervals = bootstrap_intervals(predicted, true, np.repeat(np.arange(12), 5), draws=50)
    assert intervals["pearson_r"] == pytest.approx((0.7576039361904461, 0.9004756727635577), rel=1e-9)
    assert intervals["auroc_below_0.7"] == pytest.approx((0.8201933452855359, 0.974204904940306), rel=1e-9)
    assert intervals["ece"] == pytest.approx((0.07612832781873131, 0.15970035878234748), rel=1e-9)
