"""Figures of agreement on cases worked by hand."""

import math

import numpy as np
import pytest

from QualitySentinelTrainingLib.metrics import agreement, auroc, bootstrap_interval


def test_a_constant_offset_is_bias_and_error_but_not_loss_of_correlation():
    true = np.array([0.2, 0.5, 0.9])
    figures = agreement(true + 0.1, true)
    assert figures["pearson_r"] == pytest.approx(1.0)
    assert figures["spearman_r"] == pytest.approx(1.0)
    assert figures["mae"] == pytest.approx(0.1)
    assert figures["bias"] == pytest.approx(0.1)
    assert figures["auroc_bad"] == 1.0


def test_auroc_counts_pairs_in_the_right_order_and_ties_half():
    assert auroc(np.array([3.0, 1.0, 2.0]), np.array([True, False, False])) == 1.0
    assert auroc(np.array([1.0, 1.0]), np.array([True, False])) == 0.5
    assert auroc(np.array([2.0, 1.0, 3.0, 4.0]), np.array([True, True, False, True])) == pytest.approx(1 / 3)


def test_figures_that_cannot_be_had_are_not_invented():
    assert math.isnan(agreement(np.array([0.5, 0.5]), np.array([0.1, 0.9]))["pearson_r"])
    assert math.isnan(auroc(np.array([0.5]), np.array([True])))


def test_the_bootstrap_draws_whole_subjects():
    rng = np.random.default_rng(0)
    true = rng.random(200)
    predicted = true + 0.1 * rng.standard_normal(200)
    subject = np.repeat(np.arange(10), 20)
    low, high = bootstrap_interval(predicted, true, subject, "pearson_r", draws=100)
    assert low < agreement(predicted, true)["pearson_r"] < high
    assert bootstrap_interval(predicted, true, np.zeros(200), "mae", draws=5) == pytest.approx(
        [np.abs(predicted - true).mean()] * 2
    )
