"""The data layout of the published Quality Sentinel is read."""

import nibabel
import numpy as np
import pytest

from QualitySentinelLib.datasets.predictions import masks_beside
from QualitySentinelTrainingLib.candidates import candidates_of
from QualitySentinelTrainingLib.subjects import find_subjects


@pytest.fixture
def a_sample(a_torso, tmp_path):
    """``train/s1`` with liver (13) and spleen (26), three masks of the liver, and things to leave out."""
    folder = tmp_path / "train" / "s1"

    def save(name, array):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        nibabel.save(nibabel.Nifti1Image(np.ascontiguousarray(array.T), a_torso.ijk_to_ras), path)

    save("ct.nii.gz", a_torso.hu)
    save("label.nii.gz", np.array([0, 13, 26], np.uint8)[a_torso.labels])
    liver = (a_torso.labels == 1).astype(np.uint8)
    save("class_13/epoch_10.nii.gz", np.roll(liver, 2, axis=2))
    save("class_13/epoch_20.nii.gz", liver)
    save("class_13/epoch_30.nii.gz", np.zeros_like(liver))
    save("class_6/epoch_10.nii.gz", liver)  # the reference has no esophagus
    save("class_999/epoch_10.nii.gz", liver)
    (folder / "class_26").mkdir()
    (folder / "class_26" / "epoch_10.nii.gz").write_bytes(b"damaged")
    return folder


def _read(sample):
    """The subject, its masks and what was left out."""
    (source,) = find_subjects(sample.parents[1])
    subject, skipped = source.read(), []
    assert source.with_masks
    return subject, [c for mask in masks_beside(source.folder) for c in candidates_of(mask, subject, skipped)], skipped


def test_masks_come_with_their_subject_class_and_stage(a_sample, a_torso):
    subject, candidates, _ = _read(a_sample)
    assert set(subject.structures.values()) == {"liver", "spleen"}
    assert [candidate.stage for candidate in candidates] == [10, 20, 30]
    assert {subject.structures[candidate.value] for candidate in candidates} == {"liver"}
    moved, perfect, empty = candidates
    box = tuple(slice(c, c + n) for c, n in zip(perfect.corner, perfect.mask.shape, strict=True))
    np.testing.assert_array_equal(perfect.mask, (subject.labels == perfect.value)[box])
    assert moved.corner[2] == perfect.corner[2] + 2
    assert not empty.mask.any()


def test_what_cannot_be_used_is_named(a_sample):
    skipped = _read(a_sample)[2]
    assert len(skipped) == 2
    for part in ("class_999", "class_26"):
        assert sum(part in line for line in skipped) == 1


def test_a_sample_without_a_reference_is_named_and_left_out(a_sample, capsys):
    other = a_sample.with_name("s2")
    other.mkdir()
    (other / "ct.nii.gz").write_bytes((a_sample / "ct.nii.gz").read_bytes())
    assert [source.name for source in find_subjects(a_sample.parents[1])] == ["s1"]
    assert "1 of 2 cases left out (train/s2: has no segmentation" in capsys.readouterr().err


def test_the_cts_of_one_person_are_kept_together(a_sample):
    found = find_subjects(a_sample.parents[1], patient="(s)")
    assert [(source.name, source.patient) for source in found] == [("s1", "s")]
    assert found[0].read().patient == "s"
    assert found[0].with_masks and found[0].folder == a_sample
