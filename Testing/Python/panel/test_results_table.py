"""The table of segments, when there are many."""

from __future__ import annotations

import time

from Testing.Python.panel.using import click_row, pixels, share_of, texts

from QualitySentinelLib.review import ReviewPresenter, ReviewSession
from QualitySentinelLib.scores import CaseScore, SegmentScore, SliceScore, Status, dsc_color


def a_review(dsc_of):
    """A review of 60 segments."""

    def segment(number):
        name, dsc = f"segment {number}", dsc_of(number)
        slices = [SliceScore(name, k, k, 5.0 * k, dsc, dsc, 900.0, str(k)) for k in range(20)]
        return SegmentScore(name, name, "liver", Status.SCORED, 20, dsc, slices=slices)

    return ReviewPresenter(ReviewSession(CaseScore([segment(number) for number in range(60)], threshold=0.8)))


def test_sixty_rows_that_all_change_do_not_hold_up_the_panel(panel):
    def seconds_to_show(presenter):
        presenter.rows()
        started = time.thread_time()
        panel.panel.review_panel.table.show(presenter)
        return time.thread_time() - started

    seconds_to_show(a_review(lambda number: 0.3 + number / 100))
    took = seconds_to_show(a_review(lambda number: 0.95 - number / 100))
    assert texts(panel.ui.resultsTable)[0][:2] == ["segment 59", "0.36"]
    assert took < 0.1


def test_columns_are_as_wide_as_what_they_show(panel):
    table = panel.ui.resultsTable
    narrow = table.columnWidth(2)
    panel.panel.review_panel.table.show(a_review(lambda number: 0.5))
    assert table.item(0, 2).text() == "20 / 20"
    assert table.columnWidth(2) >= table.sizeHintForColumn(2)
    panel.panel.review_panel.table.show(None)
    assert table.rowCount == 0 and table.columnWidth(2) == narrow


def test_the_color_of_a_dsc_is_the_same_in_the_selected_row(reviewed):
    table = reviewed.ui.resultsTable
    table.setFocus()
    for row in (0, 1):
        click_row(table, row)
        dsc = reviewed.panel.review_panel.session.segments[row].predicted_dsc
        cell = table.visualRect(table.model().index(row, 1))
        seen = pixels(table.viewport())[cell.top() : cell.bottom(), cell.left() : cell.right()]
        assert share_of(seen, dsc_color(dsc)) > 0.1
