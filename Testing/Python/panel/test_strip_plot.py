"""The strip plot: what is drawn, and what a mouse does."""

from __future__ import annotations

import pytest
from Testing.Python.panel.using import click, click_row, pixels, share_of

from QualitySentinelLib.review import Edit, StripPoint
from QualitySentinelLib.scores import dsc_color


def point(k, dsc=0.9, **state):
    """A slice of the plot."""
    states = dict.fromkeys(("flagged", "missed", "accepted"), False) | {"edit": None} | state
    return StripPoint(k, k + 100, 5.0 * k, dsc, dsc - 0.05, dsc + 0.05, **states)


@pytest.fixture
def plot(slicer):
    """A plot 320 pixels wide, and the slices that were clicked."""
    from QualitySentinelLib.panel.strip_plot import StripPlot

    clicked = []
    widget = StripPlot(clicked.append)
    widget.clicked = clicked
    widget.resize(320, widget.height)
    widget.show()
    yield widget
    widget.deleteLater()


def column(plot, k):
    """The pixels of a slice's bar from top to bottom."""
    left, right = plot.bar_of(k)
    return pixels(plot)[:, round(left) + 1 : max(round(left) + 2, round(right) - 1)]


def test_bars_have_height_and_color_of_their_dsc(plot):
    plot.show_strip([point(0, 0.3, flagged=True), point(1, 0.95), point(3, 0.6)], 0.0, None)
    for k, dsc in ((0, 0.3), (1, 0.95), (3, 0.6)):
        assert share_of(column(plot, k), dsc_color(dsc)) == pytest.approx(dsc * 80 / plot.height, abs=0.08)
    assert share_of(column(plot, 2), dsc_color(0.6)) == 0, "a slice without a score is a gap"
    plot.show_strip(plot.points, 0.0, None, "color-blind-safe")
    assert share_of(column(plot, 1), dsc_color(0.95, "color-blind-safe")) > 0.4


def test_inferior_is_left(plot):
    plot.show_strip([point(k) for k in range(5, 10)], 0.8, None)
    assert plot.bar_of(5)[0] < plot.bar_of(9)[0]
    assert plot.bar_of(5)[0] >= 0 and plot.bar_of(9)[1] <= plot.width


def test_open_accepted_and_edited_slices_are_marked(plot):
    from QualitySentinelLib.panel.strip_plot import ACCEPTED_COLOR, EDITED_COLOR, OPEN_COLOR

    plot.show_strip(
        [
            point(0), point(1, 0.5, flagged=True), point(2, 0.5, flagged=True, accepted=True),
            point(3, edit=Edit("s", 3, 0.5, 0.9)),
        ],
        0.8, None,
    )  # fmt: skip
    marks = {
        k: tuple(
            share_of(column(plot, k)[-30:], color) > 0.05 for color in (OPEN_COLOR, ACCEPTED_COLOR, EDITED_COLOR)
        )
        for k in range(4)
    }
    assert marks == {
        0: (False, False, False), 1: (True, False, False), 2: (False, True, False), 3: (False, False, True),
    }  # fmt: skip


def test_a_missed_slice_has_a_frame_and_no_bar(plot):
    plot.show_strip([point(0, 0.6), point(1, 0.2, missed=True)], 0.8, None)
    assert share_of(column(plot, 1), dsc_color(0.2)) == 0


@pytest.mark.parametrize("slices", [60, 300, 900])
@pytest.mark.parametrize("dsc", [0.95, 0.1])
def test_a_missed_slice_among_hundreds_stands_out(plot, slices, dsc):
    from QualitySentinelLib.panel.strip_plot import OPEN_COLOR

    plot.resize(330, plot.height)  # in a panel of 350 pixels
    points = [point(k, dsc, missed=k == slices // 2) for k in range(slices)]
    plot.show_strip(points, 0.8, None)
    x = round(sum(plot.bar_of(slices // 2)) / 2)
    red = share_of(pixels(plot)[12:88, x - 1 : x + 1], OPEN_COLOR)
    assert red > 0.95, "a solid rib of full height, not dots"
    points[slices // 2] = point(slices // 2, dsc, missed=True, accepted=True)
    plot.show_strip(points, 0.8, None)
    assert share_of(pixels(plot)[12:88, x - 1 : x + 1], OPEN_COLOR) == 0, "dealt with"


def test_the_slice_looked_at_stands_out(plot):
    points = [point(k) for k in range(8)]
    plot.show_strip(points, 0.8, None)
    before = column(plot, 4)
    plot.show_strip(points, 0.8, 4)
    assert (column(plot, 4) != before).any(axis=(1, 2)).mean() > 0.2
    assert plot.current == 4


def test_a_click_names_the_slice_under_the_mouse(plot):
    plot.show_strip([point(k) for k in (2, 3, 4, 8)], 0.8, None)
    for k in (2, 3, 4, 8):
        click(plot, sum(plot.bar_of(k)) / 2)
    click(plot, sum(plot.bar_of(7)) / 2)
    assert plot.clicked == [2, 3, 4, 8, 8], "beside a bar the nearest one is meant"


def test_the_mouse_reads_values_and_drags_along(plot):
    from PySide6.QtCore import QEvent, QPointF, Qt
    from PySide6.QtGui import QMouseEvent
    from PySide6.QtWidgets import QApplication, QToolTip

    left, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
    plot.show_strip([point(k, 0.5 + k / 20, flagged=k < 3) for k in range(8)], 0.65, None)

    def move_to(k, held):
        at = QPointF(sum(plot.bar_of(k)) / 2, 40)
        no_key = Qt.KeyboardModifier.NoModifier
        QApplication.sendEvent(plot, QMouseEvent(QEvent.Type.MouseMove, at, plot.mapToGlobal(at), none, held, no_key))

    move_to(2, none)
    assert QToolTip.text() == "Slice 102 (S 10.0 mm)\nDSC 0.60, likely 0.55 to 0.65, flagged"
    assert plot.clicked == []
    move_to(3, left)
    assert plot.clicked == [3]


def test_hundreds_of_slices_are_drawn_with_the_worst_in_front(plot):
    points = [point(k, 0.95) for k in range(900)]
    points[450] = point(450, 0.1, flagged=True)
    plot.show_strip(points, 0.8, None)
    x = round(plot.bar_of(450)[0])
    assert share_of(pixels(plot)[:, x - 1 : x + 2], dsc_color(0.1), within=40) > 0.004


def test_without_slices_it_says_what_it_is_for(plot):
    plot.show_strip([], 0.8, None)
    click(plot)
    assert plot.clicked == []
    assert len(set(map(tuple, pixels(plot).reshape(-1, 3)))) > 1


def test_it_is_readable_in_a_dark_style(plot):
    from PySide6.QtGui import QColor, QPalette

    palette = QPalette()
    palette.setColor(QPalette.ColorRole.Base, QColor(30, 30, 30))
    palette.setColor(QPalette.ColorRole.Text, QColor(240, 240, 240))
    plot.setPalette(palette)
    plot.show_strip([point(0), point(1)], 0.5, None)
    picture = pixels(plot)
    assert share_of(picture, (30 / 255,) * 3) > 0.1 and share_of(picture, (1, 1, 1)) == 0
    assert share_of(picture, (240 / 255,) * 3) > 0.001, "the threshold line"


def test_the_plot_follows_the_review(reviewed):
    plot = reviewed.panel.review_panel.strip_plot
    assert plot.points == ()
    click_row(reviewed.ui.resultsTable, 0)
    assert [p.k for p in plot.points] == [6, 7, 8, 9, 10]
    click(plot, sum(plot.bar_of(7)) / 2)
    assert reviewed.panel.review_panel.session.current == ("spleen", 7)
    assert plot.current == 7
    click(reviewed.ui.acceptButton)
    assert [p.accepted for p in plot.points] == [False, True, False, False, False]
    reviewed.ui.thresholdSliderWidget.value = 0.4
    assert [p.flagged for p in plot.points] == [True, False, False, False, False]
