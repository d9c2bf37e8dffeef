"""Finding the cases of a data set, in a layout that is named or recognized."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import InputError, UsageError, readable
from ..reading.names import read_names
from .case import Case, DataSet
from .layouts import LAYOUTS, Layout, manifest
from .table import UNKNOWN, add_metadata, left_out, patient_column


def find_cases(
    dataset: Path, layout: str | None = None, *, metadata: Path | None = None, names: str | Mapping | None = None,
    patient: str | None = None, keep_identifiers: bool = False, bare: bool = False,
) -> DataSet:  # fmt: skip
    """The cases of a data set; images are not opened (of DICOM files, headers are).

    Args:
        dataset: a folder, or the CSV file of a manifest.
        layout: a name of :data:`LAYOUTS`; recognized when ``None`` or ``"auto"``.
        metadata: a table with one row per case, instead of the one the layout knows.
        names: meaning of label values, as ``read_segmentation`` takes it, instead of what the layout says.
        patient: regular expression whose first group is the patient, in a case's name (``AutoPET_([0-9a-f]+)``).
        keep_identifiers: name cases by their DICOM files, not by number in the order of these.
        bare: take CT series of DICOM without masks, too; their numbers come after those of the others.

    Raises:
        InputError: there is no such folder, it cannot be read, or it holds no cases.
        UsageError: no layout fits, several do, two cases share a name, or ``patient`` does not fit a case's name.
    """
    dataset = Path(dataset)
    if not dataset.exists():
        raise InputError(f"{dataset}: no such folder or manifest; give the folder of a data set")
    root = Path(os.path.realpath(dataset if dataset.is_dir() else dataset.parent))
    dataset = root if dataset.is_dir() else root / dataset.name
    with readable(dataset):
        chosen = _recognized(dataset) if layout in (None, "auto") else _named(layout, dataset)
        found = chosen.find(dataset)
        cases, notes = found.cases, list(found.notes)
        if bare:
            cases = [*cases, *found.bare]
        elif found.bare:
            notes.insert(0, f"{len(found.bare)} CT series without a segmentation left out")
        if not cases:
            raise InputError(f"{dataset}: has no cases in the layout '{chosen.name}'; choose another with --layout")
        if metadata is not None:
            cases = add_metadata(cases, metadata, notes, wanted=True)
        elif (table := next((p for t in chosen.tables for p in sorted(root.glob(t)) if p.is_file()), None)) is not None:
            try:
                cases = add_metadata(cases, table, notes, wanted=False)
            except InputError as error:
                notes.append(left_out(error, table))
    again = [name for name, count in Counter(case.name for case in cases).items() if count > 1]
    if again:
        raise UsageError(f"{dataset}: {len(again)} cases share a name ({again[0]}); rename one of them")
    cases = sorted(cases, key=lambda c: (c.identifying and not c.seg, c.name))
    cases = _with_facts(cases, root, patient, names)
    hidden = not keep_identifiers and any(case.identifying for case in cases)
    if found.damaged:
        some = ", ".join(path.relative_to(root).as_posix() for path in found.damaged[:3])
        which = "--keep-identifiers names them" if hidden else some + ", ..." * (len(found.damaged) > 3)
        notes.append(f"DICOM files that cannot be read were left out: {len(found.damaged)} ({which})")
    if hidden:
        digits = max(4, len(str(len(cases))))
        cases = [replace(case, name=f"case_{n:0{digits}d}") for n, case in enumerate(cases, start=1)]
    return DataSet(root, chosen.name, cases, notes, None if dataset == root else dataset.name, hidden=hidden)


def _with_facts(cases: list[Case], root: Path, pattern: str | None, names: str | Mapping | None) -> list[Case]:
    """The cases with what their metadata say of patient, site and split, and with the user's word on names."""
    column = patient_column([column for case in cases for column in case.metadata])
    given: dict[str, Any] = {} if names is None else {"names": read_names(names)}
    return [
        replace(
            case, root=root, site=_known(case, "institution"), split=_known(case, "split"),
            patient=_known(case, column) if pattern is None else _matched(case.name, pattern), **given,
        )
        for case in cases
    ]  # fmt: skip


def _known(case: Case, column: str | None) -> str:
    value = case.metadata.get(column, "")
    return "" if value.lower() in UNKNOWN else value


def _matched(name: str, pattern: str) -> str:
    try:
        match = re.search(pattern, name)
    except re.error as error:
        raise UsageError(f"--patient {pattern}: is not a regular expression ({error})") from error
    if not match or not match.re.groups or not match[1]:
        raise UsageError(f"--patient {pattern}: gives no patient for {name}; its first group must match part of it")
    return match[1]


def _recognized(dataset: Path) -> Layout:
    if dataset.is_file():
        if manifest.fits(dataset):
            return manifest.LAYOUT
        raise UsageError(
            f"{dataset}: is not a manifest; give a folder, or a CSV file with the columns case, ct and seg"
        )
    specific = [layout for layout in LAYOUTS.values() if not layout.general and layout.fits(dataset)]
    if len(specific) > 1:
        names = ", ".join(layout.name for layout in specific)
        raise UsageError(f"{dataset}: could be any of the layouts {names}; choose one with --layout")
    fitting = specific or (layout for layout in LAYOUTS.values() if layout.general and layout.fits(dataset))
    if (chosen := next(iter(fitting), None)) is not None:
        return chosen
    raise UsageError(
        f"{dataset}: could not detect the data set's layout ({', '.join(LAYOUTS)}); choose one with --layout, or write "
        "a CSV manifest"
    )


def _named(layout: str, dataset: Path) -> Layout:
    if layout not in LAYOUTS:
        raise UsageError(f"--layout {layout}: give one of {', '.join(['auto', *LAYOUTS])}")
    if (LAYOUTS[layout] is manifest.LAYOUT) != dataset.is_file():
        kind = "a CSV file" if dataset.is_dir() else "a folder"
        raise UsageError(f"{dataset}: the layout '{layout}' is {kind}")
    return LAYOUTS[layout]
