"""What a user sees: texts of a table, colors of segments, which slice a view shows."""

from __future__ import annotations

import numpy as np
import slicer


def rows_of(panel) -> list[list[str]]:
    """The texts of the results table, row by row."""
    table = panel.ui.resultsTable
    return [[table.item(r, c).text() for c in range(table.columnCount)] for r in range(table.rowCount)]


def row_of(panel, name: str) -> int:
    """The row of a segment in the results table."""
    return [row[0] for row in rows_of(panel)].index(name)


def position_of(view: str) -> float:
    """Where a slice view cuts: its R, A or S, mm."""
    node = slicer.app.layoutManager().sliceWidget(view).mrmlSliceNode()
    axis = {"Yellow": 0, "Green": 1, "Red": 2}[view]
    return node.GetSliceToRAS().GetElement(axis, 3)


def position_in(view: str) -> str:
    """What is written above a slice view."""
    return slicer.app.layoutManager().sliceWidget(view).position_text()


def color_of(segmentation, segment_id: str) -> tuple[float, ...]:
    """The color in which a segment is drawn, RGB 0..1."""
    override = tuple(segmentation.GetDisplayNode().GetSegmentOverrideColor(segment_id))
    return override if min(override) >= 0 else segmentation.GetSegmentation().GetSegment(segment_id).GetColor()


def visible_segments(segmentation) -> set[str]:
    """Ids of the segments that are shown."""
    display = segmentation.GetDisplayNode()
    return {i for i in segmentation.GetSegmentation().GetSegmentIDs() if display.GetSegmentVisibility(i)}


def look_of(segmentation) -> dict[str, tuple]:
    """Everything about how a segmentation is drawn that a review may change, by segment id."""
    display, segments = segmentation.GetDisplayNode(), segmentation.GetSegmentation()
    look = {
        i: (
            tuple(display.GetSegmentOverrideColor(i)),
            segments.GetSegment(i).GetColor(),
            display.GetSegmentVisibility(i),
            display.GetSegmentVisibility2DFill(i),
            display.GetSegmentVisibility2DOutline(i),
            display.GetSegmentVisibility3D(i),
            display.GetSegmentOpacity3D(i),
            display.GetSegmentOpacity2DFill(i),
        )
        for i in segments.GetSegmentIDs()
    }
    look[""] = (display.GetVisibility(), display.GetVisibility2D(), display.GetVisibility3D(), display.GetOpacity())
    return look


def pixels_of(widget) -> np.ndarray:
    """What Qt draws of a widget, uint8 ``[row, column, RGB]``."""
    from PySide6.QtGui import QImage

    image = widget.grab().toImage().convertToFormat(QImage.Format.Format_RGB888)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    return rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3).copy()


def close_to(pixels: np.ndarray, rgb, within: int = 3) -> np.ndarray:
    """Where pixels have a color, given as 0..1; bool ``[row, column]``."""
    return (abs(pixels.astype(int) - [round(255 * c) for c in rgb]) <= within).all(axis=-1)
