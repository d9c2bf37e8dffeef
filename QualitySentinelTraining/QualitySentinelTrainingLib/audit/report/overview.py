"""What the pages of an audit say of its tables: distribution, structures, cases, slices, and scores of each case."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from QualitySentinelLib.scores import SegmentScore, SliceScore, Status

from ..store import SLICE_FIELDS

if TYPE_CHECKING:
    import pandas as pd

    from ..frames import Audit

WORST_SLICES = 60
"""Slices listed on the first page; all of them are in ``worst_first.csv`` and ``slices.csv``."""
_SUMS = {"below": "below", "n_scored": "n_scored", "n_flagged": "n_flagged", "n_missed": "missed_slices"}
_STATUS = {status.value: status for status in Status}


class CaseScores:
    """The segments of each case with their slices (columns ``SLICE_FIELDS``), as the drawing of a report takes them."""

    def __init__(self, segments: pd.DataFrame, slices: pd.DataFrame) -> None:
        self._tables = segments, slices[["segment", *SLICE_FIELDS]]
        self._places = [table.groupby("case", sort=False, observed=True).indices for table in (segments, slices)]

    def of(self, case: str) -> list[SegmentScore]:
        """The case's segments, worst first, those without a score last; slices ascending."""
        segments, slices = (
            table.iloc[places.get(case, [])].astype(object).where(lambda t: t.notna(), None)
            for table, places in zip(self._tables, self._places, strict=True)
        )
        found = {
            str(row["segment"]): SegmentScore(
                str(row["segment"]), str(row["segment"]), row["structure"] or None,
                _STATUS.get(str(row["status"]), Status.NOT_SCORED), int(row["n_slices"] or 0), row["predicted_dsc"],
                row.get("dsc_low"), row.get("dsc_high"),
            )
            for row in segments.to_dict("records")
        }  # fmt: skip
        for name, index, position, dsc, low, high, flagged, missed, area, k in slices.to_numpy().tolist():
            if (segment := found.get(str(name))) is not None:
                place = str(name), int(k), int(index), float(position), float(dsc), float(dsc), float(area or 0.0), ""
                nearest = -1 if missed else None
                score = SliceScore(*place, bool(flagged), low, high, nearest_k=nearest, missed=bool(missed))
                (segment.slices if score.has_mask else segment.empty_slices).append(score)
        return sorted(found.values(), key=lambda s: (s.predicted_dsc is None, s.predicted_dsc or 0.0))


@dataclass
class Overview:
    """Numbers and rows of the first page."""

    tiles: dict  # counts by name
    # segment_dsc, slice_dsc: predicted DSC of all scored segments and slices (with mask)
    segment_dsc: np.ndarray
    slice_dsc: np.ndarray
    structures: list[dict]  # rows by structure, the lowest median first
    cases: list[dict]  # rows by case, failed ones last, else the lowest mean first
    worst_slices: list[dict]  # rows of the lowest slices, at most two of a segment


def overview_of(audit: Audit, slices: pd.DataFrame) -> Overview:
    """Everything the first page says of the tables; of slices it needs some of ``SLICE_FIELDS``."""
    # segments of no known structure go by their own names
    names = audit.segments["structure"].where(audit.segments["structure"].notna(), audit.segments["segment"])
    below = audit.below
    known = audit.segments["status"] != "unknown structure"
    segments = audit.segments.assign(structure=names, below=below, known=known)
    scored = segments.dropna(subset="predicted_dsc").sort_values("predicted_dsc", kind="stable")
    masked = slices[~slices["missed"] & slices["predicted_dsc"].notna()]
    status, of_segments = audit.cases["status"].value_counts(), segments["status"].value_counts()
    tiles = {
        "cases": len(audit.cases), "done": int(status.get("done", 0)), "failed": int(status.get("failed", 0)),
        "segments": len(segments), "scored": len(scored), "below": int(below.sum()),
        "empty": int(of_segments.get("empty", 0)), "unknown": int(of_segments.get("unknown structure", 0)),
        "slices": len(masked), "flagged": int(masked["flagged"].sum()), "missed": int(slices["missed"].sum()),
        "median": float(scored["predicted_dsc"].median()) if len(scored) else None,
    }  # fmt: skip
    # not only the slices of one bad mask
    lowest = masked[masked["flagged"]].nsmallest(20 * WORST_SLICES, "predicted_dsc")
    lowest = lowest.groupby(["case", "segment"], observed=True, sort=False).head(2).head(WORST_SLICES)
    columns = ["case", "segment", "structure", "slice_index", "position_mm", "predicted_dsc"]
    return Overview(
        tiles, scored["predicted_dsc"].to_numpy(float), masked["predicted_dsc"].to_numpy(float),
        _structures(segments, scored), _cases(audit, segments, scored),
        lowest[columns].astype({"case": str, "segment": str}).to_dict("records"),
    )  # fmt: skip


def _structures(segments: pd.DataFrame, scored: pd.DataFrame) -> list[dict]:
    dsc = segments.groupby("structure")["predicted_dsc"]
    table = dsc.agg(n="count", n_all="size", mean="mean", median="median")
    table = table.assign(low=dsc.quantile(0.1), high=dsc.quantile(0.9))
    more = {name: (column, "sum") for name, column in _SUMS.items()} | {"known": ("known", "all")}
    table = table.join(segments.groupby("structure").agg(**more)).rename(columns={"n_scored": "n_slices"})
    lowest = scored.drop_duplicates("structure").set_index("structure")[["case", "segment"]].add_prefix("lowest_")
    table = table.join(lowest).sort_values(["median", "mean"], na_position="last", kind="stable")
    rows = table.rename_axis("structure").reset_index().to_dict("records")
    return [{k: None if v != v else v for k, v in row.items()} for row in rows]


def _cases(audit: Audit, segments: pd.DataFrame, scored: pd.DataFrame) -> list[dict]:
    groups = segments.groupby("case", observed=True)
    sums = groups.agg(n_segments=("segment", "size"), **{name: (column, "sum") for name, column in _SUMS.items()})
    sums = sums.astype(int).to_dict("index")
    means = scored.groupby("case", observed=True)["predicted_dsc"].mean()
    lowest = scored.drop_duplicates("case").set_index("case")
    rows = []
    for row in audit.cases.to_dict("records"):
        case, there = row["case"], row["case"] in means.index
        rows.append({
            "case": str(case), "status": str(row["status"]), "row": row,
            "reason": row["reason"] if isinstance(row["reason"], str) else "",
            "mean": float(means[case]) if there else None,
            "lowest": str(lowest.loc[case, "segment"]) if there else "",
            "lowest_dsc": float(lowest.loc[case, "predicted_dsc"]) if there else None,
            **dict.fromkeys(("n_segments", *_SUMS), 0), **sums.get(case, {}),
        })  # fmt: skip
    return sorted(rows, key=lambda r: (r["mean"] is None, r["mean"] or 0.0, r["case"]))
