"""Reports on many cases: what a reader sees on the page, in a chart, in a table."""

import math
import re

import numpy as np
import pytest

from QualitySentinelLib.errors import InputError
from QualitySentinelTrainingLib.pages import Line, Section, line_chart, write_report, write_table
from QualitySentinelTrainingLib.pages.page import percent


def test_a_report_holds_its_sections_and_needs_no_other_file(tmp_path):
    chart = line_chart([Line("ours", [0, 1, 2], [0.5, 0.7, 0.8])], "round", "DSC by round")
    sections = [
        Section("Strategies", "", chart, ("strategy", "DSC", "n"), [("ours", 0.8125, 1234), ("a_b", math.nan, 2)]),
        Section("Failed", columns=("case",)),
        Section("Shares", columns=("of all",), rows=[(percent(0.25),)]),
    ]
    text = write_report(tmp_path / "report.html", "A <title>", "What it is about.", sections).read_text()
    assert "A &lt;title&gt;" in text and "0.812" in text and "1\N{NARROW NO-BREAK SPACE}234" in text
    assert "a_<wbr>b" in text and '<td class="num">–</td>' in text
    assert '<td class="num">25\N{NARROW NO-BREAK SPACE}%</td>' in text
    assert "None." in text.split("Failed")[1]
    assert not re.search(r'(src|href)="(?!data:|#)', text)
    assert text.count("<svg") == 1 and "ours" in text.split("</svg>")[1].split("</div>")[0]


def test_a_line_stays_in_the_chart_and_leaves_out_what_is_missing():
    line = Line("a", [0, 1, 2, 3], [0.0, math.nan, 1.0, 3.0], low=[0, 0, 0, 2], high=[1, 1, 2, 4])
    chart = line_chart([line], "n", "t", (0.0, 2.0), 2)
    path = re.search(r'class="line"[^>]* d="M([^"]+)"', chart)[1]
    points = np.array([[float(v) for v in point.split()] for point in path.split("L")])
    assert len(points) == 3, "the missing one is not drawn"
    assert points[2, 1] == points[:, 1].min() >= 0, "what lies above the axis is drawn at its end"
    assert 'class="band"' in chart and 'class="threshold"' in chart
    assert line_chart([Line("none", [], [])], "n", "t") == ""


def test_a_point_alone_is_drawn_as_a_dot():
    chart = line_chart([Line("first round", [0], [0.5])], "round", "t")
    assert re.search(r'style="stroke-linecap:round;stroke-width:8;[^"]*" d="M[^L"]+h0"', chart)


def test_a_table_keeps_missing_values_empty(tmp_path):
    rows = [("=x", np.float32(0.5), True), ("b", math.nan, None)]
    path = write_table(tmp_path / "t.csv", ("name", "value", "yes"), rows)
    assert path.read_text(encoding="utf-8-sig").split() == ["name,value,yes", "'=x,0.5000,1", "b,,"]


def test_a_report_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file"):
        write_report(tmp_path / "file" / "report.html", "t", "l", [])
