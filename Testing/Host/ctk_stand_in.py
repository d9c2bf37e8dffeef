"""Stand-in for tests, no product logic: the few ctk widgets that the module's ``.ui`` file names."""

from __future__ import annotations

from PySide6 import QtCore, QtWidgets

from .pythonqt import in_pythonqt_style, register_widget

_Widget = in_pythonqt_style(QtWidgets.QWidget)


@register_widget
class ctkCollapsibleButton(_Widget):
    """A titled section that can be folded."""

    contentsCollapsed = QtCore.Signal(bool)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._text, self._collapsed = "", False

    def _set_collapsed(self, collapsed):
        if collapsed != self._collapsed:
            self._collapsed = collapsed
            for child in self.children():
                if isinstance(child, QtWidgets.QWidget):
                    child.setVisible(not collapsed)
            self.contentsCollapsed.emit(collapsed)

    def _set_text(self, text):
        self._text = text

    collapsed = QtCore.Property(bool, lambda self: self._collapsed, _set_collapsed)
    text = QtCore.Property(str, lambda self: self._text, _set_text)


@register_widget
class ctkSliderWidget(_Widget):
    """A slider with a spin box."""

    valueChanged = QtCore.Signal(float)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._spin_box = QtWidgets.QDoubleSpinBox(self)
        QtWidgets.QHBoxLayout(self).addWidget(self._spin_box)
        self._spin_box.valueChanged.connect(self.valueChanged)

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
