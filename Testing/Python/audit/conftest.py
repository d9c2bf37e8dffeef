"""Small data sets in every layout, each with the synthetic torso's liver and spleen."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from Testing.Python.reading.conftest import write_series, write_volume

from QualitySentinelLib.commands.main import main
from QualitySentinelLib.datasets.pool import LIST_COLUMNS, find_pool
from QualitySentinelLib.scores.tables import write_table

TABLES = ("cases", "segments", "slices")


@dataclass
class Audited:
    """A run of the command: its exit code, what it printed, and its folder."""

    code: int
    out: str
    err: str
    folder: Path

    def rows(self, table: str) -> list[dict]:
        return rows(self.folder, table)


def rows(folder: Path, table: str) -> list[dict]:
    with open(folder / f"{table}.csv", newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def tables(folder: Path) -> dict[str, bytes]:
    """The tables' bytes by name."""
    names = [f"{table}.{suffix}" for table in TABLES for suffix in ("csv", "parquet")]
    return {name: (folder / name).read_bytes() for name in names}


class TorsoWriter:
    """Writes the synthetic torso as cases of data sets; ``number`` moves its masks, so that no two cases are alike."""

    def __init__(self, torso) -> None:
        self._torso = torso

    def ct(self, path: Path, number: int = 0) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        return write_volume(path, np.roll(self._torso.hu, number % 7, axis=2), self._torso.ijk_to_ras)

    def labels(self, path: Path, number: int = 0) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        return write_volume(path, self.voxels(number), self._torso.ijk_to_ras)

    def voxels(self, number: int = 0) -> np.ndarray:
        return np.roll(self._torso.labels, number % 5, axis=1)

    def masks(self, folder: Path, number: int = 0) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for value, name in self._torso.names.items():
            write_volume(
                folder / f"{name}.nii.gz", (self.voxels(number) == value).astype(np.uint8), self._torso.ijk_to_ras
            )
        return folder

    def series(self, folder: Path, **changes) -> list[Path]:
        return write_series(folder, self._torso.hu, self._torso.ijk_to_ras, **changes)

    def dicom_list(self, folder: Path) -> list[str]:
        """A pool of DICOM series in ``pool``, the first two with SEGs, and a list of these in ``next``; their names."""
        self.series(folder / "pool" / "bare" / "ct")
        for name in "ab":
            self.dicom_seg(folder / "pool" / name / "seg.dcm", self.series(folder / "pool" / name / "ct"))
        names = [case.name for case in find_pool(folder / "pool").cases if case.seg]
        rows = [(n, name, "", None, 0.5, 1.0, f"reason {n}") for n, name in enumerate(names, 1)]
        write_table(folder / "next" / "selection.csv", LIST_COLUMNS, rows)
        return names

    def dicom_seg(self, path: Path, series: list[Path], labels=("Liver", "Spleen")) -> Path:
        pydicom, highdicom = pytest.importorskip("pydicom"), pytest.importorskip("highdicom")
        from highdicom.sr.coding import CodedConcept

        codes = [CodedConcept("10200004", "SCT", "Liver"), CodedConcept("78961009", "SCT", "Spleen")]
        category = CodedConcept("123037004", "SCT", "Anatomical Structure")
        descriptions = [
            highdicom.seg.SegmentDescription(number, label, category, code, "MANUAL")
            for number, (label, code) in enumerate(zip(labels, codes, strict=True), start=1)
        ]
        uid = pydicom.uid.generate_uid
        seg = highdicom.seg.Segmentation(
            [pydicom.dcmread(p) for p in series], self._torso.labels.copy(), "BINARY", descriptions, uid(), 7, uid(), 1,
            "Phantoms", "Test", "1", "1",
        )  # fmt: skip
        path.parent.mkdir(parents=True, exist_ok=True)
        seg.save_as(path)
        return path


@pytest.fixture(scope="session")
def torso_writer(a_torso) -> TorsoWriter:
    return TorsoWriter(a_torso)


@pytest.fixture
def a_data_set(torso_writer, tmp_path):
    """``a_data_set(cases)``: a folder in TotalSegmentator's layout, with ``meta.csv``."""

    def make(cases: int, folder: Path = tmp_path / "data") -> Path:
        for number in range(1, cases + 1):
            torso_writer.ct(folder / f"s{number:04d}" / "ct.nii.gz", number)
            torso_writer.masks(folder / f"s{number:04d}" / "segmentations", number)
        lines = [f"s{n:04d};{40 + n};{'mf'[n % 2]};institute {n % 3};train" for n in range(1, cases + 1)]
        (folder / "meta.csv").write_text("\n".join(["image_id;age;gender;institute;split", *lines]), encoding="utf-8")
        return folder

    return make


@pytest.fixture
def audit(tmp_path, a_model_file, capsys):
    """``audit(data, *options, out=...)`` runs the command in this process, with the small model."""

    def run(data, *options, out: Path = tmp_path / "out", workers: int | None = 1) -> Audited:
        arguments = ["audit", *([data] if data is not None else []), "--out", out, "--model", a_model_file]
        arguments += ["--device", "cpu", "--no-report", *(["--workers", workers] if workers else []), *options]
        capsys.readouterr()
        code = main([str(a) for a in arguments])
        said = capsys.readouterr()
        return Audited(code, said.out, said.err, out)

    return run


@pytest.fixture
def command(tmp_path, a_model_file):
    """``command(data, *options, out=...)`` starts the command as a process of its own, in a session of its own."""
    started = []

    def start(data, *options, out: Path = tmp_path / "out") -> subprocess.Popen:
        arguments = [sys.executable, "-m", "QualitySentinelLib", "audit", data, "--out", out, "--model", a_model_file]
        process = subprocess.Popen(
            [str(a) for a in (*arguments, "--device", "cpu", "--no-report", *options)], start_new_session=True,
            text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def write_json(path: Path, content) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def copy_tree(source: Path, target: Path) -> Path:
    return Path(shutil.copytree(source, target))
