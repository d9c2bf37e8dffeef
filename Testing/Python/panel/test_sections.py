"""Export, Advanced, and the panel as a whole."""

from __future__ import annotations

import pytest
from Testing.Python.panel.using import click, pixels


class TestExport:
    def test_waits_for_a_review_and_a_folder(self, panel, reviewed, tmp_path):
        ui = reviewed.ui
        ui.exportFolderEdit.currentPath = ""
        assert not ui.exportButton.enabled
        ui.exportFolderEdit.currentPath = str(tmp_path)
        assert ui.exportButton.enabled

    def test_says_where_the_files_lie_and_links_to_them(self, reviewed, tmp_path, monkeypatch):
        written = []
        monkeypatch.setattr(reviewed.logic, "exportResults", lambda *args, **options: written.append((args, options)))
        folder = tmp_path / "a & b"
        reviewed.ui.exportCollapsibleButton.collapsed = False
        reviewed.ui.exportFolderEdit.currentPath = str(folder)
        click(reviewed.ui.exportButton)
        (args, options) = written[0]
        assert args[3] == str(folder) and options["session"] is reviewed.panel.review_panel.session
        text = reviewed.ui.exportLabel.text
        assert "a &amp; b" in text and "report.html" in text and text.count('<a href="file:///') == 2

    def test_a_failure_is_told_and_nothing_is_linked(self, reviewed, tmp_path, capsys):
        (tmp_path / "taken").write_text("a file")
        reviewed.ui.exportCollapsibleButton.collapsed = False
        reviewed.ui.exportFolderEdit.currentPath = str(tmp_path / "taken")
        click(reviewed.ui.exportButton)
        assert reviewed.ui.exportLabel.text == ""
        assert "taken" in capsys.readouterr().err

    def test_a_folder_beside_the_segmentation_is_proposed(self, slicer, a_segmentation_node, a_ct_node, tmp_path):
        from QualitySentinelLib.panel.export_section import proposed_folder

        slicer.util.saveNode(a_ct_node, str(tmp_path / "ct.nrrd"))
        a_segmentation_node.SetName("liver: 2/3")
        assert proposed_folder(a_segmentation_node, a_ct_node) == str(tmp_path / "liver_ 2_3 quality")

    def test_nodes_without_a_file_go_beside_the_scene_or_among_the_documents(
        self, slicer, a_segmentation_node, a_ct_node, tmp_path, monkeypatch
    ):
        from QualitySentinelLib.panel.export_section import proposed_folder

        slicer.mrmlScene.SetRootDirectory(str(tmp_path))
        assert proposed_folder(a_segmentation_node, a_ct_node) == str(tmp_path / "Segmentation quality")
        documents = tmp_path / "documents"
        documents.mkdir()
        monkeypatch.setattr(slicer.app, "defaultScenePath", str(documents))
        for useless in (".", "", str(tmp_path / "gone"), slicer.mrmlScene.GetCacheManager().GetRemoteCacheDirectory()):
            slicer.mrmlScene.SetRootDirectory(useless)
            assert proposed_folder(a_segmentation_node, a_ct_node) == str(documents / "Segmentation quality")

    def test_after_a_scene_in_one_file_results_lie_beside_it(self, slicer, reviewed, tmp_path, monkeypatch):
        """The files that the nodes were read from were unpacked into Slicer's cache, and are gone."""
        reviewed.ui.nextFlaggedButton.click()
        slicer.util.saveScene(str(tmp_path / "case.mrb"))
        elsewhere = tmp_path / "working folder"
        elsewhere.mkdir()
        monkeypatch.chdir(elsewhere)
        slicer.mrmlScene.Clear(0)
        slicer.util.loadScene(str(tmp_path / "case.mrb"))
        slicer.app.processEvents()
        ui = reviewed.ui
        ui.exportCollapsibleButton.collapsed = False
        assert ui.exportFolderEdit.currentPath == str(tmp_path / "Segmentation quality")
        click(ui.exportButton)
        assert (tmp_path / "Segmentation quality" / "report.html").is_file()
        report = (tmp_path / "Segmentation quality" / "report.json").read_text()
        assert slicer.mrmlScene.GetCacheManager().GetRemoteCacheDirectory() not in report
        ui.exportFolderEdit.currentPath = "mine"
        click(ui.exportButton)
        assert (tmp_path / "mine" / "report.html").is_file() and not any(elsewhere.iterdir())
        assert ui.exportFolderEdit.currentPath == str(tmp_path / "mine")


class TestAdvanced:
    def test_shows_what_is_installed_when_it_is_opened(self, panel):
        assert panel.ui.installStateLabel.text == ""
        panel.ui.advancedCollapsibleButton.collapsed = False
        assert "<b>torch</b>" in panel.ui.installStateLabel.text
        assert "bundled model" in panel.ui.installStateLabel.text

    @pytest.mark.parametrize("agrees", [True, False])
    def test_installs_openvino_if_the_user_agrees(self, panel, slicer, monkeypatch, agrees):
        import slicer.packaging

        from QualitySentinelLib.setup import packages

        monkeypatch.setattr(packages, "OPENVINO", "no-such-openvino>=1")
        monkeypatch.setattr(slicer.packaging, "installed", [])
        monkeypatch.setattr(slicer.app, "testing", False)
        monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda *args, **options: agrees)
        panel.ui.openvinoButton.click()
        assert slicer.packaging.installed == ["no-such-openvino>=1"] * agrees

    def test_an_imported_model_is_chosen_and_can_be_removed(self, panel, a_model_file, monkeypatch, slicer):
        import qt

        monkeypatch.setattr(qt.QFileDialog, "getOpenFileName", lambda *_: str(a_model_file))
        monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda *_: True)
        combo = panel.ui.modelComboBox
        assert combo.currentText == "bundled"
        try:
            panel.ui.importModelButton.click()
            assert combo.currentText == a_model_file.stem
            assert panel.logic.getParameterNode().model.endswith(".safetensors")
        finally:
            panel.ui.removeDownloadsButton.click()
        assert combo.currentText == "bundled" and combo.count == 1
        assert panel.logic.getParameterNode().model == "bundled"

    def test_what_was_removed_is_said(self, panel, a_model_file, monkeypatch, slicer):
        import qt

        said = []
        monkeypatch.setattr(qt.QFileDialog, "getOpenFileName", lambda *_: str(a_model_file))
        monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda *_: True)
        monkeypatch.setattr(slicer.util, "infoDisplay", lambda text, *_: said.append(text))
        panel.ui.importModelButton.click()
        panel.ui.removeDownloadsButton.click()
        panel.ui.removeDownloadsButton.click()
        megabytes = f"{a_model_file.stat().st_size / 1e6:.1f} MB"
        assert said == [f"Models removed: 1. Disk space freed: {megabytes}.", "There are no imported models."]

    def test_a_model_that_is_not_here_is_said_to_be_missing(self, panel):
        panel.logic.getParameterNode().model = "/elsewhere/own.safetensors"
        panel.enter()
        assert panel.ui.modelComboBox.currentText == "(missing) /elsewhere/own.safetensors"

    def test_force_cpu_goes_before_the_device(self, panel, monkeypatch):
        asked = []

        def steps(_volume, _segmentation, options, **_):
            asked.append(options.device)
            return (step for step in ())

        monkeypatch.setattr(panel.logic, "scoreSteps", steps)
        panel.ui.deviceComboBox.currentIndex = 2
        panel.ui.forceCpuCheckBox.click()
        assert not panel.ui.deviceComboBox.enabled
        panel.ui.applyButton.click()
        assert asked == ["cpu"]

    def test_who_declines_packages_is_not_bothered_again(self, panel, monkeypatch, capsys):
        from QualitySentinelLib.errors import CancelledError

        def decline(force_cpu):
            raise CancelledError("no")

        monkeypatch.setattr(panel.logic, "setupPythonRequirements", decline)
        panel.ui.applyButton.click()
        assert panel.ui.applyButton.enabled and not panel.ui.cancelButton.enabled
        assert capsys.readouterr().err.count("Traceback") == 0

    def test_package_info_can_be_copied(self, panel, slicer, monkeypatch):
        shown = []
        monkeypatch.setattr(slicer.util, "infoDisplay", lambda *args, **options: shown.append(options["detailedText"]))
        panel.ui.packageInfoButton.click()
        assert "Quality Sentinel" in shown[0] and "torch" in shown[0]


def labelled(panel):
    """Widgets of the panel that have a text of one line, with it."""
    from PySide6.QtWidgets import QCheckBox, QLabel, QPushButton, QWidget

    for widget in vars(panel.ui).values():
        if isinstance(widget, (QPushButton, QCheckBox)) or (isinstance(widget, QLabel) and not widget.wordWrap):
            if QWidget.isVisible(widget):
                yield widget, widget.text


@pytest.mark.parametrize("width", [350, 500])
@pytest.mark.parametrize("dark", [False, True])
def test_nothing_is_cut_off(open_panel, a_ct_node, a_segmentation_node, a_case, slicer, width, dark, tmp_path):
    from PySide6.QtGui import QColor, QFontMetrics, QPalette
    from PySide6.QtWidgets import QWidget
    from Testing.Python.panel.using import review_of

    before = slicer.app.qt.palette()
    if dark:
        palette = QPalette(QColor(53, 53, 53))
        slicer.app.qt.setPalette(palette)
    try:
        a_ct_node.SetName("4: CT Thorax/Abdomen/Pelvis with contrast, axial 1.25 mm STANDARD, series 4")
        panel = open_panel(width)
        review_of(panel, a_segmentation_node, a_ct_node, a_case)
        for name in ("export", "advanced"):
            getattr(panel.ui, f"{name}CollapsibleButton").collapsed = False
        panel.ui.nextFlaggedButton.click()
        for _ in range(3):
            slicer.app.processEvents()
        assert QWidget.width(panel.parent) == width, "wider than the room that it has"
        for widget, text in labelled(panel):
            needed = QFontMetrics(widget.font).horizontalAdvance(text)
            assert needed <= QWidget.width(widget), f"{widget.objectName}: {text}"
        table = panel.ui.resultsTable
        assert table.horizontalHeader().length() <= QWidget.width(table.viewport())
        for column in range(1, table.columnCount):
            title = table.horizontalHeaderItem(column).text()
            assert table.columnWidth(column) >= QFontMetrics(table.font).horizontalAdvance(title)
        picture = pixels(panel.parent)
        assert (picture.mean() < 120) == dark
    finally:
        slicer.app.qt.setPalette(before)


def test_everything_has_a_tooltip(panel):
    from PySide6.QtWidgets import QAbstractButton, QComboBox, QLabel, QProgressBar, QSpinBox

    mute = []
    for name, widget in vars(panel.ui).items():
        wanted = isinstance(widget, (QAbstractButton, QComboBox, QProgressBar, QSpinBox))
        wanted |= name.endswith(("Selector", "SliderWidget", "Table", "Edit"))
        wanted |= isinstance(widget, QLabel) and name[0].islower() and not widget.text.endswith(":")
        if wanted and not name.startswith("qt_") and not widget.toolTip and name != "matchedLabel":
            mute.append(name)
    assert mute == []
