"""Lists to act on: what annotators look at first, what a training leaves out, what to correct with a budget."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from QualitySentinelLib.errors import UsageError
from QualitySentinelLib.options import check_threshold

from ..pages import write_table
from .budget import BudgetPlan
from .open_case import open_command

if TYPE_CHECKING:
    import pandas as pd

    from .frames import Audit

REPORT = "report/index.html"
LISTS = (
    "worst_first.csv", "budget.csv", "missing_structures.csv", "swaps.csv", "bias.csv", "comparison.csv",
    "excluded.csv",
)  # fmt: skip
"""The last three are written when there is something to say, or when they were asked for."""
WORST_SLICES = 5
WORST_COLUMNS = [
    "rank", "case", "segment", "structure", "predicted_dsc", "dsc_low", "dsc_high", "n_flagged", "n_scored",
    "missed_slices", "worst_slices", "missing_at",
]  # fmt: skip


def left_in(out: Path) -> list[str]:
    """The report's first page and the lists that an audit's folder holds, of whichever report, by name."""
    return [name for name in (REPORT, *LISTS) if (out / name).is_file()]


def check_lists(budget: int | None, exclude_below: float | None) -> None:
    """Refuse a number of slices, or a DSC, that is none. Raises ``UsageError``: one is."""
    if budget is not None and budget < 1:
        raise UsageError(f"--budget {budget}: give a number of slices of 1 or more")
    if exclude_below is not None:
        check_threshold(exclude_below)


def write_frame(path: str | os.PathLike, frame: pd.DataFrame) -> Path:
    return write_table(path, list(frame.columns), frame.astype(object).itertuples(index=False, name=None))


def worst_first(audit: Audit) -> pd.DataFrame:
    """Segments with something to look at, lowest predicted DSC first: columns :data:`WORST_COLUMNS`.

    A segment is listed when it lies below the threshold, or has flagged or missed slices. ``worst_slices`` are the
    lowest of its flagged slices, ``number:DSC``, in the file's numbers; ``missing_at`` those where mask is missing.
    ``missed_slices`` is missing when none were looked for.
    """
    segments, keys = audit.segments, ["case", "segment"]
    doubtful = segments[["n_flagged", "missed_slices"]].fillna(0).max(axis=1) > 0
    doubtful |= audit.below
    # a mask without scored slice has no DSC to be ranked by
    listed = segments[doubtful & segments["predicted_dsc"].notna()]
    listed = listed.sort_values(["predicted_dsc", *keys], kind="stable").astype(dict.fromkeys(keys, str))
    slices = audit.read_slices(["slice_index", "predicted_dsc", "flagged", "missed"])
    flagged = slices[slices["flagged"] & ~slices["missed"]].sort_values("predicted_dsc", kind="stable")
    flagged = flagged.groupby(keys, observed=True, sort=False).head(WORST_SLICES)
    shown = flagged["slice_index"].astype(str) + flagged["predicted_dsc"].map(":{:.2f}".format).astype(str)
    missed = slices[slices["missed"]]
    texts = {"worst_slices": flagged.assign(text=shown), "missing_at": missed.assign(text=missed["slice_index"])}
    for name, of in texts.items():
        joined: dict[tuple[str, str], str] = {}
        for case, segment, text in of[[*keys, "text"]].itertuples(index=False, name=None):
            joined[str(case), str(segment)] = f"{joined.get((str(case), str(segment)), '')} {text}".strip()
        listed[name] = [joined.get(key, "") for key in zip(*(listed[k] for k in keys), strict=True)]
    listed["rank"] = range(1, len(listed) + 1)
    if not audit.missed_sought:
        listed["missed_slices"] = None
    return listed[[c for c in WORST_COLUMNS if c in listed]].reset_index(drop=True)


def write_worst_first(audit: Audit, path: str | os.PathLike) -> Path:
    """``worst_first.csv`` for annotators.

    The last column, ``open``, is the command that opens the case for review, in the audit's folder: the table names no
    other folder, so that it can be shared.
    """
    frame = worst_first(audit)
    return write_frame(path, frame.assign(open=[open_command(case, ".") for case in frame["case"]]))


def excluded(audit: Audit, below: float) -> pd.DataFrame:
    """Masks predicted below ``below``, and cases whose mean over segments is.

    ``level`` is ``case`` or ``segment``; of an excluded case the segments are listed too. What was not scored is not
    judged and is not listed.
    """
    import pandas as pd

    scored = audit.segments.dropna(subset="predicted_dsc")
    means = scored.groupby("case", observed=True)["predicted_dsc"].mean()
    cases = means[means < below].rename_axis("case").reset_index().assign(level="case")
    segments = scored[scored["predicted_dsc"] < below].assign(level="segment")
    both = pd.concat([cases, segments], ignore_index=True) if len(cases) else segments
    both = both.reindex(columns=["level", "case", "segment", "structure", "predicted_dsc", "dsc_low", "dsc_high"])
    return both.sort_values(["level", "predicted_dsc", "case"], kind="stable").reset_index(drop=True)


def write_budget(plan: BudgetPlan, path: str | os.PathLike, k: int | None = None) -> Path:
    """The first ``k`` slices of a plan as CSV (all, when not given)."""
    table = plan.slices.assign(rank=range(1, len(plan.slices) + 1), gain_so_far=plan.gains).head(k or len(plan.slices))
    table = table.rename(columns={"reached": "expected_after"})
    return write_frame(path, table[[
        "rank", "case", "segment", "structure", "slice_index", "predicted_dsc", "missed", "expected_after", "gain",
        "gain_so_far",
    ]])  # fmt: skip
