"""A segmentation that is cloned in Slicer refers to the nodes of the first: each must get its own."""

from __future__ import annotations

import pytest

from QualitySentinelLib.scores import CaseScore, SegmentScore, SliceScore, Status


def scores(dsc):
    """One slice of the liver with this DSC."""
    slices = [SliceScore("liver", 5, 5, 0.0, dsc, dsc, 900.0, "x")]
    return CaseScore([SegmentScore("liver", "liver", "liver", Status.SCORED, 1, dsc, slices=slices)], 0.8)


@pytest.fixture
def a_clone(slicer, a_segmentation_node):
    """A function that clones the segmentation, as the Data module does."""

    def clone():
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
        node.Copy(a_segmentation_node)
        return node

    return clone


def dsc_in(node):
    """The first predicted DSC in both tables of a segmentation."""
    tables = (node.GetNodeReference(f"QualitySentinel{what}") for what in ("Segments", "Slices"))
    return [table.GetTable().GetValueByName(0, "predicted_dsc").ToDouble() for table in tables]


def test_tables_and_plot_of_a_clone_are_its_own(slicer, a_segmentation_node, a_clone):
    from QualitySentinelLib.scene import update_plot, update_tables

    update_tables(a_segmentation_node, scores(0.3))
    update_plot(a_segmentation_node, scores(0.3)["liver"])
    clone = a_clone()
    update_tables(clone, scores(0.9))
    chart = update_plot(clone, scores(0.9)["liver"])
    assert dsc_in(a_segmentation_node) == [0.3, 0.3]
    assert dsc_in(clone) == [0.9, 0.9]
    assert update_plot(a_segmentation_node, scores(0.3)["liver"]) is not chart
    assert chart.GetNthPlotSeriesNode(2).GetTableNode().GetTable().GetValue(0, 1).ToDouble() == 0.9


def test_what_is_no_longer_shared_is_not_made_again(slicer, a_segmentation_node, a_clone):
    from QualitySentinelLib.scene import update_plot, update_tables

    update_tables(a_segmentation_node, scores(0.3))
    clone = a_clone()
    for _ in range(3):
        for node in (a_segmentation_node, clone):
            update_tables(node, scores(0.3))
            update_plot(node, scores(0.3)["liver"])
    assert len(slicer.util.getNodesByClass("vtkMRMLTableNode")) == 6
