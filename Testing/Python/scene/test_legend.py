"""The color scale in the views, and the way back."""

from __future__ import annotations

import pytest

from QualitySentinelLib.scores import dsc_color


def legends(slicer):
    return slicer.util.getNodesByClass("vtkMRMLColorLegendDisplayNode")


def state(slicer, node):
    display = node.GetDisplayNode()
    return (
        sorted(n.GetID() for n in slicer.util.getNodesByClass("vtkMRMLNode")),
        display.GetColorNodeID(),
        display.GetScalarRange(),
        list(display.GetAttributeNames() or ()),
        node.GetNumberOfDisplayNodes(),
    )


def test_the_legend_shows_the_scale_from_0_to_1_and_goes_without_a_trace(slicer, a_segmentation_node):
    from QualitySentinelLib.scene import hide_legend, show_legend

    before = state(slicer, a_segmentation_node)
    for scale in ("red-yellow-green", "color-blind-safe"):
        show_legend(a_segmentation_node, scale)
        assert len(legends(slicer)) == 1
        legend = legends(slicer)[0]
        assert legend.GetTitleText() == "Predicted DSC" and legend.GetVisibility()
        drawn = legend.GetPrimaryDisplayNode()
        assert drawn.GetScalarRange() == (0.0, 1.0)
        colors = drawn.GetColorNode().GetLookupTable()
        for number in (0, 178, 255):
            assert colors.GetTableValue(number)[:3] == pytest.approx(dsc_color(number / 255, scale), abs=0.005)
    hide_legend(a_segmentation_node)
    assert state(slicer, a_segmentation_node) == before
    hide_legend(a_segmentation_node)  # nothing left to do


def test_map_and_legend_share_one_scale_and_each_may_go_first(slicer, a_torso, a_ct_node, a_segmentation_node):
    from QualitySentinelLib.scene import hide_legend, hide_quality_map, show_legend, show_quality_map
    from QualitySentinelLib.scores import CaseScore

    def scales():
        return [n for n in slicer.util.getNodesByClass("vtkMRMLColorTableNode") if "DSC" in n.GetName()]

    for hide in ((hide_legend, hide_quality_map), (hide_quality_map, hide_legend)):
        show_quality_map(a_segmentation_node, a_ct_node, CaseScore([], 0.8))
        show_legend(a_segmentation_node)
        assert len(scales()) == 1
        hide[0](a_segmentation_node)
        assert len(scales()) == 1
        hide[1](a_segmentation_node)
        assert scales() == []


def test_a_saved_scene_brings_the_legend_and_the_way_back(slicer, a_segmentation_node, save_and_load):
    from QualitySentinelLib.scene import hide_legend, show_legend

    show_legend(a_segmentation_node)
    save_and_load()
    node = slicer.util.getNode("Segmentation")
    assert len(legends(slicer)) == 1
    colors = legends(slicer)[0].GetPrimaryDisplayNode().GetColorNode()
    assert colors.GetLookupTable().GetTableValue(0)[:3] == pytest.approx(dsc_color(0.0), abs=0.005)
    show_legend(node)
    assert len(legends(slicer)) == 1
    hide_legend(node)
    assert not legends(slicer)
    assert not [n for n in slicer.util.getNodesByClass("vtkMRMLColorTableNode") if "DSC" in n.GetName()]


def test_colors_come_before_their_legend_in_the_scene_after_every_change(slicer, a_segmentation_node):
    """A scene's file is read in its order, and Slicer complains of a legend whose colors are not there yet."""
    from QualitySentinelLib.scene import show_legend

    for scale in ("red-yellow-green", "color-blind-safe", "red-yellow-green", "red-yellow-green"):
        show_legend(a_segmentation_node, scale)
        nodes = [slicer.mrmlScene.GetNthNode(n) for n in range(slicer.mrmlScene.GetNumberOfNodes())]
        legend = legends(slicer)[0]
        assert nodes.index(legend.GetPrimaryDisplayNode().GetColorNode()) < nodes.index(legend)
