"""Records of cases are files of their own on every disk, whatever the cases are called."""

from __future__ import annotations

import csv
import re
import unicodedata

import pytest
from Testing.Python.audit.conftest import tables, write_json

from QualitySentinelLib.errors import InputError
from QualitySentinelTrainingLib.audit.store import AuditFolder
from QualitySentinelTrainingLib.runs.file_names import file_name

AWKWARD = [
    "a", "A", "aB", "Ab", "AB", "a~1", "a%7e1", "con", "CON", "aux.nii", "nul ", "com1.x", "a.", "a ", "a..", ".a", ".",
    "..", "a/b", "a\\b", "a:b", 'a"*?<>|', "a\nb", "é", "e\u0301", "É", "ß", "SS", "ss", "\udcff", "ÿ", "x" * 300,
    "x" * 299 + "X", "X" * 120, "x" * 120, "木" * 90,
]  # fmt: skip
_LEGAL = re.compile(r"[\w @+,=()%~.-]{1,160}", re.ASCII)
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)\s*(\..*)?", re.IGNORECASE)


def test_no_two_cases_share_a_file_on_any_disk():
    """Disks may fold case, compose letters, and drop dots and spaces at the end."""
    on_disk = {unicodedata.normalize("NFC", file_name(case)).casefold().rstrip(". ") for case in AWKWARD}
    assert len(on_disk) == len(AWKWARD)


@pytest.mark.parametrize("case", AWKWARD)
def test_a_case_of_any_name_has_a_file_that_every_system_takes(case):
    name = file_name(case)
    assert _LEGAL.fullmatch(name)
    assert not name.startswith(".") and not name.endswith((".", " ")) and not _DEVICE.fullmatch(name)


def test_usual_names_stay_readable():
    assert [file_name(case) for case in ("s0001", "case_0001", "sub-01_ses-2", "a@a_v1")] == [
        "s0001", "case_0001", "sub-01_ses-2", "a@a_v1",
    ]  # fmt: skip
    assert file_name("BDMAP_00000001").startswith("BDMAP_00000001")


def test_cases_that_differ_in_capitals_only_are_kept_apart(torso_writer, audit, tmp_path):
    """Also by shards and their merge, and by a second run."""
    rows = [("case", "ct", "seg")]
    for number, case in enumerate(("lung", "Lung", "LUNG", "con", "e\u0301", "é")):
        torso_writer.ct(tmp_path / "data" / f"{number}.nii.gz", number)
        torso_writer.labels(tmp_path / "data" / f"{number}_seg.nii.gz", number)
        rows.append((case, f"{number}.nii.gz", f"{number}_seg.nii.gz"))
    with open(tmp_path / "data" / "list.csv", "w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(rows)
    data = tmp_path / "data" / "list.csv"
    names = ("--names", write_json(tmp_path / "names.json", {"1": "liver", "2": "spleen"}))
    whole = audit(data, *names, out=tmp_path / "whole")
    assert whole.code == 0, whole.err
    assert [row["case"] for row in whole.rows("cases")] == sorted(case for case, *_ in rows[1:])
    kept = sorted((whole.folder / "cases").glob("*.jsonl"))
    assert len({path.name.lower() for path in kept}) == 6
    written = [path.stat().st_mtime_ns for path in kept]
    assert audit(data, *names, out=tmp_path / "whole").code == 0
    assert [path.stat().st_mtime_ns for path in kept] == written
    shards = [tmp_path / f"shard_{number}" for number in (1, 2)]
    for number, folder in enumerate(shards, start=1):
        assert audit(data, *names, "--shard", f"{number}/2", out=folder).code == 0
    merged = audit(None, "--merge", *shards, out=tmp_path / "merged", workers=None)
    assert merged.code == 0, merged.err
    assert tables(merged.folder) == tables(whole.folder)


def test_a_record_of_another_case_is_never_taken(a_data_set, audit):
    """Should a file have been copied, or a disk mixed two up."""
    folder = AuditFolder(audit(a_data_set(2)).folder)
    folder.record_path("s0002").write_bytes(folder.record_path("s0001").read_bytes())
    assert folder.head("s0002") is None
    with pytest.raises(InputError, match="is the record of s0001; delete it"):
        folder.record("s0002")
