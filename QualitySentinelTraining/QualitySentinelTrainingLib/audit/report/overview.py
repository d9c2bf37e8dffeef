"""What the first page of an audit says: distribution, structures, cases and slices, from the tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from ..frames import Audit

WORST_SLICES = 60
"""Slices listed on the first page; all of them are in ``worst_first.csv`` and ``slices.csv``."""


@dataclass
class Overview:
    """Numbers and rows of the first page.

    Attributes:
        tiles: counts by name.
        segment_dsc, slice_dsc: predicted DSC of all scored segments and slices (with mask).
        structures: rows by structure, the lowest median first.
        cases: rows by case, failed ones last, else the lowest mean first.
        worst_slices: rows of the lowest slices, at most two of a segment.
    """

    tiles: dict
    segment_dsc: np.ndarray
    slice_dsc: np.ndarray
    structures: list[dict]
    cases: list[dict]
    worst_slices: list[dict]


def overview_of(audit: Audit, slices: pd.DataFrame) -> Overview:
    """Everything the first page says of the tables.

    Args:
        audit: its ``cases`` and ``segments``.
        slices: the slices table, at least ``slice_index``, ``position_mm``, ``predicted_dsc``, ``flagged``,
            ``missed``.
    """
    segments = audit.segments
    scored = segments[segments["predicted_dsc"].notna()]
    masked = slices[~slices["missed"] & slices["predicted_dsc"].notna()]
    cases = _cases(audit, scored)
    tiles = {
        "cases": len(audit.cases),
        "done": int((audit.cases["status"] == "done").sum()),
        "failed": int((audit.cases["status"] == "failed").sum()),
        "segments": len(segments),
        "scored": len(scored),
        "below": int((scored["predicted_dsc"] < audit.threshold).sum()),
        "empty": int((segments["status"] == "empty").sum()),
        "unknown": int((segments["status"] == "unknown structure").sum()),
        "slices": len(masked),
        "flagged": int(masked["flagged"].sum()),
        "missed": int(slices["missed"].sum()),
        "median": float(scored["predicted_dsc"].median()) if len(scored) else None,
    }
    return Overview(
        tiles, scored["predicted_dsc"].to_numpy(float), masked["predicted_dsc"].to_numpy(float),
        _structures(segments, audit.threshold), cases, _worst_slices(slices),
    )  # fmt: skip


def _structures(segments: pd.DataFrame, threshold: float) -> list[dict]:
    import pandas as pd

    if segments.empty:
        return []
    # segments of no known structure go by their own names
    names = segments["structure"].where(segments["structure"].notna(), segments["segment"])
    segments = segments.assign(structure=names, below=segments["predicted_dsc"] < threshold)
    groups = segments.groupby("structure")
    scored = segments[segments["predicted_dsc"].notna()]
    lowest = scored.loc[scored.groupby("structure")["predicted_dsc"].idxmin()].set_index("structure")
    quantiles = groups["predicted_dsc"].quantile([0.1, 0.5, 0.9]).unstack()
    sums = groups[["n_scored", "n_flagged", "missed_slices", "below"]].sum()
    table = pd.DataFrame({
        "n": groups["predicted_dsc"].count(), "n_all": groups.size(), "mean": groups["predicted_dsc"].mean(),
        "low": quantiles[0.1], "median": quantiles[0.5], "high": quantiles[0.9], "below": sums["below"],
        "n_slices": sums["n_scored"], "n_flagged": sums["n_flagged"], "n_missed": sums["missed_slices"],
        "lowest_case": lowest["case"], "lowest_segment": lowest["segment"],
        "known": groups["status"].agg(lambda s: not (s == "unknown structure").any()),
    })  # fmt: skip
    table = table.sort_values(["median", "mean"], na_position="last", kind="stable")
    rows = table.rename_axis("structure").reset_index().to_dict("records")
    return [{k: None if v != v else v for k, v in row.items()} for row in rows]


def _cases(audit: Audit, scored: pd.DataFrame) -> list[dict]:
    groups = scored.groupby("case", observed=True)
    means = groups["predicted_dsc"].mean()
    lowest = scored.loc[groups["predicted_dsc"].idxmin()].set_index("case") if len(scored) else scored
    below = (scored["predicted_dsc"] < audit.threshold).groupby(scored["case"], observed=True).sum()
    sums = audit.segments.groupby("case", observed=True)[["n_scored", "n_flagged", "missed_slices"]].sum()
    sizes = audit.segments.groupby("case", observed=True).size()
    rows = []
    for row in audit.cases.to_dict("records"):
        case = row["case"]
        there = case in means.index
        rows.append({
            "case": str(case),
            "status": str(row["status"]),
            "reason": row["reason"] if isinstance(row["reason"], str) else "",
            "mean": float(means[case]) if there else None,
            "lowest": str(lowest.loc[case, "segment"]) if there else "",
            "lowest_dsc": float(lowest.loc[case, "predicted_dsc"]) if there else None,
            "n_segments": int(sizes.get(case, 0)),
            "below": int(below.get(case, 0)),
            "n_scored": int(sums["n_scored"].get(case, 0)),
            "n_flagged": int(sums["n_flagged"].get(case, 0)),
            "n_missed": int(sums["missed_slices"].get(case, 0)),
            "row": row,
        })  # fmt: skip
    return sorted(rows, key=lambda r: (r["mean"] is None, r["mean"] or 0.0, r["case"]))


def _worst_slices(slices: pd.DataFrame) -> list[dict]:
    flagged = slices[slices["flagged"] & ~slices["missed"]]
    lowest = flagged.nsmallest(20 * WORST_SLICES, "predicted_dsc")  # of one bad mask, not only its slices
    lowest = lowest.groupby(["case", "segment"], observed=True, sort=False).head(2).head(WORST_SLICES)
    columns = ["case", "segment", "structure", "slice_index", "position_mm", "predicted_dsc"]
    return lowest[columns].astype({"case": str, "segment": str}).to_dict("records")
