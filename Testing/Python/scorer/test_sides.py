"""A case whose left and right are mistaken says so when it is scored."""

from __future__ import annotations

import numpy as np
import pytest

from QualitySentinelLib.scorer import Scorer
from QualitySentinelLib.volume import AxialFrame, CtVolume, Segmentation
from QualitySentinelLib.volume.segmentation import segment_from_mask

WIDTH = 48
PLACES = {"lung": 12, "kidney": 8, "femur": 10}
"""Voxels of 6 mm from the midline, on both sides."""


@pytest.fixture
def warnings_of(a_torso, a_small_model):
    """``warnings_of(*swapped)``: what is said of pairs of which these carry each other's names."""

    def run(*swapped: str, flipped: bool = False, stray: str = "") -> list[str]:
        to_ras = np.array(a_torso.ijk_to_ras)
        if flipped:  # the same body, stored the other way round
            to_ras = to_ras @ np.array([[-1.0, 0, 0, WIDTH - 1], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
        frame = AxialFrame.from_affine(to_ras, a_torso.hu.shape)
        segments = []
        for stem, distance in PLACES.items():
            for side, i in (("right", WIDTH // 2 - distance), ("left", WIDTH // 2 + distance)):
                mask = np.zeros(a_torso.hu.shape, np.uint8)
                mask[5:8, 10:14, i - 2 : i + 3] = 1
                if stem == stray and side == "left":
                    mask[5, 10, 2] = 1  # far on the right
                named = {"left": "right", "right": "left"}[side] if stem in swapped else side
                mask = frame.to_canonical(mask[:, :, ::-1] if flipped else mask)
                structure = f"{stem} {named}"
                segments.append(segment_from_mask(mask, id=structure, name=structure, structure=structure))
        ct = CtVolume(frame.to_canonical(a_torso.hu), frame, "ct")
        case = Scorer(a_small_model, device="cpu", slices=1).score(ct, Segmentation(segments, frame, "seg"))
        return [line for line in case.warnings if "left and right" in line]

    return run


def test_nothing_is_said_where_sides_are_as_named(warnings_of):
    assert warnings_of() == warnings_of(flipped=True) == []


def test_a_pair_with_each_others_names_is_named(warnings_of):
    (line,) = warnings_of("kidney")
    assert "names swapped: kidney left, kidney right" in line
    assert "96 mm to the right" in line and "2 other pairs" in line
    assert warnings_of("kidney", flipped=True) == [line]


def test_a_mirrored_case_is_named_once(warnings_of):
    (line,) = warnings_of(*PLACES)
    assert "case mirrored" in line and "all 3 pairs" in line


def test_a_stray_voxel_on_the_other_side_is_no_swap(warnings_of):
    assert warnings_of(stray="kidney") == []
