"""The module's panel in a headless Slicer, with the synthetic torso, and a small model in place of the bundled one."""

from __future__ import annotations

from pathlib import Path

import pytest
from Testing.Python.panel.using import apply, review_of

MODULE = Path(__file__).resolve().parents[3] / "QualitySentinel" / "QualitySentinel.py"
WIDTH = 350


@pytest.fixture(autouse=True)
def _maps_at_once(slicer, monkeypatch):
    """A busy machine draws a small map at once, too, not in steps from the event loop."""
    from QualitySentinelLib.panel import scene_display

    monkeypatch.setattr(scene_display, "STEP_SECONDS", None)


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
        widget.logic._model, widget.logic._modelSource = a_small_model, ("bundled", None)
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


@pytest.fixture
def a_case():
    """Scores of the torso, not by a model: the spleen is bad at its ends and misses a slice, the liver is fine."""
    from QualitySentinelLib.scores import CaseScore, SegmentScore, SliceScore, Status

    def segment(name, dsc, first, missed=()):
        def place(k):
            return {"segment_id": name, "k": k, "slice_index": k, "position_mm": -100 + 5.0 * k, "area_mm2": 900.0}

        slices = [
            SliceScore(
                **place(k), predicted_dsc=d, raw=d, digest=f"{name} {k}", dsc_low=d - 0.1, dsc_high=min(1, d + 0.1)
            )
            for k, d in enumerate(dsc, first)
        ]
        empty = [
            SliceScore(**place(k), predicted_dsc=0.2, raw=0.2, nearest_k=k - 1, digest=f"near {k}", missed=True)
            for k in missed
        ]
        mean = sum(dsc) / len(dsc)
        values = (mean, mean - 0.1, mean + 0.1, mean, mean)
        return SegmentScore(name, name, name, Status.SCORED, len(dsc), *values, slices, empty)

    return CaseScore(
        [segment("liver", [0.7, 0.9, 0.95, 0.9, 0.85], 5), segment("spleen", [0.3, 0.6, 0.9, 0.5], 6, missed=[10])],
        threshold=0.8,
        model={"name": "none", "sha256": "0" * 64},
        device="cpu",
    )


@pytest.fixture
def reviewed(slicer, panel, a_case, a_segmentation_node, a_ct_node):
    """The panel with a review of these scores, as if a scoring had just ended."""
    review_of(panel, a_segmentation_node, a_ct_node, a_case)
    return panel
