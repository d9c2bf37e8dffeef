"""A data set with label noise that is known: a copy of any data set, its CTs linked.

Layout of the folder, which every command reads::

    CASE/ct.nii.gz     a link to the CT, or a copy where that is a series of DICOM files
    CASE/seg.nii.gz    the noisy labels
    CASE/clean.nii.gz  the labels before, of the same values
    labels.json        what the values mean
    meta.csv           what is known of the cases, their patients included
    noise.csv          which structures of which cases were corrupted, how, and how many voxels changed
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from zlib import crc32

import numpy as np

from QualitySentinelLib.datasets import Case, DataSet
from QualitySentinelLib.errors import InputError, QualitySentinelError
from QualitySentinelLib.reading.image import image_stem, is_image_file

from ..pages import write_table
from ..runs import Kind, Result, Run, Work
from ..segmentation.folds import write_label_map
from ..segmentation.probabilities import BACKGROUND, write_names
from ..subjects import Subject, check_names, read_subject, subject_sources
from .corrupt import choose_corrupted, corrupt_labels
from .options import NoiseOptions

COLUMNS = ("case", "structure", "kind", "voxels", "added", "removed")
"""Of ``noise.csv``: voxels before, and how many were added and removed; the kind is empty where nothing was done."""
_NOISE = Kind("corrupt-labels", "quality-sentinel-corrupt-labels/1", "case", ("noise.csv",))


def corrupt_data(
    data: DataSet, out: Path, options: NoiseOptions | None = None, jobs: int = 1
) -> tuple[list[list], dict[str, str]]:
    """Write a data set with label noise; see the module's description. The same call resumes.

    Returns:
        Rows of ``noise.csv``, see :data:`COLUMNS`, and reasons of the cases that were left out.

    Raises:
        UsageError: two cases share a name, or ``out`` was made otherwise.
        InputError: no case can be read, or ``out`` cannot be written.
    """
    options = options or NoiseOptions()
    sources = subject_sources(data)
    check_names(sources)
    cases = {case.name.rpartition("/")[2]: case for case in data.cases if not case.problem}
    held: dict[str, list[str]] = {}
    failed: dict[str, str] = {}
    for source in sources:
        try:
            held[source.name] = sorted(source.read().structures.values())
        except QualitySentinelError as error:
            failed[source.name] = str(error)
    if not held:
        raise InputError(next(iter(failed.values())))
    classes = (BACKGROUND, *sorted({name for names in held.values() for name in names}))
    numbers = {case: [classes.index(name) for name in names] for case, names in held.items()}
    chosen = choose_corrupted(numbers, options.alpha, np.random.default_rng(options.seed))
    key = {"alpha": options.alpha, "beta": options.beta, "seed": options.seed,
           "data": data.name if data.hidden else str(data.root)}  # fmt: skip
    kind = replace(_NOISE, tables=(*_NOISE.tables, "labels.json", "meta.csv", *held))  # never over a data set's cases
    with Run(out, kind, {"key": key}) as run:
        write_names(out, classes)
        facts = dict.fromkeys(column for name in held for column in cases[name].metadata if column != "patient_id")
        patients = {source.name: source.patient for source in sources}
        write_table(
            out / "meta.csv", ("case", *facts, "patient_id"),
            ([name, *(cases[name].metadata.get(f, "") for f in facts), patients[name]] for name in held),
        )  # fmt: skip
        items = [_Item(name, cases[name], chosen[name]) for name in held]
        work = _Corrupt(out, classes, options)
        for _ in run.work(items, work, workers=jobs, retry_failed=True):
            pass
        rows = [row for name in held if name not in run.failed for row in run.record(name).lines]
        write_table(out / "noise.csv", COLUMNS, rows)
        failed |= run.failed
        run.finish(failed=len(failed))
    return rows, failed


@dataclass(frozen=True)
class _Item:
    name: str
    case: Case
    kinds: dict[int, str]


@dataclass
class _Corrupt(Work):
    out: Path
    classes: tuple[str, ...]
    options: NoiseOptions

    def read(self, item: _Item) -> Subject:
        return read_subject(item.case)

    def do(self, item: _Item, data: Subject) -> Result:
        table = np.zeros(max(data.structures) + 1, np.uint8)
        for value, name in data.structures.items():
            table[value] = self.classes.index(name)
        clean = table[data.labels]
        rng = np.random.default_rng([self.options.seed, crc32(item.name.encode())])
        noisy = corrupt_labels(clean, item.kinds, self.options.beta, rng)
        folder, frame = self.out / item.name, data.ct.frame
        folder.mkdir(parents=True, exist_ok=True)
        ct = _link(item.case.root / item.case.ct, folder)
        if ct is None:
            ct = folder / "ct.nii.gz"
            write_label_map(ct, data.ct.hu, frame)
        files = {f"{item.name}/{ct.name}": ct}
        for name, values in (("seg", noisy), ("clean", clean)):
            path = files[f"{item.name}/{name}.nii.gz"] = folder / f"{name}.nii.gz"
            write_label_map(path, values, frame)
        rows = []
        for number in sorted(table[list(data.structures)]):
            before, after = clean == number, noisy == number
            added, removed = int((after & ~before).sum()), int((before & ~after).sum())
            kind = item.kinds.get(int(number), "")
            rows.append([item.name, self.classes[number], kind, int(before.sum()), added, removed])
        return Result(lines=rows, files=files)


def _link(ct: Path, folder: Path) -> Path | None:
    """A link to the file of a CT, or its copy where links cannot be made; ``None`` when the CT is no single file."""
    if not (ct.is_file() and is_image_file(ct)):
        return None
    link = folder / f"ct{ct.name[len(image_stem(ct)) :]}"
    link.unlink(missing_ok=True)
    try:
        link.symlink_to(ct.resolve())
    except OSError:  # Windows gives few users the right
        shutil.copyfile(ct, link)
    return link
