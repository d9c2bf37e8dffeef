"""The slice table with what the reader did."""

from __future__ import annotations

import json

from QualitySentinelLib.review import (
    ReviewSession,
    review_document,
    review_segment_rows,
    review_slice_rows,
)
from QualitySentinelLib.scores.columns import (
    REVIEW_SEGMENT_COLUMNS,
    REVIEW_SLICE_COLUMNS,
    SEGMENT_COLUMNS,
    SLICE_COLUMNS,
)
from QualitySentinelLib.scores.tables import segment_rows, slice_rows


def test_the_columns_begin_with_those_of_the_slice_table():
    assert REVIEW_SLICE_COLUMNS == (*SLICE_COLUMNS, "accepted", "edited", "first_dsc")


def test_every_row_of_the_slice_table_says_what_the_reader_did(a_session, edited):
    a_session.accept_segment("spleen")
    a_session.accept("liver", 25)
    a_session.update(edited(a_session.case, "liver", {23: 0.97, 40: 0.9}, erased=[20]))
    rows = list(review_slice_rows(a_session))
    assert [row[:-3] for row in rows] == list(slice_rows(a_session.case))
    done = {(row[0], 99 - row[2]): row[-3:] for row in rows}
    assert done["spleen", 5] == done["spleen", 6] == (1, 0, None)
    assert done["spleen", 7] == done["liver", 21] == (0, 0, None)
    assert done["liver", 25] == (1, 0, None)
    assert done["liver", 23] == (0, 1, 0.6)
    assert done["liver", 40] == (0, 1, None)
    assert ("liver", 20) not in done
    assert all(len(row) == len(REVIEW_SLICE_COLUMNS) for row in rows)


def test_every_row_of_the_segment_table_counts_what_the_reader_did(a_session, edited):
    assert REVIEW_SEGMENT_COLUMNS[: len(SEGMENT_COLUMNS)] == SEGMENT_COLUMNS
    a_session.accept("spleen", 5)
    a_session.update(edited(a_session.case, "liver", {23: 0.97}))
    rows = list(review_segment_rows(a_session))
    assert [row[:-3] for row in rows] == list(segment_rows(a_session.case))
    assert {row[0]: row[-3:] for row in rows} == {
        "aorta": (0, 0, 0), "liver": (0, 1, 2), "gone": (0, 0, 0), "spleen": (1, 0, 2),
    }  # fmt: skip


def test_the_document_of_a_review_tells_slices_and_brings_the_review_back(a_session, edited):
    a_session.accept("spleen", 5)
    a_session.update(edited(a_session.case, "liver", {23: 0.97}, erased=[20]))
    document = json.loads(json.dumps(review_document(a_session), allow_nan=False))
    assert (document["accepted"], document["open"], document["threshold"]) == (1, 3, 0.8)
    slices = {(s["segment_id"], s["k"]): s for s in document["slices"]}
    assert list(slices) == [("liver", 20), ("liver", 23), ("spleen", 5)]
    assert slices["liver", 20]["dsc"] is None and slices["liver", 20]["first_dsc"] == 0.7
    assert (slices["liver", 23]["first_dsc"], slices["liver", 23]["dsc"]) == (0.6, 0.97)
    assert slices["spleen", 5]["accepted"] and not slices["spleen", 5]["edited"]
    again = ReviewSession.from_state(a_session.case, document["state"])
    assert again.edits() == a_session.edits() and again.is_accepted("spleen", 5)


def test_accepted_slices_are_counted_by_segment(a_session):
    a_session.accept("spleen", 5)
    a_session.accept("spleen", 7)  # it was not flagged: nothing to count
    assert a_session.accepted_counts() == {"aorta": 0, "liver": 0, "gone": 0, "spleen": 1}
