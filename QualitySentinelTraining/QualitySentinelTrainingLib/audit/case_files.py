"""Where the files of an audit's cases lie now: to draw them, and to open them for review."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from QualitySentinelLib.datasets import Case, find_cases, read_case
from QualitySentinelLib.errors import QualitySentinelError, UsageError
from QualitySentinelLib.volume import CtVolume, Segmentation

from .frames import Audit


class CaseFiles:
    """The cases of an audit as its layout finds them; where it finds none any more, as the tables name them.

    Args:
        audit: its ``audit.json`` and cases table.
        dataset_folder: the data set's folder; by default where it was audited.
    """

    def __init__(self, audit: Audit, dataset_folder: Path | None = None) -> None:
        folder = dataset_folder if dataset_folder is not None else audit.dataset_folder
        self.folder = None if folder is None else folder.absolute()  # commands are run from elsewhere
        self._names = audit.option("names")
        self._audit = audit
        self._found: dict[str, Case] | None = None

    @property
    def at_hand(self) -> bool:
        """Whether the data set's folder is there."""
        return self.folder is not None and self.folder.is_dir()

    def case(self, name: str) -> Case | None:
        """A case; ``None`` when its files are not known."""
        if self._found is None:
            self._found = self._from_tables() | self._from_layout()
        return self._found.get(name)

    def read(self, name: str) -> tuple[CtVolume, Segmentation]:
        """A case's CT and masks.

        Raises:
            QualitySentinelError: they are not there, or cannot be read.
        """
        case = self.case(name)
        if case is None or not self.at_hand:
            raise UsageError(f"{name}: its files are unknown; give the data set's folder")
        return read_case(case, self._names)

    def _from_tables(self) -> dict[str, Case]:
        rows = self._audit.cases[["case", "ct", "seg"]].itertuples(index=False, name=None)
        root = self.folder or Path()
        cases = (Case(str(n), ct, seg, names=self._names, root=root) for n, ct, seg in rows if _is_path(ct, seg))
        return {case.name: case for case in cases}

    def _from_layout(self) -> dict[str, Case]:
        """Cases with what the tables do not tell: names of labels, and the paths of DICOM files."""
        layout, manifest = self._audit.option("layout"), self._audit.option("manifest")
        if not self.at_hand or not isinstance(layout, str):
            return {}
        try:
            place = self.folder / manifest if isinstance(manifest, str) else self.folder
            found = find_cases(place, layout, keep_identifiers=bool(self._audit.option("keep-identifiers")))
        except (QualitySentinelError, OSError):  # it was changed since; the tables still name files
            return {}
        return {case.name: case for case in found.cases if _is_path(case.ct, case.seg)}

    def names_of(self, case: Case) -> str | Mapping | None:
        """What the case's label values mean: as the audit was told, else as the layout says."""
        return self._names if self._names is not None else case.names


def _is_path(*places) -> bool:
    return all(isinstance(place, str) and place for place in places)
