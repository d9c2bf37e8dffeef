"""No output of an audit of DICOM files tells who the patients are, unless asked to."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from QualitySentinelLib.commands.main import main
from QualitySentinelLib.datasets import Case, find_cases
from QualitySentinelTrainingLib.audit.privacy import Deidentifier
from QualitySentinelTrainingLib.audit.report import write_audit_report

SECRETS = {
    "PatientName": "Quasimodo^Esmeralda", "PatientID": "XQ-4711", "AccessionNumber": "ACC99182",
    "ReferringPhysicianName": "Frollo^Claude", "InstitutionName": "Notre Dame Clinic", "PatientBirthDate": "19310203",
    "StudyDate": "20250406", "SeriesDescription": "Hunchback protocol", "StudyID": "ST-77123",
}  # fmt: skip
WORDS = [
    "quasimodo", "esmeralda", "xq-4711", "acc99182", "frollo", "claude", "notre dame", "19310203", "20250406",
    "hunchback", "st-77123",
]  # fmt: skip


@pytest.fixture
def an_archive(torso_writer, tmp_path):
    """Two studies of a patient, in folders with her name; the second's SEG is damaged, its labels tell her name."""
    data = tmp_path / "archive"

    for number in (1, 2):
        study = data / f"QUASIMODO_XQ-4711_{number}"
        series = torso_writer.series(study / "CT Hunchback", PatientSex="F", **SECRETS)
        seg = study / f"Esmeralda {number}.dcm"
        torso_writer.dicom_seg(seg, series, labels=("Liver of Esmeralda", "spleen_Quasimodo"))

    damaged = data / "QUASIMODO_XQ-4711_2" / "Esmeralda 2.dcm"
    damaged.write_bytes(damaged.read_bytes()[:-300])
    return data


def everything(folder: Path, *printed: str) -> str:
    """All that an audit wrote and printed, in lower case."""
    parts = [*printed, *(str(path.relative_to(folder)) for path in folder.rglob("*"))]
    parts += [path.read_bytes().decode("latin-1") for path in sorted(folder.rglob("*")) if path.is_file()]
    import pandas as pd

    for path in folder.glob("*.parquet"):
        parts.append(pd.read_parquet(path).to_csv())
    return "\n".join(parts).lower()


def test_no_output_tells_the_patient(an_archive, audit):
    result = audit(an_archive)
    assert result.code == 6
    text = everything(result.folder, result.out, result.err)
    assert [word for word in WORDS if word in text] == []
    assert "1.2.826" not in text  # UIDs
    cases = result.rows("cases")
    assert [(row["case"], row["status"], row["ct"], row["seg"]) for row in cases] == [
        ("case_0001", "done", "", ""), ("case_0002", "failed", "", ""),
    ]  # fmt: skip
    assert cases[1]["reason"].startswith("SEG: the DICOM SEG is damaged or incomplete")
    assert [(r["segment"], r["structure"]) for r in result.rows("segments")] == [
        ("Liver of [removed]", "liver"), ("spleen_[removed]", "spleen"),
    ]  # fmt: skip
    assert cases[0]["meta_age"] == "90"  # 94 years by her dates
    assert {key for key in cases[0] if key.startswith("meta_")} == {"meta_sex", "meta_age", "meta_slice_thickness_mm"}


def test_identifiers_are_kept_when_asked_for(an_archive, audit):
    result = audit(an_archive, "--keep-identifiers")
    cases = result.rows("cases")
    assert cases[0]["case"] == cases[0]["seg"] == "QUASIMODO_XQ-4711_1/Esmeralda 1.dcm"
    assert cases[0]["ct"] == "QUASIMODO_XQ-4711_1/CT Hunchback"
    assert "Esmeralda 2.dcm: the DICOM SEG is damaged" in cases[1]["reason"]
    assert str(an_archive) not in cases[1]["reason"]


def test_a_number_leads_back_to_the_files(an_archive):
    found = find_cases(an_archive, "dicom")
    assert [case.name for case in found.cases] == ["case_0001", "case_0002"]
    assert found.cases[1].seg == "QUASIMODO_XQ-4711_2/Esmeralda 2.dcm"


def test_paths_of_other_layouts_are_relative(a_data_set, audit):
    data = a_data_set(1)
    (data / "s0001" / "ct.nii.gz").write_text("")
    result = audit(data)
    assert result.code == 6
    tables = "".join((result.folder / f"{t}.csv").read_text() for t in ("cases", "segments", "slices"))
    assert str(data) not in tables and str(data) not in result.err


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/data/set/Ann Lee/ct/1.dcm: is damaged", "CT: is damaged"),
        ("Ann Lee/s.dcm: lies elsewhere than Ann Lee/ct (3 mm)", "SEG: lies elsewhere than CT (3 mm)"),
        ("annotation of LEE, ann_liver", "annotation of [removed], [removed]_liver"),
        ("a segmentation of 12345", "a segmentation of [removed]"),
        ("the largest was taken ('thorax')", "the largest was taken ([removed])"),
        ("thorax wall", "thorax wall"),
        ("Ann Lee/ct: the largest was taken ('Lee's', 20 slices)", "CT: the largest was taken (20 slices)"),
    ],
)  # fmt: skip
def test_what_is_taken_out_of_texts(text, expected):
    secrets = ("Lee^Ann", "Lee", "Ann", "12345", "'thorax'")
    case = Case("case_0001", "Ann Lee/ct", "Ann Lee/s.dcm", identifying=True, secrets=secrets)
    assert Deidentifier(case, Path("/data/set"))(text) == expected


def test_a_seg_in_the_folder_of_its_ct_is_called_seg():
    case = Case("case_0001", "p1", "p1/SEG.dcm", ct_files=("p1/IM0000.dcm",), identifying=True)
    text = "/data/set/p1/SEG.dcm: lies elsewhere than the CT /data/set/p1; /data/set/p1/IM0000.dcm, p1/IM0001.dcm"
    assert Deidentifier(case, Path("/data/set"))(text) == "SEG: lies elsewhere than the CT CT; CT, CT"


def test_the_folder_of_a_dicom_tree_may_be_named_after_a_patient(torso_writer, audit, tmp_path, monkeypatch):
    """No file that is handed on names it; the case can be opened all the same."""
    data = tmp_path / "Quasimodo^Esmeralda"
    torso_writer.dicom_seg(data / "seg.dcm", torso_writer.series(data / "ct"))
    result = audit(data)
    assert result.code == 0, result.err
    write_audit_report(result.folder)
    handed_on = tmp_path / "handed_on"
    shutil.copytree(result.folder, handed_on, ignore=lambda folder, names: {"cases"} if folder.endswith("out") else ())
    text = everything(handed_on, result.out)
    assert "quasimodo" not in text and "esmeralda" not in text
    assert "dicom data set" in (handed_on / "report" / "index.html").read_text(encoding="utf-8").lower()
    opened = []
    monkeypatch.setattr("QualitySentinelLib.commands.review.run", lambda options: opened.append(options) or 0)
    assert main(["audit", "--open", "case_0001", "--out", str(result.folder)]) == 0
    assert opened[0].seg == [data / "seg.dcm"]

    named = audit(data, "--title", "Clinic A")
    assert {row["dataset"] for row in named.rows("cases")} == {"Clinic A"}
    kept = audit(data, "--keep-identifiers", out=tmp_path / "kept")
    assert {row["dataset"] for row in kept.rows("cases")} == {"Quasimodo^Esmeralda"}


def test_the_folder_of_a_data_set_is_in_no_table_though_files_lie_in_it(torso_writer, audit, tmp_path):
    """Tables are the same wherever a data set lies; and the folder may be called after a patient."""
    tables = []
    for place in ("Esmeralda", "elsewhere/moved"):
        data = tmp_path / place
        if tables:
            (tmp_path / "Esmeralda").rename(data)
        else:
            torso_writer.dicom_seg(data / "seg.dcm", torso_writer.series(data, RescaleIntercept=-1624))
            data.parent.joinpath("elsewhere").mkdir()
        result = audit(data, out=tmp_path / f"out{len(tables)}")
        assert result.code == 0, result.err
        (row,) = result.rows("cases")
        assert row["warnings"].startswith("CT: ")
        tables.append((result.folder / "slices.parquet").read_bytes())
    assert tables[0] == tables[1]


def test_the_description_of_a_series_is_in_no_output_of_any_layout():
    case, text = Case("a", "a/ct", "a/seg.nii.gz"), "a/ct: the largest was taken ('Hunchback', 20 slices)"
    assert Deidentifier(case, Path("/data"))(text) == "a/ct: the largest was taken (20 slices)"
    assert Deidentifier(case, Path("/data"), keep_identifiers=True)(text) == text


def test_a_word_that_is_part_of_another_path_stays():
    scrub = Deidentifier(Case("a", ".", "seg.dcm"), Path("/data"))
    assert scrub("/data: no CT in /other/data: nor in /data") == "CT: no CT in /other/data: nor in CT"
