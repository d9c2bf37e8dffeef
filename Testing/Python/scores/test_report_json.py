from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path

import numpy as np
import pytest

from QualitySentinelLib.errors import InputError
from QualitySentinelLib.scores import SliceScore, flag, read_report_document, read_report_json, write_report_json


def test_scores_come_back_equal(tmp_path, a_case_score):
    flag(a_case_score, 0.65)
    assert read_report_json(write_report_json(tmp_path / "report.json", a_case_score)) == a_case_score


def test_own_thresholds_come_back_and_older_reports_have_none(tmp_path, a_case_score):
    a_case_score.own_thresholds = True
    path = write_report_json(tmp_path / "report.json", a_case_score)
    assert read_report_json(path).own_thresholds
    document = read_report_document(path)
    del document["own_thresholds"]
    path.write_text(json.dumps(document))
    assert not read_report_json(path).own_thresholds


def test_scores_with_numpy_numbers_and_hostile_names_come_back_equal(tmp_path, a_case_score):
    a_case_score.segments[0].name = '"</script>\n\x00\udcfc肝'
    a_case_score.segments[0].predicted_dsc = np.float32(0.75)
    a_case_score.segments[0].slices[0].k = np.int64(10)
    a_case_score.segments[0].slices[0].flagged = np.bool_(True)
    a_case_score.model["mean"] = np.arange(3)
    back = read_report_json(write_report_json(tmp_path / "report.json", a_case_score))
    assert back.segments == a_case_score.segments
    assert back.model["mean"] == [0, 1, 2]


def test_empty_slices_come_back_equal_whether_missed_or_not(tmp_path, a_case_score):
    liver = a_case_score.segments[0]
    liver.empty_slices = [
        SliceScore("5", k, 99 - k, -50.0 + 2.5 * k, 0.25, 0.25, 80.0, "digest", nearest_k=10, inner=k > 9, missed=k > 9)
        for k in (9, 13)
    ]
    liver.slices[0].dsc_low = 0.25
    path = write_report_json(tmp_path / "report.json", a_case_score)
    assert read_report_json(path) == a_case_score
    written = read_report_document(path)["segments"][0]
    assert (written["n_missed"], len(written["empty_slices"])) == (1, 2)


def test_a_report_from_before_missed_slices_is_still_read(tmp_path, a_case_score):
    path = write_report_json(tmp_path / "report.json", a_case_score)
    document = json.loads(path.read_text())
    for segment in document["segments"]:
        del segment["empty_slices"], segment["n_missed"]
        for s in segment["slices"]:
            del s["dsc_low"], s["dsc_high"]
    path.write_text(json.dumps(document))
    assert read_report_json(path) == a_case_score


def test_inputs_are_told_with_their_sha256(tmp_path, a_case_score):
    (tmp_path / "ct.nii.gz").write_bytes(b"a CT")
    path = write_report_json(
        tmp_path / "report.json",
        a_case_score,
        inputs={"ct": tmp_path / "ct.nii.gz", "model": {"path": "bundled", "sha256": "ab"}},
        options={"threshold": 0.8, "out": Path("out")},
    )
    document = read_report_document(path)
    assert document["schema"] == "quality-sentinel-report/1"
    assert document["inputs"]["ct"]["sha256"] == hashlib.sha256(b"a CT").hexdigest()
    assert document["inputs"]["ct"]["path"].endswith("ct.nii.gz")
    assert document["inputs"]["model"] == {"path": "bundled", "sha256": "ab"}
    assert document["options"] == {"threshold": 0.8, "out": "out"}
    assert document["device"] == "cpu" and document["seconds"] == 1.5
    assert document["warnings"] == ["masks were resampled to the CT's grid"]
    assert "python" in document["versions"] and "numpy" in document["versions"]


def test_the_file_is_strict_json_even_where_a_number_is_not_finite(tmp_path, a_case_score):
    a_case_score.segments[0].slices[0].raw = math.nan
    path = write_report_json(tmp_path / "report.json", a_case_score)

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    document = json.loads(path.read_text(encoding="ascii"), parse_constant=refuse)
    assert document["segments"][0]["slices"][0]["raw"] is None
    assert math.isnan(read_report_json(path).segments[0].slices[0].raw)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"schema": "other"}', b'{"schema": "quality-sentinel-report/1"}', b"\xff\xfe\x00"]
)
def test_a_file_that_is_no_report_is_refused_by_name(tmp_path, content):
    (tmp_path / "odd.json").write_bytes(content)
    with pytest.raises(InputError, match=r"odd\.json") as refusal:
        read_report_json(tmp_path / "odd.json")
    assert "\n" not in str(refusal.value)


def test_a_missing_input_is_refused_and_nothing_is_written(tmp_path, a_case_score):
    with pytest.raises(InputError, match=r"gone\.nii"):
        write_report_json(tmp_path / "report.json", a_case_score, inputs={"ct": tmp_path / "gone.nii"})
    assert not list(tmp_path.iterdir())


def test_the_time_of_the_whole_run_is_kept_beside_that_of_scoring(tmp_path, a_case_score):
    document = read_report_document(write_report_json(tmp_path / "r.json", a_case_score, total_seconds=9.0))
    assert (document["seconds"], document["total_seconds"]) == (1.5, 9.0)
