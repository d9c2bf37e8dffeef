"""The module's panel in a headless Slicer, with the synthetic torso, and a small model in place of the bundled one."""

# ruff: noqa: F401, F811 (fixtures of another folder)

from __future__ import annotations

from pathlib import Path

import pytest
from Testing.Python.panel.using import apply
from Testing.Python.scene.conftest import (
    _headless_slicer,
    a_ct_node,
    a_segmentation_node,
    segmentation_node_of,
    slicer,
)

MODULE = Path(__file__).resolve().parents[3] / "QualitySentinel" / "QualitySentinel.py"
WIDTH = 350


@pytest.fixture
def module(slicer):
    """QualitySentinel.py, imported and registered as at Slicer's startup."""
    from Testing.Host.headless_slicer import load_module

    return load_module(MODULE)


@pytest.fixture
def open_panel(slicer, module, a_small_model):
    """A function that opens the module's panel, in a scrolled window as narrow as a panel may be."""
    from PySide6.QtWidgets import QFrame, QScrollArea

    opened = []

    def make(width=WIDTH):
        widget = module.QualitySentinelWidget()
        widget.logic._model, widget.logic._modelSource = a_small_model, "bundled"
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        widget.parent.layout().setContentsMargins(0, 0, 0, 0)
        area.setWidget(widget.parent)
        area.resize(width + area.verticalScrollBar().sizeHint().width(), 900)
        area.show()
        area.activateWindow()
        slicer.app.processEvents()
        opened.append((widget, area))
        return widget

    yield make
    for widget, area in opened:
        widget.cleanup()
        area.takeWidget().deleteLater()
        area.deleteLater()
    slicer.app.processEvents()


@pytest.fixture
def panel(open_panel, a_ct_node, a_segmentation_node):
    """The panel, opened with a CT and its segmentation in the scene."""
    return open_panel()


@pytest.fixture
def scored(panel):
    """The panel after Apply: liver and spleen have scores."""
    apply(panel)
    return panel


@pytest.fixture
def edit(slicer, a_ct_node, a_segmentation_node, a_torso):
    """A function ``(k)``: erase half of the spleen's mask in slice k, as an editor would."""

    def erase(k, segment_id="spleen", value=2):
        import numpy as np

        mask = slicer.util.arrayFromSegmentBinaryLabelmap(a_segmentation_node, segment_id, a_ct_node).astype(np.uint8)
        mask[k, ::2] = 0
        slicer.util.updateSegmentBinaryLabelmapFromArray(mask, a_segmentation_node, segment_id, a_ct_node)

    return erase
