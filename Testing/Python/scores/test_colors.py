from __future__ import annotations

import numpy as np
import pytest

from QualitySentinelLib.colors import SCALES
from QualitySentinelLib.errors import UsageError
from QualitySentinelLib.scores import dsc_color


def test_bad_is_red_doubtful_yellow_and_good_green():
    red, yellow, green = dsc_color(0.2), dsc_color(0.8), dsc_color(0.98)
    assert red[0] > 2 * red[1]
    assert min(yellow[:2]) > 2 * yellow[2]
    assert green[1] > 2 * green[0]


@pytest.mark.parametrize("scale", SCALES)
def test_a_scale_has_no_jumps_and_stays_within_range(scale):
    colors = np.array([dsc_color(d, scale) for d in np.linspace(0, 1, 1001)])
    assert colors.min() >= 0 and colors.max() <= 1
    assert np.abs(np.diff(colors, axis=0)).max() < 0.01


def test_values_beyond_the_range_take_the_ends_color():
    assert dsc_color(-0.5) == dsc_color(0.0)
    assert dsc_color(1.5) == dsc_color(1.0)


@pytest.mark.parametrize("nothing", [None, float("nan")])
def test_no_score_is_grey(nothing):
    assert len(set(dsc_color(nothing))) == 1


# Machado, Oliveira and Fernandes, "A Physiologically-based Model for Simulation of Color Vision Deficiency", IEEE
# TVCG 15(6), 2009: the matrices of table 1 for severity 1.0, applied to linear RGB.
MACHADO = {
    "protanopia": [
        [0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900],
    ],
    "none": np.eye(3),
}  # fmt: skip
EASILY_TOLD = 20.0
"""CIE76 distance in CIELAB. About 2.3 is just noticed side by side; this is told at a glance."""


def seen(rgb, vision) -> np.ndarray:
    """CIELAB of sRGB colors, ``[N, 3]``, as seen with a color vision deficiency."""
    rgb = np.asarray(rgb)
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = np.clip(linear @ np.transpose(MACHADO[vision]), 0, 1)
    to_xyz = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    xyz = linear @ np.transpose(to_xyz) / [0.95047, 1.0, 1.08883]
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)


def distance(a, b, vision, scale) -> float:
    one, other = seen([dsc_color(a, scale), dsc_color(b, scale)], vision)
    return float(np.linalg.norm(one - other))


@pytest.mark.parametrize("vision", MACHADO)
def test_on_the_safe_scale_better_is_darker_and_grades_are_told_apart_with_every_color_vision(vision):
    lightness = seen([dsc_color(d, "color-blind-safe") for d in np.linspace(0, 1, 101)], vision)[:, 0]
    assert (np.diff(lightness) < 0).all()
    assert lightness[0] - lightness[-1] > 50
    for a, b in ((0.3, 0.7), (0.6, 0.8), (0.7, 0.9), (0.8, 1.0)):
        assert distance(a, b, vision, "color-blind-safe") > EASILY_TOLD


def test_red_green_blind_readers_tell_doubtful_from_good_better_on_the_safe_scale():
    for vision in ("protanopia", "deuteranopia"):
        assert distance(0.7, 0.9, vision, "color-blind-safe") > 3 * distance(0.7, 0.9, vision, "red-yellow-green")


@pytest.mark.parametrize("scale", SCALES)
def test_every_color_stands_out_on_soft_tissue(scale):
    """Soft tissue in the usual window is middle gray; masks are drawn over it."""
    tissue = seen([(0.5, 0.5, 0.5)], "none")
    colors = seen([dsc_color(d, scale) for d in np.linspace(0, 1, 101)], "none")
    assert np.linalg.norm(colors - tissue, axis=1).min() > EASILY_TOLD


def test_an_unknown_scale_is_refused_with_the_names_there_are():
    with pytest.raises(UsageError, match="rainbow: no such color scale; choose one of red-yellow-green"):
        dsc_color(0.5, "rainbow")
