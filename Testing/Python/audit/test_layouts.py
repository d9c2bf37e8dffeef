"""Data sets are recognised by their layout, and every case of theirs is found and scored."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
from Testing.Python.audit.conftest import write_json

from QualitySentinelLib.checkpoint import load_model
from QualitySentinelLib.commands.main import main
from QualitySentinelLib.datasets import find_cases
from QualitySentinelLib.errors import InputError, UsageError
from QualitySentinelLib.options import ScoringOptions
from QualitySentinelLib.reading import read_ct, read_segmentation
from QualitySentinelTrainingLib.audit.run import AuditOptions, run_audit
from QualitySentinelTrainingLib.audit.scoring import ScoringSetup

NAMES = {"1": "liver", "2": "spleen"}


def totalsegmentator(folder, write):
    for number in (1, 2):
        write.ct(folder / f"s000{number}" / "ct.nii.gz", number)
        write.masks(folder / f"s000{number}" / "segmentations", number)
    (folder / "meta.csv").write_text(
        "image_id;age;gender;institute;study_type;split\ns0001;64;m;A;ct abdomen;train\ns0002;52;f;B;ct chest;val\n"
    )
    return {"s0001": {"sex": "M", "age": "64", "institution": "A", "split": "train"}, "s0002": {"sex": "F"}}


def abdomenatlas(folder, write):
    for number in (1, 2):
        write.ct(folder / f"BDMAP_0000000{number}" / "ct.nii.gz", number)
        write.masks(folder / f"BDMAP_0000000{number}" / "segmentations", number)
    return {"BDMAP_00000001": {}, "BDMAP_00000002": {}}


def openkbp(folder, write):
    for number in (1, 20):
        write.ct(folder / f"pt_{number}" / "ct.nii.gz", number)
        write.labels(folder / f"pt_{number}" / "seg.nii.gz", number)
    write_json(folder / "labels.json", NAMES)
    return {"pt_1": {}, "pt_20": {}}


def nnunet(folder, write):
    for case in ("a", "b"):
        write.ct(folder / "imagesTr" / f"{case}_0000.nii.gz")
        write.labels(folder / "labelsTr" / f"{case}.nii.gz")
    write.ct(folder / "imagesTs" / "c_0000.nii.gz")
    write_json(
        folder / "dataset.json",
        {"channel_names": {"0": "CT"}, "labels": {"background": 0, "liver": 1, "spleen": 2}, "numTraining": 2,
         "file_ending": ".nii.gz"},
    )  # fmt: skip
    return {"a": {"split": "train"}, "b": {"split": "train"}}


def nnunet_with_two_channels(folder, write):
    write.labels(folder / "imagesTr" / "a_0000.nii.gz")
    write.ct(folder / "imagesTr" / "a_0001.nii.gz")
    write.labels(folder / "labelsTr" / "a.nii.gz")
    write_json(
        folder / "dataset.json",
        {
            "channel_names": {"0": "PET", "1": "CT"},
            "labels": {"background": 0, "whole": [1, 2], "liver": [1], "spleen": 2},
        },
    )
    return {"a": {"split": "train"}}


def nnunet_of_its_first_version(folder, write):
    write.ct(folder / "imagesTr" / "a_0000.nii.gz")
    write.labels(folder / "labelsTr" / "a.nii.gz")
    write_json(folder / "dataset.json", {"modality": {"0": "CT"}, "labels": {"0": "background", **NAMES}})
    return {"a": {"split": "train"}}


def decathlon(folder, write):
    for case in ("liver_0", "liver_1"):
        write.ct(folder / "imagesTr" / f"{case}.nii.gz")
        write.labels(folder / "labelsTr" / f"{case}.nii.gz")
        (folder / "imagesTr" / f"._{case}.nii.gz").write_bytes(b"as macOS leaves them")
    write_json(folder / "dataset.json", {"modality": {"0": "CT"}, "labels": {"0": "background", **NAMES}})
    return {"liver_0": {"split": "train"}, "liver_1": {"split": "train"}}


def bids(folder, write):
    write.ct(folder / "sub-01" / "ses-1" / "ct" / "sub-01_ses-1_ct.nii.gz")
    write.ct(folder / "sub-02" / "anat" / "sub-02_ct.nii.gz", 1)
    derived = folder / "derivatives" / "net"
    write.labels(derived / "sub-01" / "ses-1" / "ct" / "sub-01_ses-1_dseg.nii.gz")
    write.labels(derived / "sub-02" / "anat" / "sub-02_desc-organs_dseg.nii.gz", 1)
    (derived / "dseg.tsv").write_text("index\tname\n0\tbackground\n1\tliver\n2\tspleen\n")
    (folder / "participants.tsv").write_text("participant_id\tsex\tage\nsub-01\tfemale\t70\nsub-02\tM\tn/a\n")
    return {"sub-01_ses-1": {"sex": "F", "age": "70", "session": "1", "subject": "sub-01"}, "sub-02": {"sex": "M"}}


def folders(folder, write):
    write.ct(folder / "train" / "anna" / "ct.nii.gz")
    write.labels(folder / "train" / "anna" / "label.nii.gz")
    write_json(folder / "labels.json", NAMES)
    write.ct(folder / "bert" / "CT.nrrd")
    write.masks(folder / "bert" / "segmentations")
    return {"train/anna": {}, "bert": {}}


def dicom(folder, write):
    changes = {"PatientName": "Muster^Anna", "PatientID": "4711-0815", "PatientSex": "F", "PatientAge": "063Y"}
    series = write.series(folder / "Muster" / "ct", ConvolutionKernel="B30f", Manufacturer="ACME", **changes)
    write.dicom_seg(folder / "Muster" / "seg" / "organs.dcm", series)
    return {"case_0001": {"sex": "F", "age": "63", "manufacturer": "ACME", "kernel": "B30f", "slice_thickness_mm": "5"}}


def csv_manifest(folder, write):
    write.ct(folder / "images" / "1.nii.gz")
    write.labels(folder / "a" / "1_seg.nii.gz")
    write.labels(folder / "b" / "1_other.nii.gz", 1)
    write_json(folder / "names.json", NAMES)
    manifest = folder / "cases.csv"
    manifest.write_text(
        "case;ct;seg;names;Sex;Site\none;images/1.nii.gz;a/1_seg.nii.gz;names.json;male;X\n"
        "one;images/1.nii.gz;b/1_other.nii.gz;names.json;male;X\n"
    )
    return {"one@1_seg": {"sex": "M", "institution": "X", "subject": "one"}, "one@1_other": {"subject": "one"}}


LAYOUTS = {
    totalsegmentator: "totalsegmentator", abdomenatlas: "abdomenatlas", openkbp: "openkbp", nnunet: "nnunet",
    nnunet_with_two_channels: "nnunet", nnunet_of_its_first_version: "nnunet", decathlon: "decathlon", bids: "bids",
    folders: "folders", dicom: "dicom", csv_manifest: "csv",
}  # fmt: skip


@pytest.mark.parametrize("build", LAYOUTS, ids=lambda build: build.__name__)
def test_every_layout_is_recognised_and_scored(build, torso_writer, audit, tmp_path):
    expected = build(tmp_path / "data", torso_writer)
    data = tmp_path / "data" / "cases.csv" if build is csv_manifest else tmp_path / "data"
    found = find_cases(data)
    assert found.layout == LAYOUTS[build]
    assert [case.name for case in found.cases] == sorted(expected)
    for case in found.cases:
        assert {k: case.metadata.get(k) for k in expected[case.name]} == expected[case.name]
    result = audit(data)
    assert result.code == 0, result.err
    assert [row["case"] for row in result.rows("cases")] == sorted(expected)
    for row in result.rows("cases"):
        assert {k: row[f"meta_{k}"] for k in expected[row["case"]]} == expected[row["case"]]
    structures = {(row["case"], row["structure"]) for row in result.rows("segments")}
    assert structures == {(case, s) for case in expected for s in ("liver", "spleen")}
    assert all(row["status"] == "scored" for row in result.rows("segments"))


def test_a_named_layout_is_taken(torso_writer, tmp_path):
    totalsegmentator(tmp_path, torso_writer)
    found = find_cases(tmp_path, "folders")
    assert (found.layout, [c.name for c in found.cases]) == ("folders", ["s0001", "s0002"])


def test_of_several_layouts_none_is_guessed(torso_writer, tmp_path):
    totalsegmentator(tmp_path, torso_writer)
    abdomenatlas(tmp_path, torso_writer)
    with pytest.raises(UsageError, match="could be any of the layouts totalsegmentator, abdomenatlas; choose one"):
        find_cases(tmp_path)


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda p: p / "none", InputError, "no such folder or manifest"),
        (lambda p: p, UsageError, "could not detect the data set's layout"),
        (lambda p: ((p / "a.nii").write_text("") and p) or p / "a.nii", UsageError, "is not a manifest"),
    ],
)
def test_what_is_no_data_set_is_refused_in_one_line(tmp_path, make, error, text):
    with pytest.raises(error, match=text):
        find_cases(make(tmp_path))


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("case,ct\na,b\n", "has no column 'seg'"),
        ("case,ct,seg\na,,c\n", "line 2 has no 'ct'"),
        ("case,ct,seg\na,b,c\na,b,c\n", "lists the case 'a@c' twice"),
        ("case,ct,seg,names\na,b,c,nowhere.json\n", "nowhere.json: no such file"),
    ],
)
def test_a_manifest_that_cannot_be_meant_is_refused(tmp_path, content, text):
    manifest = tmp_path / "m.csv"
    manifest.write_text(content)
    with pytest.raises(UsageError, match=text):
        find_cases(manifest)


def test_a_table_of_metadata_may_lie_anywhere(torso_writer, tmp_path):
    abdomenatlas(tmp_path / "data", torso_writer)
    table = tmp_path / "clinic.tsv"
    table.write_text("BDMAP ID\tPatient Sex\tScanner kVp\nBDMAP_00000002\tMale\t120\n")
    found = find_cases(tmp_path / "data", metadata=table)
    assert [dict(c.metadata) for c in found.cases] == [{}, {"sex": "M", "scanner_kvp": "120"}]
    assert found.notes == ["clinic.tsv: has no row for 1 of 2 cases"]
    table.write_text("who\tsex\nnobody\tM\n")
    with pytest.raises(UsageError, match="no column matches the case names, such as BDMAP_00000001"):
        find_cases(tmp_path / "data", metadata=table)


def test_a_table_may_spell_names_as_another_system_does(torso_writer, tmp_path):
    """macOS takes letters with accents apart; a table typed elsewhere has them whole."""
    torso_writer.ct(tmp_path / "mu\u0308ller" / "ct.nii.gz")
    torso_writer.masks(tmp_path / "mu\u0308ller" / "segmentations")
    (tmp_path / "meta.csv").write_text("id,sex\nm\u00fcller,F\n", encoding="utf-8")
    found = find_cases(tmp_path)
    assert (found.cases[0].metadata, found.notes) == ({"sex": "F"}, [])


def test_what_a_table_of_metadata_leaves_open_is_said(torso_writer, tmp_path):
    totalsegmentator(tmp_path, torso_writer)
    table = tmp_path / "meta.csv"
    table.write_text("image_id;contrast;kvp\ns0001;none;None\ns0002;n/a;100\ns0002;iv;120\n")
    found = find_cases(tmp_path)
    assert [dict(c.metadata) for c in found.cases] == [{"contrast": "none"}, {"contrast": "iv", "kvp": "120"}]
    assert found.notes == ["meta.csv: has several rows for 1 case (s0002); the last one is used"]
    table.write_text('image_id;comment\ns0001;"never closed\ns0002;x\n')
    found = find_cases(tmp_path)
    assert [dict(c.metadata) for c in found.cases] == [{}, {}]
    (note,) = found.notes
    assert note.startswith("meta.csv: is not a table") and note.endswith("its metadata were left out")
    with pytest.raises(InputError, match="meta.csv: is not a table"):
        find_cases(tmp_path, metadata=table)


def test_several_cts_of_a_person_are_known_in_dicom_but_not_the_person(torso_writer, tmp_path):
    for number, person in enumerate(("B-77", "A-11", "B-77"), start=1):
        series = torso_writer.series(tmp_path / str(number) / "ct", PatientID=person)
        torso_writer.dicom_seg(tmp_path / str(number) / "seg.dcm", series)
    found = find_cases(tmp_path)
    assert [c.metadata["person"] for c in found.cases] == ["person_0001", "person_0002", "person_0001"]


def test_cases_without_ct_or_masks_are_found_too(torso_writer, audit, tmp_path):
    totalsegmentator(tmp_path / "data", torso_writer)
    (tmp_path / "data" / "s0003" / "segmentations").mkdir(parents=True)
    torso_writer.ct(tmp_path / "data" / "s0004" / "ct.nii.gz")
    result = audit(tmp_path / "data")
    assert result.code == 6
    assert {row["case"]: row["reason"] for row in result.rows("cases") if row["status"] == "failed"} == {
        "s0003": "has no CT (ct.nii.gz)",
        "s0004": "has no segmentation (segmentations/ or seg.nii.gz)",
    }


def test_several_segmentations_of_a_bids_ct_are_several_cases(torso_writer, tmp_path):
    bids(tmp_path, torso_writer)
    torso_writer.labels(tmp_path / "derivatives" / "other" / "sub-02" / "sub-02_dseg.nii.gz")
    names = [case.name for case in find_cases(tmp_path).cases]
    assert names == ["sub-01_ses-1", "sub-02@net/sub-02_desc-organs_dseg", "sub-02@other/sub-02_dseg"]


def test_masks_of_single_structures_in_bids_are_named_by_their_label(torso_writer, audit, tmp_path):
    data = tmp_path / "data"
    torso_writer.ct(data / "sub-01" / "ct" / "sub-01_ct.nii.gz")
    masks = torso_writer.masks(data / "derivatives" / "manual" / "sub-01")
    for name in ("liver", "spleen"):
        (masks / f"{name}.nii.gz").rename(masks / f"sub-01_label-{name}_mask.nii.gz")
    rows = audit(data).rows("segments")
    assert [(r["case"].rpartition("/")[2], r["structure"]) for r in rows] == [
        ("sub-01_label-liver_mask", "liver"), ("sub-01_label-spleen_mask", "spleen"),
    ]  # fmt: skip


def test_labels_without_names_are_not_passed_over_in_silence(torso_writer, audit, tmp_path):
    """All their segments are of unknown structure, and scored as such: that should be seen before the scores."""
    data = tmp_path / "data"
    for number in (1, 2):
        torso_writer.ct(data / f"p{number}" / "ct.nii.gz")
        torso_writer.labels(data / f"p{number}" / "seg.nii.gz")
    result = audit(data)
    assert result.code == 0
    (line,) = [line for line in result.err.splitlines() if line.startswith("note: ")]
    assert "2 cases read with warnings" in line and "of p1: p1/seg.nii.gz: holds no names for its 2 label" in line
    from QualitySentinelTrainingLib.audit.report import write_audit_report

    page = write_audit_report(result.folder).read_text(encoding="utf-8")
    assert "2 cases read with warnings" in page and "holds no names for its 2 label values" in page


@pytest.mark.parametrize("build", [csv_manifest, nnunet], ids=lambda build: build.__name__)
def test_what_label_values_mean_is_known_wherever_a_case_is_shown(build, torso_writer, audit, tmp_path, monkeypatch):
    """In pictures, in the review, and in Slicer: names stand in dataset.json, or in a column of a manifest."""
    from QualitySentinelTrainingLib.audit.open_in_slicer import look_up
    from QualitySentinelTrainingLib.audit.report import write_audit_report

    data = tmp_path / "data"
    case = next(iter(build(data, torso_writer)))
    folder = audit(data / "cases.csv" if build is csv_manifest else data).folder
    page = write_audit_report(folder).read_text(encoding="utf-8")
    assert "<figure" in page and "There are no pictures" not in page
    asked = []
    monkeypatch.setattr("QualitySentinelLib.commands.review.run", lambda options: asked.append(options) or 0)
    assert main(["audit", "--open", case, "--out", str(folder)]) == 0
    assert json.loads(open(asked[0].names).read()) == NAMES
    options = Namespace(dataset="", ct="", seg="", names="")
    assert look_up(options, [case], folder) is None
    assert [s.name for s in read_segmentation(options.seg, read_ct(options.ct), options.names)] == [
        "liver", "spleen",
    ]  # fmt: skip


def test_a_dicom_seg_finds_its_series_among_others_of_one_folder(torso_writer, a_torso, audit, tmp_path, monkeypatch):
    """When it is audited, and when it is opened for review."""
    series = torso_writer.series(tmp_path / "data" / "all")
    torso_writer.dicom_seg(tmp_path / "data" / "all" / "seg.dcm", series)
    from Testing.Python.reading.conftest import write_series

    late = write_series(tmp_path / "late", np.concatenate([a_torso.hu] * 2), a_torso.ijk_to_ras)
    for path in late:
        path.rename(tmp_path / "data" / "all" / f"late_{path.name}")
    result = audit(tmp_path / "data")
    assert result.code == 0, result.err
    assert "1 CT series without a segmentation left out" in result.err
    (case,) = result.rows("cases")
    assert case["warnings"] == ""

    opened = []
    monkeypatch.setattr("QualitySentinelLib.commands.review.run", lambda options: opened.append(options) or 0)
    for _ in range(2):  # the second time it is there
        assert main(["audit", "--open", "case_0001", "--out", str(result.folder)]) == 0
        ct = read_ct(opened[-1].ct)
        assert len(ct.hu) == len(a_torso.hu)
        assert ct.warnings == []


@pytest.mark.shared_data
def test_dcmqis_files_are_a_dicom_data_set(shared, audit):
    result = audit(shared / "data" / "dcmqi")
    assert result.code == 0, result.err
    assert [(row["case"], row["structure"]) for row in result.rows("segments")] == [("case_0001", "liver")]


def test_folders_of_other_names_are_not_left_out_unseen(torso_writer, tmp_path):
    openkbp(tmp_path, torso_writer)
    torso_writer.ct(tmp_path / "pt_extra" / "ct.nii.gz")
    torso_writer.labels(tmp_path / "pt_extra" / "seg.nii.gz")
    found = find_cases(tmp_path)
    assert [case.name for case in found.cases] == ["pt_1", "pt_20"]
    why = "because of the name (pt_extra); use --layout folders to include all"
    assert found.notes == [f"1 folder with CT and masks left out {why}"]


def test_dicom_is_found_through_links_to_folders(torso_writer, tmp_path):
    """Data sets on clusters are often folders of links."""
    dicom(tmp_path / "store", torso_writer)
    data = tmp_path / "data"
    data.mkdir()
    (data / "linked").symlink_to(tmp_path / "store" / "Muster")
    (data / "linked" / "round").symlink_to(data)
    (data / "gone").symlink_to(tmp_path / "nowhere")
    found = find_cases(data)
    assert found.layout == "dicom"
    assert [(case.ct, case.seg, case.problem) for case in found.cases] == [("linked/ct", "linked/seg/organs.dcm", "")]


def test_a_model_that_is_loaded_already_scores_a_data_set(a_data_set, a_model_file, tmp_path):
    setup = ScoringSetup(Path(), ScoringOptions(load_model(a_model_file), device="cpu"))
    outcome = run_audit(a_data_set(1), tmp_path / "out", setup, AuditOptions(workers=1))
    assert (outcome.done, outcome.failed) == (1, {})
    assert json.loads((tmp_path / "out" / "audit.json").read_text())["model_file"] == str(Path(a_model_file).resolve())
