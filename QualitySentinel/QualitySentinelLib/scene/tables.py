"""Needs ``slicer`` and ``vtk``. Scores as two table nodes with the columns of ``segments.csv`` and ``slices.csv``.

A segmentation refers to its tables; scoring it again fills the same two nodes, so that charts made of them follow.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import slicer
import vtk

from ..scores import CaseScore
from ..scores.tables import SEGMENT_COLUMNS, SLICE_COLUMNS, segment_rows, slice_rows

SEGMENTS_ROLE = "QualitySentinelSegments"
SLICES_ROLE = "QualitySentinelSlices"
"""Node reference roles from the segmentation node to its tables."""

_UNITS = {"position_mm": "mm"}
_ARRAYS = {
    **dict.fromkeys(
        ("n_slices", "n_scored", "n_flagged", "missed_slices", "slice_index", "flagged", "missed"), vtk.vtkIntArray
    ),
    **dict.fromkeys(("predicted_dsc", "dsc_low", "dsc_high", "position_mm"), vtk.vtkDoubleArray),
}
"""Array class of each column; text where nothing is said. A missing number is NaN."""


def update_tables(segmentation_node, case_score: CaseScore) -> tuple:
    """Fill the segmentation's two tables, making them when there are none; returns (segments table, slices table)."""
    name = segmentation_node.GetName()
    segments = _table(segmentation_node, SEGMENTS_ROLE, f"{name} predicted DSC by segment")
    slices = _table(segmentation_node, SLICES_ROLE, f"{name} predicted DSC by slice")
    _fill(segments, SEGMENT_COLUMNS, segment_rows(case_score))
    _fill(slices, SLICE_COLUMNS, slice_rows(case_score))
    return segments, slices


def tables_of(segmentation_node) -> tuple:
    """The segmentation's (segments table, slices table), ``None`` where there is none."""
    return segmentation_node.GetNodeReference(SEGMENTS_ROLE), segmentation_node.GetNodeReference(SLICES_ROLE)


def _table(segmentation_node, role: str, name: str):
    table = segmentation_node.GetNodeReference(role)
    if table is None:
        table = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", name)
        segmentation_node.SetNodeReferenceID(role, table.GetID())
    return table


def _fill(table_node, columns: Sequence[str], rows: Iterable[Sequence]) -> None:
    arrays = [_ARRAYS.get(column, vtk.vtkStringArray)() for column in columns]
    for array, column in zip(arrays, columns, strict=True):
        array.SetName(column)
    for row in rows:
        for array, value in zip(arrays, row, strict=True):
            missing = "" if isinstance(array, vtk.vtkStringArray) else math.nan
            array.InsertNextValue(missing if value is None else value)
    with slicer.util.NodeModify(table_node):
        table_node.RemoveAllColumns()
        for array in arrays:
            table_node.AddColumn(array)
        for column in columns:
            if column in _UNITS:
                table_node.SetColumnUnitLabel(column, _UNITS[column])
        table_node.SetUseColumnTitleAsColumnHeader(True)
