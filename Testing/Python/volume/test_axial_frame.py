"""The canonical axial frame: every way a scanner or a program may order the voxels."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest

from QualitySentinelLib.volume import AxialFrame

SHAPE = (5, 6, 7)
CANONICAL = np.array([[-0.8, 0, 0, 10], [0, -0.9, 0, -20], [0, 0, 2.5, 300], [0, 0, 0, 1.0]])
ORDERS = [(p, f) for p in permutations(range(3)) for f in product((False, True), repeat=3)]


def reordered(array: np.ndarray, affine: np.ndarray, permutation, flips) -> tuple[np.ndarray, np.ndarray]:
    """The same volume with axes permuted and flipped, and its affine. Written apart from the product on purpose."""
    matrix = np.zeros((4, 4))
    matrix[3, 3] = 1
    for new, old in enumerate(permutation):
        matrix[2 - old, 2 - new] = -1 if flips[new] else 1
        if flips[new]:
            matrix[2 - old, 3] = array.shape[old] - 1
    turned = np.transpose(array, permutation)
    return turned[tuple(slice(None, None, -1 if f else 1) for f in flips)], affine @ matrix


@pytest.fixture
def a_volume() -> np.ndarray:
    return np.arange(np.prod(SHAPE)).reshape(SHAPE)


@pytest.mark.parametrize(("permutation", "flips"), ORDERS)
def test_any_order_of_axes_becomes_the_same_canonical_array(a_volume, permutation, flips):
    in_file, affine = reordered(a_volume, CANONICAL, permutation, flips)
    frame = AxialFrame.from_affine(affine, in_file.shape)
    assert np.array_equal(frame.to_canonical(in_file), a_volume)
    assert np.array_equal(frame.to_file(frame.to_canonical(in_file)), in_file)
    assert np.allclose(frame.ijk_to_ras, CANONICAL)
    assert frame.spacing == pytest.approx((2.5, 0.9, 0.8))


@pytest.mark.parametrize(("permutation", "flips"), ORDERS)
def test_slices_are_reported_by_the_number_they_have_in_the_file(a_volume, permutation, flips):
    in_file, affine = reordered(a_volume, CANONICAL, permutation, flips)
    frame = AxialFrame.from_affine(affine, in_file.shape)
    axis = permutation.index(0)  # the file's axis along the patient
    for k in range(SHAPE[0]):
        plane = np.take(in_file, frame.file_slice(k), axis=axis)
        assert set(plane.ravel()) == set(a_volume[k].ravel())
        assert frame.file_slice(frame.file_slice(k)) == k
        assert frame.position_mm(k) == pytest.approx(300 + 2.5 * k)


def test_nothing_is_copied(a_volume):
    in_file, affine = reordered(a_volume, CANONICAL, (2, 0, 1), (True, False, True))
    frame = AxialFrame.from_affine(affine, in_file.shape)
    assert np.shares_memory(frame.to_canonical(in_file), a_volume)


@pytest.mark.parametrize("degrees", [0, 12, 30])
def test_an_oblique_acquisition_keeps_its_voxels_and_says_how_oblique_it_is(a_volume, degrees):
    angle = np.radians(degrees)
    tilt = np.eye(4)
    tilt[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    frame = AxialFrame.from_affine(tilt @ CANONICAL, SHAPE)
    assert np.array_equal(frame.to_canonical(a_volume), a_volume)
    assert frame.obliquity == pytest.approx(degrees, abs=1e-4)
    assert frame.spacing == pytest.approx((2.5, 0.9, 0.8))


def test_two_axes_never_claim_the_same_patient_axis_even_at_45_degrees():
    angle = np.radians(45)
    tilt = np.eye(4)
    tilt[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    assert sorted(AxialFrame.from_affine(tilt @ CANONICAL, SHAPE).permutation) == [0, 1, 2]


def test_a_frame_says_whether_the_files_slices_are_axial(a_volume):
    for permutation, axial in (((0, 1, 2), True), ((0, 2, 1), True), ((1, 0, 2), False), ((2, 0, 1), False)):
        in_file, affine = reordered(a_volume, CANONICAL, permutation, (True, False, False))
        assert (AxialFrame.from_affine(affine, in_file.shape).plane_axis == 0) is axial


@pytest.mark.parametrize("bad", [np.zeros((4, 4)), np.full((4, 4), np.nan), np.diag([1.0, 1.0, 0.0, 1.0])])
def test_an_affine_that_is_none_is_refused(bad):
    with pytest.raises(ValueError, match="affine"):
        AxialFrame.from_affine(bad, SHAPE)
