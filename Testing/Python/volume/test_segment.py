"""Segments: masks inside their boxes."""

from __future__ import annotations

import numpy as np
import pytest

from QualitySentinelLib.volume import Segment
from QualitySentinelLib.volume.segmentation import boxes_of_labels, segment_from_mask


@pytest.fixture
def a_label_map() -> np.ndarray:
    labels = np.zeros((6, 8, 10), np.uint8)
    labels[1:3, 2:5, 3:9] = 4
    labels[5, 7, 9] = 9
    return labels


def test_boxes_are_tight_and_absent_values_are_left_out(a_label_map):
    boxes = boxes_of_labels(a_label_map, [0, 4, 7, 9])
    assert boxes == {
        4: (slice(1, 3), slice(2, 5), slice(3, 9)),
        9: (slice(5, 6), slice(7, 8), slice(9, 10)),
    }


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.int64])
def test_boxes_are_found_in_any_integer_type_and_in_flipped_views(a_label_map, dtype):
    flipped = a_label_map.astype(dtype).transpose(2, 0, 1)[::-1]
    assert boxes_of_labels(flipped, [4])[4] == (slice(1, 7), slice(1, 3), slice(2, 5))


def test_a_segment_knows_its_slices_and_areas(a_label_map):
    box = boxes_of_labels(a_label_map, [4])[4]
    segment = Segment("4", "liver", box, a_label_map[box], 4)
    assert segment.occupied_slices().tolist() == [1, 2]
    assert segment.areas.tolist() == [18, 18]
    assert segment.slice_mask(2).all()


def test_a_one_voxel_segment_is_a_segment():
    mask = np.zeros((4, 4, 4), bool)
    mask[3, 0, 2] = True
    segment = segment_from_mask(mask, id="1", name="dot")
    assert segment.box == (slice(3, 4), slice(0, 1), slice(2, 3))
    assert segment.occupied_slices().tolist() == [3]


def test_a_mask_that_touches_every_border_keeps_all_its_voxels():
    segment = segment_from_mask(np.ones((3, 4, 5), bool), id="1", name="all")
    assert segment.voxels().shape == (3, 4, 5)
    assert segment.voxels().all()


def test_an_empty_mask_makes_an_empty_segment():
    segment = segment_from_mask(np.zeros((3, 3, 3)), id="1", name="none")
    assert segment.is_empty
    assert segment.occupied_slices().size == 0


def test_the_digest_of_a_slice_changes_with_that_slice_only(a_label_map):
    box = boxes_of_labels(a_label_map, [4])[4]
    before = Segment("4", "liver", box, a_label_map[box], 4)
    digests = [before.slice_digest(k) for k in (1, 2)]
    edited = a_label_map.copy()
    edited[2, 6, 1] = 4  # the box grows
    box = boxes_of_labels(edited, [4])[4]
    after = Segment("4", "liver", box, edited[box], 4)
    assert after.slice_digest(1) == digests[0]
    assert after.slice_digest(2) != digests[1]


def test_the_digest_tells_equal_masks_at_other_places_apart():
    first, second = np.zeros((1, 5, 5)), np.zeros((1, 5, 5))
    first[0, 1, 1] = second[0, 2, 1] = 1
    digests = {segment_from_mask(m, id="1", name="x").slice_digest(0) for m in (first, second)}
    assert len(digests) == 2
