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
        self._text, self._collapsed = "", False
        self.setContentsMargins(0, self.HEADER, 0, 0)

    def _set_collapsed(self, collapsed):
        if collapsed != self._collapsed:
            self._collapsed = collapsed
            self._fold()
            self.contentsCollapsed.emit(collapsed)

    def _fold(self):
        for child in self.children():
            if isinstance(child, QtWidgets.QWidget):
                child.setVisible(not self._collapsed)
        self.setMaximumHeight(self.HEADER if self._collapsed else 16777215)

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

    def __init__(self, parent=None):
        super().__init__(parent)
        self._slider = QtWidgets.QSlider(QtCore.Qt.Orientation.Horizontal, self)
        self._slider.setRange(0, self.STEPS)
        self._spin_box = QtWidgets.QDoubleSpinBox(self)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._slider, 1)
        layout.addWidget(self._spin_box)
        self._slider.sliderMoved.connect(lambda at: self.setValue(self.minimum + at / self.STEPS * self._range()))
        self._spin_box.valueChanged.connect(self._on_value_changed)

    def _range(self):
        return self.maximum - self.minimum

    def _on_value_changed(self, value):
        self._slider.setValue(round((value - self.minimum) / (self._range() or 1) * self.STEPS))
        self.valueChanged.emit(value)

    def setValue(self, value):
        """Slot."""
        self._spin_box.setValue(value)

    value = QtCore.Property(float, lambda self: self._spin_box.value(), setValue)
    minimum = QtCore.Property(
        float, lambda self: self._spin_box.minimum(), lambda self, value: self._spin_box.setMinimum(value)
    )
    maximum = QtCore.Property(
        float, lambda self: self._spin_box.maximum(), lambda self, value: self._spin_box.setMaximum(value)
    )
    singleStep = QtCore.Property(
        float, lambda self: self._spin_box.singleStep(), lambda self, value: self._spin_box.setSingleStep(value)
    )
    tracking = QtCore.Property(
        bool, lambda self: self._spin_box.keyboardTracking(), lambda self, on: self._spin_box.setKeyboardTracking(on)
    )
    pageStep = QtCore.Property(float, lambda self: 0.1, lambda self, value: None)
    decimals = QtCore.Property(
        int, lambda self: self._spin_box.decimals(), lambda self, value: self._spin_box.setDecimals(value)
    )
