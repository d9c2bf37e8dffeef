"""Scores that tests of layer 6 share."""

from __future__ import annotations

import pytest

from QualitySentinelLib.scores import CaseScore, SegmentScore, SliceScore, Status


def slices_of(segment_id, dsc, areas=None, ks=None):
    """Slice scores of a segment in a file whose slices run downwards from 99."""
    ks = ks or range(10, 10 + len(dsc))
    areas = areas or [100.0] * len(dsc)
    return [
        SliceScore(segment_id, k, 99 - k, -50.0 + 2.5 * k, d, d + 0.001, a, f"digest{k}")
        for k, d, a in zip(ks, dsc, areas, strict=True)
    ]


@pytest.fixture
def a_segment_score():
    """A liver of three slices, the middle one large."""
    return SegmentScore(
        "5", "Liver", "liver", Status.SCORED, n_slices=3, slices=slices_of("5", [0.5, 0.9, 0.7], [10.0, 80.0, 10.0])
    )


@pytest.fixture
def a_case_score(a_segment_score):
    """One segment of each status; the liver has a doubtful slice."""
    odd = SegmentScore("7", "my thing", None, Status.UNKNOWN_STRUCTURE, n_slices=2, slices=slices_of("7", [0.6, 0.85]))
    empty = SegmentScore("8", "spleen", "spleen", Status.EMPTY)
    left_out = SegmentScore("9", "aorta", "aorta", Status.NOT_SCORED, n_slices=40)
    for segment in (a_segment_score, odd):
        segment.predicted_dsc = segment.mean_dsc = segment.area_weighted_dsc = 0.75
    return CaseScore(
        [a_segment_score, odd, empty, left_out],
        threshold=0.8,
        model={"name": "compact", "sha256": "ab" * 32},
        device="cpu",
        seconds=1.5,
        warnings=["masks were resampled to the CT's grid"],
    )
