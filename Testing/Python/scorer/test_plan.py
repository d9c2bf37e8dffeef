"""Which slices are scored."""

import numpy as np
import pytest

from QualitySentinelLib.errors import UsageError
from QualitySentinelLib.scorer.plan import parse_slice_choice, plan_slices
from QualitySentinelLib.volume.segmentation import segment_from_mask


@pytest.fixture
def a_segment_on_slices_5_to_27():
    mask = np.zeros((40, 8, 8), bool)
    mask[5:28, 2:5, 2:5] = True
    return segment_from_mask(mask, id="1", name="liver")


def test_every_slice_that_holds_mask_is_scored_by_default(a_segment_on_slices_5_to_27):
    assert plan_slices(a_segment_on_slices_5_to_27) == list(range(5, 28))


@pytest.mark.parametrize("number", [2, 3, 7, 10, 23, 99])
def test_a_number_of_slices_includes_both_ends(a_segment_on_slices_5_to_27, number):
    chosen = plan_slices(a_segment_on_slices_5_to_27, number)
    assert chosen[0] == 5
    assert chosen[-1] == 27
    assert len(chosen) == min(number, 23)
    gaps = np.diff(chosen)
    assert gaps.max() - gaps.min() <= 1


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
        parse_slice_choice(nonsense)
