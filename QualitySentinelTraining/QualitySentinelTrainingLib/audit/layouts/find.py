"""Finding the cases of a data set, by a layout that is named or recognised."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from QualitySentinelLib.errors import InputError, UsageError

from ..cases import AuditCase, DataSet
from . import bids, decathlon, dicom, folders, manifest, nnunet
from .metadata import add_metadata


@dataclass(frozen=True)
class Layout:
    """A way to lay out a data set.

    Attributes:
        name: as the user names it.
        fits: whether a folder looks like it; looks at names only.
        find: its cases, and lines that a user should read; the cases' metadata where the layout has its own.
        tables: patterns of tables of metadata in the folder; the first that is there counts.
    """

    name: str
    fits: Callable[[Path], bool]
    find: Callable[[Path], tuple[list[AuditCase], list[str]]]
    tables: tuple[str, ...] = ()


_TABLES = ("meta.csv", "metadata.csv", "*[Mm]eta*.csv", "*[Mm]eta*.tsv")
_SPECIFIC = (
    Layout("totalsegmentator", folders.is_totalsegmentator, folders.find_totalsegmentator, _TABLES),
    Layout("abdomenatlas", folders.is_abdomenatlas, folders.find_abdomenatlas, _TABLES),
    Layout("openkbp", folders.is_openkbp, folders.find_openkbp, _TABLES),
    Layout("nnunet", nnunet.fits, nnunet.find, _TABLES),
    Layout("decathlon", decathlon.fits, decathlon.find, _TABLES),
    Layout("bids", bids.fits, bids.find),
)
_GENERAL = (
    Layout("folders", folders.is_folders, folders.find_folders, _TABLES),
    Layout("dicom", dicom.fits, dicom.find),
)
"""Tried, one after the other, when no specific layout fits: a folder of these may hold anything besides."""
_MANIFEST = Layout("csv", manifest.fits, manifest.find)

LAYOUTS = {layout.name: layout for layout in (*_SPECIFIC, *_GENERAL, _MANIFEST)}


def find_cases(
    dataset: Path, layout: str = "auto", metadata: Path | None = None, keep_identifiers: bool = False
) -> DataSet:
    """The cases of a data set; images are not opened (of DICOM files, headers are).

    Args:
        dataset: a folder, or the CSV file of a manifest.
        layout: a name of :data:`LAYOUTS`, or ``"auto"``.
        metadata: a table with one row per case, instead of the one the layout knows.
        keep_identifiers: name cases by their DICOM files, not by number in the order of these.

    Raises:
        InputError: there is no such folder, it cannot be read, or it holds no cases.
        UsageError: no layout fits, several do, or two cases share a name.
    """
    dataset = Path(dataset)
    if not dataset.exists():
        raise InputError(f"{dataset}: no such folder or manifest; give the folder of a data set")
    try:
        chosen = _recognised(dataset) if layout == "auto" else _named(layout, dataset)
        cases, notes = chosen.find(dataset)
        root = dataset.parent if chosen is _MANIFEST else dataset
        if not cases:
            raise InputError(f"{dataset}: holds no cases of the layout '{chosen.name}'; name another with --layout")
        table = metadata or next((p for t in chosen.tables for p in sorted(root.glob(t)) if p.is_file()), None)
        if table is not None:
            cases = add_metadata(cases, table, notes, wanted=metadata is not None)
    except OSError as error:
        where = error.filename or dataset
        raise InputError(f"{where}: cannot be read ({error.strerror or error}); check its rights") from error
    again = [name for name, count in Counter(case.name for case in cases).items() if count > 1]
    if again:
        raise UsageError(f"{dataset}: {len(again)} cases share a name ({again[0]}); rename one of them")
    cases = sorted(cases, key=lambda c: c.name)
    hidden = not keep_identifiers and any(case.identifying for case in cases)
    if hidden:
        digits = max(4, len(str(len(cases))))
        cases = [replace(case, name=f"case_{n:0{digits}d}") for n, case in enumerate(cases, start=1)]
    return DataSet(root, chosen.name, cases, notes, dataset.name if chosen is _MANIFEST else None, hidden=hidden)


def _recognised(dataset: Path) -> Layout:
    if dataset.is_file():
        if manifest.fits(dataset):
            return _MANIFEST
        raise UsageError(f"{dataset}: is no manifest; give a folder, or a CSV file with the columns case, ct and seg")
    fitting = [layout for layout in _SPECIFIC if layout.fits(dataset)]
    if len(fitting) > 1:
        names = ", ".join(layout.name for layout in fitting)
        raise UsageError(f"{dataset}: could be any of the layouts {names}; name one with --layout")
    for layout in fitting or _GENERAL:
        if fitting or layout.fits(dataset):
            return layout
    raise UsageError(
        f"{dataset}: its layout is not known ({', '.join(LAYOUTS)}); name one with --layout, or write a CSV manifest"
    )


def _named(layout: str, dataset: Path) -> Layout:
    if layout not in LAYOUTS:
        raise UsageError(f"--layout {layout}: give one of {', '.join(['auto', *LAYOUTS])}")
    if (layout == "csv") != dataset.is_file():
        kind = "a CSV file" if layout == "csv" else "a folder"
        raise UsageError(f"{dataset}: the layout '{layout}' is {kind}")
    return LAYOUTS[layout]
