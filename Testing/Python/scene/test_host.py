"""The stand-ins of the headless Slicer keep to Slicer's ways, so that they bless nothing that Slicer lacks."""

from typing import Annotated

import pytest


def test_qt_properties_are_attributes_and_signals_are_connected_by_signature(slicer):
    import qt

    button, clicks = qt.QPushButton(), []
    button.text = "Apply"
    button.connect("clicked(bool)", lambda checked: clicks.append(checked))
    button.click()
    assert (button.text, clicks) == ("Apply", [False])


def test_a_signal_that_qt_lacks_is_refused(slicer):
    import qt

    with pytest.raises(ValueError, match="QPushButton has no signal pressed\\(bool\\)"):
        qt.QPushButton().connect("pressed(bool)", print)


def test_a_widget_class_that_the_host_lacks_is_refused(slicer, tmp_path):
    ui = tmp_path / "panel.ui"
    ui.write_text(
        "<ui version='4.0'><class>P</class><widget class='qMRMLNothing' name='P'/><customwidgets><customwidget>"
        "<class>qMRMLNothing</class><extends>QWidget</extends></customwidget></customwidgets></ui>"
    )
    with pytest.raises(ValueError, match="no widget class qMRMLNothing"):
        slicer.util.loadUI(str(ui))


def test_parameters_live_in_the_scene_as_slicer_writes_them(slicer, a_ct_node):
    from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper

    @parameterNodeWrapper
    class Parameters:
        volume: slicer.vtkMRMLScalarVolumeNode
        threshold: Annotated[float, WithinRange(0, 1)] = 0.8
        on: bool = True

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")
    parameters = Parameters(node)
    parameters.volume = a_ct_node
    assert (node.GetParameter("threshold"), node.GetParameter("on")) == ("0.8", "True")
    assert node.GetNodeReference("volume") is a_ct_node
    assert Parameters(node).volume is a_ct_node
    with pytest.raises(ValueError, match="within"):
        parameters.threshold = 2.0
    with pytest.raises(TypeError):
        parameters.on = "yes"


def test_the_scene_and_its_logics_are_the_real_ones(slicer):
    assert slicer.modules.volumes.logic().IsA("vtkSlicerVolumesLogic")
    assert slicer.modules.segmentations.logic().IsA("vtkSlicerSegmentationsModuleLogic")
    assert slicer.mrmlScene.IsA("vtkMRMLScene")
