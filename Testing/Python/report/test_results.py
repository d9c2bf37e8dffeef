"""What a scoring leaves in a folder, with a review and without."""

from __future__ import annotations

import json

import numpy as np
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
)
from QualitySentinelLib.suggestions import Drawing, Drawings
from QualitySentinelTrainingLib.tables import read_frame


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
    segments, slices = (read_frame(tmp_path / name) for name in ("segments.csv", "slices.csv"))
    assert segments[["n_accepted", "n_corrected", "n_open"]].values.tolist() == [[0, 0, 0], [1, 0, 1]]
    assert slices["accepted"].tolist() == [0, 0, 0, 1]
    assert slices["edited"][0] == 0 and slices["first_dsc"].isna()[0]
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


def test_errors_are_written_where_asked_for_and_an_earlier_file_goes(a_case, a_ct_with_a_liver, tmp_path):
    from QualitySentinelLib.reading import read_segmentation
    from QualitySentinelLib.report import write_results

    ct, segmentation = a_ct_with_a_liver
    liver, drawings = segmentation["1"], Drawings()
    shape, middle = ct.frame.shape[1:], (liver.box[2].start + liver.box[2].stop) // 2
    for score in a_case["1"].slices:
        score.digest, score.flagged = liver.slice_digest(score.k), True
    shares = np.zeros((2, 8, 8), np.uint8)
    shares[:, :, 4:] = 255  # the structure is all that lies beyond the middle of the mask
    drawings.keep("1", 7, Drawing((0.0, shape[0], middle - 8.0, middle + 8.0), shares, liver.slice_digest(7)))
    write_results(tmp_path, a_case, ct, segmentation, drawings=drawings, error_maps=True)
    errors = {s.name: s for s in read_segmentation(tmp_path / "errors.seg.nrrd", ct)}
    assert list(errors) == ["liver: remove", "liver: add"]
    assert [list(s.occupied_slices()) for s in errors.values()] == [[7], [7]]
    removed, added = errors["liver: remove"].box[2], errors["liver: add"].box[2]
    assert removed.stop <= middle + 1 and added.start >= middle - 1
    assert "expected contour dashed" in (tmp_path / "report.html").read_text(encoding="utf-8")
    write_results(tmp_path, a_case, ct, segmentation, drawings=drawings)
    assert not (tmp_path / "errors.seg.nrrd").exists()
