"""Needs ``qt``. Keys of the panel."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import qt


class Shortcuts:
    """Keys that do something while a widget can be seen.

    A key belongs to a widget: Qt asks whether it is visible and in the active window. That of a module's panel is
    hidden when another module is opened, so its keys are the other module's then; while it is open, keys work in the
    slice views too. Text fields keep the keys that they need.

    Args:
        parent: the widget.
        actions: key sequences, as Qt writes them (``Shift+Space``), and what they do.
    """

    def __init__(self, parent: qt.QWidget, actions: Mapping[str, Callable[[], object]]) -> None:
        self._shortcuts = []
        for keys, action in actions.items():
            shortcut = qt.QShortcut(qt.QKeySequence(keys), parent)
            shortcut.connect("activated()", action)
            self._shortcuts.append(shortcut)

    def remove(self) -> None:
        """Free the keys."""
        for shortcut in self._shortcuts:
            if shortcut:  # PythonQt: false once Qt has deleted it with its widget, as when Slicer ends
                shortcut.setEnabled(False)
                shortcut.deleteLater()
        self._shortcuts = []
