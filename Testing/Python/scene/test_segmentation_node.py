"""A segmentation node becomes the same segments as its file, whatever Slicer did to its layers."""

from __future__ import annotations

import numpy as np
import pytest

from QualitySentinelLib.errors import InputError, MismatchError


def whole_mask(segmentation, segment_id) -> np.ndarray:
    """A segment's mask on the whole grid, canonical order."""
    mask = np.zeros(segmentation.frame.shape, bool)
    segment = segmentation[segment_id]
    if not segment.is_empty:
        mask[segment.box] = segment.voxels()
    return mask


def read(segmentation_node, ct_node):
    from QualitySentinelLib.scene import segmentation_from_node

    return segmentation_from_node(segmentation_node, ct_node)


def assert_is_the_torso(segmentation, a_torso):
    for value, name in a_torso.names.items():
        assert np.array_equal(whole_mask(segmentation, name), a_torso.labels == value), name


def test_segments_of_a_shared_layer_are_boxes_of_one_array(a_segmentation_node, a_ct_node, a_torso):
    segmentation = read(a_segmentation_node, a_ct_node)
    assert_is_the_torso(segmentation, a_torso)
    liver, spleen = segmentation["liver"], segmentation["spleen"]
    assert liver.labels.base is spleen.labels.base is not None
    assert (liver.structure, spleen.structure) == ("liver", "spleen")
    assert segmentation.warnings == []


def test_overlapping_segments_in_layers_of_their_own_are_read_alike(slicer, a_segmentation_node, a_ct_node, a_torso):
    body = (a_torso.hu > -300).astype(np.uint8)
    body_id = a_segmentation_node.GetSegmentation().AddEmptySegment("body", "body")
    slicer.util.updateSegmentBinaryLabelmapFromArray(body, a_segmentation_node, body_id, a_ct_node)
    segmentation = read(a_segmentation_node, a_ct_node)
    assert_is_the_torso(segmentation, a_torso)
    assert np.array_equal(whole_mask(segmentation, "body"), body)


def test_a_layer_cropped_to_its_segment_is_put_where_it_belongs(slicer, a_segmentation_node, a_ct_node, a_torso):
    source = a_segmentation_node.GetSegmentation()
    source.SeparateSegmentLabelmap("spleen")
    image = a_segmentation_node.GetBinaryLabelmapInternalRepresentation("spleen")
    effective = [0] * 6
    slicer.vtkOrientedImageDataResample.CalculateEffectiveExtent(image, effective)
    image.Crop(effective)
    assert image.GetExtent() == tuple(effective) != (0, 47, 0, 31, 0, 19)
    assert_is_the_torso(read(a_segmentation_node, a_ct_node), a_torso)


def test_a_segment_that_reaches_out_of_the_ct_is_cut_with_a_warning(slicer, a_segmentation_node, a_torso):
    smaller = slicer.util.addVolumeFromArray(a_torso.hu[4:12, 8:], _affine_from(a_torso, (0, 8, 4)), "Smaller CT")
    segmentation = read(a_segmentation_node, smaller)
    assert np.array_equal(whole_mask(segmentation, "liver"), a_torso.labels[4:12, 8:] == 1)
    assert any("of segment 'liver' lies outside the CT" in w for w in segmentation.warnings)


def test_a_flipped_ct_gives_the_same_canonical_segments(slicer, a_segmentation_node, a_torso):
    affine = a_torso.ijk_to_ras @ np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, -1, 19], [0, 0, 0, 1.0]])
    flipped = slicer.util.addVolumeFromArray(np.ascontiguousarray(a_torso.hu[::-1]), affine, "Flipped")
    assert_is_the_torso(read(a_segmentation_node, flipped), a_torso)


def test_another_grid_is_resampled_with_a_warning(slicer, a_segmentation_node, a_torso):
    fine = np.repeat(a_torso.hu, 2, axis=0)
    affine = a_torso.ijk_to_ras.copy()
    affine[:3, 3] -= affine[:3, 2] / 4
    affine[:3, 2] /= 2
    segmentation = read(a_segmentation_node, slicer.util.addVolumeFromArray(fine, affine, "Fine CT"))
    expected = np.repeat(a_torso.labels == 1, 2, axis=0)
    mask = whole_mask(segmentation, "liver")
    assert 2 * (mask & expected).sum() / (mask.sum() + expected.sum()) > 0.95
    assert "on another grid than the CT" in segmentation.warnings[0]


def test_closed_surfaces_alone_become_masks_and_the_node_stays_as_it_is(a_segmentation_node, a_ct_node, a_torso):
    source = a_segmentation_node.GetSegmentation()
    a_segmentation_node.CreateClosedSurfaceRepresentation()
    source.SetSourceRepresentationName("Closed surface")
    source.RemoveRepresentation("Binary labelmap")
    segmentation = read(a_segmentation_node, a_ct_node)
    mask, expected = whole_mask(segmentation, "liver"), a_torso.labels == 1
    assert 2 * (mask & expected).sum() / (mask.sum() + expected.sum()) > 0.9
    assert not source.ContainsRepresentation("Binary labelmap")


def test_ct_and_segmentation_under_one_transform_stay_on_one_grid(slicer, a_segmentation_node, a_ct_node, a_torso):
    matrix = np.array([[0.9, -0.43589, 0, 30], [0.43589, 0.9, 0, -20], [0, 0, 1, 12], [0, 0, 0, 1.0]])
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode")
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    for node in (a_ct_node, a_segmentation_node):
        node.SetAndObserveTransformNodeID(transform.GetID())
    segmentation = read(a_segmentation_node, a_ct_node)
    assert_is_the_torso(segmentation, a_torso)
    assert segmentation.warnings == []


def test_a_segmentation_moved_alone_is_resampled_where_it_now_lies(slicer, a_segmentation_node, a_ct_node, a_torso):
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode")
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(_translation(0, 0, 10)))  # two slices up
    a_segmentation_node.SetAndObserveTransformNodeID(transform.GetID())
    segmentation = read(a_segmentation_node, a_ct_node)
    assert np.array_equal(whole_mask(segmentation, "liver")[2:], (a_torso.labels == 1)[:-2])


def test_an_empty_segment_is_kept_as_empty(a_segmentation_node, a_ct_node):
    a_segmentation_node.GetSegmentation().AddEmptySegment("kidney", "left kidney")
    segment = read(a_segmentation_node, a_ct_node)["kidney"]
    assert segment.is_empty
    assert segment.structure == "kidney left"


def test_the_terminology_of_a_segment_finds_its_structure(slicer, a_segmentation_node, a_ct_node):
    segment = a_segmentation_node.GetSegmentation().GetSegment("liver")
    segment.SetName("Segment_1")
    segment.SetTag(
        "TerminologyEntry",
        "Segmentation category and type - 3D Slicer General Anatomy list~SCT^123037004^Anatomical Structure"
        "~SCT^10200004^Liver~^^~Anatomic codes - DICOM master list~^^~^^",
    )
    assert read(a_segmentation_node, a_ct_node)["liver"].structure == "liver"


def test_editing_while_scoring_does_not_reach_the_segments_read(slicer, a_segmentation_node, a_ct_node, a_torso):
    segmentation = read(a_segmentation_node, a_ct_node)
    slicer.util.arrayFromSegmentInternalBinaryLabelmap(a_segmentation_node, "liver")[:] = 0
    assert_is_the_torso(segmentation, a_torso)


def test_what_cannot_be_scored_is_refused(slicer, a_segmentation_node, a_torso):
    far = slicer.util.addVolumeFromArray(a_torso.hu, _translation(0, 0, 5000) @ a_torso.ijk_to_ras, "Far")
    apart = slicer.util.addVolumeFromArray(a_torso.hu, _translation(1, 2, 5000) @ a_torso.ijk_to_ras, "Apart")
    none = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "None")
    with pytest.raises(MismatchError, match="elsewhere than the CT Far"):
        read(a_segmentation_node, far)
    with pytest.raises(MismatchError, match="elsewhere than the CT Apart"):
        read(a_segmentation_node, apart)
    with pytest.raises(InputError, match="no segments"):
        read(none, far)
    with pytest.raises(InputError, match="no segmentation is selected"):
        read(None, far)


def _translation(*millimetres) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, 3] = millimetres
    return matrix


def _affine_from(a_torso, ijk) -> np.ndarray:
    affine = a_torso.ijk_to_ras.copy()
    affine[:3, 3] = (affine @ np.array([*ijk, 1.0]))[:3]
    return affine
