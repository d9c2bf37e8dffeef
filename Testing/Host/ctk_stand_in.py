"""Stand-in for tests, no product logic: the few ctk widgets that the module's ``.ui`` file names."""

from __future__ import annotations

from PySide6 import QtCore, QtWidgets

from .pythonqt import in_pythonqt_style, register_widget

_Widget = in_pythonqt_style(QtWidgets.QWidget)


@register_widget
class ctkCollapsibleButton(_Widget):
    """A titled section that can be folded."""

    contentsCollapsed = QtCore.Signal(bool)
    HEADER = 24

    def __init__(self, parent=None):
        super().__init__(parent)
        self._text, self._collapsed, self._hidden = "", False, []
        self.setContentsMargins(0, self.HEADER, 0, 0)
        self.setSizePolicy(QtWidgets.QSizePolicy.Policy.Minimum, QtWidgets.QSizePolicy.Policy.Preferred)

    def _set_collapsed(self, collapsed):
        if collapsed != self._collapsed:
            self._collapsed = collapsed
            self._fold()
            self.contentsCollapsed.emit(collapsed)

    def _fold(self):
        for child in (c for c in self.children() if isinstance(c, QtWidgets.QWidget)):
            if self._collapsed and not child.isHidden():
                self._hidden.append(child)
                child.hide()
        if not self._collapsed:  # what was hidden before stays so
            for child in self._hidden:
                child.show()
            self._hidden = []
        self.setMaximumHeight(self.HEADER if self._collapsed else 16777215)

    def mousePressEvent(self, event):
        """Called by Qt: a click on the title folds and unfolds."""
        if event.position().y() < self.HEADER:
            self._set_collapsed(not self._collapsed)

    def _set_text(self, text):
        self._text = text

    def showEvent(self, event):
        """Called by Qt: children that came after the property was set are folded too."""
        self._fold()

    def paintEvent(self, event):
        """Called by Qt: the title and its arrow."""
        painter = QtWidgets.QStylePainter(self)
        option = QtWidgets.QStyleOptionButton()
        option.initFrom(self)
        option.rect = QtCore.QRect(0, 0, self.width, self.HEADER - 2)
        option.state |= QtWidgets.QStyle.StateFlag.State_Raised
        painter.drawControl(QtWidgets.QStyle.ControlElement.CE_PushButtonBevel, option)
        elements = QtWidgets.QStyle.PrimitiveElement
        arrow = QtWidgets.QStyleOption()
        arrow.initFrom(self)
        arrow.rect = QtCore.QRect(8, 5, 12, 12)
        painter.drawPrimitive(
            elements.PE_IndicatorArrowRight if self._collapsed else elements.PE_IndicatorArrowDown, arrow
        )
        alignment = QtCore.Qt.AlignmentFlag.AlignVCenter
        painter.drawText(option.rect.adjusted(26, 0, 0, 0), alignment, self._text)

    collapsed = QtCore.Property(bool, lambda self: self._collapsed, _set_collapsed)
    text = QtCore.Property(str, lambda self: self._text, _set_text)


@register_widget
class ctkSliderWidget(_Widget):
    """A slider with a spin box."""

    valueChanged = QtCore.Signal(float)
    STEPS = 1000

    valueIsChanging = QtCore.Signal(float)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._tracking = True
        self._slider = in_pythonqt_style(QtWidgets.QSlider)(QtCore.Qt.Orientation.Horizontal, self)
        self._slider.setRange(0, self.STEPS)
        self._spin_box = QtWidgets.QDoubleSpinBox(self)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._slider, 1)
        layout.addWidget(self._spin_box)
        self._slider.valueChanged.connect(self._on_slider)
        self._slider.sliderReleased.connect(lambda: self.setValue(self._at(self._slider.value)))
        self._spin_box.valueChanged.connect(self._on_value_changed)

    def _range(self):
        return self.maximum - self.minimum

    def _at(self, position):
        return self.minimum + position / self.STEPS * self._range()

    def _on_slider(self, position):
        """The user drags, presses a key or turns the wheel: without tracking, only the end of a drag counts."""
        if self._tracking or not self._slider.isSliderDown():
            self.setValue(self._at(position))
        else:
            self.valueIsChanging.emit(self._at(position))

    def _on_value_changed(self, value):
        blocked = self._slider.blockSignals(True)
        self._slider.setValue(round((value - self.minimum) / (self._range() or 1) * self.STEPS))
        self._slider.blockSignals(blocked)
        self.valueChanged.emit(value)

    def setValue(self, value):
        """Slot."""
        self._spin_box.setValue(value)

    def _value(self):
        """ctkDoubleSlider counts in steps: 0.95 comes back as 0.9500000000000001."""
        value, step = self._spin_box.value(), self.singleStep
        count = round(value / step)
        return min(max(step * (value / step - count + count), self.minimum), self.maximum)

    value = QtCore.Property(float, _value, setValue)
    minimum = QtCore.Property(
        float, lambda self: self._spin_box.minimum(), lambda self, value: self._spin_box.setMinimum(value)
    )
    maximum = QtCore.Property(
        float, lambda self: self._spin_box.maximum(), lambda self, value: self._spin_box.setMaximum(value)
    )
    singleStep = QtCore.Property(
        float, lambda self: self._spin_box.singleStep(), lambda self, value: self._spin_box.setSingleStep(value)
    )

    def _set_tracking(self, tracking):
        self._tracking = tracking
        self._spin_box.setKeyboardTracking(tracking)

    tracking = QtCore.Property(bool, lambda self: self._tracking, _set_tracking)
    pageStep = QtCore.Property(float, lambda self: 0.1, lambda self, value: None)
    decimals = QtCore.Property(
        int, lambda self: self._spin_box.decimals(), lambda self, value: self._spin_box.setDecimals(value)
    )


@register_widget
class ctkPathLineEdit(_Widget):
    """A line for a path, and a button to browse."""

    currentPathChanged = QtCore.Signal(str)
    pythonQtSignals = {"currentPathChanged(QString)"}

    def __init__(self, parent=None):
        super().__init__(parent)
        self._options = {}
        self._combo_box = QtWidgets.QComboBox(self)
        self._combo_box.setEditable(True)
        self._combo_box.setSizePolicy(QtWidgets.QSizePolicy.Policy.Ignored, QtWidgets.QSizePolicy.Policy.Fixed)
        button = QtWidgets.QToolButton(self)
        button.setText("...")
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._combo_box)
        layout.addWidget(button)
        self._combo_box.editTextChanged.connect(self.currentPathChanged)

    def addCurrentPathToHistory(self):
        """Slot: offer the path another time."""
        path = self.currentPath
        self._combo_box.insertItem(0, path)
        self._combo_box.setCurrentIndex(0)

    def _get(name, default):
        return lambda self: self._options.get(name, default)

    def _set(name):
        return lambda self, value: self._options.__setitem__(name, value)

    currentPath = QtCore.Property(
        str, lambda self: self._combo_box.currentText(), lambda self, path: self._combo_box.setEditText(path)
    )
    label = QtCore.Property(str, _get("label", ""), _set("label"))
    settingKey = QtCore.Property(str, _get("settingKey", ""), _set("settingKey"))
    showHistoryButton = QtCore.Property(bool, _get("showHistoryButton", True), _set("showHistoryButton"))
