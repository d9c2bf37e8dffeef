"""Views that follow a review: jumps hit the slice, and a segment is shown alone, reversibly."""

from __future__ import annotations

import numpy as np
import pytest

from QualitySentinelLib.volume import AxialFrame

TURN = np.radians(17)
OBLIQUE = np.array([[1, 0, 0], [0, np.cos(TURN), -np.sin(TURN)], [0, np.sin(TURN), np.cos(TURN)]])


@pytest.fixture
def views(slicer):
    """One slice node of each orientation, as a layout makes them."""
    nodes = {}
    for name, orientation in (("Red", "Axial"), ("Green", "Coronal"), ("Yellow", "Sagittal")):
        node = slicer.vtkMRMLSliceNode()
        node.SetLayoutName(name)
        node.SetName(name)
        node = slicer.mrmlScene.AddNode(node)
        node.SetOrientation(orientation)
        nodes[orientation] = node
    return nodes


@pytest.fixture(params=["as it is", "flipped", "oblique", "gantry tilt", "turned by a transform", "slices in i"])
def a_placed_ct(request, slicer, a_torso):
    """The torso's CT in several places: node, and the affine of its canonical array in the world."""
    affine = a_torso.ijk_to_ras.copy()
    voxels = a_torso.hu
    if request.param == "flipped":
        voxels = voxels[::-1, ::-1]
        affine[:, 3] += 31 * affine[:, 1] + 19 * affine[:, 2]
        affine[:, 1:3] *= -1
    elif request.param == "oblique":
        affine[:3, :3] = OBLIQUE @ affine[:3, :3]
    elif request.param == "gantry tilt":
        affine[1, 2] = 1.2
    elif request.param == "slices in i":
        voxels = np.transpose(voxels, (2, 1, 0))
        affine[:, [0, 2]] = affine[:, [2, 0]]
    node = slicer.util.addVolumeFromArray(np.ascontiguousarray(voxels), affine, "CT")
    if request.param == "turned by a transform":
        turn = np.eye(4)
        turn[:3, :3], turn[:3, 3] = OBLIQUE, (10, -20, 30)
        transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
        transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(turn))
        node.SetAndObserveTransformNodeID(transform.GetID())
        affine = turn @ affine
    return node, AxialFrame.from_affine(affine, voxels.shape)


def plane_of(slicer, slice_node):
    """A point in the view's plane, and its normal."""
    matrix = slicer.util.arrayFromVTKMatrix(slice_node.GetSliceToRAS())
    return matrix[:3, 3], matrix[:3, 2]


def distances_to_slice(slicer, slice_node, frame, k):
    """How far the corner voxels of canonical slice ``k`` lie from the view's plane, mm."""
    _, height, width = frame.shape
    corners = np.array([[i, j, k, 1] for i in (0, width - 1) for j in (0, height - 1)])
    point, normal = plane_of(slicer, slice_node)
    return np.abs((corners @ frame.ijk_to_ras.T)[:, :3] @ normal - point @ normal)


def test_the_axial_view_lies_in_the_plane_of_the_slice(slicer, views, a_placed_ct):
    from QualitySentinelLib.scene import jump_to_slice

    node, frame = a_placed_ct
    for k in (0, 13, frame.shape[0] - 1, 5):
        jump_to_slice(node, k)
        assert distances_to_slice(slicer, views["Axial"], frame, k).max() < 1e-3


def test_other_views_cut_the_middle_when_one_is_given_and_else_stay(slicer, views, a_placed_ct):
    from QualitySentinelLib.scene import jump_to_slice

    node, frame = a_placed_ct
    before = [plane_of(slicer, views[o])[0] for o in ("Coronal", "Sagittal")]
    jump_to_slice(node, 4)
    assert np.array_equal(before, [plane_of(slicer, views[o])[0] for o in ("Coronal", "Sagittal")])
    center = (frame.ijk_to_ras @ [10, 20, 4, 1])[:3]
    jump_to_slice(node, 4, center)
    for view in views.values():
        point, normal = plane_of(slicer, view)
        assert abs((center - point) @ normal) < 1e-3
    assert distances_to_slice(slicer, views["Axial"], frame, 4).max() < 1e-3


def test_an_upright_ct_turns_no_view(views, a_ct_node):
    from QualitySentinelLib.scene import jump_to_slice

    jump_to_slice(a_ct_node, 4, (0.0, 0.0, -80.0))
    assert {orientation: node.GetOrientation() for orientation, node in views.items()} == {o: o for o in views}


def test_a_view_is_panned_only_when_the_place_is_outside_it(slicer, views, a_ct_node):
    from QualitySentinelLib.scene import jump_to_slice

    axial = views["Axial"]
    axial.SetDimensions(200, 200, 1)
    axial.SetFieldOfView(100, 100, 1)
    jump_to_slice(a_ct_node, 4, (20.0, 30.0, -80.0))
    assert plane_of(slicer, axial)[0][:2] == pytest.approx((0, 0))
    jump_to_slice(a_ct_node, 4, (120.0, 30.0, -80.0))
    assert plane_of(slicer, axial)[0][:2] == pytest.approx((120, 30))


def test_the_real_ct_that_is_flipped_front_to_back(slicer, views, shared):
    import SimpleITK

    from QualitySentinelLib.scene import jump_to_slice

    image = SimpleITK.ReadImage(str(shared / "data" / "totalsegmentator" / "example_ct.nii.gz"))
    lps = np.eye(4)
    lps[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    lps[:3, 3] = image.GetOrigin()
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ lps
    node = slicer.util.addVolumeFromArray(SimpleITK.GetArrayFromImage(image), affine, "CT")
    frame = AxialFrame.from_affine(affine, slicer.util.arrayFromVolume(node).shape)
    assert frame.flipped[1]
    for k in (0, 57, frame.shape[0] - 1):
        jump_to_slice(node, k)
        assert distances_to_slice(slicer, views["Axial"], frame, k).max() < 1e-3


def test_the_center_is_a_voxel_of_the_mask_also_of_a_ring(a_torso, a_ct_node, segmentation_node_of):
    from QualitySentinelLib.scene import segment_center

    labels = np.zeros_like(a_torso.labels)
    labels[8, 5:25, 5:25] = 1
    labels[8, 7:23, 7:23] = 0
    node = segmentation_node_of(labels, {1: "ring"}, a_ct_node)
    ras = segment_center(node, "ring", a_ct_node, 8)
    i, j, k, _ = np.rint(np.linalg.inv(a_torso.ijk_to_ras) @ [*ras, 1]).astype(int)
    assert labels[k, j, i] == 1


def test_a_missed_slice_is_looked_at_where_its_neighbour_is(a_torso, a_ct_node, segmentation_node_of):
    from QualitySentinelLib.scene import segment_center

    labels = np.zeros_like(a_torso.labels)
    labels[8, 10:13, 20:23] = 1
    node = segmentation_node_of(labels, {1: "small", 2: "nothing"}, a_ct_node)
    assert segment_center(node, "small", a_ct_node, 10) == pytest.approx((a_torso.ijk_to_ras @ [21, 11, 10, 1])[:3])
    assert segment_center(node, "nothing", a_ct_node, 10) is None
    assert segment_center(node, "no such segment", a_ct_node, 10) is None


def test_the_center_of_a_mask_on_another_grid_is_found(slicer, a_torso, a_ct_node):
    from QualitySentinelLib.scene import segment_center

    fine = np.kron(a_torso.labels, np.ones((2, 1, 1), np.uint8))
    affine = a_torso.ijk_to_ras.copy()
    affine[2, 2], affine[2, 3] = 2.5, affine[2, 3] - 1.25
    other = slicer.util.addVolumeFromArray(fine, affine, "Fine")
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Segmentation")
    segment_id = node.GetSegmentation().AddEmptySegment("liver", "liver")
    slicer.util.updateSegmentBinaryLabelmapFromArray((fine == 1).astype(np.uint8), node, segment_id, other)
    ras = segment_center(node, "liver", a_ct_node, 8)
    i, j, k, _ = np.rint(np.linalg.inv(a_torso.ijk_to_ras) @ [*ras, 1]).astype(int)
    assert k == 8 and a_torso.labels[k, j, i] == 1


def visible(node) -> list[str]:
    display = node.GetDisplayNode()
    return [i for i in node.GetSegmentation().GetSegmentIDs() if display.GetSegmentVisibility(i)]


def test_what_was_hidden_before_comes_back_hidden(a_torso, a_ct_node, segmentation_node_of):
    from QualitySentinelLib.scene import one_shown, show_all, show_only

    node = segmentation_node_of(a_torso.labels, {1: "liver", 2: "spleen", 3: "empty"}, a_ct_node)
    node.GetDisplayNode().SetSegmentVisibility("empty", False)
    show_only(node, "liver")
    assert visible(node) == ["liver"] and one_shown(node)
    show_only(node, "empty")
    assert visible(node) == ["empty"]
    node.GetSegmentation().RemoveSegment("spleen")
    node.GetSegmentation().AddEmptySegment("new", "new")
    show_all(node)
    assert visible(node) == ["liver", "new"] and not one_shown(node)
    show_all(node)  # nothing left to do
    assert visible(node) == ["liver", "new"]


def test_a_saved_scene_brings_the_way_back_to_all_segments(slicer, a_segmentation_node, save_and_load):
    from QualitySentinelLib.scene import show_all, show_only

    show_only(a_segmentation_node, "liver")
    save_and_load()
    node = slicer.util.getNode("Segmentation")
    assert visible(node) == ["liver"]
    show_all(node)
    assert visible(node) == ["liver", "spleen"]
