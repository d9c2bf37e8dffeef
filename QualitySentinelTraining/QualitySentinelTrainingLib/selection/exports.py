"""The lists as other programs take them: SlicerCaseIterator, MONAI Label and OHIF, and nnU-Net's next round."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from QualitySentinelLib.datasets import Case, read_case_ct
from QualitySentinelLib.errors import InputError, reason_of
from QualitySentinelLib.files import atomic_write
from QualitySentinelLib.reading import read_segmentation
from QualitySentinelLib.reading.image import image_stem

from ..pages import write_table
from ..segmentation.folds import write_label_map
from .pool import PoolItem
from .units import WHOLE

Rows = Sequence[tuple]
"""Rows of ``selection.csv``: rank, case, structure, slice, score, cost, reason."""


def case_iterator(out: Path, items: dict[str, PoolItem], chosen: Rows) -> None:
    """``slicer_case_iterator.csv``: a line for each chosen case, with the columns that it looks for by default."""
    rows = []
    for case, reasons in _by_case(chosen).items():
        item, masks = items[case].case, [str(path) for path, _ in items[case].masks[:1]]
        rows.append((case, str(item.root), item.ct, *(masks or [""]), "; ".join(reasons)))
    write_table(out / "slicer_case_iterator.csv", ("ID", "path", "image", "mask", "comment"), rows)


def task_list(out: Path, items: dict[str, PoolItem], chosen: Rows) -> None:
    """``tasks.json``: the chosen cases by the ids that MONAI Label has for them, with the address of each in OHIF.

    The id is the file's name without suffix, or the SeriesInstanceUID of a DICOM series.
    """
    tasks = []
    for rank, (case, reasons) in enumerate(_by_case(chosen).items(), start=1):
        of = items[case].case
        task = {"rank": rank, "case": case, "id": image_stem(of.ct), "image": of.ct, "reasons": reasons}
        if (of.root / of.ct).is_dir():
            study, series = _uids(of)
            task |= {"id": series, "StudyInstanceUID": study, "SeriesInstanceUID": series}
            task["ohif"] = f"/viewer?StudyInstanceUIDs={study}&SeriesInstanceUIDs={series}"
        tasks.append(task)
    content = {"schema": "quality-sentinel-tasks/1", "tasks": tasks}
    atomic_write(out / "tasks.json", json.dumps(content, indent=1) + "\n")


EXPORTS: dict[str, Callable[[Path, dict[str, PoolItem], Rows], None]] = {
    "case-iterator": case_iterator, "tasks": task_list,
}  # fmt: skip
"""What ``select --export`` writes of the chosen cases, beside ``selection.csv``."""


def write_nnunet(out: Path, items: Sequence[PoolItem], trusted: Rows, annotated: Sequence[Case] = ()) -> int:
    """nnU-Net's raw data of the next round: annotated cases, and pseudo labels where they are trusted.

    What is not trusted in a case has the ignore label, the highest one. ``dataset.json`` is written last.

    Args:
        out: the folder, ``DatasetNNN_NAME``.
        items: of the pool, with predictions.
        trusted: rows of ``trusted.csv``.
        annotated: cases whose segmentation is the reference.

    Returns:
        The number of cases.

    Raises:
        QualitySentinelError: a file cannot be read or written.
    """
    rows: dict[str, list[tuple[str, int]]] = {}
    for _, case, structure, k, *_ in trusted:
        rows.setdefault(case, []).append((structure, WHOLE if k is None else k))
    by_name = {item.name: item for item in items}
    todo: list[tuple] = [(c, c.root / (c.reference or c.seg), c.names, None) for c in annotated]
    todo += [(by_name[name].case, *by_name[name].masks[0], units) for name, units in rows.items()]

    def read() -> Iterator[tuple]:  # twice, so that one case is in memory
        for case, path, names, units in todo:
            ct = read_case_ct(case)
            yield case, ct, read_segmentation(path, ct, names), units

    structures = sorted({s.structure or s.name for _, _, segmentation, _ in read() for s in segmentation})
    ignore = len(structures) + 1
    for case, ct, segmentation, units in read():
        labels, doubted = np.zeros(ct.frame.shape, np.uint8), np.zeros(ct.frame.shape, bool)
        for segment in (s for s in segmentation if not s.is_empty):
            name, voxels = segment.structure or segment.name, segment.voxels()
            trust = np.full(len(labels), units is None or ("", WHOLE) in units or (name, WHOLE) in units)
            trust[[ct.frame.file_slice(k) for s, k in units or () if k != WHOLE and s in ("", name)]] = True
            labels[segment.box][voxels] = structures.index(name) + 1
            doubted[segment.box] |= voxels & ~trust[segment.box[0], None, None]
        labels[doubted] = ignore
        called = case.name.replace("/", "_")
        write_label_map(out / "labelsTr" / f"{called}.nii.gz", labels, ct.frame)
        write_label_map(out / "imagesTr" / f"{called}_0000.nii.gz", ct.hu, ct.frame)
    values = {"background": 0, **{name: n for n, name in enumerate(structures, start=1)}, "ignore": ignore}
    about = {"channel_names": {"0": "CT"}, "labels": values, "numTraining": len(todo), "file_ending": ".nii.gz"}
    atomic_write(out / "dataset.json", json.dumps(about, indent=1) + "\n")
    return len(todo)


def _by_case(rows: Rows) -> dict[str, list[str]]:
    cases: dict[str, list[str]] = {}
    for _, case, structure, k, _, _, reason in rows:
        where = f"{structure} slice {k}: " if k is not None else f"{structure}: " if structure else ""
        cases.setdefault(case, []).append(where + reason)
    return cases


def _uids(case: Case) -> tuple[str, str]:
    import pydicom

    folder = case.root / case.ct
    files = [folder / f for f in case.ct_files] or sorted(p for p in folder.rglob("*") if p.is_file())
    try:
        header = pydicom.dcmread(files[0], stop_before_pixels=True)
        return str(header.StudyInstanceUID), str(header.SeriesInstanceUID)
    except (OSError, IndexError, AttributeError, pydicom.errors.InvalidDicomError) as error:
        raise InputError(f"{folder}: is no DICOM series ({reason_of(error)}); leave out --export tasks") from error
