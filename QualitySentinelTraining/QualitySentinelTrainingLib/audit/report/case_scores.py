"""Scores of a case from an audit's tables, as the drawing of a case's report takes them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from QualitySentinelLib.scores import SegmentScore, SliceScore, Status

if TYPE_CHECKING:
    import pandas as pd

_STATUS = {status.value: status for status in Status}
COLUMNS = ["slice_index", "position_mm", "predicted_dsc", "dsc_low", "dsc_high", "flagged", "missed", "area_mm2", "k"]
"""What is read of the slices table."""


class CaseScores:
    """The segments of each case with their slices; slices are found without a search through the whole table.

    Args:
        segments: an audit's table.
        slices: at least the columns :data:`COLUMNS`.
    """

    def __init__(self, segments: pd.DataFrame, slices: pd.DataFrame) -> None:
        self._segments = segments.groupby("case", sort=False, observed=True).indices
        self._table = segments
        cases = slices["case"].astype("category")
        codes = cases.cat.codes.to_numpy()
        order = np.argsort(codes, kind="stable")
        starts = np.searchsorted(codes[order], np.arange(len(cases.cat.categories) + 1))
        self._rows = {str(c): order[starts[i] : starts[i + 1]] for i, c in enumerate(cases.cat.categories)}
        self._names = slices["segment"].astype("category")
        self._columns = {c: slices[c].to_numpy() for c in COLUMNS}

    def of(self, case: str) -> list[SegmentScore]:
        """The case's segments, worst first, those without a score last; slices ascending."""
        places = self._segments.get(case)
        if places is None:
            return []
        segments = [_segment_score(row) for row in self._table.iloc[places].to_dict("records")]
        by_name = {s.name: s for s in segments}
        rows = self._rows.get(case, np.zeros(0, int))
        names = self._names.iloc[rows].astype(str).to_numpy()
        for name, score in zip(names, self._scores(rows), strict=True):
            segment = by_name.get(name)
            if segment is not None:
                score.segment_id = name
                (segment.slices if score.has_mask else segment.empty_slices).append(score)
        return sorted(segments, key=lambda s: (s.predicted_dsc is None, s.predicted_dsc or 0.0))

    def _scores(self, rows: np.ndarray) -> Iterator[SliceScore]:
        columns = [self._columns[c][rows].tolist() for c in COLUMNS]
        for index, position, dsc, low, high, flagged, missed, area, k in zip(*columns, strict=True):
            low, high = (None if v is None or v != v else float(v) for v in (low, high))
            place = "", int(k), int(index), float(position), float(dsc), float(dsc), _number(area), ""
            yield SliceScore(*place, bool(flagged), low, high, nearest_k=-1 if missed else None, missed=bool(missed))


def _segment_score(row: dict) -> SegmentScore:
    def value(name: str) -> float | None:
        found = row.get(name)
        return None if found is None or found != found else float(found)

    structure = row.get("structure")
    return SegmentScore(
        str(row["segment"]), str(row["segment"]), structure if isinstance(structure, str) and structure else None,
        _STATUS.get(str(row["status"]), Status.NOT_SCORED), int(value("n_slices") or 0), value("predicted_dsc"),
        value("dsc_low"), value("dsc_high"),
    )  # fmt: skip


def _number(value: float | None) -> float:
    return 0.0 if value is None or value != value else float(value)
