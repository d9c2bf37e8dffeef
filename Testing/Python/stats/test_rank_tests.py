"""Tests of independent units, and the bootstrap of their means."""

import numpy as np
import pytest

from QualitySentinelTrainingLib.stats import adjusted, drawn_means, rank_test, signed_rank_p


def test_p_values_are_corrected_as_benjamini_and_hochberg_do():
    """The values of statsmodels' ``fdr_bh``."""
    assert adjusted([0.01, 0.04, 0.03, 0.005, 0.2, 1.0]) == pytest.approx([0.03, 0.06, 0.06, 0.03, 0.24, 1.0])
    assert len(adjusted([])) == 0


def test_the_size_of_an_effect_of_two_and_of_three_groups():
    apart = rank_test([np.array([3.0, 4.0, 5.0]), np.array([1.0, 2.0])])
    assert (apart.name, apart.n, apart.effect) == ("Mann-Whitney U", 5, 1.0)
    three = rank_test([np.array([1.0, 2.0]), np.array([3.0, 4.0]), np.array([5.0, 6.0])])
    assert (three.name, three.n) == ("Kruskal-Wallis", 6) and three.effect == pytest.approx(4.571428571 / 5)


def test_no_difference_at_all_is_no_difference():
    assert signed_rank_p(np.zeros(6)) == 1.0
    assert signed_rank_p(np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])) == pytest.approx(0.03125)


def test_units_are_drawn_for_all_columns_at_once():
    values = np.array([[1.0, 2.0], [3.0, 6.0], [np.nan, np.nan]])
    means = drawn_means(values, 300, [0])
    assert np.isnan(means).any() and means.shape == (300, 2)  # the third unit alone was drawn
    there = ~np.isnan(means[:, 0])
    np.testing.assert_allclose(means[there, 1], 2 * means[there, 0])
    np.testing.assert_array_equal(means, drawn_means(values, 300, [0]))
