from __future__ import annotations

import numpy as np
import pytest

from QualitySentinelLib.scores import dsc_color


def test_bad_is_red_doubtful_yellow_and_good_green():
    red, yellow, green = dsc_color(0.2), dsc_color(0.8), dsc_color(0.98)
    assert red[0] > 2 * red[1]
    assert min(yellow[:2]) > 2 * yellow[2]
    assert green[1] > 2 * green[0]


def test_the_scale_has_no_jumps_and_stays_within_range():
    colors = np.array([dsc_color(d) for d in np.linspace(0, 1, 1001)])
    assert colors.min() >= 0 and colors.max() <= 1
    assert np.abs(np.diff(colors, axis=0)).max() < 0.01


def test_values_beyond_the_range_take_the_ends_color():
    assert dsc_color(-0.5) == dsc_color(0.0)
    assert dsc_color(1.5) == dsc_color(1.0)


@pytest.mark.parametrize("nothing", [None, float("nan")])
def test_no_score_is_grey(nothing):
    assert len(set(dsc_color(nothing))) == 1
