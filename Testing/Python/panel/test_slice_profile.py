"""The slice profile: what is drawn, and what a mouse does."""

from __future__ import annotations

import pytest
from Testing.Python.panel.using import click, click_row, pixels, share_of

from QualitySentinelLib.colors import css_color, dsc_color
from QualitySentinelLib.review.presenter import Bar


def bar(k, dsc=0.9, scale="red-yellow-green", **state):
    """A slice of the plot."""
    states = {"missed": False, "mark": "", "edit": "", "tip": f"slice {k + 100}: DSC {dsc:.2f}"} | state
    return Bar(k, dsc, dsc - 0.05, dsc + 0.05, css_color(dsc_color(dsc, scale)), **states)


def rgb(css):
    """A color of the style sheets as RGB in 0..1."""
    return tuple(int(css[n : n + 2], 16) / 255 for n in (1, 3, 5))


@pytest.fixture
def plot(slicer):
    """A plot 320 pixels wide, and the slices that were clicked."""
    from QualitySentinelLib.panel.slice_profile import SliceProfile

    clicked = []
    widget = SliceProfile(clicked.append)
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
    plot.show_bars([bar(0, 0.3, mark="flagged"), bar(1, 0.95), bar(3, 0.6)], 0.0, None)
    for k, dsc in ((0, 0.3), (1, 0.95), (3, 0.6)):
        assert share_of(column(plot, k), dsc_color(dsc)) == pytest.approx(dsc * 80 / plot.height, abs=0.08)
    assert share_of(column(plot, 2), dsc_color(0.6)) == 0, "a slice without a score is a gap"
    plot.show_bars([bar(1, 0.95, "color-blind-safe")], 0.0, None)
    assert share_of(column(plot, 1), dsc_color(0.95, "color-blind-safe")) > 0.4


def test_inferior_is_left(plot):
    plot.show_bars([bar(k) for k in range(5, 10)], 0.8, None)
    assert plot.bar_of(5)[0] < plot.bar_of(9)[0]
    assert plot.bar_of(5)[0] >= 0 and plot.bar_of(9)[1] <= plot.width


def test_open_accepted_and_edited_slices_are_marked(plot):
    from QualitySentinelLib.panel.slice_profile import ACCEPTED_COLOR, EDITED_COLOR, OPEN_COLOR

    plot.show_bars(
        [
            bar(0), bar(1, 0.5, mark="flagged"), bar(2, 0.5, mark="accepted"),
            bar(3, edit="better"),
        ],
        0.8, None,
    )  # fmt: skip
    marks = {
        k: tuple(
            share_of(column(plot, k)[-30:], rgb(color)) > 0.05 for color in (OPEN_COLOR, ACCEPTED_COLOR, EDITED_COLOR)
        )
        for k in range(4)
    }
    assert marks == {
        0: (False, False, False), 1: (True, False, False), 2: (False, True, False), 3: (False, False, True),
    }  # fmt: skip


def test_a_missed_slice_has_a_frame_and_no_bar(plot):
    plot.show_bars([bar(0, 0.6), bar(1, 0.2, missed=True, mark="missed")], 0.8, None)
    assert share_of(column(plot, 1), dsc_color(0.2)) == 0


@pytest.mark.parametrize("slices", [60, 300, 900])
@pytest.mark.parametrize("dsc", [0.95, 0.1])
def test_a_missed_slice_among_hundreds_stands_out(plot, slices, dsc):
    from QualitySentinelLib.panel.slice_profile import OPEN_COLOR

    plot.resize(330, plot.height)  # in a panel of 350 pixels
    bars = [bar(k, dsc, missed=k == slices // 2, mark="missed" * (k == slices // 2)) for k in range(slices)]
    plot.show_bars(bars, 0.8, None)
    x = round(sum(plot.bar_of(slices // 2)) / 2)
    red = share_of(pixels(plot)[12:88, x - 1 : x + 1], rgb(OPEN_COLOR))
    assert red > 0.95, "a solid rib of full height, not dots"
    bars[slices // 2] = bar(slices // 2, dsc, missed=True, mark="accepted")
    plot.show_bars(bars, 0.8, None)
    assert share_of(pixels(plot)[12:88, x - 1 : x + 1], rgb(OPEN_COLOR)) == 0, "dealt with"


def test_the_slice_looked_at_stands_out(plot):
    bars = [bar(k) for k in range(8)]
    plot.show_bars(bars, 0.8, None)
    before = column(plot, 4)
    plot.show_bars(bars, 0.8, 4)
    assert (column(plot, 4) != before).any(axis=(1, 2)).mean() > 0.2
    assert plot.current == 4


def test_a_click_names_the_slice_under_the_mouse(plot):
    plot.show_bars([bar(k) for k in (2, 3, 4, 8)], 0.8, None)
    for k in (2, 3, 4, 8):
        click(plot, sum(plot.bar_of(k)) / 2)
    click(plot, sum(plot.bar_of(7)) / 2)
    assert plot.clicked == [2, 3, 4, 8, 8], "beside a bar the nearest one is meant"


def test_the_mouse_reads_values_and_drags_along(plot):
    from PySide6.QtCore import QEvent, QPointF, Qt
    from PySide6.QtGui import QMouseEvent
    from PySide6.QtWidgets import QApplication, QToolTip

    left, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
    plot.show_bars([bar(k, 0.5 + k / 20, mark="flagged" * (k < 3)) for k in range(8)], 0.65, None)

    def move_to(k, held):
        at = QPointF(sum(plot.bar_of(k)) / 2, 40)
        no_key = Qt.KeyboardModifier.NoModifier
        QApplication.sendEvent(plot, QMouseEvent(QEvent.Type.MouseMove, at, plot.mapToGlobal(at), none, held, no_key))

    move_to(2, none)
    assert QToolTip.text() == "slice 102: DSC 0.60"
    assert plot.clicked == []
    move_to(3, left)
    assert plot.clicked == [3]


def test_hundreds_of_slices_are_drawn_with_the_worst_in_front(plot):
    bars = [bar(k, 0.95) for k in range(900)]
    bars[450] = bar(450, 0.1, mark="flagged")
    plot.show_bars(bars, 0.8, None)
    x = round(plot.bar_of(450)[0])
    assert share_of(pixels(plot)[:, x - 1 : x + 2], dsc_color(0.1), within=40) > 0.004


def test_without_slices_it_says_what_it_is_for(plot):
    plot.show_bars([], 0.8, None)
    click(plot)
    assert plot.clicked == []
    assert len(set(map(tuple, pixels(plot).reshape(-1, 3)))) > 1


def test_it_is_readable_in_a_dark_style(plot):
    from PySide6.QtGui import QColor, QPalette

    palette = QPalette()
    palette.setColor(QPalette.ColorRole.Base, QColor(30, 30, 30))
    palette.setColor(QPalette.ColorRole.Text, QColor(240, 240, 240))
    plot.setPalette(palette)
    plot.show_bars([bar(0), bar(1)], 0.5, None)
    picture = pixels(plot)
    assert share_of(picture, (30 / 255,) * 3) > 0.1 and share_of(picture, (1, 1, 1)) == 0
    assert share_of(picture, (240 / 255,) * 3) > 0.001, "the threshold line"


def test_the_plot_follows_the_review(reviewed):
    plot = reviewed.panel.review_panel.slice_profile
    assert plot.bars == ()
    click_row(reviewed.ui.resultsTable, 0)
    assert [p.k for p in plot.bars] == [6, 7, 8, 9, 10]
    click(plot, sum(plot.bar_of(7)) / 2)
    assert reviewed.panel.review_panel.session.current == ("spleen", 7)
    assert plot.current == 7
    click(reviewed.ui.acceptButton)
    assert [p.mark for p in plot.bars] == ["flagged", "accepted", "", "flagged", "missed"]
    reviewed.ui.thresholdSliderWidget.value = 0.4
    assert [p.mark for p in plot.bars] == ["flagged", "accepted", "", "", "missed"]
