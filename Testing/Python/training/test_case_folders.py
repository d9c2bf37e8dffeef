"""Subjects from case folders: which voxels belong to whom, and what is refused."""

import nibabel
import numpy as np
import pytest

from QualitySentinelLib.datasets import Case
from QualitySentinelLib.errors import InputError
from QualitySentinelTrainingLib.subjects import Subject, read_subject

AFFINE = np.diag([-2.0, -2.0, -3.0, 1.0])
SHAPE = (16, 14, 12)


def _save(path, voxels):
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(voxels, AFFINE), path)


def _case(folder, masks):
    hu = np.random.default_rng(3).normal(40, 20, SHAPE).astype(np.int16)
    hu[:2] = -1000
    _save(folder / "ct.nii.gz", hu)
    (folder / "segmentations").mkdir()
    for name, box in masks.items():
        mask = np.zeros(SHAPE, np.uint8)
        mask[box] = 1
        _save(folder / "segmentations" / f"{name}.nii.gz", mask)
    return folder


def read_case(folder, source) -> Subject:
    return read_subject(Case(folder.name, "ct.nii.gz", "segmentations", root=folder), source)


def _voxels(subject, structure):
    value = next(value for value, name in subject.structures.items() if name == structure)
    return subject.labels == value


def test_smaller_structures_win_whatever_the_order_of_their_names(tmp_path):
    small, large = np.s_[6:8, 6:8, 6:8], np.s_[4:12, 4:12, 4:12]
    for case, masks in (
        ("a", {"adrenal_gland_left": small, "kidney_left": large}),
        ("b", {"spleen": small, "kidney_left": large}),
    ):
        subject = read_case(_case(tmp_path / case, masks), "TotalSegmentator")
        inner = next(name for name in subject.structures.values() if name != "kidney left")
        assert _voxels(subject, inner).sum() == 8
        assert _voxels(subject, "kidney left").sum() == 8**3 - 8
        assert (subject.name, subject.patient, subject.source) == (case, case, "TotalSegmentator")


def test_the_masks_lie_on_the_ct(tmp_path):
    subject = read_case(_case(tmp_path / "one", {"liver": np.s_[3:9, 2:5, 1:3]}), "here")
    k, j, i = np.nonzero(_voxels(subject, "liver"))
    world = subject.ct.frame.ijk_to_ras @ np.stack([i, j, k, np.ones_like(i)])
    middle = AFFINE @ [5.5, 3.0, 1.5, 1.0]
    assert subject.labels.shape == subject.ct.frame.shape
    np.testing.assert_allclose(world.mean(axis=1), middle, atol=1e-4)


def test_what_is_no_known_structure_or_empty_is_left_out(tmp_path):
    box = np.s_[3:9, 2:5, 1:3]
    folder = _case(tmp_path / "one", {"liver": box, "gtv_boost": box, "spleen": np.s_[0:0, 0:0, 0:0]})
    assert list(read_case(folder, "here").structures.values()) == ["liver"]


@pytest.mark.parametrize(
    ("masks", "said"),
    [
        ({}, "mask"),
        ({"boost": np.s_[1:3, 1:3, 1:3]}, "known structure"),
        ({"urinary_bladder": np.s_[1:3, 1:3, 1:3], "bladder": np.s_[1:3, 1:3, 1:3]}, "both bladder"),
    ],
)
def test_a_case_that_cannot_be_trained_on_is_refused_in_one_line(tmp_path, masks, said):
    folder = _case(tmp_path / "one", masks)
    with pytest.raises(InputError, match=said) as refused:
        read_case(folder, "here")
    assert str(folder) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_case_without_a_ct_is_refused(tmp_path):
    folder = _case(tmp_path / "one", {"liver": np.s_[3:9, 2:5, 1:3]})
    (folder / "ct.nii.gz").unlink()
    with pytest.raises(InputError, match="ct.nii.gz"):
        read_case(folder, "here")
