"""What the product calls on Slicer, Qt, CTK and VTK exists there, by the list that Testing/slicer_names.py makes."""

from __future__ import annotations

import re
import textwrap

import pytest

pytest.importorskip("vtk")
pytest.importorskip("PySide6")

from Testing import slicer_calls, slicer_names


@pytest.fixture(scope="module")
def names():
    """The kept list."""
    return slicer_calls.Names()


@pytest.fixture
def problems_of(names, tmp_path):
    """A function ``text``: what is wrong with a scripted module of this text, beside the .ui file below."""
    folder = tmp_path / "Planted" / "Resources" / "UI"
    folder.mkdir(parents=True)
    (folder / "Planted.ui").write_text(UI, encoding="utf-8")
    path = tmp_path / "Planted" / "Planted.py"

    def check(text: str) -> list[str]:
        path.write_text("import ctk, qt, slicer, vtk\n" + textwrap.dedent(text), encoding="utf-8")
        return [f"{p.line - 1}: {p.text}" for p in slicer_calls.check([path], names).problems]

    return check


UI = """<ui version="4.0"><class>Planted</class>
<widget class="qMRMLWidget" name="Planted">
<widget class="ctkSliderWidget" name="threshold"><property name="decimals"><number>2</number></property></widget>
<widget class="QPushButton" name="apply"><property name="text"><string>Apply</string></property></widget>
<widget class="qMRMLNodeComboBox" name="input"><property name="noneEnabled"><bool>true</bool></property></widget>
</widget>
<connections><connection><sender>Planted</sender><signal>mrmlSceneChanged(vtkMRMLScene*)</signal>
<receiver>input</receiver><slot>setMRMLScene(vtkMRMLScene*)</slot></connection></connections></ui>
"""
WIDGET = """
class PlantedWidget(slicer.ScriptedLoadableModule.ScriptedLoadableModuleWidget):
    def setup(self):
        self.root = slicer.util.loadUI(self.resourcePath("UI/Planted.ui"))
        self.ui = slicer.util.childWidgetVariables(self.root)
        {line}
"""


def test_everything_the_product_calls_exists_in_slicer(names):
    """Every product file that runs in Slicer, and every .ui file."""
    files = slicer_calls.product_files()
    assert {"QualitySentinel.py", "QualitySentinelTraining.py", "batch_in_slicer.py", "QualitySentinel.ui"} <= {
        path.name for path in files
    }
    report = slicer_calls.check(files, names)
    assert not report.problems, "\n".join(map(str, report.problems))
    assert report.by_class > len(report.by_name), "most names are checked against the class they belong to"


def test_a_misspelt_call_fails_in_the_product_itself(names, repository, tmp_path):
    """With file, line, and the nearest names that do exist."""
    source = (repository / "QualitySentinel/QualitySentinelLib/scene/tags.py").read_text(encoding="utf-8")
    path = tmp_path / "tags.py"
    path.write_text(source.replace("segmentation.GetSegment(", "segmentation.GetSegmnt(", 1), encoding="utf-8")
    line = source[: source.index("segmentation.GetSegment(")].count("\n") + 1
    (problem,) = slicer_calls.check([path], names).problems
    assert str(problem).startswith(f"{path}:{line}: vtkSegmentation has no GetSegmnt; nearest: GetSegment")


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("slicer.util.loadSegmntation('a')", "slicer.util has no loadSegmntation; nearest: loadSegmentation"),
        ("slicer.mrmlScene.AddNewNodeByClas('vtkMRMLTableNode')", "vtkMRMLScene has no AddNewNodeByClas; nearest"),
        ("slicer.mrmlScene.AddNewNodeByClass('vtkMRMLTabelNode')", "no such class; nearest: vtkMRMLTableNode"),
        ("slicer.mrmlScene.AddNewNodeByClass('vtkMRMLTableNode').AddColum()", "vtkMRMLTableNode has no AddColum;"),
        ("slicer.vtkMRMLSegmentationNod()", "slicer has no vtkMRMLSegmentationNod; nearest: vtkMRMLSegmentationNode"),
        (
            "slicer.app.layoutManager().sliceWidgt('Red')",
            "qSlicerLayoutManager has no sliceWidgt; nearest: sliceWidget",
        ),
        ("slicer.app.layoutManager().sliceWidget('Red').sliceLogik()", "has no sliceLogik; nearest: sliceLogic"),
        ("slicer.modules.segmentation.logic()", "slicer.modules has no segmentation; nearest: segmentations"),
        ("import slicer.packagin", "Slicer has no module slicer.packagin; nearest: slicer.packaging"),
        ("from slicer.i18n import trr", "slicer.i18n has no trr"),
        ("from slicer.parameterNodeWrapper import WithinRnge", "has no WithinRnge; nearest: WithinRange"),
        ("vtk.vtkMatrix4x4().Invertt()", "vtkMatrix4x4 has no Invertt; nearest: Invert"),
        ("vtk.vtkMatrix4x5()", "vtk has no vtkMatrix4x5; nearest"),
        ("ctk.ctkColapsibleButton()", "ctk has no ctkColapsibleButton; nearest: ctkCollapsibleButton"),
        ("ctk.ctkCollapsibleButton().colapsed = True", "ctkCollapsibleButton has no colapsed; nearest: collapsed"),
        ("ctk.ctkCollapsibleButton().setCollapsedHeight(1)", "has no setCollapsedHeight"),  # C++ only: not a slot
        ("qt.QHeaderView.ResizeToContent", "QHeaderView has no ResizeToContent"),
        ("qt.QPushButtn()", "qt has no QPushButtn; nearest: QPushButton"),
        ("qt.QPushButton().text()", "QPushButton.text is a property in PythonQt: it cannot be called"),
        ("qt.QTableWidget().rowCount()", "QTableWidget.rowCount is a property in PythonQt: it cannot be called"),
        ("qt.QPushButton().click = 1", "QPushButton.click cannot be written"),
        ("qt.QPushButton().connect('cliked(bool)', print)", "no signal cliked(bool); nearest: clicked(bool)"),
        ("qt.QColor(1, 2, 3).toPython()", "QColor has no toPython"),  # PySide6's alone
        ("def f(x): x.GetDisplayNodee()", "nothing has GetDisplayNodee; nearest: GetDisplayNode"),
    ],
)
def test_a_planted_mistake_is_found(problems_of, line, wanted):
    found = problems_of(line)
    assert len(found) == 1, found
    assert found[0].startswith("1: ")
    assert wanted in found[0]


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("self.ui.treshold.value = 1", "no widget of the .ui file is named treshold; nearest: threshold"),
        ("self.ui.threshold.setMaximum(1)", "ctkSliderWidget has no setMaximum"),  # C++ only; the property is there
        ("self.ui.threshold.connect('valueChange(double)', print)", "no signal valueChange(double); nearest"),
        ("self.ui.apply.enable = True", "QPushButton has no enable; nearest: enabled"),
        ("self.ui.input.setCurentNode(None)", "qMRMLNodeComboBox has no setCurentNode; nearest: setCurrentNode"),
        ("self.resourcePth('a')", "PlantedWidget has no resourcePth; nearest: resourcePath"),
        ("self.parent.isEnterd", "has no isEnterd; nearest: isEntered"),
        ("self.root.setMRMLScen(slicer.mrmlScene)", "qMRMLWidget has no setMRMLScen; nearest: setMRMLScene"),
    ],
)
def test_a_planted_mistake_is_found_in_a_panel(problems_of, line, wanted):
    found = problems_of(WIDGET.format(line=line))
    assert len(found) == 1, found
    assert found[0].startswith("6: ")
    assert wanted in found[0]


@pytest.mark.parametrize(
    "line",
    [
        "self.ui.threshold.maximum = self.ui.threshold.value + 1",
        "self.ui.threshold.connect('valueChanged(double)', print)",
        "self.ui.apply.text = self.ui.apply.name",
        "self.ui.input.setCurrentNode(self.ui.input.currentNode())",
        "self.ui.input.currentNode().GetSegmentation().GetNthSegmentID(0)",  # a subclass may be what is there
        "slicer.app.layoutManager().sliceWidget('Red').sliceLogic().GetSliceNode().JumpSliceByCentering(1, 2, 3)",
        "qt.QDialog(slicer.util.mainWindow()).exec_()",
        "qt.QTimer.singleShot(0, self.cleanup)",
        "qt.QShortcut(qt.QKeySequence('Space'), self.parent).connect('activated()', self.cleanup)",
        "slicer.modules.segmentations.logic()",
        "vtk.vtkImageData().GetPointData().GetScalars().GetName()",
        "slicer.vtkMRMLPlotSeriesNode.PlotTypeBar",
    ],
)
def test_what_exists_passes(problems_of, line):
    assert problems_of(WIDGET.format(line=line)) == []


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
    assert not slicer_calls.check([path], names).problems
    path.write_text(UI.replace(right, wrong), encoding="utf-8")
    (problem,) = slicer_calls.check([path], names).problems
    assert wanted in str(problem)
    assert problem.line == next(i for i, text in enumerate(path.read_text().splitlines(), 1) if wrong in text)


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
