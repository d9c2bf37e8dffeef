"""The panel while scenes come, and its end: Slicer closes, the module is reloaded, widgets go before Python knows."""

from __future__ import annotations

import sys

import pytest
from Testing.Python.panel.using import review_of, texts


@pytest.fixture
def errors(monkeypatch):
    """Exceptions that left a slot, where nobody catches them; in testing mode, Slicer ends with an exit code then."""
    found = []
    monkeypatch.setattr(sys, "excepthook", lambda _kind, error, _trace: found.append(error))
    return found


def delete_now(widget):
    """What deleteLater() leaves to the event loop."""
    from PySide6.QtCore import QCoreApplication, QEvent

    widget.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


def test_a_panel_that_is_gone_is_not_cleaned_up_again(slicer, module, errors):
    widget = module.QualitySentinelWidget()
    widget.cleanup()
    delete_now(widget.parent)
    slicer.app.moduleManager().moduleAboutToBeUnloaded.emit("QualitySentinel")
    assert errors == []


def test_the_self_test_leaves_nothing_to_clean_up(slicer, module, errors, monkeypatch):
    from QualitySentinelLib.setup.self_test import review_is_kept_in_the_scene

    made = []
    make = lambda: made.append(module.QualitySentinelWidget()) or made[0]  # noqa: E731
    review_is_kept_in_the_scene(module.QualitySentinelTest(), module.QualitySentinelLogic, make)
    cleaned = []
    monkeypatch.setattr(made[0], "cleanup", lambda: cleaned.append(made[0]))
    delete_now(made[0].parent)
    slicer.app.moduleManager().moduleAboutToBeUnloaded.emit("QualitySentinel")
    assert errors == [] and cleaned == []


def test_keys_of_a_widget_that_is_gone(slicer):
    import qt

    from QualitySentinelLib.panel.qt_tools import Shortcuts

    parent = qt.QWidget()
    shortcuts = Shortcuts(parent, {"N": lambda: None})
    delete_now(parent)
    shortcuts.remove()


def test_a_scene_that_is_added_changes_no_choice(
    slicer, panel, segmentation_node_of, a_case, a_torso, a_ct_node, tmp_path
):
    chosen = segmentation_node_of(a_torso.labels, {1: "liver"}, a_ct_node)
    panel.ui.inputSegmentationSelector.setCurrentNode(chosen)
    a_case.segments.pop()
    review_of(panel, chosen, a_ct_node, a_case)
    review, rows = panel.panel.review_panel.review, texts(panel.ui.resultsTable)
    added = slicer.vtkMRMLScene()
    added.AddNewNodeByClass("vtkMRMLTextNode", "note")
    added.Commit(str(tmp_path / "added.mrml"))
    slicer.mrmlScene.SetURL(str(tmp_path / "added.mrml"))
    slicer.mrmlScene.Import()
    assert slicer.util.getNode("note")
    assert panel.ui.inputSegmentationSelector.currentNode() is chosen
    assert panel.ui.inputVolumeSelector.currentNode() is a_ct_node
    assert panel.panel.review_panel.review is review and texts(panel.ui.resultsTable) == rows
