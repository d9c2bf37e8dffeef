"""Needs ``slicer`` and ``vtk``. Scores as two table nodes with the columns of ``segments.csv`` and ``slices.csv``.

A segmentation refers to its tables; scoring it again fills the same two nodes, so that charts made of them follow.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import slicer
import vtk

from ..scores import CaseScore, segment_labels
from ..scores.tables import SEGMENT_COLUMNS, SLICE_COLUMNS

SEGMENTS_ROLE = "QualitySentinelSegments"
SLICES_ROLE = "QualitySentinelSlices"
"""Node reference roles from the segmentation node to its tables."""

_UNITS = {"position_mm": "mm"}
_ARRAYS = {
    **dict.fromkeys(("n_slices", "n_scored", "n_flagged", "slice_index", "flagged"), vtk.vtkIntArray),
    **dict.fromkeys(("predicted_dsc", "dsc_low", "dsc_high", "position_mm"), vtk.vtkDoubleArray),
}
"""Array class of each column; text where nothing is said. A missing number is NaN."""


def update_tables(segmentation_node, case_score: CaseScore) -> tuple:
    """Fill the segmentation's two tables, making them when there are none; returns (segments table, slices table)."""
    labels = segment_labels(case_score.segments)
    name = segmentation_node.GetName()
    segments = _table(segmentation_node, SEGMENTS_ROLE, f"{name} predicted DSC by segment")
    slices = _table(segmentation_node, SLICES_ROLE, f"{name} predicted DSC by slice")
    _fill(segments, SEGMENT_COLUMNS, (
        (labels[s.segment_id], s.structure or "", s.n_slices, s.n_scored, s.predicted_dsc, s.dsc_low, s.dsc_high,
         s.n_flagged, str(s.status))
        for s in case_score.segments
    ))  # fmt: skip
    _fill(slices, SLICE_COLUMNS, (
        (labels[segment.segment_id], segment.structure or "", s.slice_index, s.position_mm, s.predicted_dsc,
         int(s.flagged))
        for segment in case_score.segments
        for s in segment.slices
    ))  # fmt: skip
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
            array.InsertNextValue(math.nan if value is None else value)
    with slicer.util.NodeModify(table_node):
        table_node.RemoveAllColumns()
        for array in arrays:
            table_node.AddColumn(array)
        for column in columns:
            if column in _UNITS:
                table_node.SetColumnUnitLabel(column, _UNITS[column])
        table_node.SetUseColumnTitleAsColumnHeader(True)
