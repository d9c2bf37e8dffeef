"""Needs ``slicer`` and ``vtk``. Scores as two table nodes with the columns of ``segments.csv`` and ``slices.csv``.

A segmentation refers to its tables; scoring it again fills the same two nodes, so that charts made of them follow.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk

from ..review import score_tables
from ..scores import CaseScore
from ..scores.columns import COLUMNS
from ..steps import Steps, at_once
from .nodes import own_node

if TYPE_CHECKING:
    from ..review import ReviewSession

SEGMENTS_ROLE = "QualitySentinelSegments"
SLICES_ROLE = "QualitySentinelSlices"
"""Node reference roles from the segmentation node to its tables."""

_ROWS = 1000
"""That are made in one step."""

_DTYPES = {int: np.int32, bool: np.int32, float: np.float64}
"""Of the columns of numbers; others are text. A missing number is NaN."""


def update_tables_steps(segmentation_node, case_score: CaseScore, session: ReviewSession | None = None) -> Steps[tuple]:
    """Fill the segmentation's two tables, making them when there are none; the scores must not change meanwhile.

    With the ``session`` of the scores, columns say what the reader accepted and corrected.

    Returns:
        (segments table, slices table).
    """
    name = segmentation_node.GetName()
    tables, parts = [], score_tables(case_score, session)
    for role, what, (columns, rows) in zip((SEGMENTS_ROLE, SLICES_ROLE), ("segment", "slice"), parts, strict=True):
        tables.append(own_node(segmentation_node, role, "vtkMRMLTableNode", f"{name} predicted DSC by {what}"))
        gathered = []
        for row in rows:
            gathered.append(row)
            if len(gathered) % _ROWS == 0:
                yield
        _fill(tables[-1], columns, gathered)
        yield
    return tuple(tables)


update_tables = at_once(update_tables_steps)


def _array(column: str, values: Sequence):
    dtype = _DTYPES.get(COLUMNS[column].kind)
    if dtype is not None:  # a hundred times quicker than value by value
        numbers = np.array([math.nan if value is None else value for value in values], dtype=dtype)
        array = numpy_to_vtk(numbers, deep=True)
    else:
        array = vtk.vtkStringArray()
        for value in values:
            array.InsertNextValue("" if value is None else value)
    array.SetName(column)
    return array


def _fill(table_node, columns: Sequence[str], rows: Iterable[Sequence]) -> None:
    by_column = list(zip(*rows, strict=True)) or [()] * len(columns)
    arrays = [_array(column, values) for column, values in zip(columns, by_column, strict=True)]
    with slicer.util.NodeModify(table_node):
        show_columns(table_node, arrays)
        for column in columns:
            table_node.SetColumnDescription(column, COLUMNS[column].meaning)
            if COLUMNS[column].unit:
                table_node.SetColumnUnitLabel(column, COLUMNS[column].unit)


def show_columns(table_node, arrays: Iterable[vtk.vtkAbstractArray]) -> None:
    """Let a table have these columns, and no others."""
    with slicer.util.NodeModify(table_node):
        table_node.RemoveAllColumns()
        for array in arrays:
            table_node.AddColumn(array)
        table_node.SetUseColumnTitleAsColumnHeader(True)
