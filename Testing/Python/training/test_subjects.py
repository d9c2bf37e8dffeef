"""Finding subjects, and keeping those trained on apart from those tested on."""

from pathlib import Path

import nibabel
import numpy as np
import pytest

from QualitySentinelLib.datasets.predictions import masks_beside
from QualitySentinelLib.errors import InputError, UsageError
from QualitySentinelTrainingLib.candidates import candidates_of
from QualitySentinelTrainingLib.phantom import FIRST_UNSEEN_SEED
from QualitySentinelTrainingLib.subjects import (
    PHANTOM_SEEDS,
    SubjectSource,
    check_names,
    find_subjects,
    phantom_sources,
)


def write_image(path, array, affine):
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(np.ascontiguousarray(array.T), affine), path)


def test_no_phantom_is_in_two_parts():
    seeds = [seed for part in PHANTOM_SEEDS.values() for seed in part]
    assert len(seeds) == len(set(seeds))
    assert min(PHANTOM_SEEDS["test"]) >= FIRST_UNSEEN_SEED
    assert max(PHANTOM_SEEDS["train"]) < FIRST_UNSEEN_SEED


@pytest.mark.shared_data
def test_a_real_subject_is_read_with_its_structures(shared):
    subject = find_subjects(shared / "data" / "openkbp")[0].read()
    assert set(subject.structures.values()) <= {
        "brainstem", "spinal cord", "parotid gland right", "parotid gland left", "esophagus", "larynx", "mandible",
    }  # fmt: skip
    assert len(subject.structures) >= 3
    for value in subject.structures:
        assert (subject.labels == value).any()


@pytest.mark.shared_data
def test_the_real_data_sets_are_found_and_two_parts_of_one_person_are_known_as_such(shared):
    here = Path(__file__).resolve().parents[3] / "QualitySentinelTraining" / "Research"
    found = find_subjects(shared / "data" / "openkbp") + find_subjects(here / "TotalSegmentator.csv")
    check_names(found)
    assert sum(s.source == "OpenKBP" for s in found) == 160
    others = {s.name: s.patient for s in found if s.source == "TotalSegmentator"}
    assert len(others) == 3 and len(set(others.values())) == 2
    cta = [s.read() for s in found if s.patient == "totalsegmentator_cta"]
    assert {s.patient for s in cta} == {"totalsegmentator_cta"}
    assert {"aorta", "pulmonary artery"} <= {name for s in cta for name in s.structures.values()}


def test_cases_with_one_file_per_structure_or_a_label_map_are_found(a_torso, tmp_path):
    for case in ("s2", "s10"):
        write_image(tmp_path / case / "ct.nii.gz", a_torso.hu, a_torso.ijk_to_ras)
    for value, name in a_torso.names.items():
        mask = (a_torso.labels == value).astype(np.uint8)
        write_image(tmp_path / "s2" / "segmentations" / f"{name}.nii.gz", mask, a_torso.ijk_to_ras)
    write_image(tmp_path / "s10" / "label.nii.gz", a_torso.labels, a_torso.ijk_to_ras)
    (tmp_path / "labels.json").write_text('{"1": "liver", "2": "spleen"}')
    (tmp_path / "no case").mkdir()
    found = find_subjects(tmp_path, source="Our hospital")
    assert [s.name for s in found] == ["s2", "s10"]
    for subject in (s.read() for s in found):
        assert set(subject.structures.values()) == {"liver", "spleen"}
        assert subject.source == "Our hospital"
        assert subject.patient == subject.name


@pytest.mark.parametrize("name", ["seg.nii", "labels.nii.gz", "Segmentation.nii.gz"])
def test_a_label_map_may_have_any_of_its_usual_names(a_torso, tmp_path, name):
    write_image(tmp_path / "s1" / "ct.nii.gz", a_torso.hu, a_torso.ijk_to_ras)
    write_image(tmp_path / "s1" / name, a_torso.labels, a_torso.ijk_to_ras)
    (tmp_path / "dataset.json").write_text('{"labels": {"background": 0, "liver": 1, "spleen": 2}}')
    assert set(find_subjects(tmp_path)[0].read().structures.values()) == {"liver", "spleen"}


def test_several_cts_of_one_person_in_the_layout_of_nnunet(a_torso, tmp_path):
    for case in ("AutoPET_0a_1", "AutoPET_0a_2", "AutoPET_0b_1"):
        write_image(tmp_path / "imagesTr" / f"{case}_0000.nii.gz", a_torso.hu, a_torso.ijk_to_ras)
        write_image(tmp_path / "labelsTr" / f"{case}.nii.gz", a_torso.labels, a_torso.ijk_to_ras)
    (tmp_path / "dataset.json").write_text('{"labels": {"background": 0, "liver": 1, "spleen": 2}}')
    found = find_subjects(tmp_path, patient="AutoPET_([0-9a-f]+)")
    assert {s.name: s.patient for s in found} == {"AutoPET_0a_1": "0a", "AutoPET_0a_2": "0a", "AutoPET_0b_1": "0b"}
    subject = found[0].read()
    assert subject.patient == "0a" and set(subject.structures.values()) == {"liver", "spleen"}
    for wrong in ("(", "AutoPET", "(nobody)"):
        with pytest.raises(UsageError, match="--patient"):
            find_subjects(tmp_path, patient=wrong)


def test_the_published_layout_comes_with_its_masks(a_torso, tmp_path):
    folder = tmp_path / "train" / "scan1"
    write_image(folder / "ct.nii.gz", a_torso.hu, a_torso.ijk_to_ras)
    write_image(folder / "label.nii.gz", np.where(a_torso.labels == 1, 13, 0).astype(np.uint8), a_torso.ijk_to_ras)
    mask = (a_torso.labels == 1).astype(np.uint8)
    write_image(folder / "class_13" / "epoch_50.nii.gz", mask, a_torso.ijk_to_ras)
    (source,) = find_subjects(tmp_path)
    subject, skipped = source.read(), []
    assert list(subject.structures.values()) == ["liver"]
    (mask,) = masks_beside(source.folder)
    assert [c.stage for c in candidates_of(mask, subject, skipped)] == [50] and skipped == []


def test_no_name_of_a_data_set_passes_its_subjects_for_made_ones(a_torso, tmp_path):
    write_image(tmp_path / "A, 2020" / "s1" / "ct.nii.gz", a_torso.hu, a_torso.ijk_to_ras)
    write_image(tmp_path / "A, 2020" / "s1" / "label.nii.gz", a_torso.labels, a_torso.ijk_to_ras)
    assert "," not in find_subjects(tmp_path / "A, 2020")[0].source
    with pytest.raises(UsageError, match="without a comma"):
        find_subjects(tmp_path / "A, 2020", source="Hospital, Berlin")


def test_a_folder_without_subjects_is_refused_with_the_layouts_that_are_known(tmp_path):
    with pytest.raises(UsageError, match=f"{tmp_path}: could not detect the data set's layout .*folders"):
        find_subjects(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        find_subjects(tmp_path / "gone")


def test_two_subjects_of_one_name_are_refused():
    twice = SubjectSource("pt_1", "pt_1", "Other", None)
    with pytest.raises(UsageError, match="pt_1.*twice"):
        check_names([twice, *phantom_sources([0, 1]), twice])
