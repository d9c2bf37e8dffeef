"""Which slices are scored."""

import numpy as np
import pytest

from QualitySentinelLib.errors import UsageError
from QualitySentinelLib.options import ScoringOptions
from QualitySentinelLib.scorer.plan import empty_slices, plan_slices
from QualitySentinelLib.volume.segmentation import segment_from_mask


@pytest.fixture
def a_segment_on_slices_5_to_27():
    mask = np.zeros((40, 8, 8), bool)
    mask[5:28, 2:5, 2:5] = True
    return segment_from_mask(mask, id="1", name="liver")


def test_every_slice_that_holds_mask_is_scored_by_default(a_segment_on_slices_5_to_27):
    assert plan_slices(a_segment_on_slices_5_to_27) == list(range(5, 28))


@pytest.mark.parametrize("number", [2, 3, 7, 10, 23, 99])
def test_a_number_of_slices_stands_for_equal_parts(a_segment_on_slices_5_to_27, number):
    chosen = plan_slices(a_segment_on_slices_5_to_27, number)
    assert len(chosen) == min(number, 23)
    gaps = np.diff(chosen)
    assert gaps.max() - gaps.min() <= 1
    half = 23 / len(chosen) / 2  # from a middle to the end of its part
    assert abs(chosen[0] - 5 + 0.5 - half) <= 1 and abs(28 - chosen[-1] - 0.5 - half) <= 1


def test_one_slice_is_the_middle_one(a_segment_on_slices_5_to_27):
    assert plan_slices(a_segment_on_slices_5_to_27, 1) == [16]


def test_a_gap_in_the_mask_is_not_scored():
    mask = np.zeros((10, 4, 4), bool)
    mask[[2, 3, 7], 1, 1] = True
    assert plan_slices(segment_from_mask(mask, id="1", name="ribs")) == [2, 3, 7]


def test_the_published_positions_are_reproduced(shared):
    import json

    expected = json.loads((shared / "fixtures" / "preprocess_fixture_tv016.json").read_text())
    for count, positions in expected["_slice_sampling_positions_by_n"].items():
        segment = segment_from_mask(np.ones((int(count), 1, 1), bool), id="1", name="x")
        assert plan_slices(segment, "published") == positions


def test_published_positions_count_from_the_top_of_a_file_stored_downwards():
    segment = segment_from_mask(np.ones((20, 1, 1), bool), id="1", name="x")
    assert plan_slices(segment, "published", from_top=True) == [19 - k for k in range(18, -1, -2)]


def test_an_empty_segment_has_no_slices():
    assert plan_slices(segment_from_mask(np.zeros((3, 3, 3)), id="1", name="x")) == []


@pytest.mark.parametrize("nonsense", ["", "some", 0, "-3", "1.5", None])
def test_nonsense_is_refused_in_one_line(nonsense):
    with pytest.raises(UsageError, match="slices must be"):
        ScoringOptions(slices=nonsense)


def on_slices(*ks, depth=30):
    mask = np.zeros((depth, 4, 4), bool)
    mask[list(ks), 1, 1] = True
    return segment_from_mask(mask, id="1", name="liver")


def test_gaps_are_searched_whole_and_beyond_the_ends_as_far_as_asked():
    planned = empty_slices(on_slices(10, 11, 16, 17).occupied_slices(), depth=30, spacing_mm=2.5, reach_mm=7.5)
    assert planned == {7: 10, 8: 10, 9: 10, 12: 11, 13: 11, 14: 16, 15: 16, 18: 17, 19: 17, 20: 17}


def test_of_two_slices_equally_near_the_inferior_one_counts():
    assert empty_slices(on_slices(10, 12).occupied_slices(), 30, 5.0, 0.0)[11] == 10


def test_thick_slices_are_searched_one_beyond_either_end():
    assert list(empty_slices(on_slices(4, 5, 6).occupied_slices(), 10, spacing_mm=20.0, reach_mm=10.0)) == [3, 7]


def test_what_ends_with_the_ct_is_not_searched_beyond_it():
    assert empty_slices(on_slices(0, 1, 2, depth=3).occupied_slices(), 3, 5.0) == {}
    assert empty_slices(on_slices(0, depth=2).occupied_slices(), 2, 5.0) == {1: 0}


def test_distances_on_the_limit_are_within_reach_whatever_rounding_does():
    assert len(empty_slices(on_slices(15).occupied_slices(), 30, spacing_mm=0.1 + 0.2, reach_mm=0.9)) == 6


def test_an_empty_segment_has_nothing_to_miss():
    assert empty_slices(segment_from_mask(np.zeros((3, 3, 3)), id="1", name="x").occupied_slices(), 3, 5.0) == {}


def test_a_stray_voxel_far_away_does_not_make_the_whole_way_to_it_a_gap():
    planned = empty_slices(on_slices(10, 11, 95, depth=100).occupied_slices(), depth=100, spacing_mm=3.0, reach_mm=10.0)
    assert list(planned) == [7, 8, 9, *range(12, 27), *range(80, 95), 96, 97, 98]
    assert planned[26] == 11 and planned[80] == 95
