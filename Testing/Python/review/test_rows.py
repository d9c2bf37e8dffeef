"""The slice table with what the reader did."""

from __future__ import annotations

from QualitySentinelLib.review import REVIEW_SLICE_COLUMNS, review_slice_rows
from QualitySentinelLib.scores.tables import SLICE_COLUMNS, slice_rows


def test_the_columns_begin_with_those_of_the_slice_table():
    assert REVIEW_SLICE_COLUMNS == (*SLICE_COLUMNS, "accepted", "corrected", "first_dsc")


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
