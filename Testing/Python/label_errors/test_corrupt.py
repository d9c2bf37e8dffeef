"""Label noise with the paper's alpha and beta."""

import numpy as np
import pytest

from QualitySentinelLib.errors import UsageError
from QualitySentinelTrainingLib.label_errors.corrupt import KINDS, choose_corrupted, corrupt_labels, corrupt_mask


def a_disc(radius=20, size=96):
    j, i = np.ogrid[:size, :size]
    return (j - size / 2) ** 2 + (i - size / 2) ** 2 <= radius**2


def test_alpha_is_the_share_of_cases_for_each_class_by_itself():
    cases = [f"case{n}" for n in range(50)]
    chosen = choose_corrupted(cases, [1, 2], 0.3, np.random.default_rng(0))
    of_class = {value: {case for case, kinds in chosen.items() if value in kinds} for value in (1, 2)}
    assert len(of_class[1]) == len(of_class[2]) == 15 and of_class[1] != of_class[2]
    assert {kind for kinds in chosen.values() for kind in kinds.values()} == set(KINDS)


def test_the_same_seed_gives_the_same_noise():
    labels = np.stack([a_disc().astype(np.uint16) * 300] * 3)
    one, same, other = (corrupt_labels(labels, {300: "edges"}, 5, np.random.default_rng(s)) for s in (4, 4, 5))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any() and one.dtype == np.uint16


@pytest.mark.parametrize("beta", [1, 5])
def test_dilated_and_eroded_by_a_disc_of_radius_beta(beta):
    mask = a_disc()
    grown, shrunk = (corrupt_mask(mask, kind, beta, np.random.default_rng(0)) for kind in ("dilate", "erode"))
    assert np.sqrt(grown.sum() / np.pi) == pytest.approx(20 + beta, abs=0.5)
    assert np.sqrt(shrunk.sum() / np.pi) == pytest.approx(20 - beta, abs=1.0)


def test_noise_along_edges_adds_and_removes_near_the_edge_only():
    mask = a_disc()
    noisy = corrupt_mask(mask, "edges", 6, np.random.default_rng(0))
    assert (noisy & ~mask).sum() > 50 and (mask & ~noisy).sum() > 50
    np.testing.assert_array_equal(noisy[a_disc(13)], True)
    assert not noisy[~a_disc(27)].any()


def test_a_mask_at_the_image_border_is_eroded_there_too():
    mask = np.ones((12, 12), bool)
    assert corrupt_mask(mask, "erode", 2, np.random.default_rng(0)).sum() == 8 * 8


def test_a_structure_that_grows_covers_others_and_leaves_background_where_it_shrinks():
    labels = np.zeros((40, 40), np.uint8)
    labels[10:30, 10:20], labels[10:30, 20:30] = 1, 2
    grown = corrupt_labels(labels, {1: "dilate"}, 3, np.random.default_rng(0))
    assert grown[20, 21] == 1 and grown[20, 25] == 2
    shrunk = corrupt_labels(labels, {1: "erode"}, 3, np.random.default_rng(0))
    assert shrunk[20, 11] == 0 and (shrunk == 2).sum() == (labels == 2).sum()
    assert labels[20, 21] == 2  # the truth is kept


@pytest.mark.parametrize("alpha", [-0.1, 1.1, float("nan")])
def test_shares_that_cannot_be_are_refused(alpha):
    with pytest.raises(UsageError, match="between 0 and 1"):
        choose_corrupted(["a"], [1], alpha, np.random.default_rng(0))
