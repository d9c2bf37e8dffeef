"""Needs ``qt``. The slice profile: DSC along the slices of one segment, to look at and to click on.

Drawn with QPainter in ``paintEvent``, as Slicer's own Python does it (``DICOM.py``): there is no chart library in
Slicer that draws bars with marks and is quick enough to follow a slider.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import qt
from slicer.i18n import tr as _

from ..review.presenter import Bar

HEIGHT = 116
TOP, BOTTOM, SIDE = 10, 26, 6
"""Pixels around the bars. Below them is a lane for marks, and a line of text."""

LANE = 8
"""Height of the lane of marks."""

NARROW, RIB, MARK = 8.0, 3.0, 2.0
"""Pixels: a missed slice's bar that is narrower is drawn as a solid rib of the second width, because a frame would come
down to dots; the least width of a mark below the bars."""

OPEN_COLOR, ACCEPTED_COLOR, EDITED_COLOR = "#db2929", "#339954", "#3373d9"
"""Marks below the bars. They differ in height too: open ones fill the lane, accepted ones its lower half,
edited ones its upper half."""


class SliceProfile(qt.QWidget):
    """The slices of a segment from inferior (left) to superior (right), a bar for each.

    ``on_click`` is called with the canonical slice index k of the bar that is clicked.

    Attributes:
        bars: the slices shown, inferior to superior; those that are not there are gaps.
        threshold: DSC where the line is.
        current: canonical k of the slice marked as the one that is looked at.
    """

    def __init__(self, on_click: Callable[[int], object]) -> None:
        qt.QWidget.__init__(self)
        self._on_click = on_click
        self.bars: tuple[Bar, ...] = ()
        self.threshold = 0.0
        self.current: int | None = None
        self.mouseTracking = True
        self.setFixedHeight(HEIGHT)
        self.setSizePolicy(qt.QSizePolicy.Expanding, qt.QSizePolicy.Fixed)

    # What is shown

    def show_bars(self, bars: Sequence[Bar], threshold: float, current: int | None) -> None:
        """Draw these slices, and a line at the threshold, DSC in 0..1."""
        self.bars, self.threshold, self.current = tuple(bars), threshold, current
        self.update()

    def bar_of(self, k: int) -> tuple[float, float]:
        """(left, right) of a slice's bar in pixels of this widget."""
        first, last = self._range()
        width = (self.width - 2 * SIDE) / (last - first + 1)
        return SIDE + (k - first) * width, SIDE + (k - first + 1) * width

    def bar_at(self, x: float) -> Bar | None:
        """The slice whose bar is nearest to a place, ``None`` in an empty plot."""
        return min(self.bars, key=lambda p: abs(sum(self.bar_of(p.k)) / 2 - x), default=None)

    # Called by Qt

    def paintEvent(self, event) -> None:
        """Called by Qt: draw."""
        painter = qt.QPainter(self)
        try:
            self._paint(painter)
        finally:
            painter.end()  # before Qt takes the widget's picture; Python may be late in deleting the painter

    def mousePressEvent(self, event) -> None:
        """Called by Qt: go to the slice under the mouse."""
        bar = self.bar_at(event.pos().x())
        if bar is not None:
            self._on_click(bar.k)

    def mouseMoveEvent(self, event) -> None:
        """Called by Qt: say what is under the mouse; follow it while a button is held."""
        bar = self.bar_at(event.pos().x())
        if bar is None:
            return
        if event.buttons() & qt.Qt.LeftButton and bar.k != self.current:
            self._on_click(bar.k)
        qt.QToolTip.showText(self.mapToGlobal(event.pos()), bar.tip, self)

    # Within

    def _range(self) -> tuple[int, int]:
        ks = [p.k for p in self.bars]
        if self.current is not None:
            ks.append(self.current)
        return (min(ks), max(ks)) if ks else (0, 0)

    def _paint(self, painter: qt.QPainter) -> None:
        palette = self.palette
        ink = palette.color(qt.QPalette.Text)
        floor = HEIGHT - BOTTOM
        painter.fillRect(qt.QRectF(0, 0, self.width, HEIGHT), palette.color(qt.QPalette.Base))
        if not self.bars:
            painter.setPen(faint(ink, 150))
            painter.drawText(
                qt.QRectF(0, 0, self.width, HEIGHT), qt.Qt.AlignCenter, _("DSC along the slices of a segment")
            )
            return
        if self.current is not None:
            left, right = self._column(self.current)
            painter.fillRect(qt.QRectF(left, 0, right - left, HEIGHT), faint(palette.color(qt.QPalette.Highlight), 70))
        # Where bars are narrower than a pixel, the worst one is drawn last, and is the one seen.
        for bar in sorted((p for p in self.bars if not p.missed), key=lambda p: -p.dsc):
            self._paint_bar(painter, bar, floor, ink)
        self._paint_missed(painter, [p for p in self.bars if p.missed], floor)
        for bar in self.bars:
            self._paint_mark(painter, bar, floor + 3)
        y = floor - self.threshold * (floor - TOP)
        painter.setPen(qt.QPen(qt.QBrush(ink), 1, qt.Qt.DashLine))
        painter.drawLine(qt.QPointF(SIDE, y), qt.QPointF(self.width - SIDE, y))
        if self.current is not None:
            left, right = self._column(self.current)
            painter.setPen(qt.QPen(palette.brush(qt.QPalette.Highlight), 2))
            painter.setBrush(qt.QBrush())
            painter.drawRect(qt.QRectF(left, 2, right - left, floor + LANE + 2))
        self._paint_text(painter, ink)

    def _column(self, k: int) -> tuple[float, float]:
        """A bar's left and right, apart enough to be seen."""
        left, right = self.bar_of(k)
        more = max(0.0, 4.0 - (right - left)) / 2
        return left - more, right + more

    def _paint_bar(self, painter: qt.QPainter, bar: Bar, floor: int, ink: qt.QColor) -> None:
        left, right = self.bar_of(bar.k)
        gap = 1.0 if right - left >= 4 else 0.0
        height = floor - TOP
        color = qt.QColor(bar.color)
        body = max(2.0, bar.dsc * height)
        painter.fillRect(qt.QRectF(left, floor - body, max(1.0, right - left - gap), body), color)
        if bar.low is not None and bar.high is not None:
            middle = (left + right - gap) / 2
            painter.setPen(faint(ink, 90))
            painter.drawLine(
                qt.QPointF(middle, floor - bar.low * height), qt.QPointF(middle, floor - bar.high * height)
            )

    def _paint_missed(self, painter: qt.QPainter, missed: Sequence[Bar], floor: int) -> None:
        """There is no mask to judge: frames without a body, of full height."""
        height, ground = floor - TOP, self.palette.color(qt.QPalette.Base)
        bars = [(*self.bar_of(p.k), qt.QColor(ACCEPTED_COLOR if p.mark == "accepted" else OPEN_COLOR)) for p in missed]
        narrow = [((left + right) / 2, color) for left, right, color in bars if right - left < NARROW]
        for middle, _color in narrow:  # a pixel apart from bars on either side
            painter.fillRect(qt.QRectF(middle - RIB / 2 - 1, TOP, RIB + 2, height), ground)
        for middle, color in narrow:
            painter.fillRect(qt.QRectF(middle - RIB / 2, TOP, RIB, height), color)
        for left, right, color in bars:
            if right - left >= NARROW:
                painter.setPen(qt.QPen(qt.QBrush(color), 1, qt.Qt.DotLine))
                painter.setBrush(qt.QBrush(faint(color, 60), qt.Qt.BDiagPattern))
                painter.drawRect(qt.QRectF(left, TOP, right - left - 1.0, height))

    def _paint_mark(self, painter: qt.QPainter, bar: Bar, top: int) -> None:
        left, right = self.bar_of(bar.k)
        width = max(MARK, right - left - (1.0 if right - left >= 4 else 0.0))
        if bar.mark == "accepted":
            painter.fillRect(qt.QRectF(left, top + LANE / 2, width, LANE / 2), qt.QColor(ACCEPTED_COLOR))
        elif bar.mark:
            painter.fillRect(qt.QRectF(left, top, width, LANE), qt.QColor(OPEN_COLOR))
        if bar.edit:
            painter.fillRect(qt.QRectF(left, top, width, LANE / 2), qt.QColor(EDITED_COLOR))

    def _paint_text(self, painter: qt.QPainter, ink: qt.QColor) -> None:
        font = self.font  # a copy: PythonQt's properties are values
        font.setPixelSize(10)
        painter.setFont(font)
        painter.setPen(faint(ink, 170))
        line = qt.QRectF(SIDE, HEIGHT - 14, self.width - 2 * SIDE, 13)
        painter.drawText(line, qt.Qt.AlignLeft | qt.Qt.AlignVCenter, _("inferior"))
        painter.drawText(line, qt.Qt.AlignRight | qt.Qt.AlignVCenter, _("superior"))
        painter.drawText(line, qt.Qt.AlignHCenter | qt.Qt.AlignVCenter, _("predicted DSC, 0 to 1"))


def faint(color: qt.QColor, alpha: int) -> qt.QColor:
    """A color that lets through what is behind it; ``alpha`` in 0..255."""
    return qt.QColor(color.red(), color.green(), color.blue(), alpha)
