"""An annotator works through a list in the panel: files on the disk, clicks, what is in the scene and on the disk."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtWidgets import QWidget
from Testing.Host.user import click, show, wait_until
from Testing.Python.audit.conftest import TorsoWriter

from QualitySentinelLib.datasets.pool import LIST_COLUMNS, read_list
from QualitySentinelLib.reading import read_ct, read_segmentation
from QualitySentinelLib.scores.tables import write_table

from .conftest import wait_for_scores
from .seeing import position_of

SLICE = 8


@pytest.fixture
def pool(a_torso, tmp_path):
    """Cases with masks, without, and a damaged one; a list of them, the last two rows slices of one case."""
    for name in ("a", "b", "bare", "c"):
        a_torso.write(tmp_path / "pool" / f"{name}.nii.gz", a_torso.hu)
        if name != "bare":
            a_torso.write(tmp_path / "masks" / f"{name}.nii.gz", a_torso.labels)
    a_torso.write_names(tmp_path / "masks" / "dataset.json")
    (tmp_path / "pool" / "b.nii.gz").write_bytes(b"damaged")
    units = [("a", "", None), ("b", "", None), ("bare", "", None), ("c", "liver", SLICE), ("c", "spleen", SLICE + 1)]
    rows = [(n, *unit, 0.5, 1.0, f"reason {n}") for n, unit in enumerate(units, 1)]
    write_table(tmp_path / "next" / "selection.csv", LIST_COLUMNS, rows)
    return tmp_path


@pytest.fixture
def panel(open_panel, pool):
    """The panel with the list, the pool and the masks chosen; the scene is empty."""
    panel = open_panel()
    panel.ui.queueListEdit.currentPath = str(pool / "next" / "selection.csv")
    panel.ui.queuePoolEdit.currentPath = str(pool / "pool")
    panel.ui.queueMasksEdit.currentPath = str(pool / "masks")
    yield panel
    panel.panel.remove()


def nodes(slicer, kind="vtkMRMLSegmentationNode"):
    return {node.GetName() for node in slicer.util.getNodesByClass(kind)}


def erase_a_slice(slicer, k=SLICE):
    kinds = "vtkMRMLSegmentationNode", "vtkMRMLScalarVolumeNode"
    segmentation, ct = (slicer.util.getNodesByClass(kind)[0] for kind in kinds)
    segment_id = segmentation.GetSegmentation().GetSegmentIDs()[0]
    mask = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, segment_id, ct).astype(np.uint8)
    mask[k] = 0
    slicer.util.updateSegmentBinaryLabelmapFromArray(mask, segmentation, segment_id, ct)


def test_the_section_is_folded_until_it_is_wanted(panel):
    ui = panel.ui
    assert ui.queueCollapsibleButton.collapsed
    assert not ui.markDoneButton.enabled and ui.nextCaseButton.enabled
    ui.queueListEdit.currentPath = ""
    assert not ui.nextCaseButton.enabled


def test_cases_come_one_after_the_other_and_what_is_done_is_kept(slicer, panel, pool):
    ui = panel.ui
    click(ui.nextCaseButton)
    assert ui.queueLabel.text.splitlines()[0] == "Case 1 of 4 · reason 1"
    assert nodes(slicer) == {"a segmentation"} and nodes(slicer, "vtkMRMLScalarVolumeNode") == {"a"}
    assert not ui.queueListEdit.isVisible(), "the list is chosen"
    assert ui.inputVolumeSelector.currentNode().GetName() == "a" and ui.applyButton.enabled
    assert ui.matchedLabel.text == "All 2 segments are matched to structures"
    click(ui.applyButton)
    wait_for_scores(panel)
    erase_a_slice(slicer)
    before = {path: path.read_bytes() for path in (pool / "masks").iterdir()}
    click(ui.markDoneButton)
    assert nodes(slicer) == {"bare segmentation"}, "b is damaged; a is gone"
    assert "b: " in ui.queueLabel.text
    assert not nodes(slicer, "vtkMRMLTableNode"), "the tables of a are gone, too"
    assert [row.case for row in read_list(pool / "next" / "done.csv")] == ["a"]
    ct = read_ct(pool / "pool" / "a.nii.gz")
    corrected, original = (read_segmentation(path, ct, names) for path, names in (
        (pool / "next" / "corrected" / "a.seg.nrrd", None),
        (pool / "masks" / "a.nii.gz", str(pool / "masks" / "dataset.json"))))  # fmt: skip
    areas = [{s.structure: int(s.areas.sum()) for s in masks} for masks in (corrected, original)]
    assert areas[0]["liver"] < areas[1]["liver"] and areas[0]["spleen"] == areas[1]["spleen"]
    assert before == {path: path.read_bytes() for path in before}
    click(ui.backToPoolButton)
    assert nodes(slicer) == {"c segmentation"}
    assert [row.case for row in read_list(pool / "next" / "back_to_pool.csv")] == ["bare"]


def test_rows_of_slices_jump_there(slicer, panel, a_torso):
    ui = panel.ui
    for _ in range(3):
        click(ui.nextCaseButton)
    assert "liver · slice 8" in ui.queueLabel.text
    assert position_of("Red") == pytest.approx(a_torso.ijk_to_ras[2] @ [0, 0, SLICE, 1])
    click(ui.applyButton)
    wait_for_scores(panel)
    first = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")[0]
    click(ui.markDoneButton)
    assert "spleen · slice 9" in ui.queueLabel.text
    assert slicer.util.getNodesByClass("vtkMRMLSegmentationNode")[0] is first, "the case stays open"
    session = panel.panel.review_panel.session
    assert session.labels[session.selected] == "spleen" and session.current.k == SLICE + 1


def test_changes_are_lost_only_with_the_users_word(slicer, panel, monkeypatch):
    ui, asked = panel.ui, []

    def answer(yes):
        return lambda text, *_a, **_k: asked.append(text) or yes

    click(ui.nextCaseButton)
    erase_a_slice(slicer)
    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", answer(False))
    click(ui.nextCaseButton)
    click(ui.queueCloseButton)
    assert nodes(slicer) == {"a segmentation"} and len(asked) == 2 and "Press Done to save" in asked[0]
    assert "Case 1 of 4" in ui.queueLabel.text
    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", answer(True))
    click(ui.queueCloseButton)
    assert not nodes(slicer) and ui.queueListEdit.isVisible()
    click(ui.nextCaseButton)
    assert nodes(slicer) == {"a segmentation"}, "the list is open again"
    click(ui.nextCaseButton)
    assert len(asked) == 3, "nothing was changed"


def test_the_end_tells_the_next_command_and_the_last_is_taken_back(slicer, panel, pool):
    ui = panel.ui
    click(ui.nextCaseButton)
    for _ in range(4):
        click(ui.backToPoolButton)
    assert "Next round: quality-sentinel select" in ui.queueLabel.text
    assert not nodes(slicer) and not ui.markDoneButton.enabled
    click(ui.previousCaseButton)
    assert nodes(slicer) == {"c segmentation"} and ui.backToPoolButton.text == "Take again"


def test_a_list_that_cannot_be_read_is_told(slicer, panel, pool, monkeypatch):
    said = []
    monkeypatch.setattr(slicer.app, "testingEnabled", lambda: False)
    monkeypatch.setattr(slicer.util, "errorDisplay", lambda text, *_a, **_k: said.append(text))
    (pool / "next" / "selection.csv").write_text("name\nx\n")
    click(panel.ui.nextCaseButton)
    assert len(said) == 1 and "no column 'case'" in said[0]
    assert panel.ui.queueListEdit.isVisible()


def test_with_a_list_every_decision_is_in_sight_on_a_small_screen(slicer, panel):
    ui, window = panel.ui, slicer.util.mainWindow()
    click(ui.nextCaseButton)
    click(ui.applyButton)
    wait_for_scores(panel)
    wait_until(lambda: ui.inputsCollapsibleButton.collapsed, "folding")
    window.panel.setFixedHeight(540)
    try:
        show(ui.markDoneButton)
        names = ("previousFlaggedButton", "acceptSegmentButton", "markDoneButton", "backToPoolButton", "nextCaseButton")
        for name in names:
            widget = getattr(ui, name)
            rect = QWidget.rect(widget)
            top, bottom = (widget.mapTo(window.panel.viewport(), at).y() for at in (rect.topLeft(), rect.bottomLeft()))
            assert 0 <= top and bottom <= 540, name
    finally:
        window.panel.setMinimumHeight(0)
        window.panel.setMaximumHeight(16777215)


def test_a_list_of_dicom_series_is_worked_through(slicer, open_panel, a_torso, tmp_path):
    first, second = TorsoWriter(a_torso).dicom_list(tmp_path)
    panel = open_panel()
    panel.ui.queueListEdit.currentPath = str(tmp_path / "next" / "selection.csv")
    panel.ui.queuePoolEdit.currentPath = str(tmp_path / "pool")
    click(panel.ui.nextCaseButton)
    assert panel.ui.queueLabel.text == "Case 1 of 2 · reason 1"
    erase_a_slice(slicer)
    click(panel.ui.markDoneButton)
    assert nodes(slicer) == {f"{second} segmentation"}
    ct = read_ct(tmp_path / "pool" / "a" / "ct")
    corrected = read_segmentation(tmp_path / "next" / "corrected" / f"{first}.seg.nrrd", ct)
    lost = {name: np.count_nonzero(a_torso.labels[SLICE] == value) for value, name in a_torso.names.items()}
    whole = {name: np.count_nonzero(a_torso.labels == value) for value, name in a_torso.names.items()}
    assert {s.structure: int(s.areas.sum()) for s in corrected} == whole | {"liver": whole["liver"] - lost["liver"]}
    panel.panel.remove()
