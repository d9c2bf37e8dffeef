"""The type checker finds what Slicer does not have, by the list that Testing/slicer_names.py makes."""

from __future__ import annotations

import os
import re

import pytest

pytest.importorskip("vtk")
pytest.importorskip("PySide6")
pytest.importorskip("mypy")

from Testing import slicer_names, slicer_stubs


@pytest.fixture(scope="module")
def names():
    """The kept list."""
    return slicer_stubs.Names()


WIDGET = """
class PlantedWidget(ScriptedLoadableModuleWidget):
    def setup(self):
        self.root = slicer.util.loadUI(self.resourcePath("UI/Planted.ui"))
        self.ui = slicer.util.childWidgetVariables(self.root)
        {line}
"""
WRONG = {
    "slicer.util.loadSegmntation('a')": 'no attribute "loadSegmntation"; maybe "loadSegmentation"',
    "slicer.mrmlScene.AddNewNodeByClas('vtkMRMLTableNode')": 'maybe "AddNewNodeByClass"',
    "slicer.mrmlScene.AddNewNodeByClass('vtkMRMLTableNode').AddColum()": 'maybe "AddColumn"',
    "slicer.vtkMRMLSegmentationNod()": 'maybe "vtkMRMLSegmentationNode"',
    "slicer.app.layoutManager().sliceWidgt('Red')": '"qSlicerLayoutManager" has no attribute "sliceWidgt"',
    "slicer.app.layoutManager().sliceWidget('Red').sliceLogik()": 'maybe "sliceLogic"',
    "slicer.modules.segmentation.logic()": 'maybe "segmentations"',
    "from slicer.i18n import trr": 'maybe "tr"',
    "from slicer.parameterNodeWrapper import WithinRnge": 'maybe "WithinRange"',
    "vtk.vtkMatrix4x4().Invertt()": 'maybe "Invert"',
    "ctk.ctkColapsibleButton()": 'maybe "ctkCollapsibleButton"',
    "ctk.ctkCollapsibleButton().colapsed = True": 'maybe "collapsed"',
    "ctk.ctkCollapsibleButton().setCollapsedHeight(1)": "has no attribute",  # C++ only: not a slot
    "qt.QHeaderView.ResizeToContent": "has no attribute",
    "qt.QPushButtn()": 'maybe "QPushButton"',
    "qt.QPushButton().text()": '"str" not callable',  # a property in PythonQt
    "qt.QTableWidget().rowCount()": '"int" not callable',
    "qt.QPushButton().click = lambda *args, **options: None": "Cannot assign to a method",
    "qt.QPushButton().text = 1": "Incompatible types in assignment",
    "qt.QPushButton().connect('cliked(bool)', print)": "No overload variant",
    "qt.QColor(1, 2, 3).toPython()": "has no attribute",  # PySide6's alone
}
WRONG_IN_A_PANEL = {
    "self.ui.tresholdSliderWidget.value = 1": 'maybe "thresholdSliderWidget"',
    "self.ui.thresholdSliderWidget.setMaximum(1)": "has no attribute",  # C++ only; the property is there
    "self.ui.thresholdSliderWidget.connect('valueChange(double)', print)": "No overload variant",
    "self.ui.applyButton.enable = True": "has no attribute",
    "self.ui.inputVolumeSelector.setCurentNode(None)": "has no attribute",
    "self.resourcePth('a')": "has no attribute",
    "self.parent.isEnterd": "has no attribute",
    "self.root.setMRMLScen(slicer.mrmlScene)": "has no attribute",
}
RIGHT = (
    "self.ui.thresholdSliderWidget.maximum = self.ui.thresholdSliderWidget.value + 1",
    "self.ui.thresholdSliderWidget.connect('valueChanged(double)', print)",
    "self.ui.applyButton.text = self.ui.applyButton.name",
    "self.ui.inputVolumeSelector.setCurrentNode(self.ui.inputVolumeSelector.currentNode())",
    "self.ui.inputVolumeSelector.currentNode().GetSegmentation().GetNthSegmentID(0)",  # perhaps of a subclass
    "slicer.app.layoutManager().sliceWidget('Red').sliceLogic().GetSliceNode().JumpSliceByCentering(1, 2, 3)",
    "qt.QDialog(slicer.util.mainWindow()).exec_()",
    "qt.QTimer.singleShot(0, self.cleanup)",
    "qt.QShortcut(qt.QKeySequence('Space'), self.parent).connect('activated()', self.cleanup)",
    "slicer.modules.segmentations.logic()",
    "slicer.vtkMRMLSegmentationNode.GetReferenceImageGeometryReferenceRole()",
    "slicer.vtkMRMLPlotSeriesNode.PlotTypeBar",
)


@pytest.fixture(scope="module")
def found(tmp_path_factory, repository):
    """What mypy says, with the product's own settings, of each of these lines."""
    folder = tmp_path_factory.mktemp("planted")
    slicer_stubs.main(folder / "stubs")
    settings = (repository / "pyproject.toml").read_text(encoding="utf-8")
    (folder / "pyproject.toml").write_text(settings.replace('"build/stubs"', '"stubs"'), encoding="utf-8")
    from mypy import api

    lines = ["import ctk, qt, slicer, vtk", "from slicer.ScriptedLoadableModule import *", *WRONG]
    for line in (*WRONG_IN_A_PANEL, *RIGHT):
        lines += WIDGET.format(line=line).replace("Planted", f"Planted{len(lines)}").splitlines()
    (folder / "planted.py").write_text("\n".join(lines), encoding="utf-8")
    before = os.getcwd()
    os.chdir(folder)
    try:
        said, errors, _ = api.run(["planted.py", "--no-incremental"])
    finally:
        os.chdir(before)
    assert not errors
    found: dict[str, list[str]] = {}
    for number, text in re.findall(r"planted.py:(\d+): error: (.*)", said):
        found.setdefault(lines[int(number) - 1].strip(), []).append(text)
    return found


@pytest.mark.parametrize(("line", "wanted"), [*WRONG.items(), *WRONG_IN_A_PANEL.items()])
def test_a_planted_mistake_is_found(found, line, wanted):
    assert len(found[line]) == 1 and wanted in found[line][0]


@pytest.mark.parametrize("line", RIGHT)
def test_what_exists_passes(found, line):
    assert line not in found


def test_a_class_in_text_that_slicer_does_not_have_is_found(names, tmp_path):
    path = tmp_path / "planted.py"
    path.write_text("\nscene.AddNewNodeByClass('vtkMRMLTabelNode')\n", encoding="utf-8")
    (mistake,) = slicer_stubs.mistakes_in_text(path, names)
    assert mistake.startswith(f"{path}:2: Slicer has no class vtkMRMLTabelNode; nearest: vtkMRMLTableNode,")


UI = """<ui version="4.0"><class>Planted</class>
<widget class="qMRMLWidget" name="Planted">
<widget class="ctkSliderWidget" name="threshold"><property name="decimals"><number>2</number></property></widget>
<widget class="QPushButton" name="apply"><property name="text"><string>Apply</string></property></widget>
<widget class="qMRMLNodeComboBox" name="input"><property name="noneEnabled"><bool>true</bool></property></widget>
</widget>
<connections><connection><sender>Planted</sender><signal>mrmlSceneChanged(vtkMRMLScene*)</signal>
<receiver>input</receiver><slot>setMRMLScene(vtkMRMLScene*)</slot></connection></connections></ui>
"""

@pytest.mark.parametrize(
    ("right", "wrong", "wanted"),
    [
        ("ctkSliderWidget", "ctkSliderWidgt", "Slicer has no widget class ctkSliderWidgt; nearest: ctkSliderWidget"),
        ('"decimals"', '"decimal"', "ctkSliderWidget has no property decimal; nearest: decimals"),
        ("mrmlSceneChanged(", "mrmlSceneChange(", "qMRMLWidget has no signal mrmlSceneChange(vtkMRMLScene*); nearest"),
        (">input<", ">inputs<", "no widget is named inputs; nearest: input"),
        ("<slot>setMRMLScene", "<slot>setMRMLScne", "has no slot setMRMLScne(vtkMRMLScene*); nearest: setMRMLScene"),
    ],
)
def test_a_mistake_in_a_ui_file_is_found(names, tmp_path, right, wrong, wanted):
    path = tmp_path / "Planted.ui"
    path.write_text(UI, encoding="utf-8")
    assert not [*slicer_stubs.mistakes_in_ui(path, names)]
    path.write_text(UI.replace(right, wrong), encoding="utf-8")
    (problem,) = slicer_stubs.mistakes_in_ui(path, names)
    line = next(i for i, text in enumerate(path.read_text().splitlines(), 1) if wrong in text)
    assert wanted in problem and problem.startswith(f"{path}:{line}:")


def test_the_list_says_what_it_was_made_of():
    """Commits of Slicer, CTK, vtkAddon and PythonQt; sorted, so that a new Slicer makes a small difference."""
    lines = slicer_names.NAMES_FILE.read_text(encoding="utf-8").splitlines()
    made_of = dict(line[2:].split() for line in lines[1:5])
    assert list(made_of) == ["slicer", "ctk", "vtkaddon", "pythonqt"]
    assert all(re.fullmatch("[0-9a-f]{40}", commit) for commit in made_of.values())
    assert lines[5:] == sorted(lines[5:])


def test_only_what_python_can_reach_is_read_from_a_header():
    """Slots, signals, properties and invokable methods of a Qt class; public methods and constants of a VTK class."""
    (of_qt,) = slicer_names.read_header("""
        class QMRML_WIDGETS_EXPORT qMRMLThing : public QWidget
        {
          Q_OBJECT
          Q_PROPERTY(int step READ step WRITE setStep)  // a comment
          Q_PROPERTY(bool busy READ isBusy)
          Q_ENUMS(Mode)
        public:
          enum Mode { Slow, Fast = 3 };
          explicit qMRMLThing(QWidget* parent = nullptr);
          int step() const { return 1; }
          Q_INVOKABLE vtkMRMLNode* node(int index = 0) const;
        public slots:
          virtual void setNode(vtkMRMLNode* node);
        signals:
          void changed(const QString& text, bool on = true);
        protected slots:
          void hidden();
        };""")
    assert (of_qt.name, of_qt.bases) == ("qMRMLThing", ["QWidget"])
    signals = {"!changed(QString)", "!changed(QString,bool)"}
    assert of_qt.members == {"step=", "busy-", "Mode", "Slow", "Fast", "node()vtkMRMLNode", "setNode()", *signals}
    (of_vtk,) = slicer_names.read_header("""
        class VTK_MRML_EXPORT vtkMRMLThing : public vtkMRMLNode {
        public:
          vtkTypeMacro(vtkMRMLThing, vtkMRMLNode);
          enum { FirstEvent = 1, LastEvent };
          enum { A, B };
          vtkSetMacro(Size, int);
          vtkBooleanMacro(Shown, bool);
          vtkGetObjectMacro(Scene, vtkMRMLScene);
          vtkSegmentation* GetSegmentation();
          std::map<int, int> GetMap();
        #ifndef __VTK_WRAP__
          void NotWrapped();
        #endif
        protected:
          void Hidden();
        };""")
    methods = {"SetSize()", "ShownOn()", "ShownOff()", "GetScene()vtkMRMLScene", "GetSegmentation()vtkSegmentation"}
    assert of_vtk.members == {"FirstEvent", "LastEvent", "A", "B", *methods}
