"""What a user does with the panel, and sees of it."""

from __future__ import annotations

import time


def run_events_until(condition, seconds=120):
    """Let the event loop run, as in Slicer, until something has happened."""
    import slicer

    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        slicer.app.processEvents()


def texts(table):
    """What a table shows, row by row: segment, DSC, flagged, missed, open."""
    return [[table.item(r, c).text() for c in range(table.columnCount)] for r in range(table.rowCount)]


def apply(panel):
    """Press Apply and wait for the scores."""
    panel.ui.applyButton.click()
    run_events_until(lambda: not panel.ui.cancelButton.enabled)


def scored_again(logic, monkeypatch):
    """Numbers of slices that each scoring after an edit had to score; filled as they happen.

    ``logic`` is the panel's, or its class, for all panels to come.
    """
    numbers, real = [], logic.rescoreSteps

    def watched(*arguments, **options):
        for progress in real(*arguments, **options):
            yield progress
            if progress.finished:
                numbers.append(progress.total)

    monkeypatch.setattr(logic, "rescoreSteps", watched)
    return numbers


def review_of(panel, segmentation_node, ct_node, case):
    """Give the panel a review without scoring."""
    from QualitySentinelLib.review import ReviewSession
    from QualitySentinelLib.scene.nodes import volume_state

    state = volume_state(ct_node)
    panel.reviews.open(segmentation_node, ct_node, ReviewSession(case), state).record.touch()
    panel.panel.update()


def click(widget, x=None, y=None):
    """Click into the middle of a widget, or at a point of it."""
    from PySide6.QtCore import QPoint, Qt
    from PySide6.QtTest import QTest
    from PySide6.QtWidgets import QWidget

    middle = QWidget.rect(widget).center()
    at = QPoint(middle.x() if x is None else round(x), middle.y() if y is None else round(y))
    QTest.mouseClick(widget, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, at)


def click_row(table, row):
    """Click a row of a table."""
    where = table.visualRect(table.model().index(row, 0)).center()
    click(table.viewport(), where.x(), where.y())


def pixels(widget):
    """A widget as Qt draws it, uint8 ``[row, column, RGB]``."""
    import numpy as np
    from PySide6.QtGui import QImage

    image = widget.grab().toImage().convertToFormat(QImage.Format.Format_RGB888)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    return rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3).copy()


def share_of(picture, rgb, within=6):
    """How much of a picture has a color, 0..1; RGB in 0..1."""
    import numpy as np

    return float((np.abs(picture.astype(int) - np.round(np.multiply(rgb, 255))).max(axis=-1) <= within).mean())
