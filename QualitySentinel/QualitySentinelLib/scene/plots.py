"""Needs ``slicer`` and ``vtk``. A chart of DSC along the slices of one segment, for Slicer's plot views.

A chart shows whole columns, so the segment's rows of the slices table go into a table of the chart's own. There is one
chart for each segmentation; looking at another segment fills it anew. All of it is saved with the scene.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import slicer
import vtk

from ..scores.colors import dsc_color
from .nodes import into_folder, own_node
from .tables import tables_of

CHART_ROLE = "QualitySentinelChart"
"""Node reference role from the segmentation node to its chart."""

TABLE_ROLE = "QualitySentinelChartTable"
"""Node reference role from the segmentation node to what the chart shows."""

SLICE, DSC, LOW, HIGH = "Slice", "Predicted DSC", "Lower bound", "Upper bound"
FLAGGED, MISSED = "Flagged", "Missed"

X_TITLE = "Slice (squares: flagged, crosses: missed, gray lines: bounds)"
"""Instead of Slicer's legend, which lies on the last slices."""

_MARGIN = 0.05
"""Beyond both ends of the axes, as a part of their length: marks there are not cut."""


class _Series(NamedTuple):
    """How a column is drawn; ``line`` and ``marker`` are values of vtkMRMLPlotSeriesNode."""

    column: str
    color: tuple[float, float, float]
    line: str
    marker: str
    width: float = 2.0
    size: float = 8.0


_SERIES = (
    _Series(LOW, (0.6, 0.6, 0.6), "LineStyleSolid", "MarkerStyleNone", 1.5),
    _Series(HIGH, (0.6, 0.6, 0.6), "LineStyleSolid", "MarkerStyleNone", 1.5),
    _Series(DSC, (0.25, 0.35, 0.5), "LineStyleSolid", "MarkerStyleCircle", size=5.0),
    _Series(FLAGGED, dsc_color(0.6), "LineStyleNone", "MarkerStyleSquare"),
    _Series(MISSED, dsc_color(0.0), "LineStyleNone", "MarkerStyleCross", size=11.0),
)


def update_plot(segmentation_node: slicer.vtkMRMLSegmentationNode, segment_id: str):
    """Let the segmentation's chart show a segment; it is made when there is none.

    Slices are numbered as in the tables. ``update_tables`` must have been called before.

    Returns:
        the vtkMRMLPlotChartNode; without points when the segment has no scored slice.
    """
    segment = segmentation_node.GetSegmentation().GetSegment(segment_id)
    name = segment.GetName() if segment is not None else segment_id
    called = segmentation_node.GetName()
    table = own_node(segmentation_node, TABLE_ROLE, "vtkMRMLTableNode", f"{called} DSC of one segment")
    rows = _rows(tables_of(segmentation_node)[1], name, segment_id)
    _fill(table, rows)
    chart = own_node(segmentation_node, CHART_ROLE, "vtkMRMLPlotChartNode", f"{called} DSC by slice")
    if not chart.GetNumberOfPlotSeriesNodes():
        _set_up(segmentation_node, chart, table)
    first, last = (rows[0][SLICE], rows[-1][SLICE]) if rows else (0.0, 1.0)
    margin = max(1.0, _MARGIN * (last - first))
    with slicer.util.NodeModify(chart):
        chart.SetTitle(f"{name}: predicted DSC")
        chart.SetXAxisRange(first - margin, last + margin)
    return chart


def _rows(slices_table, name: str, segment_id: str) -> list[dict[str, float]]:
    """The segment's slices by column of the chart, upwards; NaN where a column has no value."""
    if slices_table is None:
        return []
    table = slices_table.GetTable()
    names = table.GetColumnByName("segment")
    label = f"{name} [{segment_id}]"  # as in tables where names repeat
    called = [names.GetValue(row) for row in range(table.GetNumberOfRows())] if names is not None else []
    wanted = label if label in called else name

    def value(row: int, column: str) -> float:
        return table.GetValueByName(row, column).ToDouble()

    rows = []
    for row in (row for row, text in enumerate(called) if text == wanted):
        dsc, missed = value(row, "predicted_dsc"), bool(value(row, "missed"))
        rows.append(
            {
                SLICE: value(row, "slice_index"),
                DSC: math.nan if missed else dsc,
                LOW: value(row, "dsc_low"),
                HIGH: value(row, "dsc_high"),
                FLAGGED: dsc if value(row, "flagged") else math.nan,
                MISSED: dsc if missed else math.nan,
            }
        )
    return sorted(rows, key=lambda r: r[SLICE])


def _fill(table_node, rows: Sequence[dict[str, float]]) -> None:
    with slicer.util.NodeModify(table_node):
        table_node.RemoveAllColumns()
        for column in (SLICE, DSC, LOW, HIGH, FLAGGED, MISSED):
            array = vtk.vtkDoubleArray()
            array.SetName(column)
            for row in rows:
                array.InsertNextValue(row[column])
            table_node.AddColumn(array)
        table_node.SetUseColumnTitleAsColumnHeader(True)


def _set_up(segmentation_node: slicer.vtkMRMLSegmentationNode, chart, table_node) -> None:
    kinds = slicer.vtkMRMLPlotSeriesNode
    for drawn in _SERIES:
        series = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotSeriesNode", drawn.column)
        series.SetAndObserveTableNodeID(table_node.GetID())
        series.SetPlotType(kinds.PlotTypeScatter)
        series.SetXColumnName(SLICE)
        series.SetYColumnName(drawn.column)
        series.SetColor(*drawn.color)
        series.SetLineStyle(getattr(kinds, drawn.line))
        series.SetMarkerStyle(getattr(kinds, drawn.marker))
        series.SetLineWidth(drawn.width)
        series.SetMarkerSize(drawn.size)
        chart.AddAndObservePlotSeriesNodeID(series.GetID())
        into_folder(segmentation_node, series)
    chart.SetXAxisTitle(X_TITLE)
    chart.SetYAxisTitle(DSC)
    chart.XAxisRangeAutoOff()
    chart.YAxisRangeAutoOff()
    chart.SetYAxisRange(-_MARGIN, 1.0 + _MARGIN)
    chart.SetLegendVisibility(False)
