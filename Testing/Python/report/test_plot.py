from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest

from QualitySentinelLib.report.plot import HEIGHT, WIDTH, dsc_plot
from QualitySentinelLib.report.text import dsc_text, duration_text, file_name, position_text, printable
from QualitySentinelLib.scores import SegmentScore, SliceScore, Status


def a_segment(ks, n_slices=None, dsc=0.9, flagged=()):
    slices = [SliceScore("1", k, 99 - k, 2.5 * k, dsc, dsc, 10.0, "", k in flagged) for k in ks]
    return SegmentScore("1", "liver", "liver", Status.SCORED, n_slices or len(slices), slices=slices)


def count(svg, name):
    return len(re.findall(f'class="{name}"', svg))


@pytest.mark.parametrize("ks", [[7], [7, 8], range(300), [3, 90]])
def test_any_number_of_slices_gives_well_formed_svg_within_its_frame(ks):
    svg = dsc_plot(a_segment(ks, flagged=(7,)), "liver", 0.8)
    ET.fromstring(svg)
    for x, y in re.findall(r'cx="([-\d.]+)" cy="([-\d.]+)"', svg):
        assert 0 <= float(x) <= WIDTH and 0 <= float(y) <= HEIGHT
    assert count(svg, "point") + count(svg, "flagged") == len(ks)


def test_the_line_stops_where_the_mask_is_interrupted():
    assert count(dsc_plot(a_segment([1, 2, 3, 9, 10]), "liver", 0.8), "line") == 2


def test_the_line_runs_on_where_slices_were_only_left_out_of_scoring():
    assert count(dsc_plot(a_segment([1, 11, 40], n_slices=40), "liver", 0.8), "line") == 1


def test_a_mark_tells_slice_position_and_dsc():
    svg = dsc_plot(a_segment([40, 41], dsc=0.5, flagged=(40,)), "liver", 0.8)
    assert "<title>slice 59, S 100.0 mm: DSC 0.50, below the threshold</title>" in svg


def test_missed_slices_lie_within_the_frame_even_beyond_the_mask():
    segment = a_segment([5, 6, 7])
    segment.empty_slices = [
        SliceScore("1", k, 99 - k, 2.5 * k, 0.1, 0.1, 10.0, "", nearest_k=5, missed=k != 4) for k in (3, 4, 8)
    ]
    svg = dsc_plot(segment, "liver", 0.8)
    ET.fromstring(svg)
    assert (count(svg, "missed"), count(svg, "missed-column")) == (2, 2)
    for left, right in re.findall(r'class="missed-column" d="M([-\d.]+) \d+H([-\d.]+)V', svg):
        assert 0 <= float(left) < float(right) <= WIDTH
    assert "<title>slice 96, S 7.5 mm: mask missing, structure expected, predicted DSC 0.10</title>" in svg


def test_the_band_is_drawn_where_slices_have_an_interval():
    segment = a_segment([1, 2, 3, 9, 10])
    assert count(dsc_plot(segment, "liver", 0.8), "band") == 0
    for s in segment.slices:
        s.dsc_low, s.dsc_high = 0.8, 1.0
    assert count(dsc_plot(segment, "liver", 0.8), "band") == 2


def test_a_hostile_label_is_escaped():
    assert "<script>" not in dsc_plot(a_segment([1, 2]), '"><script>', 0.8)


def test_in_very_large_cases_only_flagged_slices_are_marked():
    svg = dsc_plot(a_segment(range(50), flagged=(7,)), "liver", 0.8, mark_all=False)
    assert (count(svg, "point"), count(svg, "flagged")) == (0, 1)


def test_a_dsc_never_reads_as_on_the_other_side_of_the_threshold():
    assert dsc_text(0.7996, 0.8) == "0.7996"
    assert dsc_text(0.798, 0.8) == "0.798"
    assert dsc_text(0.79, 0.8) == "0.79"
    assert dsc_text(None) == "–"


def test_texts_for_the_page():
    assert position_text(-123.46) == "S −123.5 mm"
    assert position_text(-0.01) == "S 0.0 mm"
    assert file_name("C:\\a\\b\\") == "b"
    assert file_name("/a/ct.nii.gz") == "ct.nii.gz"
    assert duration_text(185) == "3 min 05 s"
    assert printable("a\nb\x00\udc80") == "a b\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}"
