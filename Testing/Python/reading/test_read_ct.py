"""Reading a CT from a file."""

from __future__ import annotations

from itertools import permutations, product

import nibabel
import numpy as np
import pytest

from QualitySentinelLib.reading import read_ct, read_segmentation

FLIPS = list(product((False, True), repeat=3))
ORDERS = [((0, 1, 2), f) for f in FLIPS] + [(p, (False, True, False)) for p in permutations(range(3)) if p[0] != 0]


def reordered(array: np.ndarray, affine: np.ndarray, permutation, flips) -> tuple[np.ndarray, np.ndarray]:
    """The same volume with its axes permuted and flipped, and its affine."""
    matrix = np.zeros((4, 4))
    matrix[3, 3] = 1
    for new, old in enumerate(permutation):
        matrix[2 - old, 2 - new] = -1 if flips[new] else 1
        matrix[2 - old, 3] = array.shape[old] - 1 if flips[new] else 0
    turned = np.transpose(array, permutation)
    return turned[tuple(slice(None, None, -1 if f else 1) for f in flips)], affine @ matrix


@pytest.mark.parametrize(("permutation", "flips"), ORDERS)
def test_one_case_in_any_orientation_is_read_as_the_same_case(a_torso, write_volume, tmp_path, permutation, flips):
    number = FLIPS.index(flips) + permutation[0]
    suffix = (".nii.gz", ".nrrd", ".mha", ".nii")[number % 4]
    ct_type, seg_type = ((np.int16, np.uint8), (np.float32, np.float32), (np.int32, np.int16))[number % 3]
    hu, affine = reordered(a_torso.hu.astype(ct_type), a_torso.ijk_to_ras, permutation, flips)
    labels, _ = reordered(a_torso.labels.astype(seg_type), a_torso.ijk_to_ras, permutation, flips)
    ct = read_ct(write_volume(tmp_path / f"ct{suffix}", hu, affine))
    seg = read_segmentation(write_volume(tmp_path / f"seg{suffix}", labels, affine), ct, {"1": "liver", "2": "spleen"})
    assert np.array_equal(ct.hu, a_torso.hu)
    assert ct.hu.dtype == np.int16
    assert np.allclose(ct.frame.ijk_to_ras, a_torso.ijk_to_ras, atol=1e-4)
    assert [s.structure for s in seg] == ["liver", "spleen"]
    assert not ct.warnings
    assert not seg.warnings
    axial = permutation.index(0)
    for value, segment in enumerate(seg, start=1):
        assert np.array_equal(segment.voxels(), a_torso.labels[segment.box] == value)
        in_file = np.flatnonzero((labels == value).any(axis=tuple(a for a in range(3) if a != axial)))
        assert sorted(ct.frame.file_slice(k) for k in segment.occupied_slices()) == in_file.tolist()
        first = segment.occupied_slices()[0]
        assert ct.frame.position_mm(first) == pytest.approx(-100 + 5 * first, abs=1e-3)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
def test_a_segmentation_of_another_axis_order_than_the_ct_is_placed_without_interpolation(
    a_torso, a_ct, write_volume, tmp_path, suffix
):
    labels, affine = reordered(a_torso.labels, a_torso.ijk_to_ras, (2, 0, 1), (True, False, True))
    seg = read_segmentation(write_volume(tmp_path / f"seg{suffix}", labels, affine), a_ct)
    assert not [w for w in seg.warnings if "resampled" in w]
    for value, segment in enumerate(seg, start=1):
        assert np.array_equal(segment.voxels(), a_torso.labels[segment.box] == value)


def test_a_ct_of_one_slice_is_a_ct(a_torso, write_volume, tmp_path):
    ct = read_ct(write_volume(tmp_path / "ct.nii.gz", a_torso.hu[8:9], a_torso.ijk_to_ras))
    seg = read_segmentation(write_volume(tmp_path / "seg.nii.gz", a_torso.labels[8:9], a_torso.ijk_to_ras), ct)
    assert ct.hu.shape == (1, 32, 48)
    assert seg["1"].occupied_slices().tolist() == [0]


def test_a_single_time_frame_counts_as_3d(a_torso, tmp_path):
    nibabel.save(nibabel.Nifti1Image(a_torso.hu.T[..., None].copy(), a_torso.ijk_to_ras), tmp_path / "ct.nii.gz")
    assert np.array_equal(read_ct(tmp_path / "ct.nii.gz").hu, a_torso.hu)


def test_a_nifti_whose_axes_are_not_at_right_angles_is_read(a_torso, tmp_path):
    sheared = a_torso.ijk_to_ras.copy()
    sheared[1, 2] = 0.6  # a tilted gantry
    image = nibabel.Nifti1Image(a_torso.hu.T.copy(), None)
    image.set_sform(sheared, 1)
    nibabel.save(image, tmp_path / "ct.nii.gz")
    ct = read_ct(tmp_path / "ct.nii.gz")
    assert np.array_equal(ct.hu, a_torso.hu)
    assert np.allclose(ct.frame.ijk_to_ras, sheared, atol=1e-4)


def test_slope_and_intercept_of_the_header_are_applied(a_torso, tmp_path):
    stored = (a_torso.hu.T.astype(np.int32) + 1024).astype(np.uint16)
    image = nibabel.Nifti1Image(stored, a_torso.ijk_to_ras)
    image.header.set_slope_inter(1, -1024)
    path = tmp_path / "ct.nii"
    nibabel.save(image, path)
    raw = bytearray(path.read_bytes())
    raw[352 : 352 + stored.nbytes] = stored.tobytes(order="F")  # nibabel stores scaled-back values otherwise
    path.write_bytes(raw)
    ct = read_ct(path)
    assert ct.hu.dtype == np.int16
    assert np.array_equal(ct.hu, a_torso.hu)
    assert not ct.warnings


def test_an_oblique_ct_is_read_with_a_remark(a_torso, write_volume, tmp_path):
    angle = np.radians(15)
    tilt = np.eye(4)
    tilt[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    ct = read_ct(write_volume(tmp_path / "ct.nii.gz", a_torso.hu, tilt @ a_torso.ijk_to_ras))
    assert np.array_equal(ct.hu, a_torso.hu)
    assert "oblique by 15 degrees" in ct.warnings[0]


def test_a_ct_stored_with_an_offset_is_corrected_and_the_file_is_named(a_torso, write_volume, tmp_path):
    stored = (a_torso.hu.astype(np.int32) + 1024).astype(np.uint16)
    ct = read_ct(write_volume(tmp_path / "ct.nrrd", stored, a_torso.ijk_to_ras))
    assert np.array_equal(ct.hu, a_torso.hu)
    assert "ct.nrrd" in ct.warnings[0]
    assert "1024 was subtracted" in ct.warnings[0]


def test_real_cases_are_read_in_the_order_a_radiologist_expects(shared):
    folder = shared / "data" / "totalsegmentator"
    ct = read_ct(folder / "example_ct.nii.gz")
    seg = {s.structure: s for s in read_segmentation(folder / "example_seg.nii.gz", read_ct_small(shared))}
    spine, liver, spleen = (seg[n].box for n in ("vertebra T12", "liver", "spleen") if n in seg)
    assert ct.frame.flipped == (False, True, True)
    assert liver[2].start < spleen[2].start  # the liver is on the left of the picture
    assert spine[1].start > liver[1].start  # the spine is at the bottom


def read_ct_small(shared):
    """The crop that ``example_seg.nii.gz`` belongs to."""
    return read_ct(shared / "data" / "totalsegmentator" / "example_ct_sm.nii.gz")
