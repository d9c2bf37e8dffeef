from __future__ import annotations

import csv

import pytest

from QualitySentinelLib.errors import InputError
from QualitySentinelLib.scores import (
    SegmentScore,
    SliceScore,
    Status,
    flag,
    write_table,
)
from QualitySentinelLib.scores.columns import SEGMENT_COLUMNS, SLICE_COLUMNS
from QualitySentinelLib.scores.tables import segment_rows, slice_rows
from QualitySentinelTrainingLib.tables import read_frame

HOSTILE_NAMES = [
    "liver, right lobe",
    "two\nlines",
    'a "quoted" name',
    "Leber große Läsion 肝臓",
    "=HYPERLINK(1)",
    "-spleen",
    "+1",
    "@sum",
    "'apostrophe",
    "'=both",
    "a/b\\c",
    "carriage\rreturn",
    "\ttab",
    " ",
    "<script>alert(1)</script>",
]


def write_segments_csv(path, case):
    return write_table(path, SEGMENT_COLUMNS, segment_rows(case))


def write_slices_csv(path, case):
    return write_table(path, SLICE_COLUMNS, slice_rows(case))


def read(path):
    frame = read_frame(path, categories=False).astype(object)
    return frame.where(frame.notna(), None).to_dict("records")


def test_the_segment_table_has_the_columns_of_the_contract_in_order(tmp_path, a_case_score):
    path = write_segments_csv(tmp_path / "segments.csv", a_case_score)
    assert path.read_bytes().split(b"\r\n")[0] == (
        b"segment,structure,n_slices,n_scored,predicted_dsc,dsc_low,dsc_high,n_flagged,status,missed_slices"
    )


def test_the_slice_table_has_the_columns_of_the_contract_in_order(tmp_path, a_case_score):
    path = write_slices_csv(tmp_path / "slices.csv", a_case_score)
    assert path.read_bytes().split(b"\r\n")[0] == (
        b"segment,structure,slice_index,position_mm,predicted_dsc,flagged,dsc_low,dsc_high,missed"
    )


def test_every_segment_has_a_row_whatever_became_of_it(tmp_path, a_case_score):
    flag(a_case_score)
    rows = read(write_segments_csv(tmp_path / "segments.csv", a_case_score))
    assert [(r["segment"], r["status"], r["n_slices"], r["n_scored"], r["n_flagged"]) for r in rows] == [
        ("Liver", "scored", 3, 3, 2),
        ("my thing", "unknown structure", 2, 2, 1),
        ("spleen", "empty", 0, 0, 0),
        ("aorta", "not scored", 40, 0, 0),
    ]


def test_every_row_of_the_slice_table_is_a_scored_slice_in_the_files_own_numbers(tmp_path, a_case_score):
    flag(a_case_score)
    rows = read(write_slices_csv(tmp_path / "slices.csv", a_case_score))
    assert len(rows) == 5
    assert rows[0] == {
        "segment": "Liver",
        "structure": "liver",
        "slice_index": 89,
        "position_mm": -25.0,
        "predicted_dsc": 0.5,
        "flagged": True,
        "dsc_low": None,
        "dsc_high": None,
        "missed": False,
    }
    assert rows[4]["structure"] is None


def test_missed_slices_have_rows_among_the_others_and_empty_slices_in_order_have_none(tmp_path, a_case_score):
    liver = a_case_score.segments[0]
    liver.slices[1].dsc_low, liver.slices[1].dsc_high = 0.8, 0.95
    liver.empty_slices = [
        SliceScore("5", k, 99 - k, -50.0 + 2.5 * k, dsc, dsc, 10.0, "digest", nearest_k=10, missed=dsc < 0.4)
        for k, dsc in ((9, 0.125), (13, 0.95))
    ]
    flag(a_case_score)
    rows = read(write_slices_csv(tmp_path / "slices.csv", a_case_score))
    assert [(r["slice_index"], r["missed"], r["flagged"]) for r in rows[:4]] == [
        (90, True, False),
        (89, False, True),
        (88, False, False),
        (87, False, True),
    ]
    assert (rows[0]["predicted_dsc"], rows[0]["dsc_low"]) == (0.125, None)
    assert (rows[2]["dsc_low"], rows[2]["dsc_high"]) == (0.8, 0.95)
    assert len(rows) == 6
    segments = read(write_segments_csv(tmp_path / "segments.csv", a_case_score))
    assert [r["missed_slices"] for r in segments] == [1, 0, 0, 0]
    assert segments[0]["n_scored"] == 3


def test_missing_values_are_empty_cells(tmp_path, a_case_score):
    a_case_score.segments[1].predicted_dsc = float("nan")
    with open(write_segments_csv(tmp_path / "segments.csv", a_case_score), newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert rows[2]["predicted_dsc"] == rows[2]["dsc_low"] == rows[2]["dsc_high"] == ""
    assert rows[1]["predicted_dsc"] == rows[1]["structure"] == ""
    assert rows[0]["predicted_dsc"] == "0.7500"


def test_positions_near_zero_have_no_minus_sign(tmp_path, a_case_score):
    a_case_score.segments[0].slices[0].position_mm = -0.0001
    with open(write_slices_csv(tmp_path / "slices.csv", a_case_score), newline="", encoding="utf-8") as stream:
        assert next(csv.DictReader(stream))["position_mm"] == "0.000"


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_any_name_survives_writing_and_reading(tmp_path, a_case_score, name):
    a_case_score.segments[0].name = name
    segments = read(write_segments_csv(tmp_path / "segments.csv", a_case_score))
    slices = read(write_slices_csv(tmp_path / "slices.csv", a_case_score))
    assert len(segments) == 4 and len(slices) == 5
    assert segments[0]["segment"] == slices[0]["segment"] == (name if name.strip() else "[5]")


@pytest.mark.parametrize("name", [n for n in HOSTILE_NAMES if n[0] in "=+-@\t"])
def test_no_cell_begins_like_a_formula(tmp_path, a_case_score, name):
    a_case_score.segments[0].name = a_case_score.segments[0].structure = name
    with open(write_segments_csv(tmp_path / "segments.csv", a_case_score), newline="", encoding="utf-8") as stream:
        row = next(csv.DictReader(stream))
    assert row["segment"] == row["structure"] == "'" + name


def test_segments_of_one_name_can_be_told_apart(tmp_path, a_case_score):
    a_case_score.segments.append(SegmentScore("12", "Liver", "liver", Status.EMPTY))
    rows = read(write_segments_csv(tmp_path / "segments.csv", a_case_score))
    assert [r["segment"] for r in rows if r["structure"] == "liver"] == ["Liver [5]", "Liver [12]"]


def test_a_name_that_is_not_valid_utf8_is_written_all_the_same(tmp_path, a_case_score):
    a_case_score.segments[0].name = b"f\xfcr.nii".decode("utf-8", "surrogateescape")
    assert read(write_segments_csv(tmp_path / "s.csv", a_case_score))[0]["segment"] == "f?r.nii"


def test_a_column_that_somebody_added_is_read_as_text(tmp_path, a_case_score):
    path = write_slices_csv(tmp_path / "slices.csv", a_case_score)
    lines = path.read_text(encoding="utf-8").splitlines()
    commented = [lines[0] + ",comment", *(f"{line},looks fine" for line in lines[1:])]
    path.write_text("\n".join(commented) + "\n", encoding="utf-8")
    assert {row["comment"] for row in read(path)} == {"looks fine"}


def test_a_missing_table_is_refused_by_name(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.csv"):
        read(tmp_path / "nowhere.csv")
