"""From a row of an audit into the review of that case: where its files lie now, commands, and a script for Slicer."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from QualitySentinelLib.datasets import Case, find_cases, read_case
from QualitySentinelLib.errors import InputError, QualitySentinelError, UsageError, command_text, reason_of
from QualitySentinelLib.files import atomic_write
from QualitySentinelLib.options import DEFAULT_THRESHOLD
from QualitySentinelLib.volume import CtVolume, Segmentation

from .frames import Audit, read_audit
from .store import AuditFolder

SLICER_SCRIPT = "open_in_slicer.py"
"""Name of the script in an audit's folder: ``Slicer --python-script OUT/open_in_slicer.py -- CASE``."""
NAMES_FILE = "label_names.json"
"""Written into an audit's folder when a case with named label values is opened."""


class CaseFiles:
    """The cases of an audit as its layout finds them; where it finds none any more, as the tables name them.

    ``dataset_folder`` is where the data set lies now; by default where it was audited.
    """

    def __init__(self, audit: Audit, dataset_folder: str | os.PathLike | None = None) -> None:
        folder = audit.dataset_folder if dataset_folder is None else Path(dataset_folder)
        self.folder = None if folder is None else folder.absolute()  # commands are run from elsewhere
        self.names, self._audit = audit.option("names"), audit
        self._found: dict[str, Case] | None = None

    @property
    def at_hand(self) -> bool:
        return self.folder is not None and self.folder.is_dir()

    def case(self, name: str) -> Case | None:
        """A case; ``None`` when its files are not known."""
        if self._found is None:
            rows = self._audit.cases[["case", "ct", "seg"]].itertuples(index=False, name=None)
            told = [Case(str(n), ct, seg, names=self.names, root=self.folder or Path()) for n, ct, seg in rows]
            cases = [*told, *self._from_layout()]
            self._found = {c.name: c for c in cases if all(isinstance(p, str) and p for p in (c.ct, c.seg))}
        return self._found.get(name)

    def read(self, name: str) -> tuple[CtVolume, Segmentation]:
        """A case's CT and masks. Raises ``QualitySentinelError``: they are not there, or cannot be read."""
        case = self.case(name)
        if case is None or not self.at_hand:
            raise UsageError(f"{name}: its files are unknown; give the data set's folder")
        return read_case(case, self.names)

    def _from_layout(self) -> list[Case]:
        """Cases with what the tables do not tell: names of labels, and the paths of DICOM files."""
        layout, manifest = self._audit.option("layout"), self._audit.option("manifest")
        if not self.at_hand or not isinstance(layout, str):
            return []
        try:
            place = self.folder / manifest if isinstance(manifest, str) else self.folder
            return find_cases(place, layout, keep_identifiers=bool(self._audit.option("keep-identifiers"))).cases
        except (QualitySentinelError, OSError):  # it was changed since; the tables still name files
            return []


def _scoring_words(audit: Audit, case: str) -> list[str]:
    """Options of ``review`` with which a case gets the scores that it has in an audit, and a folder of its own.

    Without that folder two cases whose files are called alike would want to be kept in one.
    """
    line = io.StringIO(newline="")
    csv.writer(line, lineterminator="").writerow(audit.option("segments") or ())
    words = {
        "--out": AuditFolder(audit.folder.resolve()).review_path(case),
        "--model": audit.option("model_file"),
        "--embeddings": audit.option("embeddings_file"),
        "--slices": None if audit.option("slices") == "all" else audit.option("slices"),
        "--threshold": None if audit.threshold == DEFAULT_THRESHOLD else audit.threshold,
        "--segments": line.getvalue() or None,
    }
    own = ["--own-thresholds"] * audit.flagging.own_thresholds
    return [word for name, value in words.items() if value is not None for word in (name, str(value))] + own


def open_command(case: str, out_folder: str) -> str:
    """The command line that opens a case of any layout for review: it finds the files anew."""
    return command_text("quality-sentinel", "audit", "--open", case, "--out", out_folder)


def open_case(
    out_folder: str | os.PathLike, case: str, dataset_folder: str | os.PathLike | None = None, run: bool = True
) -> int:
    """``audit --open CASE --out DIR``: print the command that reviews the case, and ``run`` it; its exit code.

    Raises:
        UsageError: there is no such case, or its folder is not known.
        InputError: there is no such audit, or the case's files have gone.
    """
    command = _resolved(out_folder, case, dataset_folder)
    command += _scoring_words(read_audit(out_folder, finished=False), case)
    print(command_text(*command), flush=True)
    if not run:
        return 0
    from QualitySentinelLib.commands.main import main

    return main(command[1:])


def open_in_slicer(
    out_folder: str | os.PathLike, case: str, slicer: str | os.PathLike, dataset_folder: str | os.PathLike | None = None
) -> subprocess.Popen:
    """Start Slicer, the program ``slicer``, with the case in the panel; raises as :func:`open_case`."""
    files = _resolved(out_folder, case, dataset_folder)[2:]
    script = write_slicer_script(out_folder)
    try:
        return subprocess.Popen([os.fspath(slicer), "--python-script", str(script), "--", *files])
    except OSError as error:
        raise InputError(f"{slicer}: cannot be started ({reason_of(error)}); name Slicer's program") from error


def write_slicer_script(out_folder: str | os.PathLike) -> Path:
    """Write :data:`SLICER_SCRIPT` into an audit's folder; it reads ``cases.csv`` and ``audit.json`` beside it."""
    return atomic_write(Path(out_folder) / SLICER_SCRIPT, Path(__file__).with_name(SLICER_SCRIPT).read_bytes())


def _resolved(out_folder: str | os.PathLike, case: str, dataset_folder: str | os.PathLike | None) -> list[str]:
    """The review command with paths that are there."""
    audit = read_audit(out_folder, finished=False)  # one table, which is whole: a case can be reviewed meanwhile
    audit.case(case)
    files = CaseFiles(audit, dataset_folder)
    if files.folder is None:
        raise UsageError(f"{audit.folder}: does not say where its data set lies; name its folder")
    found = files.case(case)
    if found is None:
        raise InputError(f"{files.folder}: holds no CT and segmentation of {case}; name the data set's folder")
    names = files.names if files.names is not None else found.names
    if isinstance(names, Mapping):
        names = str(atomic_write(audit.folder / NAMES_FILE, json.dumps(dict(names), indent=1) + "\n"))
    command = ["quality-sentinel", "review", "--ct", str(files.folder / found.ct)]
    command += ["--seg", str(files.folder / found.seg), *(["--names", names] if names else [])]
    if found.ct_files:
        links = Path(f"{AuditFolder(audit.folder.resolve()).review_path(case)}-ct")
        command[3] = str(_links_to([files.folder / file for file in found.ct_files], links))
    for path in (command[3], command[5]):
        if not Path(path).exists():
            raise InputError(f"{path}: is not there; name the folder where the data set lies now")
    return command


def _links_to(files: Sequence[Path], folder: Path) -> Path:
    """A folder of links to the files of one series: of a folder with several a reader would take the largest."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for old in filter(Path.is_symlink, folder.iterdir()):
            old.unlink()
        for number, file in enumerate(files):
            (folder / f"{number:05d}.dcm").symlink_to(file)
    except OSError as error:
        reason = reason_of(error)
        raise InputError(
            f"{folder}: cannot hold links to the CT ({reason}); give the CT a folder of its own"
        ) from error
    return folder
