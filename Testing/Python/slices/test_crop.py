"""Crop boxes: the published rule with all its oddities, and our square in mm."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest

from QualitySentinelLib.slices import COMPACT
from QualitySentinelLib.slices.crop import (
    published_crop,
    square_crop,
)
from QualitySentinelLib.volume.segmentation import mask_extent


@pytest.fixture(scope="module")
def published_cases(shared):
    """Per case of the parity fixture: its mask and what upstream did with it."""
    facts = json.loads((shared / "fixtures" / "preprocess_fixture_tv016.json").read_text())
    with np.load(shared / "fixtures" / "preprocess_fixture_tv016.npz") as arrays:
        return {
            name: (arrays[name + "__mask"], fact)
            for name, fact in facts.items()
            if not name.startswith("_")
        }  # fmt: skip


def test_published_inference_boxes(published_cases):
    assert len(published_cases) == 8
    for name, (mask, facts) in published_cases.items():
        assert list(published_crop(mask_extent(mask), mask.shape)) == facts["box_rmin_rmax_cmin_cmax"], name


def published_training_crop(extent, shape, rng, size=256, least=10):
    """The published crop with training's random margins: rows first, then columns, both ends included."""
    pairs = (extent[:2], extent[2:])
    margins = [rng.randint(least, max(least, (size - (stop - 1 - first)) // 2)) for first, stop in pairs]
    return published_crop(extent, shape, *margins)


def test_published_training_boxes(published_cases):
    for name, (mask, facts) in published_cases.items():
        for seed, *box in facts["train_random_margin_boxes_seed_rmin_rmax_cmin_cmax"]:
            found = published_training_crop(mask_extent(mask), mask.shape, random.Random(seed))
            assert list(found) == box, (name, seed)


def test_extent_of_a_part_of_a_plane():
    mask = np.zeros((5, 6), bool)
    assert mask_extent(mask) is None
    mask[1:3, 4] = True
    assert mask_extent(mask, (10, 20)) == (11, 13, 24, 25)


def test_our_crop_is_square_in_mm_and_centred_and_keeps_its_margin():
    box = square_crop((100, 140, 50, 60), (0.5, 2.0), COMPACT)
    height, width = (box[1] - box[0]) * 0.5, (box[3] - box[2]) * 2.0
    assert height == pytest.approx(width) == pytest.approx(COMPACT.min_side_mm)
    assert (box[0] + box[1]) / 2 == 120 and (box[2] + box[3]) / 2 == 55
    large = square_crop((0, 100, 0, 100), (1.0, 1.0), COMPACT)
    assert large[1] - large[0] == pytest.approx(100 + 2 * COMPACT.margin_mm)
    larger = square_crop((0, 300, 0, 100), (1.0, 1.0), COMPACT)
    assert larger[1] - larger[0] == pytest.approx(300 * COMPACT.extent_factor)
