"""A scene that was saved while a segment was shown alone: what is visible when it is loaded without the panel."""

from __future__ import annotations

import pytest

from QualitySentinelLib.setup import LoadedScenes


@pytest.fixture
def watched(slicer):
    """Slicer has started with Quality Sentinel installed."""
    scenes = LoadedScenes(slicer.mrmlScene)
    yield scenes
    scenes.remove()
    scenes.remove()


@pytest.fixture
def saved(slicer, a_segmentation_node, tmp_path):
    """A scene in which the user has hidden the liver, and a review shows the spleen alone, or the liver."""
    from QualitySentinelLib.scene import show_only

    path = tmp_path / "scene.mrml"

    def save(alone):
        a_segmentation_node.GetDisplayNode().SetSegmentVisibility("liver", False)
        show_only(a_segmentation_node, alone)
        storage = a_segmentation_node.CreateDefaultStorageNode()
        storage = slicer.mrmlScene.AddNode(storage)
        storage.SetFileName(str(tmp_path / "segmentation.seg.nrrd"))
        a_segmentation_node.SetAndObserveStorageNodeID(storage.GetID())
        assert storage.WriteData(a_segmentation_node)
        slicer.mrmlScene.SetURL(str(path))
        assert slicer.mrmlScene.Commit()
        return path

    return save


def visible(slicer, name="Segmentation"):
    node = slicer.util.getNode(name)
    display = node.GetDisplayNode()
    return {i for i in node.GetSegmentation().GetSegmentIDs() if display.GetSegmentVisibility(i)}


@pytest.mark.parametrize("alone", ["liver", "spleen"])
def test_what_the_user_had_made_visible_is_visible_again(slicer, watched, saved, alone):
    from QualitySentinelLib.scene import one_shown

    saved(alone)
    assert visible(slicer) == {alone}
    slicer.mrmlScene.Clear(0)
    assert slicer.mrmlScene.Connect()
    assert visible(slicer) == {"spleen"}
    assert not one_shown(slicer.util.getNode("Segmentation"))


def test_maps_of_the_one_segment_go_and_the_others_are_filled(slicer, watched, saved, a_ct_node, a_segmentation_node):
    from QualitySentinelLib.scene import quality_map_shown, show_quality_map, show_quality_surface
    from QualitySentinelLib.scores import CaseScore

    show_quality_map(a_segmentation_node, a_ct_node, CaseScore([], 0.8))
    show_quality_surface(a_segmentation_node, a_ct_node, CaseScore([], 0.8))
    assert not a_segmentation_node.GetDisplayNode().GetVisibility2DFill()
    saved("spleen")
    slicer.mrmlScene.Clear(0)
    assert slicer.mrmlScene.Connect()
    node = slicer.util.getNode("Segmentation")
    assert node.GetDisplayNode().GetVisibility2DFill() and visible(slicer) == {"spleen"}
    assert not quality_map_shown(node) and node.GetNodeReference("QualitySentinelQualitySurface") is None


def test_what_an_open_panel_shows_alone_stays_when_another_scene_is_added(slicer, watched, saved, a_segmentation_node):
    from QualitySentinelLib.scene import show_only

    path = saved("spleen")
    show_only(a_segmentation_node, "liver")
    a_segmentation_node.SetName("Here")
    slicer.mrmlScene.SetURL(str(path))
    assert slicer.mrmlScene.Import()
    assert visible(slicer, "Here") == {"liver"}
    assert visible(slicer) == {"spleen"}


def test_a_scene_that_was_loaded_before_slicer_was_up_counts_too(slicer, saved):
    saved("liver")
    LoadedScenes(slicer.mrmlScene).remove()
    assert visible(slicer) == {"spleen"}


def test_a_scene_without_anything_of_ours_is_left_alone(slicer, watched, a_segmentation_node):
    display = a_segmentation_node.GetDisplayNode()
    display.SetSegmentVisibility("liver", False)
    changes = []
    display.AddObserver("ModifiedEvent", lambda *_: changes.append(1))
    slicer.mrmlScene.StartState(slicer.mrmlScene.ImportState)
    slicer.mrmlScene.EndState(slicer.mrmlScene.ImportState)
    assert changes == []
