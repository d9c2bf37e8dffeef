"""A case gives the same scores from the scene as from files."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture
def scores_of_the_files(a_case_on_disk, a_small_model):
    """The synthetic case scored from its NIfTI files."""
    from QualitySentinelLib.reading import read_ct, read_segmentation
    from QualitySentinelLib.scorer import Scorer

    ct = read_ct(a_case_on_disk.ct)
    segmentation = read_segmentation(a_case_on_disk.seg, ct, a_case_on_disk.names)
    return Scorer(a_small_model, device="cpu").score(ct, segmentation)


def scores_of_the_scene(ct_node, segmentation_node, model):
    from QualitySentinelLib.scene import ct_from_node, segmentation_from_node
    from QualitySentinelLib.scorer import Scorer

    return Scorer(model, device="cpu").score(ct_from_node(ct_node), segmentation_from_node(segmentation_node, ct_node))


def exact(case):
    """What must agree to the last bit: which slices of each structure, of which mask, and what the network said."""
    return {
        segment.structure: (segment.status, [(s.k, s.slice_index, s.digest, s.raw, s.flagged) for s in segment.slices])
        for segment in case.segments
    }


def rounded(case):
    """What hangs on the geometry: a node keeps spacing and directions apart, which costs the last bit."""
    return {
        segment.structure: [segment.predicted_dsc, *(v for s in segment.slices for v in (s.position_mm, s.area_mm2))]
        for segment in case.segments
    }


def assert_same_scores(case, other):
    """Two scores of one case, whatever the segments' ids are."""
    assert exact(case) == exact(other)
    other = rounded(other)
    for structure, values in rounded(case).items():
        assert values == pytest.approx(other[structure], rel=1e-12)


def test_nodes_made_from_the_same_arrays_score_the_same(
    a_ct_node, a_segmentation_node, a_small_model, scores_of_the_files
):
    scene = scores_of_the_scene(a_ct_node, a_segmentation_node, a_small_model)
    assert_same_scores(scene, scores_of_the_files)
    assert scene.warnings == scores_of_the_files.warnings == []


def test_the_files_loaded_by_slicers_own_readers_score_the_same(
    slicer, a_case_on_disk, a_torso, a_small_model, scores_of_the_files
):
    from Testing.Host.headless_slicer import start

    io = start().io_manager
    ct_node = io.load_volumes([str(a_case_on_disk.ct)])[0]
    segmentation_node = io.load_segmentation(str(a_case_on_disk.seg))
    segmentation = segmentation_node.GetSegmentation()
    by_label = {
        segmentation.GetSegment(i).GetLabelValue(): segmentation.GetSegment(i) for i in segmentation.GetSegmentIDs()
    }
    for value, name in a_torso.names.items():
        by_label[value].SetName(name)
    assert_same_scores(scores_of_the_scene(ct_node, segmentation_node, a_small_model), scores_of_the_files)


def test_a_segmentation_on_a_coarser_grid_is_resampled_the_same(
    slicer, a_ct_node, a_case_on_disk, a_torso, a_small_model, segmentation_node_of, tmp_path
):
    import nibabel

    from QualitySentinelLib.reading import read_ct, read_segmentation
    from QualitySentinelLib.scorer import Scorer

    labels = np.ascontiguousarray(a_torso.labels[::2, ::2, ::2])
    affine = a_torso.ijk_to_ras @ np.diag([2.0, 2.0, 2.0, 1.0])
    nibabel.save(nibabel.Nifti1Image(np.ascontiguousarray(labels.T), affine), tmp_path / "coarse.nii.gz")
    ct = read_ct(a_case_on_disk.ct)
    segmentation = read_segmentation(tmp_path / "coarse.nii.gz", ct, a_case_on_disk.names)
    files = Scorer(a_small_model, device="cpu").score(ct, segmentation)
    coarse_ct = slicer.util.addVolumeFromArray(labels.astype(np.int16), affine, "Coarse")
    node = segmentation_node_of(labels, a_torso.names, coarse_ct)
    assert_same_scores(scores_of_the_scene(a_ct_node, node, a_small_model), files)


@pytest.mark.shared_data
def test_a_real_case_of_61_structures_gives_the_same_masks(slicer, shared):
    from Testing.Host.headless_slicer import start

    from QualitySentinelLib.reading import read_ct, read_segmentation
    from QualitySentinelLib.scene import ct_from_node, segmentation_from_node

    ct_file = shared / "data" / "totalsegmentator" / "example_ct.nii.gz"
    seg_file = ct_file.with_name("example_seg_fast_force_split.nii.gz")
    io = start().io_manager
    ct_node, segmentation_node = io.load_volumes([str(ct_file)])[0], io.load_segmentation(str(seg_file))
    ct = read_ct(ct_file)
    assert np.array_equal(ct_from_node(ct_node).hu, ct.hu)
    files, scene = read_segmentation(seg_file, ct), segmentation_from_node(segmentation_node, ct_node)
    assert len(files) == len(scene) == 61
    for one, other in zip(files, scene, strict=True):
        assert one.box == other.box
        assert np.array_equal(one.voxels(), other.voxels())
