"""What a phantom promises: the same seed the same voxels, labels that agree with HU, anatomy where it belongs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import center_of_mass

from QualitySentinelTrainingLib.phantom import STRUCTURES, make_phantom
from QualitySentinelTrainingLib.phantom.scan import MOST_VOXELS, draw_scan

ABDOMEN = {"spacing": (6.0, 4.0, 4.0), "region": (20, 240)}


@pytest.fixture(scope="module")
def abdomen():
    return make_phantom(20, **ABDOMEN)


def _median(phantom, name):
    value = next(v for v, n in phantom.names.items() if n == name)
    return np.median(phantom.hu[phantom.labels == value])


def _centre(phantom, name):
    value = next(v for v, n in phantom.names.items() if n == name)
    return np.array(center_of_mass(phantom.labels == value))


def test_the_same_seed_gives_the_same_voxels_and_another_seed_others(abdomen):
    again, other = make_phantom(20, **ABDOMEN), make_phantom(14, **ABDOMEN)
    assert np.array_equal(again.hu, abdomen.hu)
    assert np.array_equal(again.labels, abdomen.labels)
    assert not np.array_equal(other.labels, abdomen.labels)


def test_arrays_have_the_promised_types(abdomen):
    hu, labels, names, ijk_to_ras = abdomen.hu, abdomen.labels, abdomen.names, abdomen.ijk_to_ras
    assert hu.dtype == np.int16
    assert labels.dtype == np.uint8
    assert hu.shape == labels.shape == abdomen.scan.shape
    assert set(np.unique(labels)) - {0} == set(names)
    assert set(names.values()) <= set(STRUCTURES)
    assert np.allclose(np.diag(ijk_to_ras), [-4, -4, 6, 1])


def test_labels_and_hounsfield_units_agree(abdomen):
    assert 30 < _median(abdomen, "liver") < 140
    assert 30 < _median(abdomen, "spleen") < 150
    assert 20 < _median(abdomen, "kidney left") < 240
    assert _median(abdomen, "lung left") < -600
    assert _median(abdomen, "lung right") < -600
    assert 100 < _median(abdomen, "vertebra L1") < 900
    assert -1024 <= abdomen.hu.min() < -950


def test_organs_lie_where_they_belong(abdomen):
    assert _centre(abdomen, "liver")[2] < _centre(abdomen, "spleen")[2], "i runs from the patient's right to the left"
    assert _centre(abdomen, "kidney right")[2] < _centre(abdomen, "kidney left")[2]
    assert _centre(abdomen, "liver")[1] < _centre(abdomen, "vertebra T12")[1], "j runs from anterior to posterior"
    assert _centre(abdomen, "vertebra L2")[0] < _centre(abdomen, "vertebra T10")[0], "k runs from inferior to superior"
    assert _centre(abdomen, "lung left")[0] > _centre(abdomen, "kidney left")[0]


def test_contrast_phase_and_noise_differ_between_seeds():
    scans = [draw_scan(np.random.default_rng(seed)) for seed in range(8)]
    assert len({scan.phase for scan in scans}) > 1
    assert np.ptp([scan.noise_hu for scan in scans]) > 5


def test_drawn_volumes_stay_within_the_voxel_budget():
    for seed in range(200):
        scan = draw_scan(np.random.default_rng(seed))
        assert np.prod(scan.shape) < 1.25 * MOST_VOXELS
        assert 1.5 <= scan.spacing[0] <= 5
        assert 0.8 <= scan.spacing[2] <= 3


def test_most_of_the_body_regions_can_be_seen():
    seen = set()
    for region in ((-200, 60), (0, 240), (180, 420)):
        seen |= set(make_phantom(5, spacing=(5.0, 4.0, 4.0), region=region).names.values())
    assert {"bladder", "femur left", "hip right", "sacrum", "colon", "small bowel", "liver", "pancreas", "aorta",
            "heart", "trachea", "esophagus", "costa 5 left", "clavicle right", "vertebra L4"} <= seen  # fmt: skip
    assert len(seen) > 70
