"""Needs ``slicer``. What the module's self test does inside Slicer. What needs no Slicer is tested in Testing/Python.

Each function gets the test case, and the module's logic and widget classes.
"""

from __future__ import annotations

import importlib.util

import numpy as np
import slicer

from ..review import ReviewSession
from ..scene import ct_from_node, kept_review, segmentation_from_node
from ..scene.nodes import volume_of
from ..scores import CaseScore, SegmentScore, SliceScore, Status


def create_case():
    """A block of tissue in air, and a segmentation with a liver in it."""
    voxels = np.full((12, 40, 40), -1000, dtype=np.int16)
    voxels[:, 5:35, 5:35] = 40
    mask = np.zeros(voxels.shape, dtype=np.uint8)
    mask[3:9, 10:25, 10:25] = 1
    voxels[mask > 0] = 65
    volume = slicer.util.addVolumeFromArray(voxels, np.diag([-3.0, -3.0, 5.0, 1.0]), "CT")
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Segmentation")
    segmentation.CreateDefaultDisplayNodes()
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    segment_id = segmentation.GetSegmentation().AddEmptySegment("", "liver")
    slicer.util.updateSegmentBinaryLabelmapFromArray(mask, segmentation, segment_id, volume)
    return volume, segmentation, segment_id


def nodes_are_read(_test, _make_logic, _make_widget) -> None:
    """The nodes of the scene reach the library with their voxels, places and structures."""
    volume, segmentation, segment_id = create_case()
    segment = segmentation_from_node(segmentation, volume)[segment_id]
    assert ct_from_node(volume).hu.shape == (12, 40, 40)
    assert segment.structure == "liver"
    assert int(segment.areas.sum()) == 6 * 15 * 15
    assert volume_of(segmentation) == volume


def scores_are_shown_and_taken_back(_test, make_logic, _make_widget) -> None:
    """Tags, tables and colors follow a score, and the colors come back."""
    _volume, segmentation, segment_id = create_case()
    score = SegmentScore(segment_id, "liver", "liver", Status.SCORED, n_slices=6, predicted_dsc=0.4)
    logic = make_logic()
    segments, slices = logic.applyScores(segmentation, CaseScore([score], threshold=0.8))
    display = segmentation.GetDisplayNode()
    assert segmentation.GetSegmentation().GetSegment(segment_id).HasTag("QualitySentinel.PredictedDSC")
    assert (segments.GetNumberOfRows(), slices.GetNumberOfRows()) == (1, 0)
    assert display.GetSegmentOverrideColor(segment_id)[0] > 0
    logic.restoreColors(segmentation)
    assert display.GetSegmentOverrideColor(segment_id)[0] < 0


def review_is_kept_in_the_scene(_test, _make_logic, make_widget) -> None:
    """A reader goes to a flagged slice in the panel and accepts it; that is kept with the segmentation."""
    volume, segmentation, segment_id = create_case()
    slices = [SliceScore(segment_id, k, k, 5.0 * k, 0.6 + 0.05 * k, 0.5, 900.0, str(k)) for k in range(3, 9)]
    score = SegmentScore(segment_id, "liver", "liver", Status.SCORED, 6, 0.8, slices=slices)
    widget = make_widget()
    try:
        session = ReviewSession(CaseScore([score], threshold=0.8))
        widget.reviews.open(segmentation, volume, session, None)
        widget.panel.update()
        assert widget.ui.resultsTable.rowCount == 1
        widget.ui.nextFlaggedButton.click()
        widget.ui.acceptButton.click()
        assert widget.ui.acceptButton.checked
        assert session.current == (segment_id, 3)
        assert kept_review(segmentation).is_accepted(segment_id, 3)
    finally:
        widget.cleanup()
        # As slicer.util.reloadScriptedModule does: otherwise it is cleaned up again when Slicer ends.
        slicer.app.moduleManager().disconnect("moduleAboutToBeUnloaded(QString)", widget._onModuleAboutToBeUnloaded)
        widget.parent.deleteLater()


def segmentation_is_scored(test, make_logic, _make_widget) -> None:
    """The bundled model scores every slice. Passed over where packages are missing: testing installs none."""
    missing = [name for name in ("torch", "safetensors") if importlib.util.find_spec(name) is None]
    if missing:
        test.delayDisplay(f"{', '.join(missing)} not installed: scoring is not tested")
        return
    volume, segmentation, segment_id = create_case()
    case = make_logic().score(volume, segmentation, device="cpu")
    assert [s.slice_index for s in case[segment_id].slices] == list(range(3, 9))
    assert 0 <= case[segment_id].predicted_dsc <= 1


TESTS = (nodes_are_read, scores_are_shown_and_taken_back, review_is_kept_in_the_scene, segmentation_is_scored)
"""In the order in which they are run, each in an empty scene."""
