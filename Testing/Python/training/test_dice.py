"""The target: DSC of whole slices, on cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from QualitySentinelTrainingLib.dice import slice_dice, volume_dice


@pytest.fixture
def masks():
    """Five slices: equal, half of it, disjoint, reference only, both empty."""
    mask, reference = np.zeros((2, 5, 4, 4), bool)
    reference[0, :2] = mask[0, :2] = True  # 8 and 8, 8 shared: 1
    reference[1, :2] = True
    mask[1, :1] = True  # 4 and 8, 4 shared: 8/12
    reference[2, 0] = True
    mask[2, 3] = True  # 0
    reference[3, 0] = True  # 0
    return mask, reference


def test_each_slice_is_scored_whole(masks):
    assert slice_dice(*masks) == pytest.approx([1, 2 / 3, 0, 0, np.nan], nan_ok=True)
    assert slice_dice(*masks).dtype == np.float32


def test_order_does_not_matter(masks):
    mask, reference = masks
    assert np.array_equal(slice_dice(mask, reference), slice_dice(reference, mask), equal_nan=True)


def test_the_volume_is_not_the_mean_of_its_slices(masks):
    assert volume_dice(*masks) == pytest.approx(2 * 12 / (8 + 4 + 4 + 8 + 8 + 4 + 4))


def test_two_empty_masks_have_no_score():
    assert np.isnan(volume_dice(np.zeros((1, 2, 2), bool), np.zeros((1, 2, 2), bool)))
