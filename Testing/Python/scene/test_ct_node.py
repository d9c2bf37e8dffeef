"""A volume node becomes the same CT as its file."""

from __future__ import annotations

import numpy as np
import pytest

from QualitySentinelLib.errors import InputError, MismatchError


def test_a_volume_node_gives_the_voxels_and_geometry_it_was_made_from(a_ct_node, a_ct_with_a_liver):
    from QualitySentinelLib.scene import ct_from_node

    ct, (expected, _) = ct_from_node(a_ct_node), a_ct_with_a_liver
    assert np.array_equal(ct.hu, expected.hu)
    assert np.allclose(ct.frame.ijk_to_ras, expected.frame.ijk_to_ras)
    assert ct.source == "CT"


@pytest.mark.parametrize("axes", [(0, 1, 2), (1, 0, 2), (2, 1, 0), (2, 0, 1)])
@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, 1, -1)])
def test_any_orientation_gives_the_same_canonical_ct(slicer, a_torso, axes, flips):
    from QualitySentinelLib.scene import ct_from_node

    # File array axis a is canonical axis axes[a], reversed where flips[a] is -1.
    voxels = np.transpose(a_torso.hu, axes)[tuple(slice(None, None, f) for f in flips)]
    to_canonical = np.zeros((4, 4))
    to_canonical[3, 3] = 1
    for axis in range(3):
        to_canonical[2 - axes[axis], 2 - axis] = flips[axis]
        to_canonical[2 - axes[axis], 3] += voxels.shape[axis] - 1 if flips[axis] < 0 else 0
    node = slicer.util.addVolumeFromArray(np.ascontiguousarray(voxels), a_torso.ijk_to_ras @ to_canonical)
    ct = ct_from_node(node)
    assert np.array_equal(ct.hu, a_torso.hu)
    assert np.allclose(ct.frame.ijk_to_ras, a_torso.ijk_to_ras)


def test_reading_copies_no_voxels(slicer, a_ct_node):
    from QualitySentinelLib.scene import ct_from_node

    assert np.shares_memory(ct_from_node(a_ct_node).hu, slicer.util.arrayFromVolume(a_ct_node))


def test_a_linear_transform_moves_the_ct(slicer, a_ct_node):
    from QualitySentinelLib.scene import ct_from_node

    before = ct_from_node(a_ct_node)
    a_ct_node.SetAndObserveTransformNodeID(_shift(slicer, (0, 0, 25)).GetID())
    assert ct_from_node(a_ct_node).frame.position_mm(0) == pytest.approx(before.frame.position_mm(0) + 25)


def test_a_transform_that_bends_is_refused_by_name(slicer, a_ct_node):
    from QualitySentinelLib.scene import ct_from_node

    bending = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLBSplineTransformNode", "Bend")
    a_ct_node.SetAndObserveTransformNodeID(bending.GetID())
    with pytest.raises(MismatchError, match="CT: its transform Bend is not linear"):
        ct_from_node(a_ct_node)


def test_what_is_no_ct_is_refused(slicer, a_torso):
    from QualitySentinelLib.scene import ct_from_node

    empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Nothing")
    labels = slicer.util.addVolumeFromArray(a_torso.labels, nodeClassName="vtkMRMLLabelMapVolumeNode", name="Labels")
    gray = slicer.util.addVolumeFromArray((a_torso.hu % 256).astype(np.uint8), name="Screenshot")
    for node, message in ((None, "no CT"), (empty, "no voxels"), (labels, "label map"), (gray, "Screenshot: ")):
        with pytest.raises(InputError, match=message):
            ct_from_node(node)


def _shift(slicer, millimetres):
    matrix = np.eye(4)
    matrix[:3, 3] = millimetres
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode", "Shift")
    node.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    return node
