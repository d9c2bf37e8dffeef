"""Segments in 3D, each height in the color of its slice; reversible."""

from __future__ import annotations

import numpy as np
import pytest
from vtk.util.numpy_support import vtk_to_numpy

from QualitySentinelLib.scores import CaseScore, SegmentScore, SliceScore, Status


def scored(labels, names, affine=None) -> CaseScore:
    """Every slice k of every segment has a DSC of 0.3 + k / 50."""
    segments = []
    for value, name in names.items():
        ks = np.flatnonzero((labels == value).any(axis=(1, 2)))
        slices = [SliceScore(name, int(k), int(k), -100 + 5.0 * k, 0.3 + k / 50, 0.3 + k / 50, 1.0, str(k)) for k in ks]
        segments.append(SegmentScore(name, name, name, Status.SCORED, len(ks), 0.7, slices=slices))
    return CaseScore(segments, 0.8)


def model_of(node):
    return node.GetNodeReference("QualitySentinelQualitySurface")


def points_and_dsc(model):
    surface = model.GetPolyData()
    return (
        vtk_to_numpy(surface.GetPoints().GetData()).astype(float),
        vtk_to_numpy(surface.GetPointData().GetArray("Predicted DSC")),
    )


def state(slicer, node):
    display = node.GetDisplayNode()
    ids = node.GetSegmentation().GetSegmentIDs()
    return (
        sorted(n.GetID() for n in slicer.util.getNodesByClass("vtkMRMLNode")),
        [display.GetSegmentVisibility3D(i) for i in ids],
        list(display.GetAttributeNames() or ()),
    )


def test_each_point_has_the_dsc_of_its_slice(slicer, a_torso, a_ct_node, a_segmentation_node):
    from QualitySentinelLib.scene import show_quality_surface

    show_quality_surface(a_segmentation_node, a_ct_node, scored(a_torso.labels, a_torso.names))
    points, dsc = points_and_dsc(model_of(a_segmentation_node))
    k = (points[:, 2] + 100) / 5
    assert not np.isnan(dsc).any()
    assert np.abs(dsc - (0.3 + k / 50)).max() < 1.1 / 50  # the ends reach half a slice beyond the last
    display = model_of(a_segmentation_node).GetDisplayNode()
    assert display.GetScalarVisibility() and display.GetScalarRange() == (0.0, 1.0)
    assert display.GetActiveScalarName() == "Predicted DSC"


def test_slices_follow_an_oblique_ct(slicer, a_torso, segmentation_node_of):
    from QualitySentinelLib.scene import show_quality_surface

    affine = a_torso.ijk_to_ras.copy()
    turn = np.radians(20)
    affine[:3, :3] = [[1, 0, 0], [0, np.cos(turn), -np.sin(turn)], [0, np.sin(turn), np.cos(turn)]] @ affine[:3, :3]
    ct_node = slicer.util.addVolumeFromArray(a_torso.hu, affine, "CT")
    node = segmentation_node_of(a_torso.labels, a_torso.names, ct_node)
    show_quality_surface(node, ct_node, scored(a_torso.labels, a_torso.names))
    points, dsc = points_and_dsc(model_of(node))
    k = (np.c_[points, np.ones(len(points))] @ np.linalg.inv(affine).T)[:, 2]
    assert np.abs(dsc - (0.3 + k / 50)).max() < 1.1 / 50


def test_parts_without_a_score_are_grey(a_torso, a_ct_node, a_segmentation_node):
    from QualitySentinelLib.scene import show_quality_surface

    score = scored(a_torso.labels, {1: "liver"})
    score["liver"].slices = score["liver"].slices[:2]
    show_quality_surface(a_segmentation_node, a_ct_node, score)
    points, dsc = points_and_dsc(model_of(a_segmentation_node))
    above = (points[:, 2] + 100) / 5 > score["liver"].slices[-1].k + 2
    assert above.any() and np.isnan(dsc[above]).all()
    lookup = model_of(a_segmentation_node).GetDisplayNode().GetColorNode().GetLookupTable()
    assert lookup.GetNanColor()[:3] == pytest.approx((0.55, 0.55, 0.55))


def test_it_takes_the_place_of_the_visible_segments_surfaces_and_gives_it_back(
    slicer, a_torso, a_ct_node, a_segmentation_node
):
    from QualitySentinelLib.scene import hide_quality_surface, show_quality_surface

    display = a_segmentation_node.GetDisplayNode()
    display.SetSegmentVisibility("spleen", False)
    before = state(slicer, a_segmentation_node)
    for scale in ("red-yellow-green", "color-blind-safe"):
        show_quality_surface(a_segmentation_node, a_ct_node, scored(a_torso.labels, a_torso.names), scale=scale)
    assert not display.GetSegmentVisibility3D("liver") and display.GetSegmentVisibility3D("spleen")
    points, _ = points_and_dsc(model_of(a_segmentation_node))
    assert points[:, 0].min() > -10  # the liver alone: the spleen is on the other side
    display.SetSegmentVisibility("spleen", True)
    display.SetSegmentVisibility("liver", False)
    show_quality_surface(a_segmentation_node, a_ct_node, scored(a_torso.labels, a_torso.names))
    display.SetSegmentVisibility("liver", True)
    display.SetSegmentVisibility("spleen", False)
    assert display.GetSegmentVisibility3D("liver") and not display.GetSegmentVisibility3D("spleen")
    hide_quality_surface(a_segmentation_node)
    assert state(slicer, a_segmentation_node) == before
    hide_quality_surface(a_segmentation_node)  # nothing left to do


def test_a_saved_scene_brings_the_surface_and_the_way_back(
    slicer, a_torso, a_ct_node, a_segmentation_node, save_and_load
):
    from QualitySentinelLib.scene import hide_quality_surface, show_quality_surface

    show_quality_surface(a_segmentation_node, a_ct_node, scored(a_torso.labels, a_torso.names))
    save_and_load()
    node = slicer.util.getNode("Segmentation")
    _points, dsc = points_and_dsc(model_of(node))
    assert dsc.max() > 0.4
    hide_quality_surface(node)
    assert node.GetDisplayNode().GetSegmentVisibility3D("liver")
    models = slicer.util.getNodesByClass("vtkMRMLModelNode")
    assert not [m for m in models if not m.GetName().endswith("Volume Slice")]  # those belong to open slice views


def test_without_scores_the_model_is_empty(slicer, a_ct_node, a_segmentation_node):
    from QualitySentinelLib.scene import hide_quality_surface, show_quality_surface

    show_quality_surface(a_segmentation_node, a_ct_node, CaseScore([], 0.8))
    assert model_of(a_segmentation_node).GetPolyData().GetNumberOfPoints() == 0
    hide_quality_surface(a_segmentation_node)
