"""What a user does with the panel, and sees of it."""

from __future__ import annotations

import time


def run_events_until(condition, seconds=30):
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
