"""CT that is not in Hounsfield units: what is corrected, what is refused, and what must be left alone."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest

from QualitySentinelLib.volume.hounsfield import NotHounsfieldError, as_hounsfield

REAL_CTS = [
    "totalsegmentator/example_ct.nii.gz",
    "totalsegmentator/example_ct_sm.nii.gz",
    "totalsegmentator/aorta_report/test_result/models/ct_cropped.nii.gz",
    "totalsegmentator/pulmonary_report/models/ct_cropped.nii.gz",
    "openkbp/pt_1/ct.nii.gz",
    "openkbp/pt_164/ct.nii.gz",
    "openkbp/pt_312/ct.nii.gz",
]


@pytest.fixture(params=REAL_CTS)
def a_real_ct(request, shared) -> np.ndarray:
    return np.asarray(nibabel.load(shared / "data" / request.param).dataobj).T


def test_a_real_ct_is_left_alone(a_real_ct):
    hu, warnings = as_hounsfield(a_real_ct)
    assert warnings == []
    assert hu.dtype == np.int16
    assert np.array_equal(hu, np.maximum(a_real_ct, -1024))


def test_a_tight_crop_of_a_real_ct_is_left_alone(a_real_ct):
    k, j, i = (n // 2 for n in a_real_ct.shape)
    crop = a_real_ct[k - 8 : k + 8, j - 10 : j + 10, i - 10 : i + 10]
    hu, warnings = as_hounsfield(crop)
    assert warnings == []
    assert np.array_equal(hu, np.maximum(crop, -1024))


def test_a_real_ct_without_its_intercept_is_corrected(a_real_ct):
    stored = np.maximum(a_real_ct.astype(np.int32) + 1024, 0).astype(np.uint16)
    hu, warnings = as_hounsfield(stored)
    assert np.array_equal(hu, np.maximum(a_real_ct, -1024))
    assert len(warnings) == 1
    assert "1024 was subtracted" in warnings[0]


def test_a_real_ct_as_a_screenshot_is_refused(a_real_ct):
    gray = (np.clip((a_real_ct + 160.0) / 400.0, 0, 1) * 255).astype(np.uint8)
    with pytest.raises(NotHounsfieldError, match="screenshot"):
        as_hounsfield(gray)


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-1.0, 1.0), (-2.0, 2.0)])
def test_a_real_ct_rescaled_for_a_network_is_refused(a_real_ct, low, high):
    rescaled = low + (high - low) * np.clip((a_real_ct + 1000.0) / 2000.0, 0, 1)
    with pytest.raises(NotHounsfieldError, match="rescaled"):
        as_hounsfield(rescaled.astype(np.float32))


def test_a_phantom_is_left_alone(a_torso):
    hu, warnings = as_hounsfield(a_torso.hu)
    assert hu is a_torso.hu
    assert warnings == []


def test_a_phantom_without_noise_is_left_alone(a_torso):
    flat = np.where(a_torso.hu > -500, 40, -1000).astype(np.int16)
    assert as_hounsfield(flat)[1] == []


def test_an_offset_survives_padding(a_torso):
    stored = a_torso.hu.astype(np.int32) + 1024
    stored[:, :2] = -2000
    hu, warnings = as_hounsfield(stored)
    assert np.array_equal(hu[:, 2:], a_torso.hu[:, 2:])
    assert (hu[:, :2] == -1024).all()
    assert [w for w in warnings if "1024 was subtracted" in w]


@pytest.mark.parametrize("padding", [-2000, -3024, -32768])
def test_padding_becomes_air(a_torso, padding):
    padded = a_torso.hu.copy()
    padded[:, :3] = padding
    hu, warnings = as_hounsfield(padded)
    assert hu.min() == -1024
    assert np.array_equal(hu[:, 3:], a_torso.hu[:, 3:])
    assert str(padding) in warnings[0]
    assert padded.min() == padding  # the caller's array is not written to


def test_nan_and_infinite_voxels_become_air_and_are_counted(a_torso):
    broken = a_torso.hu.astype(np.float32)
    broken[0, 0, :4] = np.nan
    broken[1, 1, 1] = np.inf
    broken[1, 1, 2] = -np.inf
    hu, warnings = as_hounsfield(broken)
    assert (hu[0, 0, :4] == -1024).all()
    assert hu[1, 1, 1] == -1024
    assert warnings[0].startswith("6 voxels")


def test_a_ct_that_is_mostly_nan_is_refused(a_torso):
    broken = a_torso.hu.astype(np.float32)
    broken[:12] = np.nan
    with pytest.raises(NotHounsfieldError, match="NaN"):
        as_hounsfield(broken)


def test_another_modality_is_not_taken_for_an_offset_ct():
    mr = np.random.default_rng(1).gamma(2.0, 300.0, (20, 40, 40)).astype(np.int16)
    hu, warnings = as_hounsfield(mr)
    assert np.array_equal(hu, mr)
    assert "no negative values" in warnings[0]


def test_whole_numbers_in_floats_become_int16_and_fractions_stay(a_torso):
    assert as_hounsfield(a_torso.hu.astype(np.float64))[0].dtype == np.int16
    fractions, _ = as_hounsfield(a_torso.hu + 0.25)
    assert fractions.dtype == np.float32
    assert fractions.max() == a_torso.hu.max() + 0.25


def test_metal_beyond_int16_is_cut(a_torso):
    metal = a_torso.hu.astype(np.int32)
    metal[5, 5, 5] = 60000
    assert as_hounsfield(metal)[0].max() == 32767


def test_numbers_too_large_for_float32_are_cut_too():
    voxels = np.linspace(-1000, 1000, 1000).reshape(10, 10, 10)
    voxels[5, 5, 5] = 1e300
    hu, _ = as_hounsfield(voxels)
    assert (hu.dtype, hu.max()) == (np.float32, 32767)


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.uint64])
def test_numbers_of_any_size_are_read(dtype):
    voxels = (
        np.arange(27000).reshape(30, 30, 30).astype(dtype)
        if dtype != np.int8
        else np.tile(np.arange(-128, 127, dtype=np.int8), 4).reshape(10, 6, 17)
    )
    if dtype != np.int8:
        voxels[0] = np.iinfo(dtype).max
    hu, _ = as_hounsfield(voxels)
    assert hu.dtype == np.int16
    assert hu.max() == (126 if dtype == np.int8 else 26999)


def test_an_empty_looking_ct_is_remarked_on():
    _, warnings = as_hounsfield(np.full((4, 5, 6), -1000, np.int16))
    assert "same value" in warnings[0]


@pytest.mark.parametrize("name", ["example_ct.nii.gz", "example_ct_sm.nii.gz"])
def test_an_offset_of_1000_is_told_from_one_of_1024(shared, name):
    ct = np.asarray(nibabel.load(shared / "data" / "totalsegmentator" / name).dataobj).T.astype(np.int16)
    for offset in (1000, 1024):
        hu, warnings = as_hounsfield((np.maximum(ct, -offset) + offset).astype(np.uint16))
        assert np.array_equal(hu, np.maximum(ct, -offset))
        assert len(warnings) == 1
        assert f"{offset} was subtracted. " in warnings[0]


def test_an_offset_without_air_around_the_body_is_called_uncertain(a_torso):
    _, (warning,) = as_hounsfield(np.where(a_torso.hu < -500, 0, a_torso.hu + 1024).astype(np.uint16))
    assert "1024 was subtracted (1000 would be right for some programs" in warning


@pytest.mark.parametrize(("padding", "dtype"), [(32767, np.int16), (65535, np.uint16), (64511, np.int32), (1e9, float)])
def test_padding_above_any_hu_becomes_air(a_torso, padding, dtype):
    stored = a_torso.hu.astype(dtype) if dtype != np.uint16 else (a_torso.hu.astype(np.int32) + 1024).astype(dtype)
    stored[:, :3] = padding
    hu, warnings = as_hounsfield(stored)
    assert (hu[:, :3] == -1024).all()
    assert np.array_equal(hu[:, 3:], a_torso.hu[:, 3:])
    assert warnings[0] == f"padding (values of {padding:g}) was set to -1024 HU"
