"""What is known of a case, and what no file of a data set can stop."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from Testing.Python.reading.conftest import write_volume

from QualitySentinelLib.datasets import Case, find_cases, read_case, read_reference
from QualitySentinelLib.errors import InputError, UsageError
from QualitySentinelTrainingLib.subjects import find_subjects

NAMES = '{"1": "liver", "2": "spleen"}'


def two_cases(folder: Path, write) -> Path:
    for name in ("a", "b"):
        write.ct(folder / name / "ct.nii.gz")
        write.labels(folder / name / "seg.nii.gz")
    (folder / "labels.json").write_text(NAMES)
    return folder


def test_patient_site_and_split_come_from_the_metadata(torso_writer, tmp_path):
    data = two_cases(tmp_path, torso_writer)
    (data / "meta.csv").write_text("sep=;\ncase;Patient ID;Site;Split;Age\na;7;Köln;train;063Y\nb;unknown;;test;1,5\n")
    a, b = find_cases(data).cases
    assert (a.patient, a.site, a.split, a.metadata["age"]) == ("7", "Köln", "train", "63")
    assert (b.patient, b.site, b.split) == ("", "", "test")
    assert [c.patient for c in find_cases(data, patient="(.)").cases] == ["a", "b"]
    with pytest.raises(UsageError, match="--patient x: gives no patient for a"):
        find_cases(data, patient="x")


def test_a_case_reads_itself_wherever_it_is_sent(torso_writer, tmp_path, monkeypatch):
    two_cases(tmp_path / "data", torso_writer)
    monkeypatch.chdir(tmp_path)
    case = find_cases(Path("data")).cases[0]
    monkeypatch.chdir("/")
    ct, segmentation = read_case(case)
    assert [s.structure for s in segmentation] == ["liver", "spleen"] and ct.hu.ndim == 3
    assert len({case, case}) == 1
    with pytest.raises(InputError, match="x: has no CT"):
        read_case(Case("x", "", "", problem="has no CT"))


def test_a_reference_beside_the_segmentation_is_read(torso_writer, tmp_path):
    torso_writer.ct(tmp_path / "ct.nii.gz")
    torso_writer.labels(tmp_path / "net.nii.gz", 1)
    torso_writer.labels(tmp_path / "expert.nii.gz")
    (tmp_path / "names.json").write_text(NAMES)
    manifest = tmp_path / "cases.csv"
    manifest.write_text("case,ct,seg,reference,names\na,ct.nii.gz,net.nii.gz,expert.nii.gz,names.json\n")
    (case,) = find_cases(manifest).cases
    assert "reference" not in case.metadata
    _, judged = read_case(case)
    assert read_reference(case)["1"].box != judged["1"].box


def test_training_and_audit_see_the_same_cases_through_links(torso_writer, tmp_path):
    store = two_cases(tmp_path / "store", torso_writer)
    data = tmp_path / "data"
    data.mkdir()
    for name in ("a", "b"):
        (data / name).symlink_to(store / name)
    (data / "labels.json").symlink_to(store / "labels.json")
    (data / "a" / "round").symlink_to(data)
    (data / "loop").symlink_to("loop")
    (data / "again").symlink_to(data)
    assert [case.name for case in find_cases(data).cases] == ["a", "b"]
    assert [source.name for source in find_subjects(data)] == ["a", "b"]
    assert set(find_subjects(data)[0].read().structures.values()) == {"liver", "spleen"}
    with pytest.raises(InputError, match="loop: no such folder"):
        find_cases(data / "loop")


def test_links_are_followed_in_bids(torso_writer, tmp_path):
    torso_writer.ct(tmp_path / "store" / "sub-1_ct.nii.gz")
    torso_writer.labels(tmp_path / "masks" / "sub-1_dseg.nii.gz")
    for place in ("sub-1", "derivatives/net"):
        (tmp_path / "data" / place).mkdir(parents=True)
    (tmp_path / "data" / "sub-1" / "ct").symlink_to(tmp_path / "store")
    (tmp_path / "data" / "derivatives" / "net" / "sub-1").symlink_to(tmp_path / "masks")
    (tmp_path / "data" / "participants.tsv").write_text('participant_id\tsex\nsub-1\t"never closed\n')
    write_volume(tmp_path / "store" / "other_ct.nii.gz", np.zeros((3, 4, 5), np.int16), np.eye(4))
    found = find_cases(tmp_path / "data")
    assert [(case.name, case.patient, case.problem) for case in found.cases] == [("sub-1", "sub-1", "")]
    assert found.notes[0].startswith("participants.tsv: is not a table")


def test_one_damaged_file_of_names_fails_its_case_only(torso_writer, tmp_path):
    data = two_cases(tmp_path, torso_writer)
    (data / "a" / "labels.json").write_text("{")
    a, b = find_cases(data).cases
    assert "a/labels.json: is not JSON" in a.problem and b.problem == ""
    assert [source.name for source in find_subjects(data)] == ["b"]


def test_a_folder_that_cannot_be_read_fails_alone(torso_writer, tmp_path, monkeypatch):
    data, listed = two_cases(tmp_path, torso_writer), Path.iterdir

    def iterdir(folder: Path):
        if folder.name == "a":
            raise PermissionError(13, "Permission denied")
        return listed(folder)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    assert [(c.name, c.problem) for c in find_cases(data).cases] == [
        ("a", "its folder cannot be read (Permission denied)"), ("b", ""),
    ]  # fmt: skip


def harmed(path: Path, tag_and_vr: bytes) -> None:
    """One byte of a value representation is wrong."""
    content = bytearray(path.read_bytes())
    content[content.index(tag_and_vr, 132) + 5] = 0x7F
    path.write_bytes(content)


@pytest.mark.parametrize("tag_and_vr", [b"\x08\x00\x60\x00CS", b"\x10\x00\x20\x00LO"], ids=["Modality", "PatientID"])
def test_one_byte_in_a_dicom_file_does_not_stop_the_others(torso_writer, tmp_path, tag_and_vr):
    for name in ("Muster_1", "Muster_2"):
        series = torso_writer.series(tmp_path / name / "ct")
        torso_writer.dicom_seg(tmp_path / name / "seg.dcm", series)
    harmed(tmp_path / "Muster_1" / "ct" / "003.dcm", tag_and_vr)
    found = find_cases(tmp_path)
    assert [(c.name, c.problem) for c in found.cases] == [("case_0001", ""), ("case_0002", "")]
    assert found.notes == []
    assert all(len(read_case(case)[0].hu) == len(torso_writer.voxels()) for case in found.cases)
    (tmp_path / "Muster_1" / "ct" / "003.dcm").write_bytes(bytes(128) + b"DICM")
    assert find_cases(tmp_path).notes == [
        "DICOM files that cannot be read were left out: 1 (--keep-identifiers names them)"
    ]
    (note,) = find_cases(tmp_path, keep_identifiers=True).notes
    assert "Muster_1/ct/003.dcm" in note


def test_labels_of_nnunet_mean_the_same_to_all(torso_writer, tmp_path):
    """Regions, the ignore label, and values above 255: to score, to audit and to training."""
    for name in ("c_0000", "d_0000"):
        torso_writer.ct(tmp_path / "imagesTr" / f"{name}.nii.gz")
    voxels = np.array([0, 300, 2], np.uint16)[torso_writer.voxels()]
    voxels[:, :4] = 301
    (tmp_path / "labelsTr").mkdir()
    for name in ("c", "d"):
        write_volume(tmp_path / "labelsTr" / f"{name}.nii.gz", voxels, torso_writer._torso.ijk_to_ras)
    labels = {"background": 0, "abdomen": [2, 300], "liver": [300], "spleen": 2, "ignore": 301}
    (tmp_path / "dataset.json").write_text(json.dumps({"channel_names": {"0": "CT"}, "labels": labels}))
    from QualitySentinelLib.reading import read_ct, read_segmentation

    ct = read_ct(tmp_path / "imagesTr" / "c_0000.nii.gz")
    scored = read_segmentation(tmp_path / "labelsTr" / "c.nii.gz", ct, tmp_path / "dataset.json")
    audited = read_case(find_cases(tmp_path).cases[0])[1]
    for segmentation in (scored, audited):
        assert [(s.id, s.name) for s in segmentation] == [("2", "spleen"), ("300", "liver")]
        assert segmentation.warnings == []
    subject = find_subjects(tmp_path)[0].read()
    counts = {name: int((subject.labels == value).sum()) for value, name in subject.structures.items()}
    assert counts == {s.structure: int(s.areas.sum()) for s in scored}


def test_a_structure_beyond_255_labels_is_read_for_training(torso_writer, tmp_path):
    torso_writer.ct(tmp_path / "a" / "ct.nii.gz")
    voxels = torso_writer.voxels().astype(np.uint16)
    voxels[voxels == 1] = 999
    voxels[0].flat[:400] = np.arange(3, 403)
    write_volume(tmp_path / "a" / "seg.nii.gz", voxels, torso_writer._torso.ijk_to_ras)
    (tmp_path / "labels.json").write_text('{"999": "liver"}')
    subject = find_subjects(tmp_path)[0].read()
    assert subject.structures == {1: "liver"} and (subject.labels == 1).sum() == (voxels == 999).sum()


def test_names_with_digits_that_are_no_numbers(torso_writer, tmp_path):
    for name in ("pt_1²", "pt_٣"):
        torso_writer.ct(tmp_path / name / "ct.nii.gz")
        torso_writer.labels(tmp_path / name / "seg.nii.gz")
    (tmp_path / "labels.json").write_text(NAMES)
    assert [case.name for case in find_cases(tmp_path, "folders").cases] == ["pt_1²", "pt_٣"]
    assert {source.name for source in find_subjects(tmp_path, layout="folders")} == {"pt_1²", "pt_٣"}


def test_a_structure_set_is_a_segmentation_where_there_is_no_seg(torso_writer, tmp_path):
    pytest.importorskip("skimage")
    from pydicom import dcmread
    from pydicom.dataset import Dataset
    from Testing.Python.reading.test_rtstruct import box_contours, write_rtstruct

    series = torso_writer.series(tmp_path / "one" / "ct")
    torso_writer.series(tmp_path / "other" / "ct")
    liver = box_contours(torso_writer._torso.ijk_to_ras, range(4, 10), (5, 14), (8, 20))
    path = write_rtstruct(tmp_path / "one" / "rs.dcm", {"Liver": liver})
    file, frame, study, referred = dcmread(path), Dataset(), Dataset(), Dataset()
    referred.SeriesInstanceUID = dcmread(series[0]).SeriesInstanceUID
    study.RTReferencedSeriesSequence, frame.RTReferencedStudySequence = [referred], [study]
    file.ReferencedFrameOfReferenceSequence = [frame]
    file.save_as(path)
    found = find_cases(tmp_path)
    (case,) = found.cases
    assert (case.ct, case.seg, case.problem) == ("one/ct", "one/rs.dcm", "")
    assert [s.structure for s in read_case(case)[1]] == ["liver"]
    assert found.notes == ["1 CT series without a segmentation left out"]
    torso_writer.dicom_seg(tmp_path / "one" / "seg.dcm", series)
    found = find_cases(tmp_path)
    assert [case.seg for case in found.cases] == ["one/seg.dcm"]
    assert "1 RTSTRUCT objects left out, because there are DICOM SEG objects" in found.notes
