"""The chart of one segment's slices: what it shows, and that it is saved with the scene."""

from __future__ import annotations

import numpy as np
import pytest

from QualitySentinelLib.scores import CaseScore, SegmentScore, SliceScore, Status, flag


@pytest.fixture
def a_score() -> CaseScore:
    """Liver: a good, a flagged and a missed slice; the spleen has a single slice."""
    liver = SegmentScore("liver", "liver", "liver", Status.SCORED, 2, 0.8)
    liver.slices = [
        SliceScore("liver", k, 99 - k, 5.0 * k, dsc, dsc, 1.0, "d", dsc_low=dsc - 0.1, dsc_high=dsc + 0.05)
        for k, dsc in ((5, 0.9), (6, 0.5))
    ]
    liver.empty_slices = [SliceScore("liver", 8, 91, 40.0, 0.2, 0.2, 1.0, "d", nearest_k=6, missed=True)]
    spleen = SegmentScore("spleen", "spleen", "spleen", Status.SCORED, 1, 0.7)
    spleen.slices = [SliceScore("spleen", 7, 92, 35.0, 0.7, 0.7, 1.0, "d")]
    case = CaseScore([liver, spleen], 0.8)
    flag(case)
    return case


def drawn(chart) -> dict[str, list[tuple[float, float]]]:
    """The points of each series, rounded, those without a value left out."""
    found = {}
    for n in range(chart.GetNumberOfPlotSeriesNodes()):
        series = chart.GetNthPlotSeriesNode(n)
        table = series.GetTableNode().GetTable()
        x, y = (table.GetColumnByName(c) for c in (series.GetXColumnName(), series.GetYColumnName()))
        pairs = [(x.GetValue(i), y.GetValue(i)) for i in range(table.GetNumberOfRows())]
        found[series.GetYColumnName()] = [(a, round(b, 4)) for a, b in pairs if not np.isnan(b)]
    return found


def test_the_chart_shows_the_slices_of_one_segment_by_their_own_numbers(a_segmentation_node, a_score):
    from QualitySentinelLib.scene import update_plot

    chart = update_plot(a_segmentation_node, a_score["liver"])
    assert drawn(chart) == {
        "Predicted DSC": [(93, 0.5), (94, 0.9)],
        "Lower bound": [(93, 0.4), (94, 0.8)],
        "Upper bound": [(93, 0.55), (94, 0.95)],
        "Flagged": [(93, 0.5)],
        "Missed": [(91, 0.2)],
    }
    assert chart.GetTitle() == "liver: predicted DSC"
    assert chart.GetXAxisTitle().startswith("Slice") and chart.GetYAxisTitle() == "Predicted DSC"


def test_nothing_in_the_chart_is_cut_or_covered(a_segmentation_node, a_score):
    """Slicer draws a legend over the last slices, and dotted gray lines so thin that nobody sees them."""
    from QualitySentinelLib.scene import update_plot

    for segment_id, (first, last) in {"liver": (91, 94), "spleen": (92, 92)}.items():
        chart = update_plot(a_segmentation_node, a_score[segment_id])
        assert not chart.GetXAxisRangeAuto() and not chart.GetYAxisRangeAuto() and not chart.GetLegendVisibility()
        assert chart.GetXAxisRange()[0] < first and chart.GetXAxisRange()[1] > last
        assert chart.GetYAxisRange()[0] < 0 and chart.GetYAxisRange()[1] > 1
    lines = [chart.GetNthPlotSeriesNode(n).GetLineStyle() for n in range(2)]
    assert lines == [chart.GetNthPlotSeriesNode(0).LineStyleSolid] * 2, "the bounds"


def test_all_results_of_a_segmentation_lie_in_one_folder(slicer, a_ct_node, a_segmentation_node, a_score):
    from QualitySentinelLib.scene import show_quality_map, show_quality_surface, update_plot, update_tables

    tree = slicer.mrmlScene.GetSubjectHierarchyNode()
    study = tree.CreateFolderItem(tree.GetSceneItemID(), "a study")
    tree.CreateItem(study, a_segmentation_node)
    nodes = [*update_tables(a_segmentation_node, a_score), update_plot(a_segmentation_node, a_score["liver"])]
    nodes += [nodes[-1].GetNthPlotSeriesNode(n) for n in range(5)] + [nodes[-1].GetNthPlotSeriesNode(0).GetTableNode()]
    show_quality_map(a_segmentation_node, a_ct_node, a_score)
    show_quality_surface(a_segmentation_node, a_ct_node, a_score)
    nodes += [a_segmentation_node.GetNodeReference(f"QualitySentinelQuality{what}") for what in ("Map", "Surface")]
    folders = {tree.GetItemParent(tree.GetItemByDataNode(node)) for node in nodes}
    assert [tree.GetItemName(folder) for folder in folders] == ["Segmentation quality"]
    assert {tree.GetItemParent(folder) for folder in folders} == {study}


def test_another_segment_is_shown_by_the_same_chart(slicer, a_segmentation_node, a_score):
    from QualitySentinelLib.scene import update_plot

    chart = update_plot(a_segmentation_node, a_score["liver"])
    count = slicer.mrmlScene.GetNumberOfNodes()
    assert update_plot(a_segmentation_node, a_score["spleen"]) is chart
    assert drawn(chart)["Predicted DSC"] == [(92, 0.7)]
    assert drawn(chart)["Missed"] == []
    assert slicer.mrmlScene.GetNumberOfNodes() == count


def test_a_segment_without_scores_gives_an_empty_chart(a_segmentation_node, a_score):
    from QualitySentinelLib.scene import update_plot

    a_score["liver"].slices, a_score["liver"].empty_slices = [], []
    assert not any(drawn(update_plot(a_segmentation_node, a_score["liver"])).values())


def test_a_saved_scene_brings_the_chart(slicer, a_segmentation_node, a_score, save_and_load):
    from QualitySentinelLib.scene import update_plot

    before = drawn(update_plot(a_segmentation_node, a_score["liver"]))
    save_and_load()
    node = slicer.util.getNode("Segmentation")
    chart = slicer.util.getNodesByClass("vtkMRMLPlotChartNode")[0]
    assert drawn(chart) == before
    assert update_plot(node, a_score["spleen"]) is chart
    assert drawn(chart)["Predicted DSC"] == [(92, 0.7)]
