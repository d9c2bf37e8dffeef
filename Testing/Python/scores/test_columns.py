"""The schema of the tables' columns: complete, and as the pages say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from QualitySentinelLib.scores.columns import (
    COLUMNS,
    REVIEW_SEGMENT_COLUMNS,
    REVIEW_SLICE_COLUMNS,
    SEGMENT_COLUMNS,
    SLICE_COLUMNS,
)
from QualitySentinelLib.scores.tables import write_table

DOCS = Path(__file__).resolve().parents[3] / "docs"


def names_in(text):
    return re.findall(r"`(\w+)`", text)


def documented(page, heading):
    """Names in the first column of the table below a heading."""
    section = (DOCS / page).read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return [name for row in rows for name in names_in(row)]


@pytest.mark.parametrize(("heading", "columns"), [("segments.csv", SEGMENT_COLUMNS), ("slices.csv", SLICE_COLUMNS)])
def test_the_page_of_the_outputs_has_every_column_in_the_order_of_the_file(heading, columns):
    assert documented("OUTPUTS.md", heading) == list(columns)


def test_the_page_of_the_outputs_has_what_a_review_adds():
    text = (DOCS / "OUTPUTS.md").read_text(encoding="utf-8").partition("\n## After a review\n")[2].partition("\n## ")[0]
    assert set(REVIEW_SEGMENT_COLUMNS + REVIEW_SLICE_COLUMNS) - set(SEGMENT_COLUMNS + SLICE_COLUMNS) <= set(
        names_in(text)
    )


def test_the_pages_of_the_audit_have_its_columns_in_the_order_of_the_files():
    tables = pytest.importorskip("QualitySentinelTrainingLib.audit.table_files")
    for page in ("AUDIT.md", "AUDIT_REPORT.md"):
        rows = re.findall(r"^\| `(cases|segments|slices)` \| (.*) \|$", (DOCS / page).read_text("utf-8"), re.MULTILINE)
        told = {table: [n for n in names_in(text) if n in COLUMNS] for table, text in rows}
        assert told == {
            "cases": list(tables.CASE_COLUMNS),
            "segments": list(tables.SEGMENT_COLUMNS),
            "slices": list(tables.SLICE_COLUMNS),
        }, page


def test_every_column_says_what_it_means():
    assert all(column.meaning and column.kind in (str, int, float, bool) for column in COLUMNS.values())


def test_a_table_of_columns_that_nobody_described_is_written_by_its_values(tmp_path):
    path = write_table(
        tmp_path / "t.csv", ("name", "distance", "yes", "gain"), [("=a", 0.5, True, 1e-7), ("", None, 0, 2)]
    )
    assert path.read_bytes() == (b"name,distance,yes,gain\r\n'=a,0.5000,1,0.00000010\r\n,,0,2.00000000\r\n")
