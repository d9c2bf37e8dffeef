"""A synthetic subject: another examination of a like anatomy, whose labels still lie on that anatomy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import center_of_mass

from QualitySentinelLib.datasets import Case
from QualitySentinelLib.volume import AxialFrame, CtVolume
from QualitySentinelTrainingLib.subjects import Subject, read_subject
from QualitySentinelTrainingLib.synthesis import SynthesisOptions, synthetic_subject
from QualitySentinelTrainingLib.synthesis.appearance import draw_levels
from QualitySentinelTrainingLib.synthesis.make import (
    Grid,
    displacements,
    draw_grid,
    draw_turn,
    fit_grid,
    least_jacobian,
    resample_labels,
    sample,
    scanned_slices,
    source_points,
)
from QualitySentinelTrainingLib.synthesis.names import is_mirrorable, mirrored_name

SACRUM = 3
SOURCE_GRID = Grid((40, 44, 48), (3.0, 2.0, 2.0), (58.5, 43.0, 47.0))
"""Its centre is the middle of a source of the same shape and spacing."""


@pytest.fixture(scope="module")
def a_subject(a_torso):
    """The synthetic torso with liver, spleen and a dense bone between them, as a subject."""
    hu, labels = a_torso.hu.copy(), a_torso.labels.copy()
    bone = (slice(6, 14), slice(17, 25), slice(24, 32))
    hu[bone], labels[bone] = 800, SACRUM
    frame = AxialFrame.from_affine(a_torso.ijk_to_ras, hu.shape)
    hu.setflags(write=False)
    labels.setflags(write=False)
    return Subject("torso", CtVolume(hu, frame), labels, {**a_torso.names, SACRUM: "sacrum"})


def _dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def _ball(grid, centre=(0.0, 0.0, 0.0), radii=(40.0, 22.0, 14.0), turn=0.0):
    """An ellipsoid on the grid, turned in the slice by ``turn`` radians."""
    axes = [(np.arange(n) - (n - 1) / 2) * step for n, step in zip(grid.shape, grid.spacing, strict=True)]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    y, x = np.cos(turn) * y - np.sin(turn) * x, np.sin(turn) * y + np.cos(turn) * x
    return sum(((a - c) / r) ** 2 for a, c, r in zip((z, y, x), centre, radii, strict=True)) < 1


def test_the_same_seed_gives_the_same_subject_and_another_seed_another(a_subject):
    one, again, other = (synthetic_subject(a_subject, seed) for seed in (4, 4, 5))
    assert np.array_equal(one.ct.hu, again.ct.hu)
    assert np.array_equal(one.labels, again.labels)
    assert np.array_equal(one.ct.frame.ijk_to_ras, again.ct.frame.ijk_to_ras)
    assert one.name == "torso_synthetic_4" and other.name == "torso_synthetic_5"
    assert one.ct.frame.spacing != other.ct.frame.spacing


def test_a_synthetic_subject_is_the_same_person_of_a_marked_source(a_subject):
    source = Subject("pt_7", a_subject.ct, a_subject.labels, a_subject.structures, "OpenKBP")
    new = synthetic_subject(source, 0)
    assert (new.name, new.patient, new.source) == ("pt_7_synthetic_0", "pt_7", "OpenKBP, synthetic")


@pytest.mark.parametrize("seed", range(6))
def test_what_is_made_is_a_ct_with_labels_within_the_drawn_ranges(a_subject, seed):
    options = SynthesisOptions(most_voxels=200_000)
    new = synthetic_subject(a_subject, seed, options)
    hu, frame = new.ct.hu, new.ct.frame
    assert hu.dtype == np.int16 and new.labels.dtype == np.uint8
    assert hu.shape == new.labels.shape == frame.shape
    assert -1024 <= hu.min() < -800 < 0 < hu.max() <= 3071
    assert hu.size <= options.most_voxels
    assert frame.flipped == (False, False, False), "the array is in canonical order"
    assert 2.5 - 1e-6 <= frame.spacing[0] <= 5 + 1e-6, "slices are not finer than half the source's 5 mm"
    assert frame.spacing[1] == frame.spacing[2] == pytest.approx(3.0), "half the source's 6 mm is the largest pixel"
    assert set(np.unique(new.labels)) - {0} == set(new.structures)
    assert new.structures.items() <= a_subject.structures.items()


def test_structures_are_not_lost_wholesale(a_subject):
    kept = [len(synthetic_subject(a_subject, seed).structures) for seed in range(12)]
    assert min(kept) >= 1
    assert np.mean(kept) >= 2.4


@pytest.mark.parametrize("painted", [0.0, 1.0])
def test_labels_stay_on_their_anatomy_in_kept_and_in_painted_cts(a_subject, painted):
    options = SynthesisOptions(painted_share=painted, keep_share=1.0)
    for seed in range(5):
        new = synthetic_subject(a_subject, seed, options)
        sacrum = new.labels == SACRUM
        assert np.median(new.ct.hu[sacrum]) > 350, "dense bone"
        assert -60 < np.median(new.ct.hu[new.labels == 1]) < 260, "the liver is soft"
        dense = new.ct.hu > 300
        assert (dense & sacrum).sum() > 0.8 * dense.sum(), "no other bone than the labelled one"


def test_kept_gray_values_of_bone_stay_near_the_source(a_subject):
    options = SynthesisOptions(painted_share=0.0, keep_share=1.0)
    for seed in range(5):
        new = synthetic_subject(a_subject, seed, options)
        assert 600 < np.percentile(new.ct.hu[new.labels == SACRUM], 60) < 1050, "800 HU in the source"


def test_an_unchanged_grid_returns_the_labels_and_the_ct():
    mask = _ball(SOURCE_GRID)
    points = source_points(SOURCE_GRID, np.eye(3), SOURCE_GRID.spacing)
    assert np.array_equal(resample_labels(mask.astype(np.uint8), points) > 0, mask)
    hu = np.where(mask, 100.0, -50.0).astype(np.float32)
    assert np.allclose(sample(hu, points, -1000.0), hu, atol=0.05)


def test_a_known_turn_and_scale_move_the_labels_as_geometry_says():
    turn, scale = 0.3, np.array([1.1, 0.9, 0.9])
    matrix = np.diag(1 / scale) @ np.array(
        [[1, 0, 0], [0, np.cos(turn), -np.sin(turn)], [0, np.sin(turn), np.cos(turn)]]
    )
    fine = Grid((60, 60, 60), (2.4, 1.5, 1.5), SOURCE_GRID.centre)
    labels = resample_labels(_ball(SOURCE_GRID).astype(np.uint8), source_points(fine, matrix, SOURCE_GRID.spacing))
    expected = _ball(fine, radii=(40 * 1.1, 22 * 0.9, 14 * 0.9), turn=turn)
    assert _dice(labels > 0, expected) > 0.96


def test_ct_and_labels_are_deformed_alike():
    rng = np.random.default_rng(2)
    labels = (_ball(SOURCE_GRID) + 2 * _ball(SOURCE_GRID, (0, 0, 30), (30, 15, 10))).clip(0, 2).astype(np.uint8)
    turn = draw_turn(rng, SynthesisOptions())
    field = displacements(rng, SOURCE_GRID, turn, SynthesisOptions())
    points = source_points(SOURCE_GRID, turn, SOURCE_GRID.spacing, field)
    new = resample_labels(labels, points)
    for value in (1, 2):
        alike = sample((labels == value).astype(np.float32) * 1000, points)
        assert _dice(new == value, alike > 500) > 0.98
    assert _dice(new == 1, labels == 1) < 0.97, "it was deformed"


def test_no_displacement_folds_or_exceeds_its_limit():
    wild = SynthesisOptions(displacement_mm=(9.0, 14.0))
    for seed in range(6):
        rng = np.random.default_rng(seed)
        turn = draw_turn(rng, wild)
        field = displacements(rng, SOURCE_GRID, turn, wild)
        assert 1 < np.abs(field).max() <= 12
        assert least_jacobian(field, turn, SOURCE_GRID.spacing) > 0.3


def test_a_mirrored_subject_has_its_left_on_the_left(a_subject):
    sides = {1: "parotid gland right", 2: "parotid gland left", SACRUM: "mandible"}
    neck = replace(a_subject, structures=sides)
    for seed in range(4):
        new = synthetic_subject(neck, seed, SynthesisOptions(mirror_share=1.0, keep_share=1.0, close_up_share=0.0))
        value = {name: v for v, name in new.structures.items()}
        left, right = (center_of_mass(new.labels == value[f"parotid gland {side}"])[2] for side in ("left", "right"))
        assert right < left, "i runs from the patient's right to the left"
        assert value["parotid gland left"] == 1, "what was the larger, right one is the left one now"
        assert new.structures[SACRUM] == "mandible"


def test_only_heads_and_necks_are_mirrored(a_subject):
    assert is_mirrorable({1: "brainstem", 2: "parotid gland left", 3: "vertebra C4"})
    assert not is_mirrorable({1: "brainstem", 2: "heart"})
    assert not is_mirrorable({1: "lung left", 2: "kidney right"})
    assert not is_mirrorable({})
    assert mirrored_name("kidney left") == "kidney right"
    assert mirrored_name("costa 7 right") == "costa 7 left"
    assert mirrored_name("vertebra L1") == "vertebra L1"
    always = synthetic_subject(a_subject, 0, SynthesisOptions(mirror_share=1.0, keep_share=1.0))
    liver, spleen = (center_of_mass(always.labels == value)[2] for value in (1, 2))
    assert liver < spleen, "the liver stays on the right"


def test_spacing_is_drawn_between_half_the_source_and_the_limits():
    rng, frame = np.random.default_rng(0), AxialFrame.from_affine(np.diag([-1.0, -1.0, 3.0, 1.0]), (20, 60, 60))
    body = np.ones(frame.shape, bool)
    subject = Subject("a", CtVolume(np.zeros(frame.shape, np.int16), frame), body.astype(np.uint8), {1: "liver"})
    drawn = np.array([draw_grid(rng, subject, body, np.ones(3), SynthesisOptions()).spacing for _ in range(300)])
    assert 1.5 <= drawn[:, 0].min() < 1.7 and 4.5 < drawn[:, 0].max() <= 5
    assert 0.7 <= drawn[:, 1].min() < 0.8 and 2.7 < drawn[:, 1].max() <= 3
    assert np.array_equal(drawn[:, 1], drawn[:, 2])


def test_a_large_field_of_view_keeps_within_the_voxel_budget():
    window = np.array([[0.0, 0.0, 0.0], [1500.0, 480.0, 480.0]])
    for budget in (300_000, 4_000_000):
        grid = fit_grid(window, (1.0, 0.7, 0.7), np.ones(3), SynthesisOptions(most_voxels=budget))
        assert 0.5 * budget < np.prod(grid.shape) <= budget
        assert grid.spacing[0] <= 5.01 and grid.spacing[1] <= 3.01


def test_painted_neighbours_mostly_differ_visibly_but_not_grossly():
    names = {1: "liver", 2: "spleen", 3: "pancreas", 4: "brainstem", 5: "gluteus maximus left", 6: "larynx"}
    differences = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        levels = draw_levels(rng, names, 50.0, wide=seed % 2 == 0)
        differences += [abs(level - 50.0) for level in levels.values()]
    assert np.mean(np.array(differences) >= 8) > 0.75
    assert np.median(differences) < 40


def test_empty_slices_beyond_the_scan_are_not_the_patient():
    body = np.zeros((12, 8, 8), bool)
    body[3:9, 2:6, 2:6] = True
    assert scanned_slices(body) == slice(3, 9)
    body[9:11, 3, 3] = True  # tapers off: the patient's own end
    assert scanned_slices(body) == slice(3, 12)


@pytest.mark.shared_data
def test_a_real_torso_keeps_most_of_its_structures(shared):
    folder = shared / "data" / "totalsegmentator"
    source = read_subject(Case("torso", "example_ct.nii.gz", "example_seg_fast_force_split.nii.gz", root=folder))
    new = synthetic_subject(source, 3, SynthesisOptions(most_voxels=1_000_000))
    assert len(new.structures) > 0.6 * len(source.structures)
    value = {name: v for v, name in new.structures.items()}
    assert np.median(new.ct.hu[new.labels == value["vertebra L3"]]) > np.median(new.ct.hu[new.labels == value["liver"]])
    assert center_of_mass(new.labels == value["hip right"])[2] < center_of_mass(new.labels == value["hip left"])[2]
