"""The table of label errors, and a page that says where to look first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..pages import Section, write_report, write_table
from ..pages.page import number, percent
from .confident import ConfidentJoint

COLUMNS = (
    "case", "structure", "voxels", "wrongly_included", "missing", "share_wrong", "slices_with_errors", "label_quality",
    "worst_slice",
)  # fmt: skip
"""Of ``label_errors.csv``. A row without structure is of a whole case. ``voxels``: labeled so; ``share_wrong``: see
:func:`share_wrong`; ``worst_slice``: that of the lowest label quality, as the file counts."""
_LISTED = 100


def write_tables(
    out: Path, name: str, rows: Sequence[Sequence], classes: Sequence[str], joint: ConfidentJoint, method: str
) -> None:
    """Write ``label_errors.csv`` and ``report.html`` of a data set; ``rows``: see :data:`COLUMNS`."""
    write_table(out / "label_errors.csv", COLUMNS, rows)
    cases, parts = ([row for row in rows if bool(row[1]) is of_part] for of_part in (False, True))
    wrong = sum(row[3] + row[4] for row in cases)
    lead = (
        f"{number(wrong)} voxels of {len(cases)} cases are probably labeled wrong, {_share(cases)} of all that are "
        f"labeled or missing ({method}). errors/CASE.nii.gz shows them: 1 wrongly included, 2 missing, 3 another "
        "structure. corrected/CASE.nii.gz has what the networks suggest: check it before you use it."
    )
    structures = []
    for structure in classes[1:]:
        of_it = [row for row in parts if row[1] == structure]
        if of_it:
            extra, lacking = (sum(row[at] for row in of_it) for at in (3, 4))
            quality = sum(row[7] for row in of_it) / len(of_it)
            structures.append([structure, len(of_it), extra, lacking, _share(of_it), quality])
    totals = joint.calibrated.sum(axis=1)
    likely = [
        [given, *(percent(n / total) if total else "–" for n in row)]
        for given, row, total in zip(classes, joint.calibrated, totals, strict=True)
    ]
    columns = [column.replace("_", " ") for column in COLUMNS]
    write_report(out / "report.html", f"Label errors of {name}", lead, [
        Section(
            "Where to look first",
            "Structures of cases by the share of wrong voxels, the highest first. Click a column to sort.",
            columns=columns, rows=sorted(parts, key=lambda row: -row[5])[:_LISTED],
            note=f"label_errors.csv lists all {len(parts)}. To see one: quality-sentinel review --ct CT --seg SEG "
            "--scores scores/CASE.json",
        ),
        Section(
            "Structures", columns=["structure", "cases", "wrongly included", "missing", "share wrong", "label quality"],
            rows=structures, note="Voxels of all cases. Label quality is the mean of the cases'.",
        ),
        Section(
            "Given and likely labels", "What the voxels that were looked at are likely to be (columns), by the label "
            "that they have (rows): the confident joint.", columns=["given", *classes], rows=likely,
        ),
        Section(
            "How to read this", "The networks never saw the patient whose labels they judge, but they learned from the "
            "same kind of labels. They find errors that differ from case to case; an error that all cases share is "
            "learned and not found. Label quality is cleanlab's soft minimum (arXiv 2307.05080) of the probability "
            "that each voxel's label is right: 1 is best, few doubtful voxels pull it down, and it is no DSC.",
        ),
    ])  # fmt: skip


def share_wrong(voxels: int, extra: int, missing: int) -> float:
    """Wrong voxels, of those that are labeled or missing: 0..1."""
    return (extra + missing) / max(1, voxels + missing)


def _share(rows: Sequence[Sequence]) -> str:
    return percent(share_wrong(*(sum(row[at] for row in rows) for at in (2, 3, 4))))
