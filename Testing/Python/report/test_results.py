"""What a scoring leaves in a folder, with a review and without."""

from __future__ import annotations

import json

import pytest

from QualitySentinelLib.review import ReviewSession
from QualitySentinelLib.scores import (
    CaseScore,
    SegmentScore,
    SliceScore,
    Status,
    case_from_document,
    read_report_document,
    read_report_json,
    read_segments_csv,
    read_slices_csv,
)


@pytest.fixture
def a_case() -> CaseScore:
    """Both slices of the spleen are flagged."""
    segments = []
    for segment_id, name, dsc in (("1", "liver", 0.9), ("2", "spleen", 0.5)):
        slices = [SliceScore(segment_id, k, k, -100 + 5.0 * k, dsc, dsc, 9.0, f"d{k}", dsc < 0.8) for k in (7, 8)]
        segments.append(SegmentScore(segment_id, name, name, Status.SCORED, 2, dsc, slices=slices))
    return CaseScore(segments, 0.8, {"name": "test", "sha256": "ab"}, "cpu", 1.0)


def test_a_review_is_in_every_file(a_case, a_ct_with_a_liver, tmp_path):
    from QualitySentinelLib.report import write_results

    ct, segmentation = a_ct_with_a_liver
    session = ReviewSession(a_case)
    session.accept("2", 8)
    session.set_threshold(0.7)
    write_results(tmp_path, a_case, ct, segmentation, session=session)
    assert [(s["n_accepted"], s["n_corrected"], s["n_open"]) for s in read_segments_csv(tmp_path / "segments.csv")] == [
        (0, 0, 0), (1, 0, 1),
    ]  # fmt: skip
    rows = read_slices_csv(tmp_path / "slices.csv")
    assert [row["accepted"] for row in rows] == [False, False, False, True]
    assert rows[0]["edited"] is False and rows[0]["first_dsc"] is None
    document = read_report_document(tmp_path / "report.json")
    assert document["threshold"] == 0.7  # the session's, not that of the scoring
    assert document["review"]["open"] == 1
    again = ReviewSession.from_state(case_from_document(document), document["review"]["state"])
    assert again.is_accepted("2", 8) and again.case == session.case
    header = (tmp_path / "scored.seg.nrrd").read_bytes().split(b"\n\n")[0]
    assert b"QualitySentinel.AcceptedSlices:1" in header and b"QualitySentinel.AcceptedSlices:0" in header


def test_without_a_review_no_file_speaks_of_one(a_case, a_ct_with_a_liver, tmp_path):
    from QualitySentinelLib.report import write_results

    write_results(tmp_path, a_case, *a_ct_with_a_liver)
    assert (tmp_path / "segments.csv").read_bytes().split(b"\r\n")[0].endswith(b",status,missed_slices")
    assert (tmp_path / "slices.csv").read_bytes().split(b"\r\n")[0].endswith(b",dsc_high,missed")
    assert "review" not in json.loads((tmp_path / "report.json").read_text())
    assert read_report_json(tmp_path / "report.json") == a_case
    assert b"AcceptedSlices" not in (tmp_path / "scored.seg.nrrd").read_bytes().split(b"\n\n")[0]
