"""Errors of a segment in the views, and masks that are changed as suggested."""

from __future__ import annotations

import numpy as np
import pytest

from QualitySentinelLib.suggestions import COLORS, ErrorMap, Kind

K = 9


@pytest.fixture(params=["canonical", "flipped and under a transform"])
def nodes(request, slicer, a_torso, segmentation_node_of):
    """A CT and its segmentation, in the canonical order or another, and the canonical slice numbers' direction."""
    if request.param == "canonical":
        ct = slicer.util.addVolumeFromArray(a_torso.hu, a_torso.ijk_to_ras, "CT")
        return ct, segmentation_node_of(a_torso.labels, a_torso.names, ct)
    flip = np.diag([-1.0, -1.0, -1.0, 1.0])
    flip[:3, 3] = np.array(a_torso.hu.shape[::-1]) - 1
    hu, labels = (np.ascontiguousarray(a[::-1, ::-1, ::-1]) for a in (a_torso.hu, a_torso.labels))
    ct = slicer.util.addVolumeFromArray(hu, a_torso.ijk_to_ras @ flip, "CT")
    segmentation = segmentation_node_of(labels, a_torso.names, ct)
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(np.array(
        [[1.0, 0, 0, 30], [0, 1, 0, 0], [0, 0, 1, -7], [0, 0, 0, 1]]
    )))  # fmt: skip
    for node in (ct, segmentation):
        node.SetAndObserveTransformNodeID(transform.GetID())
    return ct, segmentation


def a_map(labels, value=1):
    """The upper half of the mask is wrong, and a block beside it is missing."""
    mask = labels[K] == value
    rows = np.flatnonzero(mask.any(axis=1))
    wrong, missing = np.zeros((2, *mask.shape), np.float32)
    wrong[: rows[len(rows) // 2]] = 0.9
    missing[rows[-1] - 1 : rows[-1] + 4] = 0.9
    return ErrorMap(K, (0, 0), mask, np.where(mask, wrong, 0), np.where(mask, 0, missing))


def masks_of(segmentation_node, ct_node, shape):
    from QualitySentinelLib.scene import segmentation_from_node

    masks = {}
    for segment in segmentation_from_node(segmentation_node, ct_node):
        masks[segment.id] = np.zeros(shape, bool)
        if not segment.is_empty:
            masks[segment.id][segment.box] = segment.voxels()
    return masks


def test_errors_are_a_segmentation_of_their_own_until_they_are_hidden(slicer, nodes, a_torso):
    from QualitySentinelLib.scene.errors import errors_shown, hide_errors, show_errors

    ct, segmentation = nodes
    before = slicer.mrmlScene.GetNumberOfNodes()
    found = a_map(a_torso.labels)
    show_errors(segmentation, ct, "liver", [found])
    assert errors_shown(segmentation)
    errors = segmentation.GetNodeReference("QualitySentinelErrors")
    masks = masks_of(errors, ct, a_torso.labels.shape)
    for kind in Kind:
        assert masks[kind].any()
        np.testing.assert_array_equal(masks[kind][K], found.suggested(kind))
        assert not np.delete(masks[kind], K, axis=0).any()
        segment = errors.GetSegmentation().GetSegment(str(kind))
        assert segment.GetName() == f"liver: {kind}" and segment.GetColor() == pytest.approx(COLORS[kind])
    show_errors(segmentation, ct, "spleen", [])
    assert errors.GetSegmentation().GetNumberOfSegments() == 0 and errors.GetName() == "Errors of spleen"
    hide_errors(segmentation)
    hide_errors(segmentation)
    folders = 1  # stays, like that of tables
    assert not errors_shown(segmentation) and slicer.mrmlScene.GetNumberOfNodes() <= before + folders


def test_the_expected_contour_is_cut_as_dashes_around_the_expected_mask(slicer, nodes, a_torso):
    import vtk

    from QualitySentinelLib.scene.errors import show_errors
    from QualitySentinelLib.scene.label_layers import frame_of

    ct, segmentation = nodes
    found = a_map(a_torso.labels)
    show_errors(segmentation, ct, "liver", [found])
    mesh = segmentation.GetNodeReference("QualitySentinelExpected").GetPolyData()
    frame = frame_of(ct)

    def cut(k):
        plane, cutter = vtk.vtkPlane(), vtk.vtkCutter()
        plane.SetOrigin(*frame.slice_center_ras(k))
        plane.SetNormal(0, 0, 1)
        cutter.SetCutFunction(plane)
        cutter.SetInputData(mesh)
        cutter.Update()
        return cutter.GetOutput()

    line = cut(K)
    points = np.array([line.GetPoint(n) for n in range(line.GetNumberOfPoints())])
    to_ijk = np.linalg.inv(frame.ijk_to_ras)
    ijk = (np.c_[points, np.ones(len(points))] @ to_ijk.T)[:, :3]
    rows, columns = np.nonzero(found.expected())
    assert ijk[:, 0].min() == pytest.approx(columns.min() - 0.5, abs=0.3)
    assert ijk[:, 0].max() == pytest.approx(columns.max() + 0.5, abs=0.3)
    assert ijk[:, 1].min() == pytest.approx(rows.min() - 0.5, abs=0.3)
    assert ijk[:, 1].max() == pytest.approx(rows.max() + 0.5, abs=0.3)
    length = sum(
        np.linalg.norm(np.subtract(line.GetPoint(c.GetPointId(0)), line.GetPoint(c.GetPointId(1))))
        for c in (line.GetCell(n) for n in range(line.GetNumberOfCells()))
    )
    padded = np.pad(found.expected(), 1).astype(int)
    perimeter = 6.0 * (np.abs(np.diff(padded, axis=0)).sum() + np.abs(np.diff(padded, axis=1)).sum())
    assert 0.4 < length / perimeter < 0.7, "dashes and gaps"
    assert cut(K + 1).GetNumberOfPoints() == 0 == cut(K - 1).GetNumberOfPoints()


@pytest.mark.parametrize(("name", "other"), [("liver", "spleen"), ("spleen", "liver")])
def test_a_mask_is_changed_alone_and_can_be_undone(nodes, a_torso, name, other):
    from QualitySentinelLib.scene.mask_history import MaskHistory

    ct, segmentation = nodes
    shape = a_torso.labels.shape
    before = masks_of(segmentation, ct, shape)
    history = MaskHistory(segmentation, ct)
    removed = np.argwhere(before[name])[::7]
    added = np.concatenate([np.argwhere(before[other])[:5], np.argwhere(~before[name] & ~before[other])[-9:]])
    history.change(name, {Kind.REMOVE: removed, Kind.ADD: added})
    wanted = before[name].copy()
    wanted[tuple(removed.T)] = False
    wanted[tuple(added.T)] = True
    after = masks_of(segmentation, ct, shape)
    np.testing.assert_array_equal(after[name], wanted)
    np.testing.assert_array_equal(after[other], before[other])
    history.undo()
    after = masks_of(segmentation, ct, shape)
    for one in before:
        np.testing.assert_array_equal(after[one], before[one])
    assert not history.can_undo


def test_many_edits_are_undone_one_by_one_and_what_was_edited_elsewhere_stays(nodes, a_torso):
    from QualitySentinelLib.scene.errors import change_mask
    from QualitySentinelLib.scene.mask_history import MaskHistory

    ct, segmentation = nodes
    shape, history, states = a_torso.labels.shape, MaskHistory(segmentation, ct), []
    voxels = np.argwhere(masks_of(segmentation, ct, shape)["liver"])
    for part in np.array_split(voxels, 15):
        states.append(masks_of(segmentation, ct, shape)["liver"])
        history.change("liver", {Kind.REMOVE: part})
    history.change("liver", {Kind.REMOVE: voxels[:3]})  # not there any more: no edit
    elsewhere = np.array([[0, 0, 0], [1, 1, 1]])
    change_mask(segmentation, ct, "liver", {Kind.ADD: elsewhere})
    while history.can_undo:
        history.undo()
        now, before = masks_of(segmentation, ct, shape)["liver"], states.pop()
        assert now[tuple(elsewhere.T)].all()
        now[tuple(elsewhere.T)] = False
        np.testing.assert_array_equal(now, before)
    assert not states


def test_a_stroke_that_moves_voxels_from_one_segment_to_another_is_one_edit(nodes, a_torso):
    from QualitySentinelLib.scene.errors import change_mask
    from QualitySentinelLib.scene.mask_history import MaskHistory
    from QualitySentinelLib.scene.nodes import frame_of

    ct, segmentation = nodes
    shape, frame = a_torso.labels.shape, frame_of(ct)
    before, history = masks_of(segmentation, ct, shape), MaskHistory(segmentation, ct)
    voxels = np.argwhere(before["spleen"])[:20]
    places = np.c_[voxels[:, ::-1], np.ones(20)] @ frame.ijk_to_ras.T
    with history.stroke(places[:, :3].min(axis=0), places[:, :3].max(axis=0)):
        change_mask(segmentation, ct, "spleen", {Kind.REMOVE: voxels})
        change_mask(segmentation, ct, "liver", {Kind.ADD: voxels})
    assert masks_of(segmentation, ct, shape)["liver"][tuple(voxels.T)].all()
    history.undo()
    after = masks_of(segmentation, ct, shape)
    for name in before:
        np.testing.assert_array_equal(after[name], before[name])
    assert not history.can_undo
