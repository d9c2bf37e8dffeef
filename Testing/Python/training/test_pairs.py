"""Pairs of network input and true DSC."""

import numpy as np
import pytest

from QualitySentinelLib.slices import COMPACT
from QualitySentinelLib.volume import AxialFrame, CtVolume
from QualitySentinelTrainingLib.pairs import Pairs, make_pairs, quantised, restored
from QualitySentinelTrainingLib.subjects import Subject


@pytest.fixture(scope="module")
def a_subject(a_torso):
    frame = AxialFrame.from_affine(a_torso.ijk_to_ras, a_torso.hu.shape)
    return Subject("torso", CtVolume(a_torso.hu, frame), a_torso.labels, a_torso.names)


@pytest.fixture(scope="module")
def some_pairs(a_subject):
    return make_pairs(a_subject, np.random.default_rng(0), COMPACT, masks_per_structure=30, slices_per_mask=3)


def test_pairs_cover_good_and_bad_masks_of_every_structure(some_pairs):
    assert set(some_pairs.structure) == {"liver", "spleen"}
    assert (some_pairs.dsc == 1.0).any()
    assert (some_pairs.dsc < 0.5).any()
    assert ((some_pairs.dsc >= 0) & (some_pairs.dsc <= 1)).all()


def test_a_perfect_mask_has_dsc_one(some_pairs):
    perfect = some_pairs.kind == "none"
    assert perfect.any()
    assert (some_pairs.dsc[perfect] == 1.0).all()
    assert (some_pairs.volume_dsc[perfect] == 1.0).all()


def test_the_mask_channel_shows_the_spoiled_mask(some_pairs):
    share = (some_pairs.images[:, -1] > 127).mean(axis=(1, 2))
    side_mm = some_pairs.pixel_mm * COMPACT.size
    expected = some_pairs.area * 36.0 / side_mm**2  # 6 x 6 mm voxels
    inside = expected < 0.5  # a mask that fills its crop is cut by nothing, but blurs at the rim
    np.testing.assert_allclose(share[inside], expected[inside], atol=0.03)


def test_the_same_seed_gives_the_same_pairs(a_subject):
    a, b = (make_pairs(a_subject, np.random.default_rng(3), COMPACT, 2, 2) for _ in range(2))
    assert (a.images == b.images).all()
    assert (a.dsc == b.dsc).all()


def test_pairs_survive_the_file(some_pairs, tmp_path):
    some_pairs.write(tmp_path / "pairs.npz")
    again = Pairs.read(tmp_path / "pairs.npz")
    for name, values in vars(some_pairs).items():
        assert (getattr(again, name) == values).all()


def test_storing_an_image_in_a_byte_changes_it_by_less_than_a_hundredth():
    image = np.linspace(-1, 1, 1000, dtype=np.float32)
    assert np.abs(restored(quantised(image).astype(np.float32)) - image).max() < 0.005
