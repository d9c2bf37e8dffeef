"""Needs ``slicer`` and ``vtk``. A chart of DSC along the slices of one segment, for Slicer's plot views.

A chart shows whole columns, so the segment's rows of the slices table go into a table of the chart's own. There is one
chart for each segmentation; looking at another segment fills it anew. All of it is saved with the scene.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import slicer
from vtk.util.numpy_support import numpy_to_vtk

from ..colors import dsc_color
from ..scores import SegmentScore, SliceScore
from .nodes import into_folder, own_node
from .tables import show_columns

CHART_ROLE = "QualitySentinelChart"
TABLE_ROLE = "QualitySentinelChartTable"
"""Node reference roles from the segmentation node to its chart, and to what the chart shows."""

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


def update_plot(segmentation_node: slicer.vtkMRMLSegmentationNode, segment: SegmentScore):
    """Let the segmentation's chart show the slices of a segment, by their own numbers; it is made when there is none.

    Returns:
        the vtkMRMLPlotChartNode; without points when the segment has no scored slice.
    """
    called = segmentation_node.GetName()
    table = own_node(segmentation_node, TABLE_ROLE, "vtkMRMLTableNode", f"{called} DSC of one segment")
    slices = sorted(segment.listed_slices, key=lambda s: s.slice_index)
    _fill(table, slices)
    chart = own_node(segmentation_node, CHART_ROLE, "vtkMRMLPlotChartNode", f"{called} DSC by slice")
    if not chart.GetNumberOfPlotSeriesNodes():
        _set_up(segmentation_node, chart, table)
    first, last = (slices[0].slice_index, slices[-1].slice_index) if slices else (0, 1)
    margin = max(1.0, _MARGIN * (last - first))
    with slicer.util.NodeModify(chart):
        chart.SetTitle(f"{segment.name}: predicted DSC")
        chart.SetXAxisRange(first - margin, last + margin)
    return chart


def _fill(table_node, slices: Sequence[SliceScore]) -> None:
    """Columns of the chart; NaN where one has no value."""
    dsc = [s.predicted_dsc for s in slices]
    columns = {
        SLICE: [s.slice_index for s in slices],
        DSC: [None if s.missed else d for s, d in zip(slices, dsc, strict=True)],
        LOW: [s.dsc_low for s in slices],
        HIGH: [s.dsc_high for s in slices],
        FLAGGED: [d if s.flagged else None for s, d in zip(slices, dsc, strict=True)],
        MISSED: [d if s.missed else None for s, d in zip(slices, dsc, strict=True)],
    }
    arrays = {column: numpy_to_vtk(np.array(values, dtype=float), deep=True) for column, values in columns.items()}
    for column, array in arrays.items():
        array.SetName(column)
    show_columns(table_node, arrays.values())


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
