"""What headers say, and leave unsaid: orientation, voxel size, units, data files."""

from __future__ import annotations

import bz2
import struct

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from QualitySentinelLib.errors import InputError
from QualitySentinelLib.reading import read_ct, read_segmentation


def write_nrrd(path, voxels: np.ndarray, *lines: str, encoding: str = "raw"):
    """A NRRD of int16 ``[K, J, I]`` with these header lines besides the necessary ones."""
    data = voxels.astype("<i2").tobytes()
    sizes = " ".join(str(n) for n in voxels.shape[::-1])
    head = [
        "NRRD0005",
        "type: short",
        "dimension: 3",
        f"sizes: {sizes}",
        "endian: little",
        f"encoding: {encoding}",
        *lines,
    ]
    content = bz2.compress(data) if encoding == "bzip2" else data
    path.write_bytes("\n".join(head).encode("latin-1") + b"\n\n" + content)
    return path


def geometry(affine: np.ndarray, unit_mm: float = 1.0) -> list[str]:
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine / unit_mm
    vectors = [f"({','.join(f'{v:.9g}' for v in lps[:3, n])})" for n in range(4)]
    return [
        "space: left-posterior-superior",
        f"space directions: {' '.join(vectors[:3])}",
        f"space origin: {vectors[3]}",
    ]


@pytest.fixture(params=["qform and sform of 0", "NRRD without space", "MHA without matrix"])
def a_silent_ct(request, a_torso, tmp_path):
    """A CT whose header does not say how the patient lies, and what it says instead."""
    if request.param.startswith("q"):
        image = nibabel.Nifti1Image(a_torso.hu.T.copy(), a_torso.ijk_to_ras)
        image.set_sform(a_torso.ijk_to_ras, 0)
        image.set_qform(a_torso.ijk_to_ras, 0)
        nibabel.save(image, tmp_path / "ct.nii.gz")
        return tmp_path / "ct.nii.gz", "left, front and head and voxels of 6 x 6 x 5 mm"
    if request.param.startswith("N"):
        return write_nrrd(tmp_path / "ct.nrrd", a_torso.hu), "left, back and head and voxels of 1 x 1 x 1 mm"
    head = "ObjectType = Image\nNDims = 3\nDimSize = 48 32 20\nElementType = MET_SHORT\nElementDataFile = LOCAL\n"
    (tmp_path / "ct.mha").write_bytes(head.encode() + a_torso.hu.astype("<i2").tobytes())
    return tmp_path / "ct.mha", "left, back and head and voxels of 1 x 1 x 1 mm"


def test_a_header_that_does_not_say_how_the_patient_lies_gives_a_warning(a_silent_ct):
    path, assumed = a_silent_ct
    (warning,) = read_ct(path).warnings
    assert str(path) in warning
    assert assumed in warning
    assert "left and right may be swapped" in warning


def test_a_header_that_says_two_things_of_how_the_patient_lies_gives_a_warning(a_torso, tmp_path):
    image = nibabel.Nifti1Image(a_torso.hu.T.copy(), a_torso.ijk_to_ras)
    image.set_qform(np.diag([-1, 1, 1, 1]) @ a_torso.ijk_to_ras, 1)
    image.set_sform(a_torso.ijk_to_ras, 1)
    nibabel.save(image, tmp_path / "ct.nii.gz")
    ct = read_ct(tmp_path / "ct.nii.gz")
    assert np.array_equal(ct.hu, a_torso.hu)
    assert "(sform LPS, qform RPS); the sform was used" in ct.warnings[0]


def test_a_folder_of_masks_without_orientation_gives_one_warning(a_torso, tmp_path):
    ct = read_ct(write_nrrd(tmp_path / "ct.nrrd", a_torso.hu))
    (tmp_path / "masks").mkdir()
    for value, name in a_torso.names.items():
        write_nrrd(tmp_path / "masks" / f"{name}.nrrd", a_torso.labels == value)
    seg = read_segmentation(tmp_path / "masks", ct)
    assert len([w for w in seg.warnings if "left and right may be swapped" in w]) == 1


@pytest.mark.parametrize(("unit", "millimetres"), [("m", 1000), ("cm", 10), ("um", 0.001), ("mm", 1)])
def test_the_unit_of_a_nrrd_is_honored(a_torso, tmp_path, unit, millimetres):
    lines = [*geometry(a_torso.ijk_to_ras, millimetres), f'space units: "{unit}" "{unit}" "{unit}"']
    ct = read_ct(write_nrrd(tmp_path / "ct.nrrd", a_torso.hu, *lines))
    assert np.allclose(ct.frame.ijk_to_ras, a_torso.ijk_to_ras, atol=1e-3)
    assert ct.warnings == []


@pytest.mark.parametrize(("code", "scale", "says"), [(1, 1e-3, ""), (3, 1e3, ""), (3, 1.0, "mm was assumed")])
def test_the_unit_of_a_nifti_is_honored_where_it_can_be_right(a_torso, write_volume, tmp_path, code, scale, says):
    affine = np.diag([scale, scale, scale, 1.0]) @ a_torso.ijk_to_ras
    path = write_volume(tmp_path / "ct.nii", a_torso.hu, affine)
    content = bytearray(path.read_bytes())
    struct.pack_into("<b", content, 123, code)
    path.write_bytes(content)
    ct = read_ct(path)
    assert np.allclose(ct.frame.ijk_to_ras, a_torso.ijk_to_ras, atol=1e-3)
    assert says in " ".join(ct.warnings)
    assert bool(ct.warnings) == bool(says)


def test_a_nrrd_with_a_line_in_latin_1_is_read(a_torso, tmp_path):
    ct = read_ct(write_nrrd(tmp_path / "ct.nrrd", a_torso.hu, *geometry(a_torso.ijk_to_ras), "Größe:=12"))
    assert np.array_equal(ct.hu, a_torso.hu)
    assert ct.warnings == []


def refused(capfd, path) -> str:
    capfd.readouterr()
    with pytest.raises(InputError) as caught:
        read_ct(path)
    assert capfd.readouterr() == ("", "")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_unknown_compression_is_named(capfd, a_torso, tmp_path):
    path = write_nrrd(tmp_path / "ct.nrrd", a_torso.hu, *geometry(a_torso.ijk_to_ras), encoding="bzip2")
    assert "ct.nrrd: is compressed with bzip2" in refused(capfd, path)


@pytest.mark.parametrize("suffix", [".nhdr", ".mhd"])
def test_a_missing_or_truncated_data_file_is_named(capfd, a_torso, tmp_path, suffix):
    path = tmp_path / f"ct{suffix}"
    sitk.WriteImage(sitk.GetImageFromArray(a_torso.hu), str(path))
    (data,) = [p for p in tmp_path.iterdir() if p != path]
    data.write_bytes(data.read_bytes()[:1000])
    assert ("ct.raw: ends too early" if suffix == ".mhd" else "ct.nhdr: is truncated") in refused(capfd, path)
    data.unlink()
    assert f"ct{suffix}: its data file {data.name} is missing" in refused(capfd, path)


@pytest.mark.parametrize("lost", ["NDims", "DimSize", "ElementType", "ElementDataFile"])
def test_a_metaimage_that_lacks_a_field_is_refused_without_its_librarys_own_lines(capfd, a_torso, tmp_path, lost):
    sitk.WriteImage(sitk.GetImageFromArray(a_torso.hu), str(tmp_path / "ct.mha"))
    content = (tmp_path / "ct.mha").read_bytes()
    (tmp_path / "ct.mha").write_bytes(content.replace(lost.encode(), b"X" + lost[1:].encode(), 1))
    assert "ct.mha: " in refused(capfd, tmp_path / "ct.mha")


def test_a_header_that_puts_voxels_beyond_all_scanners_is_refused_without_numpys_remarks(
    capfd, a_torso, write_volume, tmp_path
):
    for far in (1e20, 1e200):
        affine = a_torso.ijk_to_ras.copy()
        affine[0, 0] = far
        image = nibabel.Nifti2Image(a_torso.hu.T.copy(), None)
        image.set_sform(affine, 1)
        nibabel.save(image, tmp_path / "ct.nii")
        assert "no valid position in space" in refused(capfd, tmp_path / "ct.nii")


def test_an_mgz_is_read(a_torso, tmp_path):
    nibabel.save(nibabel.MGHImage(a_torso.hu.T.copy(), a_torso.ijk_to_ras), tmp_path / "ct.mgz")
    nibabel.save(nibabel.MGHImage(a_torso.labels.T.copy(), a_torso.ijk_to_ras), tmp_path / "seg.mgz")
    ct = read_ct(tmp_path / "ct.mgz")
    assert np.array_equal(ct.hu, a_torso.hu)
    assert np.allclose(ct.frame.ijk_to_ras, a_torso.ijk_to_ras, atol=1e-4)
    assert ct.warnings == []
    seg = read_segmentation(tmp_path / "seg.mgz", ct, {"1": "liver", "2": "spleen"})
    assert [np.count_nonzero(s.voxels()) for s in seg] == [(a_torso.labels == v).sum() for v in (1, 2)]
