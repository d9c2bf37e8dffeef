"""A pool to choose from: its cases with masks, with masks that lie elsewhere, or without; lists of what was chosen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import InputError, UsageError
from ..reading.image import image_stem, images_in
from ..scores.tables import unescaped
from .case import Case, DataSet
from .find import find_cases
from .layouts.nnunet import CHANNEL
from .predictions import find_predictions
from .table import read_table

LIST_COLUMNS = ("rank", "case", "structure", "slice_index", "score", "cost", "reason")
_KINDS = {"rank": int, "slice_index": int, "score": float, "cost": float}


def find_pool(pool: Path, layout: str | None = None, names: str | None = None) -> DataSet:
    """The cases of a pool in any layout; also CTs without masks: ``CASE/ct.nii.gz``, ``CASE.nii.gz``, DICOM series.

    Raises:
        InputError, UsageError: as ``find_cases`` does, or the pool is empty.
    """
    pool = Path(pool)
    try:
        found = find_cases(pool, layout, names=names, bare=True)
    except UsageError:
        if layout or not pool.is_dir():
            raise
        images = [p for part in ("imagesTs", "imagesTr", ".") for p in images_in(pool / part)]
        cts = {}
        for path in images:
            match = CHANNEL.fullmatch(image_stem(path))
            if match is None or match[2] == "0000":
                cts[match[1] if match else image_stem(path)] = path
        root = pool.resolve()
        if not cts:
            found = find_cases(pool, "folders", names=names)
        else:
            cases = [Case(n, p.relative_to(pool).as_posix(), "", root=root) for n, p in sorted(cts.items())]
            found = DataSet(root, "images", cases)
    found.cases = [replace(c, problem="") if c.ct and not c.seg else c for c in found.cases]
    return found


class ListRow(NamedTuple):
    """A row of a list of ``select``; only ``case`` is always there."""

    rank: int | None
    case: str
    structure: str  # empty for the whole case
    slice_index: int | None  # the file's own; ``None`` for all slices
    score: float | None
    cost: float | None
    reason: str  # what the score says, in words

    @property
    def unit(self) -> tuple[str, str, int | None]:
        """What is annotated: case, structure and slice."""
        return self[1:4]


def read_list(path: Path) -> list[ListRow]:
    """The rows of a ``selection.csv``, ``trusted.csv`` or ``done.csv``, or of any table with a column ``case``.

    Raises:
        InputError: it cannot be read, or is no such table.
    """
    rows = read_table(Path(path))
    if rows and "case" not in rows[0]:
        raise InputError(f"{path}: has no column 'case'; give a list that select has written")
    try:
        return [ListRow(*(_value(row.get(column, ""), _KINDS.get(column)) for column in LIST_COLUMNS)) for row in rows]
    except ValueError as error:
        raise InputError(f"{path}: is no list of select ({error}); give one that it has written") from error


def _value(cell: str, kind: Callable[[str], float] | None) -> Any:
    if kind is None:
        return unescaped(cell)
    return kind(cell) if cell else None


def cases_with_masks(
    pool: Path, predictions: Path | None = None, layout: str | None = None, names: str | None = None
) -> dict[str, Case]:
    """The cases of a pool by name, with what a folder of predictions has of them in place of their own masks."""
    cases = {case.name: case for case in find_pool(pool, layout, names).cases}
    predicted = {} if predictions is None else {p.subject: p for p in find_predictions(predictions)}
    for name, case in cases.items():
        if (found := predicted.get(name.rpartition("/")[2])) is not None:
            told = str(found.names) if isinstance(found.names, Path) else found.names
            cases[name] = replace(case, seg=str(found.path.absolute()), names=told)
    return cases


def corrected_file(listed: Path, name: str) -> Path:
    """Where the masks of a case are kept that were corrected while working through a list."""
    return Path(listed).absolute().parent / "corrected" / f"{name}.seg.nrrd"


def with_corrections(case: Case, listed: Path) -> Case:
    """The case with the masks that were corrected while working through a list, if there are some."""
    path = corrected_file(listed, case.name)
    return replace(case, seg=str(path), names=None) if path.is_file() else case
