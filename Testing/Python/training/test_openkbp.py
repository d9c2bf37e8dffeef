"""OpenKBP's CSV files as case folders: axes, values, names, and what is refused."""

import nibabel
import numpy as np
import pytest

from QualitySentinelLib.errors import InputError
from QualitySentinelLib.reading import read_ct
from QualitySentinelTrainingLib.subjects import find_subjects
from Research.openkbp import SIDE, convert, patient_folders, read_patient


def _number(posterior, left, inferior):
    return (posterior * SIDE + left) * SIDE + inferior


def _box(posterior, left, inferior):
    return [_number(p, e, f) for p in range(*posterior) for e in range(*left) for f in range(*inferior)]


def _patient(folder, structures, values=1064):
    folder.mkdir(parents=True)
    rows = [f"{number},{float(values)}" for number in _box((30, 90), (20, 100), (10, 40))]
    (folder / "ct.csv").write_text("\n".join([",data", *rows]))
    (folder / "voxel_dimensions.csv").write_text("3.5\n3.5\n2.5\n")
    for name, numbers in structures.items():
        (folder / f"{name}.csv").write_text("\n".join([",data", *(f"{number}," for number in numbers)]))
    return folder


@pytest.fixture
def checkout(tmp_path):
    parotid = _box((50, 55), (80, 86), (20, 24))
    for number in (2, 10):
        _patient(
            tmp_path / "in" / "provided-data" / "train-pats" / f"pt_{number}", {"LeftParotid": parotid, "PTV70": [7]}
        )
    _patient(tmp_path / "in" / "provided-data" / "test-pats" / "pt_3", {"PTV70": parotid})
    return tmp_path / "in"


def test_a_converted_patient_is_read_with_its_left_on_the_left(checkout, tmp_path):
    convert(checkout, tmp_path / "out")
    subject = find_subjects(tmp_path / "out")[0].read()
    assert subject.structures == {1: "parotid gland left"}  # targets are no anatomy
    k, j, i = np.nonzero(subject.labels)
    assert len(i) == 5 * 6 * 4
    right, anterior, superior, _ = subject.ct.frame.ijk_to_ras @ [i.mean(), j.mean(), k.mean(), 1.0]
    np.testing.assert_allclose([right, anterior, superior], [-82.5 * 3.5, -52 * 3.5, -21.5 * 2.5], atol=1e-3)


def test_values_become_hounsfield_units_with_air_around_and_metal_cut(checkout, tmp_path):
    convert(checkout, tmp_path / "out")
    voxels = read_ct(tmp_path / "out" / "pt_2" / "ct.nii.gz").hu
    assert set(np.unique(voxels)) == {-1024, 40}
    hu, _, _ = read_patient(_patient(tmp_path / "pt_9", {}, values=22575))
    assert hu.max() == 3071


def test_patients_come_in_order_and_those_left_out_or_without_structures_are_not_written(checkout, tmp_path):
    assert [folder.name for folder in patient_folders(checkout)] == ["pt_2", "pt_3", "pt_10"]
    written = convert(checkout, tmp_path / "out", leave_out={"pt_10"})
    assert [folder.name for folder in written] == ["pt_2"]
    assert [subject.name for subject in find_subjects(tmp_path / "out")] == ["pt_2"]


def test_a_structure_that_lies_where_no_ct_is_stored_is_left_out(tmp_path):
    outside, half_in = _box((2, 6), (2, 6), (2, 6)), _box((28, 32), (40, 44), (20, 24))
    _, masks, _ = read_patient(_patient(tmp_path / "pt_4", {"Esophagus": outside, "SpinalCord": half_in}))
    assert list(masks) == ["spinal cord"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("ct.csv", ",data\n12,abc\n"),
        ("ct.csv", f",data\n{SIDE**3},5.0\n"),
        ("ct.csv", ",data\n12,nan\n"),
        ("LeftParotid.csv", ",data\n-1,\n"),
        ("voxel_dimensions.csv", "3.5\n3.5\n"),
        ("voxel_dimensions.csv", "3.5\n0\n2.5\n"),
        ("voxel_dimensions.csv", "3.5\nwide\n2.5\n"),
    ],
)
def test_a_damaged_file_is_named_in_one_line(checkout, tmp_path, name, content):
    folder = checkout / "provided-data" / "train-pats" / "pt_2"
    (folder / name).write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=name) as refused:
        convert(checkout, tmp_path / "out")
    assert "\n" not in str(refused.value)


def test_a_folder_that_is_no_checkout_is_refused(tmp_path):
    with pytest.raises(InputError, match="OpenKBP"):
        patient_folders(tmp_path)


def test_the_axes_are_those_of_the_patients_that_were_converted_before(shared, tmp_path):
    known = min((shared / "data" / "openkbp").glob("pt_*"), key=lambda folder: int(folder.name.removeprefix("pt_")))
    image = nibabel.load(known / "ct.nii.gz")
    stored, labels = np.asarray(image.dataobj), np.asarray(nibabel.load(known / "seg.nii.gz").dataobj)
    folder = tmp_path / known.name
    folder.mkdir()
    cube = (stored.astype(int) + 1024).transpose(1, 0, 2).ravel()
    rows = [f"{number},{cube[number]}" for number in np.flatnonzero(cube)]
    (folder / "ct.csv").write_text("\n".join([",data", *rows]))
    (folder / "voxel_dimensions.csv").write_text("\n".join(str(mm) for mm in image.header.get_zooms()))
    cord = np.flatnonzero((labels == 2).transpose(1, 0, 2))
    (folder / "SpinalCord.csv").write_text("\n".join([",data", *(f"{number}," for number in cord)]))
    hu, masks, ijk_to_ras = read_patient(folder)
    np.testing.assert_array_equal(hu, stored)
    np.testing.assert_array_equal(masks["spinal cord"], labels == 2)
    np.testing.assert_allclose(ijk_to_ras, image.affine, atol=1e-5)
