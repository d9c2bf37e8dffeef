"""Input that cannot be read: one line that names the file and says what to do."""

from __future__ import annotations

import gzip
import json
import struct

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from QualitySentinelLib.errors import InputError, MismatchError, QualitySentinelError, UsageError
from QualitySentinelLib.reading import read_ct, read_segmentation


def assert_refused(capfd, call, kind: type[QualitySentinelError], *words: str) -> None:
    """The call raises ``kind`` with one line that holds ``words``, and prints nothing itself."""
    with pytest.raises(kind) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text
    assert "; " in text or kind is UsageError, "no remedy"
    for word in words:
        assert word in text
    printed = capfd.readouterr()
    assert (printed.out, printed.err) == ("", "")


@pytest.mark.parametrize("name", ["missing.nii.gz", "missing.nrrd", "missing folder"])
def test_a_missing_file_is_named(capfd, tmp_path, name, a_ct):
    assert_refused(capfd, lambda: read_ct(tmp_path / name), InputError, name, "no such file")
    assert_refused(capfd, lambda: read_segmentation(tmp_path / name, a_ct), InputError, name, "no such file")


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".mha"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.98])
def test_a_truncated_file_is_refused(capfd, a_torso, write_volume, tmp_path, suffix, share):
    path = write_volume(tmp_path / f"cut{suffix}", a_torso.hu, a_torso.ijk_to_ras)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    assert_refused(capfd, lambda: read_ct(path), InputError, path.name, "again")


@pytest.mark.parametrize("share", [0.5, 0.98])
def test_a_truncated_metaimage_is_refused_where_it_is_not_compressed_too(capfd, a_torso, tmp_path, share):
    sitk.WriteImage(sitk.GetImageFromArray(a_torso.hu), str(tmp_path / "cut.mha"), useCompression=False)
    whole = (tmp_path / "cut.mha").read_bytes()
    assert read_ct(tmp_path / "cut.mha").hu.shape == a_torso.hu.shape
    (tmp_path / "cut.mha").write_bytes(whole[: int(len(whole) * share)])
    assert_refused(capfd, lambda: read_ct(tmp_path / "cut.mha"), InputError, "cut.mha", "truncated")


@pytest.mark.parametrize(
    "change", [(40, "<8h", (9, 48, 32, 20, 1, 1, 1, 1)), (108, "<f", (np.nan,)), (70, "<h", (77,))]
)
def test_a_damaged_nifti_header_is_refused_without_nibabels_own_remarks(capfd, a_torso, write_volume, tmp_path, change):
    path = write_volume(tmp_path / "ct.nii", a_torso.hu, a_torso.ijk_to_ras)
    content = bytearray(path.read_bytes())
    place, layout, values = change
    struct.pack_into(layout, content, place, *values)
    path.write_bytes(content)
    assert_refused(capfd, lambda: read_ct(path), InputError, "ct.nii", "again")


def test_voxels_of_a_thousandth_of_a_millimetre_are_refused(capfd, a_torso, write_volume, tmp_path):
    in_metres = a_torso.ijk_to_ras.copy()
    in_metres[:3] /= 1000
    path = write_volume(tmp_path / "ct.nii.gz", a_torso.hu, in_metres)
    assert_refused(capfd, lambda: read_ct(path), InputError, "ct.nii.gz", "0.006 x 0.006 x 0.005 mm")


def test_a_flipped_bit_in_a_compressed_file_is_noticed(capfd, a_torso, write_volume, tmp_path):
    path = write_volume(tmp_path / "ct.nii.gz", a_torso.hu, a_torso.ijk_to_ras)
    content = bytearray(path.read_bytes())
    content[-6] ^= 0xFF  # the checksum
    path.write_bytes(content)
    assert_refused(capfd, lambda: read_ct(path), InputError, "ct.nii.gz", "again")


@pytest.mark.parametrize("name", ["ct.nii.gz", "ct.nii", "ct.nrrd", "ct.mha", "ct.dcm", "ct.txt"])
@pytest.mark.parametrize("content", [b"", b"hello, I am not an image", b"\0" * 4000])
def test_a_file_that_is_no_image_is_refused(capfd, tmp_path, name, content):
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") and content else content)
    assert_refused(capfd, lambda: read_ct(tmp_path / name), InputError, name)


def test_a_2d_image_is_refused(capfd, a_torso, tmp_path):
    nibabel.save(nibabel.Nifti1Image(a_torso.hu[8].T.copy(), a_torso.ijk_to_ras), tmp_path / "flat.nii.gz")
    assert_refused(capfd, lambda: read_ct(tmp_path / "flat.nii.gz"), InputError, "flat.nii.gz", "2D", "48 x 32")
    sitk.WriteImage(sitk.GetImageFromArray(a_torso.labels[8]), str(tmp_path / "flat.png"))
    assert_refused(capfd, lambda: read_ct(tmp_path / "flat.png"), InputError, "flat.png", "2D")


def test_a_4d_image_is_refused(capfd, a_torso, a_ct, tmp_path):
    series = np.stack([a_torso.hu.T, a_torso.hu.T], axis=-1)
    nibabel.save(nibabel.Nifti1Image(series, a_torso.ijk_to_ras), tmp_path / "four.nii.gz")
    assert_refused(capfd, lambda: read_ct(tmp_path / "four.nii.gz"), InputError, "four.nii.gz", "4D")
    assert_refused(capfd, lambda: read_segmentation(tmp_path / "four.nii.gz", a_ct), InputError, "4D")


def test_complex_and_color_images_are_refused(capfd, a_torso, tmp_path):
    nibabel.save(nibabel.Nifti1Image(a_torso.hu.T.astype(np.complex64), np.eye(4)), tmp_path / "complex.nii.gz")
    assert_refused(capfd, lambda: read_ct(tmp_path / "complex.nii.gz"), InputError, "complex")
    color = sitk.GetImageFromArray(np.zeros((3, 4, 5, 3), np.uint8), isVector=True)
    sitk.WriteImage(color, str(tmp_path / "color.nrrd"))
    assert_refused(capfd, lambda: read_ct(tmp_path / "color.nrrd"), InputError, "color.nrrd", "3 values")


def test_a_header_without_a_valid_place_in_space_is_refused(capfd, a_torso, tmp_path):
    image = nibabel.Nifti1Image(a_torso.hu.T.copy(), None)
    image.header["sform_code"] = 1
    for row in ("srow_x", "srow_y", "srow_z"):
        image.header[row] = 0
    with open(tmp_path / "nowhere.nii", "wb") as stream:
        stream.write(image.header.binaryblock + b"\0" * 4 + a_torso.hu.tobytes())
    assert_refused(capfd, lambda: read_ct(tmp_path / "nowhere.nii"), InputError, "nowhere.nii")


@pytest.mark.parametrize("kind", ["screenshot", "0..1", "mask"])
def test_a_ct_that_is_not_in_hu_is_refused(capfd, a_torso, write_volume, tmp_path, kind):
    voxels = {
        "screenshot": np.clip((a_torso.hu + 160) / 400 * 255, 0, 255).astype(np.uint8),
        "0..1": np.clip((a_torso.hu + 1000) / 2000, 0, 1).astype(np.float32),
        "mask": a_torso.labels,
    }[kind]
    path = write_volume(tmp_path / "ct.nii.gz", voxels, a_torso.ijk_to_ras)
    assert_refused(capfd, lambda: read_ct(path), InputError, "ct.nii.gz", "Hounsfield")


def test_nan_voxels_of_a_ct_are_replaced_and_reported(a_torso, write_volume, tmp_path):
    broken = a_torso.hu.astype(np.float32)
    broken[3, 4, 5:9] = [np.nan, np.inf, -np.inf, np.nan]
    ct = read_ct(write_volume(tmp_path / "ct.nii.gz", broken, a_torso.ijk_to_ras))
    assert np.isfinite(ct.hu).all()
    assert "ct.nii.gz: 4 voxels" in ct.warnings[0]


def test_a_segmentation_elsewhere_in_space_is_refused(capfd, a_torso, a_ct, write_volume, tmp_path):
    moved = a_torso.ijk_to_ras.copy()
    moved[:3, 3] += 1000
    path = write_volume(tmp_path / "seg.nii.gz", a_torso.labels, moved)
    assert_refused(capfd, lambda: read_segmentation(path, a_ct), MismatchError, "seg.nii.gz", "1732 mm")


def test_a_segmentation_whose_masks_miss_the_ct_is_refused(capfd, a_torso, a_ct, write_volume, tmp_path):
    moved = a_torso.ijk_to_ras.copy()
    moved[2, 3] += 90  # the grids overlap by two slices, the organs do not
    path = write_volume(tmp_path / "seg.nii.gz", a_torso.labels, moved)
    assert_refused(capfd, lambda: read_segmentation(path, a_ct), MismatchError, "seg.nii.gz", "outside")


def test_the_ct_given_as_segmentation_is_recognised(capfd, a_torso, a_ct, write_volume, tmp_path):
    path = write_volume(tmp_path / "ct.nii.gz", a_torso.hu, a_torso.ijk_to_ras)
    assert_refused(capfd, lambda: read_segmentation(path, a_ct), InputError, "looks like a CT")
    path = write_volume(
        tmp_path / "raw.nii.gz", np.arange(a_torso.hu.size, dtype=np.int32).reshape(a_torso.hu.shape) % 5000, np.eye(4)
    )
    assert_refused(capfd, lambda: read_segmentation(path, a_ct), InputError, "looks like an image")


def test_fractional_and_negative_labels_are_refused(capfd, a_torso, a_ct, write_volume, tmp_path):
    path = write_volume(tmp_path / "f.nii.gz", a_torso.labels * np.float32(0.7), a_torso.ijk_to_ras)
    assert_refused(capfd, lambda: read_segmentation(path, a_ct), InputError, "f.nii.gz", "fractional")
    path = write_volume(tmp_path / "n.nii.gz", -(a_torso.labels.astype(np.int8)), a_torso.ijk_to_ras)
    assert_refused(capfd, lambda: read_segmentation(path, a_ct), InputError, "n.nii.gz", "negative")


def test_endless_labels_are_refused(capfd, a_torso, a_ct, write_volume, tmp_path):
    path = write_volume(tmp_path / "seg.nii.gz", a_torso.labels * np.float32(1e30), a_torso.ijk_to_ras)
    assert_refused(capfd, lambda: read_segmentation(path, a_ct), InputError, "seg.nii.gz", "2e+30")


BAD_NAMES = ["", "{", "[1, 2]", "3", '{"1": 2.5}', '{"1": ""}', "{}", "\ufeff{]", '{"1": ' + "9" * 5000 + "}"]


@pytest.mark.parametrize("content", [*BAD_NAMES, '{"1": "liver", "1": "spleen"}'])
def test_a_bad_names_file_is_named(capfd, a_ct, a_case_on_disk, content):
    a_case_on_disk.names.write_text(content, encoding="utf-8")
    assert_refused(
        capfd, lambda: read_segmentation(a_case_on_disk.seg, a_ct, a_case_on_disk.names), UsageError, "names.json"
    )


def test_unknown_presets_and_missing_names_files_list_what_there_is(capfd, a_ct, a_case_on_disk):
    for names in ("totalsegmentatr", "nothing.json"):
        assert_refused(
            capfd, lambda names=names: read_segmentation(a_case_on_disk.seg, a_ct, names), UsageError, names, "btcv"
        )


def test_a_segment_that_does_not_exist_is_named(capfd, a_ct, a_case_on_disk):
    def read():
        read_segmentation(a_case_on_disk.seg, a_ct, a_case_on_disk.names, segments=["liver", "heart"])

    assert_refused(capfd, read, UsageError, "'heart'", "label 1")


def test_an_empty_folder_is_refused(capfd, tmp_path, a_ct):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text(json.dumps({}))
    assert_refused(capfd, lambda: read_ct(tmp_path / "empty"), InputError, "empty", "no DICOM")
    assert_refused(capfd, lambda: read_segmentation(tmp_path / "empty", a_ct), InputError, "empty")


def test_a_damaged_mask_in_a_folder_is_named(capfd, a_torso, a_ct, write_volume, tmp_path):
    (tmp_path / "masks").mkdir()
    path = write_volume(tmp_path / "masks" / "liver.nii.gz", (a_torso.labels == 1).astype(np.uint8), a_torso.ijk_to_ras)
    path.write_bytes(path.read_bytes()[:200])
    assert_refused(capfd, lambda: read_segmentation(tmp_path / "masks", a_ct), InputError, "liver.nii.gz")
