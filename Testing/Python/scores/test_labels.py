from __future__ import annotations

from QualitySentinelLib.scores import SegmentScore, Status, segment_labels


def labels_of(*ids_and_names):
    return segment_labels([SegmentScore(i, n, None, Status.EMPTY) for i, n in ids_and_names])


def test_a_name_of_its_own_is_left_alone():
    assert labels_of(("1", "liver"), ("2", "spleen, left")) == {"1": "liver", "2": "spleen, left"}


def test_equal_names_are_told_apart_by_their_ids():
    assert labels_of(("1", "liver"), ("2", "liver")) == {"1": "liver [1]", "2": "liver [2]"}


def test_a_blank_name_is_shown_by_its_id():
    assert labels_of(("Segment_3", " ")) == {"Segment_3": "[Segment_3]"}


def test_labels_differ_even_when_a_segment_is_really_called_like_a_label():
    assert len(set(labels_of(("1", "a"), ("2", "a"), ("3", "a [1]"), ("4", "a [2]")).values())) == 4
