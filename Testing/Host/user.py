"""For tests: what a user does in front of the host: clicks, keys, waiting. Everything goes through Qt's own events."""

from __future__ import annotations

import time

from PySide6 import QtCore, QtGui, QtWidgets
from PySide6.QtTest import QTest

LEFT = QtCore.Qt.MouseButton.LeftButton
NONE = QtCore.Qt.KeyboardModifier.NoModifier


def wait_until(condition, what="it", seconds=120.0) -> None:
    """Let the event loop run until something has happened.

    Raises:
        AssertionError: it has not happened in time.
    """
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what} did not happen"
        QtWidgets.QApplication.processEvents(QtCore.QEventLoop.ProcessEventsFlag.AllEvents, 20)
        time.sleep(0.001)


def pause(seconds: float = 0.05) -> None:
    """Let the event loop run for a while."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QtWidgets.QApplication.processEvents(QtCore.QEventLoop.ProcessEventsFlag.AllEvents, 5)
        time.sleep(0.001)


def click(widget: QtWidgets.QWidget, at: QtCore.QPoint | None = None, modifier=NONE) -> None:
    """Click into the middle of a widget, or at a point of it, after scrolling to it.

    Raises:
        AssertionError: the user cannot see it, or it is disabled.
    """
    show(widget)
    assert widget.isVisible(), f"{widget.objectName} is not visible"
    assert widget.isEnabled(), f"{widget.objectName} is disabled"
    where = QtWidgets.QWidget.rect(widget).center() if at is None else at
    QTest.mouseClick(widget, LEFT, modifier, where)


def show(widget: QtWidgets.QWidget) -> None:
    """Unfold the sections around a widget and scroll to it, as a user would."""
    above = widget.parentWidget()
    while above is not None:
        if getattr(above, "collapsed", False) is True:
            above.collapsed = False
        if isinstance(above, QtWidgets.QScrollArea) and above.widget().isAncestorOf(widget):
            QtWidgets.QApplication.processEvents()
            above.ensureWidgetVisible(widget)
        above = above.parentWidget()
    QtWidgets.QApplication.processEvents()


def click_row(table: QtWidgets.QTableWidget, row: int, column: int = 0) -> None:
    """Click a cell of a table."""
    show(table)
    table.scrollTo(table.model().index(row, column))
    where = table.visualRect(table.model().index(row, column)).center()
    QTest.mouseClick(table.viewport(), LEFT, NONE, where)


def press(key, modifier=NONE, widget: QtWidgets.QWidget | None = None) -> None:
    """Press a key, in a widget or wherever the keyboard is."""
    target = widget or QtWidgets.QApplication.focusWidget() or QtWidgets.QApplication.activeWindow()
    assert target is not None, "no window is active"
    QTest.keyClick(target, key, modifier)
    QtWidgets.QApplication.processEvents()


def scroll(widget: QtWidgets.QWidget, steps: int) -> None:
    """Turn the mouse wheel over a widget, up for positive steps."""
    middle = QtCore.QPointF(QtWidgets.QWidget.rect(widget).center())
    for _ in range(abs(steps)):
        turn = QtCore.QPoint(0, 120 if steps > 0 else -120)
        event = QtGui.QWheelEvent(
            middle, widget.mapToGlobal(middle), QtCore.QPoint(), turn, QtCore.Qt.MouseButton.NoButton, NONE,
            QtCore.Qt.ScrollPhase.NoScrollPhase, False,
        )  # fmt: skip
        QtWidgets.QApplication.sendEvent(widget, event)
    QtWidgets.QApplication.processEvents()


def paint(view, ras) -> None:
    """Click into a slice view at a place in RAS mm, with the tool that is in use."""
    x, y, _ = view.convertRASToXYZ(ras)
    point = QtCore.QPoint(round(x), round(QtWidgets.QWidget.height(view) - y))
    assert QtWidgets.QWidget.rect(view).contains(point), "the place is not in the view"
    QTest.mousePress(view, LEFT, NONE, point)
    QTest.mouseRelease(view, LEFT, NONE, point)
    QtWidgets.QApplication.processEvents()
