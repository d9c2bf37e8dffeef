"""A headless Slicer with a main window, a torso in its scene, and Quality Sentinel open beside the views."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

MODULE = Path(__file__).resolve().parents[3] / "QualitySentinel" / "QualitySentinel.py"

_DRAW = """
import vtk
window = vtk.vtkRenderWindow()
window.SetOffScreenRendering(1)
window.AddRenderer(vtk.vtkRenderer())
window.Render()
"""


@pytest.fixture(autouse=True)
def _maps_at_once(slicer, monkeypatch):
    """A busy machine draws a small map at once, too, not in steps from the event loop."""
    from QualitySentinelLib.panel import scene_display

    monkeypatch.setattr(scene_display, "STEP_SECONDS", None)


@pytest.fixture(scope="session")
def can_draw() -> bool:
    """Whether VTK can draw: where it cannot it may end the process, so it tries in one of its own."""
    return subprocess.run([sys.executable, "-c", _DRAW], capture_output=True, timeout=300).returncode == 0


@pytest.fixture(scope="session")
def _started(can_draw):
    pytest.importorskip("trame_slicer")
    pytest.importorskip("PySide6")
    from Testing.Host.headless_slicer import start
    from Testing.Host.main_window import open_main_window

    core = start()
    manager = open_main_window(core, can_draw).layout_manager
    for widget in map(manager.sliceWidget, manager.sliceViewNames()):
        widget.sliceView().setRenderEnabled(False)  # rendered when a test looks
    manager.threeDWidget(0).threeDView().setRenderEnabled(False)
    return core


@pytest.fixture
def slicer(_started):
    """The ``slicer`` package of a running Slicer with a main window and an empty scene."""
    import slicer
    from Testing.Host.main_window import PANEL_WIDTH, open_main_window

    slicer.mrmlScene.Clear(0)
    window = open_main_window(_started)
    window.set_panel_width(PANEL_WIDTH)
    yield slicer
    window.leave_module()
    window.hide()
    slicer.mrmlScene.Clear(0)
    slicer.app.main_window = None  # other rooms' tests know no main window


@pytest.fixture
def seen(slicer, can_draw):
    """A function of a view's name, ``Red`` or ``1``: its pixels as a user sees them, uint8 ``[row, column, RGB]``."""
    if not can_draw:
        pytest.skip("needs OpenGL (libgl1-mesa-dri is enough) to draw Slicer's views, and there is none here")
    manager = slicer.app.layoutManager()

    def look(name: str) -> np.ndarray:
        widget = manager.sliceWidget(name)
        if widget is not None:
            return widget.sliceView().grabbed()
        solid = manager.threeDWidget(0).threeDView()
        solid.grabbed()
        manager.resetThreeDViews()
        return solid.grabbed()

    return look


@pytest.fixture
def a_ct(slicer, a_torso):
    """The torso's CT as a scalar volume node, shown in the slice views."""
    node = slicer.util.addVolumeFromArray(a_torso.hu, a_torso.ijk_to_ras, "CT")
    slicer.util.setSliceViewerLayers(background=node, fit=True)
    return node


@pytest.fixture
def a_segmentation(a_torso, a_ct, segmentation_node_of):
    """Liver and spleen of the torso."""
    return segmentation_node_of(a_torso.labels, a_torso.names, a_ct)


@pytest.fixture
def open_panel(slicer, a_small_model):
    """A function that opens Quality Sentinel as a user does; a small model stands in for the bundled one."""
    from PySide6.QtTest import QTest
    from Testing.Host.headless_slicer import load_module

    load_module(MODULE)

    def opened():
        slicer.util.selectModule("QualitySentinel")
        widget = slicer.util.getModuleWidget("QualitySentinel")
        widget.logic._model, widget.logic._modelSource = a_small_model, ("bundled", None)
        window = slicer.util.mainWindow()
        window.activateWindow()
        QTest.qWaitForWindowActive(window, 2000)
        return widget

    yield opened
    slicer.util.mainWindow().leave_module()
    slicer.modules.qualitysentinel.forget_widget()


@pytest.fixture
def panel(open_panel, a_segmentation):
    """Quality Sentinel, opened with the CT and the segmentation in the scene."""
    return open_panel()


@pytest.fixture
def scored(panel):
    """The panel after Apply, with a threshold that flags about half of the slices."""
    from Testing.Host.user import click

    click(panel.ui.applyButton)
    wait_for_scores(panel)
    dsc = [s.predicted_dsc for segment in panel.panel.review_panel.session.segments for s in segment.slices]
    panel.ui.thresholdSliderWidget.value = round(float(np.median(dsc)), 2)
    return panel


def wait_for_scores(panel) -> None:
    """Let the event loop run until scoring has ended."""
    from Testing.Host.user import wait_until

    wait_until(lambda: panel.ui.applyButton.enabled and not panel.ui.cancelButton.enabled, "the end of scoring")
