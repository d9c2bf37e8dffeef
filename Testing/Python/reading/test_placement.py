"""Segmentations on another grid than the CT's."""

from __future__ import annotations

import numpy as np
import pytest

from QualitySentinelLib.reading import read_segmentation


def whole(segmentation, number: int) -> np.ndarray:
    """Mask of the n-th segment on the CT's grid."""
    segment = segmentation.segments[number]
    mask = np.zeros(segmentation.frame.shape, bool)
    if not segment.is_empty:
        mask[segment.box] = segment.voxels()
    return mask


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * (a & b).sum() / (a.sum() + b.sum())


@pytest.fixture
def placed(a_torso, a_ct, write_volume, tmp_path):
    """``placed(labels, affine)``: written, and read onto the CT's grid."""

    def place(labels, affine):
        path = write_volume(tmp_path / "seg.nii.gz", labels, affine)
        return read_segmentation(path, a_ct, {"1": "liver", "2": "spleen"})

    return place


def test_a_cropped_segmentation_lies_where_it_was_cropped_from(a_torso, placed):
    shift = np.eye(4)
    shift[:3, 3] = [3, 4, 2]
    seg = placed(a_torso.labels[2:18, 4:30, 3:46], a_torso.ijk_to_ras @ shift)
    assert np.array_equal(whole(seg, 0), a_torso.labels == 1)
    assert seg.warnings == []


def test_rounding_in_the_header_is_no_other_grid(a_torso, placed):
    rounded = a_torso.ijk_to_ras.copy()
    rounded[:3, 3] += 0.004
    rounded[0, 0] *= 1 + 1e-6
    seg = placed(a_torso.labels, rounded)
    assert np.array_equal(whole(seg, 0), a_torso.labels == 1)
    assert seg.warnings == []


def test_a_finer_grid_is_resampled_with_a_warning(a_torso, placed):
    fine = a_torso.labels.repeat(2, axis=0).repeat(2, axis=1).repeat(2, axis=2)
    affine = a_torso.ijk_to_ras.copy()
    affine[:3, :3] /= 2
    affine[:3, 3] -= a_torso.ijk_to_ras[:3, :3] @ [0.25, 0.25, 0.25]
    seg = placed(fine, affine)
    assert np.array_equal(whole(seg, 0), a_torso.labels == 1)
    assert np.array_equal(whole(seg, 1), a_torso.labels == 2)
    assert len(seg.warnings) == 1
    assert "seg.nii.gz: on another grid" in seg.warnings[0]


def test_a_coarser_grid_is_resampled_to_nearly_the_same_mask(a_torso, placed):
    affine = a_torso.ijk_to_ras.copy()
    affine[:3, :3] *= 2
    affine[:3, 3] += a_torso.ijk_to_ras[:3, :3] @ [0.5, 0.5, 0.5]
    seg = placed(a_torso.labels[::2, ::2, ::2], affine)
    assert dice(whole(seg, 0), a_torso.labels == 1) > 0.8


@pytest.mark.parametrize("degrees", [7, 90])
def test_a_rotated_grid_is_resampled_in_space(a_torso, placed, degrees):
    angle = np.radians(degrees)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    size = 160
    affine = turn @ np.diag([-2.0, -2.0, 5.0, 1.0])
    centre = (a_torso.ijk_to_ras @ [23.5, 15.5, 0, 1])[:3]
    affine[:3, 3] = centre - (affine @ [size / 2, size / 2, 0, 0])[:3]
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in (20, size, size)), indexing="ij"), -1)[..., ::-1]
    ras = grid @ affine[:3, :3].T + affine[:3, 3]
    ijk = (ras - a_torso.ijk_to_ras[:3, 3]) @ np.linalg.inv(a_torso.ijk_to_ras[:3, :3]).T
    index = np.rint(ijk).astype(int)[..., ::-1]
    inside = ((index >= 0) & (index < a_torso.labels.shape)).all(axis=-1)
    index[~inside] = 0
    turned = np.where(inside, a_torso.labels[tuple(np.moveaxis(index, -1, 0))], 0).astype(np.uint8)
    seg = placed(turned, affine)
    for number in (0, 1):
        inside_ct = a_torso.labels == number + 1
        assert dice(whole(seg, number), inside_ct) > (0.85 if number == 0 else 0.75)
    assert any("another grid" in w for w in seg.warnings)


def test_what_lies_outside_the_ct_is_left_out_and_its_share_told(a_torso, placed):
    moved = a_torso.ijk_to_ras.copy()
    moved[2, 3] += 40  # 8 slices up
    seg = placed(a_torso.labels, moved)
    liver = a_torso.labels == 1
    assert np.array_equal(whole(seg, 0)[8:], liver[:12])
    lost = 100 * liver[12:].sum() / liver.sum()
    assert f"{lost:.1f} % of segment 'liver'" in " ".join(seg.warnings)


def test_the_lost_share_is_told_after_resampling_too(a_torso, placed):
    moved = a_torso.ijk_to_ras.copy()
    moved[2, 3] += 42
    seg = placed(a_torso.labels, moved)
    assert any("% of segment 'liver' lies outside the CT" in w for w in seg.warnings)
    assert any("another grid" in w for w in seg.warnings)


def test_a_segment_that_is_all_outside_is_empty_while_others_are_kept(a_torso, placed):
    labels = np.zeros((60, 32, 48), np.uint8)
    labels[:20] = a_torso.labels == 1
    labels[50:55, 10:20, 10:20] = 2
    seg = placed(labels, a_torso.ijk_to_ras)
    assert np.array_equal(whole(seg, 0), a_torso.labels == 1)
    assert seg.segments[1].is_empty
    assert "'spleen' lies outside" in seg.warnings[0]


def test_a_structure_too_small_for_the_ct_grid_is_reported(a_torso, placed):
    fine = np.zeros((40, 64, 96), np.uint8)
    fine[10:20, 10:30, 10:30] = 1
    fine[30, 40, 50] = 2
    affine = a_torso.ijk_to_ras.copy()
    affine[:3, :3] /= 2
    seg = placed(fine, affine)
    assert not seg.segments[0].is_empty
    if seg.segments[1].is_empty:
        assert any("smaller than the CT's voxels" in w for w in seg.warnings)
