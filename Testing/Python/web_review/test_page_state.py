"""What the page is told of a review."""

from __future__ import annotations

import json

import pytest

from QualitySentinelLib.review import ReviewSession
from QualitySentinelLib.scores import CaseScore, SegmentScore, SliceScore, Status
from QualitySentinelLib.web_review import page_state


def a_slice(segment_id: str, k: int, dsc: float) -> SliceScore:
    return SliceScore(segment_id, k, 9 - k, 5.0 * k, dsc, dsc, 100.0, f"{segment_id}{k}")


@pytest.fixture
def session() -> ReviewSession:
    """A good liver, a bad spleen that misses a slice, an empty segment; the names are not nice."""
    missed = SliceScore("s", 5, 4, 25.0, 0.1, 0.1, 100.0, "", nearest_k=4, inner=False, missed=True)
    return ReviewSession(
        CaseScore(
            [
                SegmentScore("l", "liver\n(old)", "liver", Status.SCORED, 2, 0.9, 0.8, 0.95,
                             slices=[a_slice("l", k, 0.9) for k in (3, 4)]),
                SegmentScore("s", "spleen", "spleen", Status.SCORED, 2, 0.4,
                             slices=[a_slice("s", 3, 0.3), a_slice("s", 4, 0.85)], empty_slices=[missed]),
                SegmentScore("e", "empty", None, Status.EMPTY),
            ],
            threshold=0.8,
        )
    )  # fmt: skip


def test_rows_are_worst_first_on_one_line_each(session):
    rows = page_state.rows(session)
    assert [row["name"] for row in rows] == ["spleen", "liver (old)", "empty"]
    assert [(row["dsc"], row["flagged"], row["missed"], row["open"]) for row in rows] == [
        ("0.40", 1, 1, 2), ("0.90", 0, 0, 0), ("", 0, 0, 0),
    ]  # fmt: skip
    assert "0.80 to 0.95" in rows[1]["hint"] and "is empty" in rows[2]["hint"]
    assert not rows[1]["done"], "there was nothing to do"


def test_a_segment_that_is_dealt_with_is_done(session):
    session.accept_segment("s")
    assert page_state.rows(session)[0]["done"]
    assert page_state.counts(session)["open"] == 0 and page_state.counts(session)["share"] == 100


def test_the_strip_marks_what_a_reader_must_know(session):
    session.accept("s", 3)
    strip = page_state.strip(session, "s")
    assert (strip["first"], strip["n"]) == (3, 3)
    assert [(p["k"], p["mark"]) for p in strip["points"]] == [(3, "accepted"), (4, ""), (5, "missed")]
    assert "missed" in strip["points"][2]["title"]


@pytest.mark.parametrize("segment_id", [None, "e"])
def test_without_slices_the_strip_is_empty(session, segment_id):
    assert page_state.strip(session, segment_id)["points"] == []


def test_the_current_slice_goes_by_the_files_own_number(session):
    assert page_state.current(session, None, None)["k"] == -1
    session.go_to("s", 3)
    current = page_state.current(session, 6, 15.0)
    assert (current["slice"], current["mark"], current["accepted"]) == ("6", "flagged", False)
    session.go_to("s", 8)
    assert page_state.current(session, 1, 40.0)["scored"] is False


def test_a_slice_tells_whom_to_look_at_worst_first(session):
    assert [flag["id"] for flag in page_state.flags_in_slice(session, 3)] == ["s"]
    assert page_state.flags_in_slice(session, 5)[0]["text"] == "spleen missing"
    session.accept("s", 5)
    assert page_state.flags_in_slice(session, 5) == [] == page_state.flags_in_slice(session, None)


def test_everything_is_json(session):
    session.select("s")
    parts = [page_state.rows(session), page_state.strip(session, "s"), page_state.counts(session)]
    json.dumps([*parts, page_state.current(session, 6, 15.0), page_state.flags_in_slice(session, 3)], allow_nan=False)


def test_scales_differ():
    assert page_state.legend("color-blind-safe") != page_state.legend()
    assert page_state.hex_color(None) == page_state.hex_color(float("nan"))
