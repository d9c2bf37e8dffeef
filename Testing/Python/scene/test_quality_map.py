"""The quality map: the predicted DSC of each mask voxel's slice over the CT, reversible, quick to update."""

from __future__ import annotations

import numpy as np
import pytest

from QualitySentinelLib.scores import CaseScore, SegmentScore, SliceScore, Status, dsc_color


@pytest.fixture
def views(slicer):
    """Composite nodes of three slice views, the first with a foreground of the user's."""
    other = slicer.util.addVolumeFromArray(np.zeros((2, 2, 2), np.int16), np.eye(4), "PET")
    nodes = []
    for name in ("Red", "Green", "Yellow"):
        node = slicer.vtkMRMLSliceCompositeNode()
        node.SetLayoutName(name)
        nodes.append(slicer.mrmlScene.AddNode(node))
    nodes[0].SetForegroundVolumeID(other.GetID())
    nodes[0].SetForegroundOpacity(0.3)
    return nodes


def scored(labels: np.ndarray, names: dict[int, str], dsc=lambda name, k: 0.5 + k / 100) -> CaseScore:
    """Scores of all slices of canonical labels; digests tell masks apart."""
    segments = []
    for value, name in names.items():
        masks = labels == value
        ks = np.flatnonzero(masks.any(axis=(1, 2)))
        slices = [
            SliceScore(name, int(k), int(k), 0.0, dsc(name, k), dsc(name, k), 1.0, str(hash(masks[k].tobytes())))
            for k in ks
        ]
        segments.append(SegmentScore(name, name, name, Status.SCORED, len(ks), 0.7, slices=slices))
    return CaseScore(segments, 0.8)


def map_of(slicer, node):
    return node.GetNodeReference("QualitySentinelQualityMap")


def on_ct(slicer, map_node, ct_node) -> np.ndarray:
    """The map's voxels on the CT's grid in the file's order, by world position; NaN where the map has none."""
    found = slicer.util.arrayFromVolume(map_node)
    affines = []
    for node in (map_node, ct_node):
        matrix = slicer.vtkMRMLSliceNode().GetSliceToRAS().__class__()
        node.GetIJKToRASMatrix(matrix)
        affines.append(slicer.util.arrayFromVTKMatrix(matrix))
    assert map_node.GetTransformNodeID() == ct_node.GetTransformNodeID()
    to_ct = np.linalg.inv(affines[1]) @ affines[0]
    assert to_ct[:3, :3] == pytest.approx(np.eye(3), abs=1e-6)
    first = np.rint(to_ct[:3, 3]).astype(int)
    assert to_ct[:3, 3] == pytest.approx(first, abs=1e-4)
    whole = np.full(slicer.util.arrayFromVolume(ct_node).shape, np.nan)
    whole[tuple(slice(f, f + n) for f, n in zip(first[::-1], found.shape, strict=True))] = found
    return whole


def expected(labels, names, dsc=lambda name, k: 0.5 + k / 100) -> np.ndarray:
    whole = np.full(labels.shape, np.nan)
    for value, name in names.items():
        for k in range(len(labels)):
            whole[k][labels[k] == value] = dsc(name, k)
    return whole


def assert_shows(found: np.ndarray, wanted: np.ndarray) -> None:
    inside = ~np.isnan(wanted)
    assert found[inside] == pytest.approx(wanted[inside], abs=1e-6)
    outside = found[~inside]
    assert (np.isnan(outside) | (outside == -1)).all()


def test_a_voxel_reads_as_the_dsc_of_its_slice(slicer, a_torso, a_ct_node, a_segmentation_node, views):
    from QualitySentinelLib.scene import quality_map_shown, show_quality_map

    show_quality_map(a_segmentation_node, a_ct_node, scored(a_torso.labels, a_torso.names))
    assert quality_map_shown(a_segmentation_node)
    map_node = map_of(slicer, a_segmentation_node)
    assert_shows(on_ct(slicer, map_node, a_ct_node), expected(a_torso.labels, a_torso.names))
    assert slicer.util.arrayFromVolume(map_node).size < a_torso.labels.size  # cropped to the masks


def test_all_slice_views_show_it_and_get_back_what_they_had(slicer, a_torso, a_ct_node, a_segmentation_node, views):
    from QualitySentinelLib.scene import hide_quality_map, quality_map_shown, show_quality_map

    def state():
        display = a_segmentation_node.GetDisplayNode()
        return (
            [(v.GetForegroundVolumeID(), v.GetForegroundOpacity()) for v in views],
            display.GetVisibility2DFill(),
            list(display.GetAttributeNames() or ()),
            sorted(n.GetID() for n in slicer.util.getNodesByClass("vtkMRMLNode")),
        )

    slicer.mrmlScene.GetSubjectHierarchyNode()  # Slicer always has one; here it is made when it is first asked for
    before = state()
    score = scored(a_torso.labels, a_torso.names)
    for scale in ("red-yellow-green", "color-blind-safe"):
        show_quality_map(a_segmentation_node, a_ct_node, score, scale)
    map_id = map_of(slicer, a_segmentation_node).GetID()
    assert {v.GetForegroundVolumeID() for v in views} == {map_id}
    assert not a_segmentation_node.GetDisplayNode().GetVisibility2DFill()
    hide_quality_map(a_segmentation_node)
    assert state() == before
    assert not quality_map_shown(a_segmentation_node)
    hide_quality_map(a_segmentation_node)  # nothing left to do
    assert state() == before


def test_a_foreground_chosen_meanwhile_stays(slicer, a_torso, a_ct_node, a_segmentation_node, views):
    from QualitySentinelLib.scene import hide_quality_map, show_quality_map

    show_quality_map(a_segmentation_node, a_ct_node, scored(a_torso.labels, a_torso.names))
    views[1].SetForegroundVolumeID(a_ct_node.GetID())
    hide_quality_map(a_segmentation_node)
    assert views[1].GetForegroundVolumeID() == a_ct_node.GetID()
    assert views[2].GetForegroundVolumeID() is None


@pytest.mark.parametrize("scale", ["red-yellow-green", "color-blind-safe"])
def test_the_colors_are_those_of_the_scale_and_nothing_is_drawn_outside(
    slicer, a_torso, a_ct_node, a_segmentation_node, scale
):
    from QualitySentinelLib.scene import show_quality_map

    show_quality_map(a_segmentation_node, a_ct_node, scored(a_torso.labels, a_torso.names), scale)
    map_node = map_of(slicer, a_segmentation_node)
    display = map_node.GetDisplayNode()
    connection = display.GetImageDataConnection()
    connection.GetProducer().Update()
    image = connection.GetProducer().GetOutputDataObject(connection.GetIndex())
    from vtk.util.numpy_support import vtk_to_numpy

    pixels = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(-1, 4)
    values = slicer.util.arrayFromVolume(map_node).ravel()
    assert (pixels[values < 0, 3] == 0).all()
    for value in np.unique(values[values >= 0]):
        drawn = pixels[values == value][0]
        assert drawn[3] == 255
        assert drawn[:3] == pytest.approx([255 * c for c in dsc_color(float(value), scale)], abs=4)


def test_where_segments_overlap_the_lower_dsc_wins(slicer, a_torso, a_ct_node):
    from QualitySentinelLib.scene import show_quality_map

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Segmentation")
    node.CreateDefaultDisplayNodes()
    masks = {"good": np.zeros_like(a_torso.labels), "bad": np.zeros_like(a_torso.labels)}
    masks["good"][5:9, 5:20, 5:20] = 1
    masks["bad"][7:12, 10:25, 10:25] = 1
    segments = []
    for (name, mask), dsc in zip(masks.items(), (0.9, 0.2), strict=True):
        node.GetSegmentation().AddEmptySegment(name, name)
        slicer.util.updateSegmentBinaryLabelmapFromArray(mask, node, name, a_ct_node)
        segments += scored(mask, {1: name}, lambda _n, _k, dsc=dsc: dsc).segments
    show_quality_map(node, a_ct_node, CaseScore(segments, 0.8))
    wanted = np.where(masks["bad"] == 1, 0.2, np.where(masks["good"] == 1, 0.9, np.nan))
    assert_shows(on_ct(slicer, map_of(slicer, node), a_ct_node), wanted)


def test_slices_without_a_score_and_hidden_segments_are_left_out(slicer, a_torso, a_ct_node, a_segmentation_node):
    from QualitySentinelLib.scene import show_only, show_quality_map, update_quality_map

    score = scored(a_torso.labels, a_torso.names)
    del score["liver"].slices[::2]
    show_quality_map(a_segmentation_node, a_ct_node, score)
    wanted = expected(a_torso.labels, a_torso.names)
    ks = [s.k for s in score["liver"].slices]
    for k in range(len(wanted)):
        if k not in ks:
            wanted[k][a_torso.labels[k] == 1] = np.nan
    map_node = map_of(slicer, a_segmentation_node)
    assert_shows(on_ct(slicer, map_node, a_ct_node), wanted)
    show_only(a_segmentation_node, "spleen")
    update_quality_map(a_segmentation_node, a_ct_node, score)
    assert_shows(on_ct(slicer, map_node, a_ct_node), expected(a_torso.labels, {2: "spleen"}))


@pytest.mark.parametrize("grid", ["flipped", "slices in i", "under a transform"])
def test_it_lies_on_the_ct_however_that_is_stored(slicer, a_torso, segmentation_node_of, grid):
    from QualitySentinelLib.scene import show_quality_map

    affine, hu, labels = a_torso.ijk_to_ras.copy(), a_torso.hu, a_torso.labels

    def stored(array):
        if grid == "flipped":
            return np.ascontiguousarray(array[::-1, ::-1])
        return np.ascontiguousarray(np.transpose(array, (2, 1, 0))) if grid == "slices in i" else array

    if grid == "flipped":
        affine[:, 3] += 31 * affine[:, 1] + 19 * affine[:, 2]
        affine[:, 1:3] *= -1
    elif grid == "slices in i":
        affine[:, [0, 2]] = affine[:, [2, 0]]
    ct_node = slicer.util.addVolumeFromArray(stored(hu), affine, "CT")
    node = segmentation_node_of(stored(labels), a_torso.names, ct_node)
    if grid == "under a transform":
        turn = np.array([[0, -1, 0, 5], [1, 0, 0, 7], [0, 0, 1, 9], [0, 0, 0, 1.0]])
        transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
        transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(turn))
        for n in (ct_node, node):
            n.SetAndObserveTransformNodeID(transform.GetID())
        # the canonical frame of the turned volume has other i and j, but the same k
    show_quality_map(node, ct_node, scored(labels, a_torso.names))
    assert_shows(on_ct(slicer, map_of(slicer, node), ct_node), stored(expected(labels, a_torso.names)))


def test_masks_on_another_grid_are_put_on_the_cts(slicer, a_torso, a_ct_node, segmentation_node_of):
    from QualitySentinelLib.scene import show_quality_map

    fine = np.kron(a_torso.labels, np.ones((2, 1, 1), np.uint8))
    affine = a_torso.ijk_to_ras.copy()
    affine[2, 2], affine[2, 3] = 2.5, affine[2, 3] - 1.25
    other = slicer.util.addVolumeFromArray(fine, affine, "Fine")
    node = segmentation_node_of(fine, a_torso.names, other)
    show_quality_map(node, a_ct_node, scored(a_torso.labels, a_torso.names))
    assert_shows(on_ct(slicer, map_of(slicer, node), a_ct_node), expected(a_torso.labels, a_torso.names))


def test_after_an_edit_only_the_edited_slice_is_drawn_again(slicer, a_torso, a_ct_node, a_segmentation_node):
    from QualitySentinelLib.scene import show_quality_map, update_quality_map

    def fresh(name, k):
        return 0.11 if (name, k) == ("liver", 8) else 0.5 + k / 100

    show_quality_map(a_segmentation_node, a_ct_node, scored(a_torso.labels, a_torso.names))
    map_node = map_of(slicer, a_segmentation_node)
    image = map_node.GetImageData()
    slicer.util.arrayFromVolume(map_node)[0, 0, 0] = 0.77  # drawn by nobody: it tells whether its slice is touched
    edited = a_torso.labels.copy()
    edited[8][edited[8] == 1] = 0
    edited[8, 14:18, 10:20] = 1
    a_segmentation_node.GetSegmentation().SeparateSegmentLabelmap("liver")
    slicer.util.updateSegmentBinaryLabelmapFromArray(
        (edited == 1).astype(np.uint8), a_segmentation_node, "liver", a_ct_node
    )
    update_quality_map(a_segmentation_node, a_ct_node, scored(edited, a_torso.names, fresh))
    assert map_node.GetImageData() is image
    assert slicer.util.arrayFromVolume(map_node)[0, 0, 0] == pytest.approx(0.77)
    slicer.util.arrayFromVolume(map_node)[0, 0, 0] = -1
    assert_shows(on_ct(slicer, map_node, a_ct_node), expected(edited, a_torso.names, fresh))


def test_an_edit_beyond_the_map_and_an_erased_slice_are_shown_too(slicer, a_torso, a_ct_node, a_segmentation_node):
    from QualitySentinelLib.scene import show_quality_map, update_quality_map

    show_quality_map(a_segmentation_node, a_ct_node, scored(a_torso.labels, a_torso.names))
    edited = a_torso.labels.copy()
    edited[8][edited[8] == 1] = 0
    edited[19, 0:3, 0:3] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(
        (edited == 1).astype(np.uint8), a_segmentation_node, "liver", a_ct_node
    )
    update_quality_map(a_segmentation_node, a_ct_node, scored(edited, a_torso.names))
    map_node = map_of(slicer, a_segmentation_node)
    assert_shows(on_ct(slicer, map_node, a_ct_node), expected(edited, a_torso.names))


def test_without_a_map_there_is_nothing_to_update(slicer, a_torso, a_ct_node, a_segmentation_node):
    from QualitySentinelLib.scene import update_quality_map

    count = slicer.mrmlScene.GetNumberOfNodes()
    update_quality_map(a_segmentation_node, a_ct_node, scored(a_torso.labels, a_torso.names))
    assert slicer.mrmlScene.GetNumberOfNodes() == count


def test_a_saved_scene_brings_the_map_and_the_way_back(
    slicer, a_torso, a_ct_node, a_segmentation_node, views, save_and_load
):
    from QualitySentinelLib.scene import hide_quality_map, quality_map_shown, show_quality_map, update_quality_map

    score = scored(a_torso.labels, a_torso.names)
    show_quality_map(a_segmentation_node, a_ct_node, score)
    save_and_load()
    node, ct_node = slicer.util.getNode("Segmentation"), slicer.util.getNode("CT")
    assert quality_map_shown(node)
    map_node = map_of(slicer, node)
    assert_shows(on_ct(slicer, map_node, ct_node), expected(a_torso.labels, a_torso.names))
    assert map_node.GetDisplayNode().GetColorNode() is not None
    red = slicer.mrmlScene.GetNodeByID("vtkMRMLSliceCompositeNodeRed")
    assert red.GetForegroundVolumeID() == map_node.GetID()
    update_quality_map(node, ct_node, scored(a_torso.labels, a_torso.names, lambda _n, _k: 0.25))
    assert_shows(on_ct(slicer, map_node, ct_node), expected(a_torso.labels, a_torso.names, lambda _n, _k: 0.25))
    hide_quality_map(node)
    assert red.GetForegroundVolumeID() == slicer.util.getNode("PET").GetID()
    assert red.GetForegroundOpacity() == pytest.approx(0.3)
    assert node.GetDisplayNode().GetVisibility2DFill()
    assert not [n for n in slicer.util.getNodesByClass("vtkMRMLNode") if "redicted DSC" in (n.GetName() or "")]


def test_two_segmentations_have_maps_of_their_own(slicer, a_torso, a_ct_node, segmentation_node_of, views):
    from QualitySentinelLib.scene import hide_quality_map, quality_map_shown, show_quality_map

    one, other = (segmentation_node_of(a_torso.labels, a_torso.names, a_ct_node) for _ in range(2))
    score = scored(a_torso.labels, a_torso.names)
    show_quality_map(one, a_ct_node, score)
    show_quality_map(other, a_ct_node, score)
    hide_quality_map(one)
    assert not quality_map_shown(one) and quality_map_shown(other)
    assert {v.GetForegroundVolumeID() for v in views} == {map_of(slicer, other).GetID()}
    hide_quality_map(other)
    assert views[1].GetForegroundVolumeID() is None
