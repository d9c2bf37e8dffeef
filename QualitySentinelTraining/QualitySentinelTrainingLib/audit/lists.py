"""Lists to act on: what annotators look at first, what a training leaves out, what to correct with a budget."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from QualitySentinelLib.errors import UsageError
from QualitySentinelLib.options import check_threshold

from ..pages import write_table
from .budget import BudgetPlan
from .open_case import CaseFiles, audit_open_command, command_of_row

if TYPE_CHECKING:
    import pandas as pd

    from .frames import Audit

WORST_SLICES = 5
WORST_COLUMNS = (
    "rank", "case", "segment", "structure", "predicted_dsc", "dsc_low", "dsc_high", "n_flagged", "n_scored",
    "missed_slices", "worst_slices", "missing_at", "open",
)  # fmt: skip
EXCLUDED_COLUMNS = ("level", "case", "segment", "structure", "predicted_dsc", "dsc_low", "dsc_high")
BUDGET_COLUMNS = (
    "rank", "case", "segment", "structure", "slice_index", "predicted_dsc", "missed", "expected_after", "gain",
    "gain_so_far",
)  # fmt: skip


def worst_first(audit: Audit) -> pd.DataFrame:
    """Segments with something to look at, lowest predicted DSC first: columns :data:`WORST_COLUMNS` but ``open``.

    A segment is listed when it lies below the threshold, or has flagged or missed slices. ``worst_slices`` are the
    lowest of its flagged slices, ``number:DSC``, in the file's numbers; ``missing_at`` those where mask is missing.
    ``missed_slices`` is missing when none were looked for.
    """
    import pandas as pd

    segments = audit.segments
    doubtful = (
        (segments["predicted_dsc"] < audit.threshold)
        | (segments["n_flagged"].fillna(0) > 0)
        | (segments["missed_slices"].fillna(0) > 0)
    )
    # a mask without scored slice has no DSC to be ranked by
    listed = segments[doubtful & segments["predicted_dsc"].notna()]
    listed = listed.sort_values(["predicted_dsc", "case", "segment"], kind="stable").reset_index(drop=True)
    slices = audit.read_slices(["slice_index", "predicted_dsc", "flagged", "missed"])
    flagged = slices[slices["flagged"] & ~slices["missed"]].sort_values("predicted_dsc", kind="stable")
    flagged = flagged.groupby(["case", "segment"], observed=True, sort=False).head(WORST_SLICES)
    worst = _joined(flagged, lambda row: f"{row[2]}:{row[3]:.2f}")
    missing = _joined(slices[slices["missed"]], lambda row: str(row[2]))
    keys = list(zip(listed["case"].astype(str), listed["segment"].astype(str), strict=True))
    listed = listed.assign(
        rank=range(1, len(listed) + 1),
        worst_slices=pd.Series([worst.get(k, "") for k in keys], dtype=object),
        missing_at=pd.Series([missing.get(k, "") for k in keys], dtype=object),
    )
    if not audit.missed_sought:
        listed["missed_slices"] = None
    return listed.reindex(columns=list(WORST_COLUMNS[:-1]))


def _joined(slices: pd.DataFrame, text) -> dict[tuple[str, str], str]:
    """``text`` of each slice, joined by segment."""
    joined: dict[tuple[str, str], list[str]] = {}
    columns = (slices[c].to_numpy() for c in ("case", "segment", "slice_index", "predicted_dsc"))
    for row in zip(*columns, strict=True):
        joined.setdefault((str(row[0]), str(row[1])), []).append(text(row))
    return {key: " ".join(parts) for key, parts in joined.items()}


def write_worst_first(audit: Audit, path: str | os.PathLike, files: CaseFiles | None = None) -> Path:
    """``worst_first.csv`` for annotators; ``open`` is the command that opens the case for review.

    Args:
        files: where the cases' files lie; found from ``audit.json`` when not given.
    """
    frame = worst_first(audit)
    files = files or CaseFiles(audit)
    rows_of = {str(row["case"]): row for row in audit.cases.to_dict("records")}
    commands = {
        case: shlex.join(
            command_of_row(audit, rows_of[case], files) or audit_open_command(case, audit.folder.resolve())
        )
        for case in frame["case"].astype(str).unique()
    }
    rows = ([*values, commands[str(values[1])]] for values in frame.astype(object).itertuples(index=False, name=None))
    return write_table(path, WORST_COLUMNS, rows)


def excluded(audit: Audit, below: float) -> pd.DataFrame:
    """Masks predicted below ``below``, and cases whose mean over segments is: columns :data:`EXCLUDED_COLUMNS`.

    ``level`` is ``case`` or ``segment``; of an excluded case the segments are listed too. What was not scored is not
    judged and is not listed.

    Raises:
        UsageError: ``below`` is no DSC.
    """
    import pandas as pd

    below = check_threshold(below)
    scored = audit.segments[audit.segments["predicted_dsc"].notna()]
    means = scored.groupby("case", observed=True)["predicted_dsc"].mean()
    cases = means[means < below].rename_axis("case").reset_index().assign(level="case")
    segments = scored[scored["predicted_dsc"] < below].assign(level="segment")
    both = pd.concat([cases, segments], ignore_index=True) if len(cases) else segments
    both = both.reindex(columns=list(EXCLUDED_COLUMNS))
    return both.sort_values(["level", "predicted_dsc", "case"], kind="stable").reset_index(drop=True)


def write_excluded(audit: Audit, path: str | os.PathLike, below: float) -> Path:
    """The exclusion list as CSV."""
    return write_table(path, EXCLUDED_COLUMNS, excluded(audit, below).astype(object).itertuples(index=False, name=None))


def write_budget(plan: BudgetPlan, path: str | os.PathLike, k: int | None = None) -> Path:
    """The first ``k`` slices of a plan as CSV (all, when not given).

    Raises:
        UsageError: ``k`` is no positive number.
    """
    if k is not None and k < 1:
        raise UsageError(f"--budget {k}: give a number of slices of 1 or more")
    table = plan.slices if k is None else plan.slices.head(k)
    rows = (
        [rank, row.case, row.segment, row.structure, row.slice_index, row.predicted_dsc, row.missed, row.reached,
         row.gain, so_far]
        for rank, (row, so_far) in enumerate(zip(table.itertuples(), plan.gains, strict=False), start=1)
    )  # fmt: skip
    return write_table(path, BUDGET_COLUMNS, rows)
