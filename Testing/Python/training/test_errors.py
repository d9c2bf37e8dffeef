"""Simulated errors do what their names say, by about the amount asked for, and cover the whole range of DSC."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, binary_erosion, label

from QualitySentinelTrainingLib.dice import slice_dice, volume_dice
from QualitySentinelTrainingLib.simulated_errors import ERRORS, Case, simulate
from QualitySentinelTrainingLib.simulated_errors.case import signed_distance

SPACING = (3.0, 1.5, 1.5)
ORGAN, NEIGHBOUR = 7, 9


@pytest.fixture(scope="module")
def organ():
    """(reference, labels, hu): a ball of 24 mm radius with another structure touching it, in soft tissue."""
    k, j, i = np.meshgrid(*(np.arange(n) * s for n, s in zip((40, 72, 72), SPACING, strict=True)), indexing="ij")
    ball = np.sqrt((k - 58) ** 2 + (j - 54) ** 2 + (i - 50) ** 2) < 24
    labels = np.where(ball, ORGAN, 0).astype(np.uint8)
    labels[(i > 74) & (i < 92) & (abs(j - 54) < 18) & (abs(k - 58) < 25) & ~ball] = NEIGHBOUR
    hu = np.where(labels == ORGAN, 110, np.where(labels == NEIGHBOUR, 90, -60)) + np.random.default_rng(0).normal(
        0, 12, labels.shape
    )
    return ball, labels, hu.astype(np.int16)


def _corrupted(organ, kind, severity=0.3, seed=0):
    mask, record = simulate(Case(*organ, SPACING, np.random.default_rng(seed)), kind, severity)
    assert record.kinds == kind
    return mask


@pytest.mark.parametrize("kind", ERRORS)
def test_every_error_changes_the_mask_and_leaves_the_reference_alone(organ, kind):
    before = organ[0].copy()
    mask = _corrupted(organ, kind)
    assert np.array_equal(organ[0], before)
    assert mask.dtype == bool
    assert mask.shape == before.shape
    assert mask is not organ[0]
    assert not np.array_equal(mask, before)


@pytest.mark.parametrize("kind", ERRORS)
def test_the_same_seed_gives_the_same_error(organ, kind):
    assert np.array_equal(_corrupted(organ, kind, seed=4), _corrupted(organ, kind, seed=4))


@pytest.mark.parametrize(
    "kind", ["erosion", "dilation", "missing part", "bite", "shift", "truncated ends", "dropped slices"]
)
def test_severity_is_about_the_dsc_lost(organ, kind):
    lost = [
        np.mean([1 - volume_dice(_corrupted(organ, kind, severity, seed), organ[0]) for seed in range(5)])
        for severity in (0.1, 0.3, 0.6)
    ]
    assert lost == pytest.approx([0.1, 0.3, 0.6], abs=0.17)
    assert lost == sorted(lost)


@pytest.mark.parametrize("kind", ["erosion", "missing part", "bite", "holes", "truncated ends", "dropped slices",
                                  "largest piece", "empty"])  # fmt: skip
def test_these_only_take_away(organ, kind):
    assert not (_corrupted(organ, kind) & ~organ[0]).any()


@pytest.mark.parametrize("kind", ["dilation", "added blob", "leak", "extra slices", "with neighbour"])
def test_these_only_add(organ, kind):
    assert not (organ[0] & ~_corrupted(organ, kind)).any()


def test_erosion_goes_inwards_in_millimetres(organ):
    mask = _corrupted(organ, "erosion", 0.3)
    gone = organ[0] & ~mask
    assert gone[:, 36, 33].sum() * SPACING[0] == pytest.approx(gone[19, :, 33].sum() * SPACING[1], abs=7)
    assert not mask[~binary_erosion(organ[0])].any()


def test_dilation_grows_all_round(organ):
    assert _corrupted(organ, "dilation", 0.3)[binary_dilation(organ[0], np.ones((1, 3, 3)))].all()


def test_shift_keeps_the_shape(organ):
    mask = _corrupted(organ, "shift", 0.4)
    assert np.count_nonzero(mask) == np.count_nonzero(organ[0])
    assert label(mask)[1] == 1


@pytest.mark.parametrize("spacing", [(2.5, 5.1, 5.1), (0.8, 2.0, 2.0), (3.0, 1.5, 1.5)])
def test_a_voxel_of_the_mask_lies_inside_it_however_thin_the_slices(organ, spacing):
    for mask in (organ[0], np.repeat(organ[0], 3, axis=2)):  # the second is large: distances on every second pixel
        assert np.array_equal(signed_distance(mask, spacing) < 0, mask)


def test_mirroring_turns_the_mask_over_in_its_place(organ):
    assert np.array_equal(_corrupted(organ, "mirrored"), organ[0][:, :, ::-1])


def test_truncated_ends_leave_whole_slices_between(organ):
    mask = _corrupted(organ, "truncated ends")
    left = np.flatnonzero(mask.any(axis=(1, 2)))
    assert np.array_equal(mask[left], organ[0][left])
    assert np.array_equal(np.diff(left), np.ones(left.size - 1))


def test_extra_slices_lie_beyond_the_ends(organ):
    mask = _corrupted(organ, "extra slices")
    held = organ[0].any(axis=(1, 2))
    assert (mask.any(axis=(1, 2)) & ~held).any()
    assert np.array_equal(mask[held], organ[0][held])


def test_holes_lie_inside(organ):
    outside = label(~_corrupted(organ, "holes", 0.1, seed=2))[0]
    assert np.count_nonzero(organ[0] & ~_corrupted(organ, "holes", 0.1, seed=2)) > 0
    assert outside.max() >= 1


def test_another_structure_is_the_neighbour(organ):
    assert np.array_equal(_corrupted(organ, "other structure"), organ[1] == NEIGHBOUR)


def test_leaks_go_into_the_neighbour_or_alike_tissue(organ):
    gained = np.stack([_corrupted(organ, "leak", 0.3, seed) & ~organ[0] for seed in range(6)])
    assert np.count_nonzero(gained & (organ[1] == NEIGHBOUR)) > 0.8 * np.count_nonzero(gained)


def test_staircases_are_blocks(organ):
    mask = _corrupted(organ, "staircase", 0.4, seed=1)
    edges = [np.count_nonzero(np.diff(m.astype(np.int8), axis=2)) for m in (mask, organ[0])]
    assert edges[0] < 1.3 * edges[1]
    assert volume_dice(mask, organ[0]) < 0.98


def test_an_unknown_error_is_refused(organ):
    with pytest.raises(KeyError):
        simulate(Case(*organ, SPACING, np.random.default_rng(0)), kind="typo")


def test_an_empty_reference_stays_empty(organ):
    part = np.zeros((4, 8, 8), bool), organ[1][:4, :8, :8], organ[2][:4, :8, :8]
    mask, record = simulate(Case(*part, SPACING, np.random.default_rng(0)))
    assert not mask.any()
    assert record.kinds == "none"


def test_a_structure_of_one_voxel_survives_every_error():
    labels = np.zeros((5, 9, 9), np.uint8)
    labels[2, 4, 4] = ORGAN
    hu = np.zeros(labels.shape, np.int16)
    for kind in ERRORS:
        mask, _ = simulate(Case(labels == ORGAN, labels, hu, SPACING, np.random.default_rng(0)), kind, 0.3)
        assert mask.shape == labels.shape


def test_drawn_errors_cover_the_whole_range_of_dsc(organ):
    case = Case(*organ, SPACING, np.random.default_rng(1))
    scores, kinds, perfect, few = [], set(), 0, 0
    for _ in range(250):
        mask, record = simulate(case)
        scores.append(slice_dice(mask, organ[0])[mask.any(axis=(1, 2))])
        kinds |= {name for name, _ in record.errors}
        perfect += record.kinds == "none"
        few += record.slices is not None
        if record.kinds == "none":
            assert np.array_equal(mask, organ[0])
        if record.slices is not None:
            first, last = record.slices
            corrupted = range(first, last + 1)
            assert np.array_equal(np.delete(mask, corrupted, 0), np.delete(organ[0], corrupted, 0))
    shares = np.histogram(np.concatenate(scores), [0, 0.2, 0.4, 0.6, 0.8, 0.999, 1.01])[0] / sum(map(len, scores))
    assert (shares > 0.03).all()
    assert shares[4] > 0.25, "most real slices lie between 0.8 and 1"
    assert 0.05 < perfect / 250 < 0.2
    assert few > 10
    assert len(kinds) > 15


def test_an_error_is_registered_by_its_function_and_drawn(monkeypatch, organ):
    """What docs/HOW_TO_ADD.md says is enough."""
    from QualitySentinelTrainingLib.simulated_errors import registry

    for group in (registry.ERRORS, registry.OTHER):  # taken out again after the test
        monkeypatch.setitem(group, "upper half missing", None)

    @registry.simulated_error(0.5)
    def upper_half_missing(mask, case, severity):
        held = np.flatnonzero(mask.any(axis=(1, 2)))
        out = mask.copy()
        out[held[len(held) // 2 :]] = False
        return out

    assert registry.OTHER["upper half missing"] == 0.5
    assert 0.4 < volume_dice(_corrupted(organ, "upper half missing"), organ[0]) < 0.8


def test_every_error_is_drawn_from_one_group():
    from QualitySentinelTrainingLib.simulated_errors.registry import BOUNDARY, OTHER

    assert set(ERRORS) == BOUNDARY.keys() | OTHER.keys() and not BOUNDARY.keys() & OTHER.keys()
    assert all(weight > 0 for weight in (*BOUNDARY.values(), *OTHER.values()))
