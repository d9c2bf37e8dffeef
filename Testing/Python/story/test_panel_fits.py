"""The panel at 350 pixels, light and dark: nothing is cut off, everything has a tooltip."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QPalette
from PySide6.QtWidgets import (
    QAbstractButton,
    QCheckBox,
    QComboBox,
    QLabel,
    QProgressBar,
    QPushButton,
    QSpinBox,
    QStyle,
    QStyleOptionButton,
    QTableWidget,
    QToolButton,
    QWidget,
)
from Testing.Host.user import click, show

from .seeing import pixels_of

WIDTH = 350
SECTIONS = ("inputs", "results", "review", "queue", "display", "export", "advanced")


def dark_palette() -> QPalette:
    """As Slicer's style "Dark Slicer" colors Fusion."""
    palette = QPalette()
    roles = QPalette.ColorRole
    for role, color in (
        (roles.Window, "#353535"), (roles.WindowText, "white"), (roles.Base, "#232323"), (roles.Text, "white"),
        (roles.AlternateBase, "#353535"), (roles.Button, "#353535"), (roles.ButtonText, "white"),
        (roles.ToolTipBase, "#353535"), (roles.ToolTipText, "white"), (roles.Highlight, "#2a82da"),
        (roles.HighlightedText, "black"),
    ):  # fmt: skip
        palette.setColor(role, QColor(color))
    for role in (roles.WindowText, roles.Text, roles.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, role, QColor("#808080"))
    return palette


@pytest.fixture(params=["light", "dark"])
def style(slicer, request):
    """Slicer's light and dark style."""
    application = slicer.app.qt
    before, name = application.palette(), application.style().objectName()
    application.setStyle("Fusion")
    application.setPalette(dark_palette() if request.param == "dark" else application.style().standardPalette())
    yield request.param
    application.setStyle(name)
    application.setPalette(before)


@pytest.fixture
def all_open(style, scored):
    """The panel with all sections open, a segment selected and a slice accepted, 350 pixels wide."""
    for section in SECTIONS:
        getattr(scored.ui, f"{section}CollapsibleButton").collapsed = False
    click(scored.ui.nextFlaggedButton)
    click(scored.ui.acceptButton)
    scored.parent.window().resize(1200, 1900)
    show(scored.ui.packageInfoButton)
    return scored


def widgets_of(panel) -> dict[str, QWidget]:
    """The widgets of the panel that a user can see, by name."""
    return {name: w for name, w in vars(panel.ui).items() if isinstance(w, QWidget) and w.isVisible()}


def text_room(widget) -> tuple[int, int]:
    """(pixels a text needs, pixels it has)."""
    metrics = widget.fontMetrics()
    if isinstance(widget, QPushButton | QCheckBox):
        option = QStyleOptionButton()
        widget.initStyleOption(option)
        element = QStyle.SubElement.SE_PushButtonContents
        if isinstance(widget, QCheckBox):
            element = QStyle.SubElement.SE_CheckBoxContents
        room = widget.style().subElementRect(element, option, widget).width()
        return metrics.horizontalAdvance(option.text), room
    return metrics.horizontalAdvance(QProgressBar.text(widget)), QWidget.width(widget)


def test_the_panel_is_never_wider_than_the_dock(all_open):
    assert all_open.parent.minimumSizeHint().width() <= WIDTH
    right = {n: w.mapTo(all_open.parent, w.rect.topRight()).x() for n, w in widgets_of(all_open).items()}
    assert not {name: x for name, x in right.items() if x > QWidget.width(all_open.parent)}


def test_texts_of_buttons_boxes_and_bars_are_not_cut_off(all_open):
    found = {n: w for n, w in widgets_of(all_open).items() if isinstance(w, QPushButton | QCheckBox | QProgressBar)}
    assert len(found) > 15
    rooms = {name: text_room(widget) for name, widget in found.items()}
    assert not {name: room for name, room in rooms.items() if room[0] > room[1]}


def test_labels_are_not_cut_off(all_open):
    labels = {n: w for n, w in widgets_of(all_open).items() if isinstance(w, QLabel) and w.text}
    assert {"summaryLabel", "currentLabel", "matchedLabel", "installStateLabel"} <= set(labels)
    for name, label in labels.items():
        size = QWidget.size(label)
        if label.wordWrap:
            assert label.heightForWidth(size.width()) <= size.height(), name
        else:
            assert label.sizeHint().width() <= size.width(), name


def test_all_columns_of_the_table_are_in_sight(all_open):
    table = all_open.ui.resultsTable
    assert table.horizontalHeader().length() <= QWidget.width(table.viewport())
    for column in range(1, table.columnCount):
        assert table.sizeHintForColumn(column) <= table.columnWidth(column), column


def test_choices_of_combo_boxes_and_numbers_are_not_cut_off(all_open):
    for name, widget in widgets_of(all_open).items():
        if isinstance(widget, QComboBox | QSpinBox):
            assert QWidget.width(widget) >= 60, name


def test_everything_that_can_be_used_has_a_tooltip(all_open):
    kinds = QAbstractButton | QComboBox | QSpinBox | QTableWidget | QProgressBar
    bare = {
        name for name, widget in widgets_of(all_open).items()
        if (isinstance(widget, kinds) or type(widget).__name__.startswith(("qMRMLNode", "ctkSlider", "ctkPath")))
        and not isinstance(widget, QToolButton) and not name.startswith("qt_") and not widget.toolTip
    }  # fmt: skip
    assert not bare


def test_texts_can_be_read_on_their_ground(all_open, style):
    """The slice profile and the labels draw with the style's colors: text and ground are far apart."""
    for widget in (all_open.ui.summaryLabel, all_open.ui.currentLabel, all_open.panel.review_panel.slice_profile):
        show(widget)
        gray = pixels_of(widget).astype(int).mean(axis=2)
        ground = 255 if style == "light" else 0
        assert abs(gray - ground).min() < 60, "no ground"
        assert gray.max() - gray.min() > 120, f"{widget} has no text that can be read"


def test_long_names_are_shortened_and_nothing_grows(slicer, style, a_ct, a_torso, segmentation_node_of, open_panel):
    from .conftest import wait_for_scores

    long = "a segment with a name so long that nobody would ever want to read all of it, least of all in a table"
    segmentation = segmentation_node_of(a_torso.labels, {1: "liver", 2: "spleen"}, a_ct, "Segmentation " + long)
    segmentation.GetSegmentation().GetSegment("spleen").SetName(long)
    panel = open_panel()
    click(panel.ui.applyButton)
    wait_for_scores(panel)
    click(panel.ui.nextFlaggedButton)
    assert panel.parent.minimumSizeHint().width() <= WIDTH
    table = panel.ui.resultsTable
    assert table.horizontalHeader().length() <= QWidget.width(table.viewport())
    row = next(r for r in range(2) if table.item(r, 0).text() == long)
    assert long in table.item(row, 0).toolTip()


def test_keys_on_the_keyboard_are_not_taken_from_text_fields(all_open):
    from PySide6.QtTest import QTest

    edit = all_open.ui.exportFolderEdit
    line = edit.findChild(QComboBox).lineEdit()
    edit.currentPath = ""
    line.setFocus()
    here = all_open.panel.review_panel.session.current
    QTest.keyClicks(line, "an a")
    assert edit.currentPath == "an a"
    assert all_open.panel.review_panel.session.current == here
    QTest.keyClick(line, Qt.Key.Key_Backspace)


def test_every_decision_is_in_sight_on_a_small_screen(slicer, style, scored):
    """Of a screen 1000 pixels high Slicer leaves 540 to the module, its help on top of them."""
    window = slicer.util.mainWindow()
    assert scored.ui.inputsCollapsibleButton.collapsed, "Apply was pressed"
    click(scored.ui.nextFlaggedButton)
    window.panel.setFixedHeight(540)
    try:
        show(scored.ui.thresholdSliderWidget)
        window.panel.verticalScrollBar().setValue(0)
        slicer.app.processEvents()
        names = ("resultsTable", "previousFlaggedButton", "nextFlaggedButton", "acceptButton", "acceptSegmentButton")
        for name in names:
            widget = getattr(scored.ui, name)
            bottom = widget.mapTo(window.panel.viewport(), QWidget.rect(widget).bottomLeft()).y()
            assert bottom <= 540 - 24, name
        assert QWidget.height(scored.ui.resultsTable) >= 4 * 22
    finally:
        window.panel.setMinimumHeight(0)
        window.panel.setMaximumHeight(16777215)


def test_nothing_is_squeezed_after_another_module_was_open(slicer, all_open):
    from Testing.Python.panel.using import run_events_until

    def sizes():
        return {name: QWidget.size(widget) for name, widget in widgets_of(all_open).items()}

    slicer.app.processEvents()
    before = sizes()
    slicer.util.selectModule("SegmentEditor")
    all_open.panel.review_panel.review.warnings = ["words " * 40]  # more lines than the panel had when it was left
    slicer.util.selectModule("QualitySentinel")
    run_events_until(lambda: all_open.ui.warningsLabel.isVisible())
    slicer.app.processEvents()
    label = all_open.ui.warningsLabel
    assert label.heightForWidth(QWidget.width(label)) <= QWidget.height(label)
    after = sizes()
    for name, size in before.items():
        if name not in ("resultsTable", "QualitySentinel", "resultsCollapsibleButton"):
            assert after[name].height() >= size.height(), name
