"""What a report leaves in an audit's folder beside the tables."""

from __future__ import annotations

from pathlib import Path

FOLDER = "report"
INDEX = "index.html"
LISTS = (
    "worst_first.csv", "budget.csv", "missing_structures.csv", "swaps.csv", "bias.csv", "comparison.csv",
    "excluded.csv",
)  # fmt: skip
"""The last three are written when there is something to say, or when they were asked for."""


def lists_in(out: Path) -> list[Path]:
    """The lists that an audit's folder holds, of whichever report."""
    return [path for name in LISTS if (path := out / name).is_file()]


def left_in(out: Path) -> list[str]:
    """The report's first page and the lists that an audit's folder holds, by name."""
    page = f"{FOLDER}/{INDEX}"
    return [*([page] if (out / page).is_file() else []), *(path.name for path in lists_in(out))]
