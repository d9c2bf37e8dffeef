"""Needs ``qt``. The height that the panel asks for.

Qt remembers how high a layout must be for a width, and forgets it when something inside asks for another size. What
asks while the module is closed, or its section folded, is not heard: the panel then comes back too low, and Slicer
squeezes what is in it.
"""

from __future__ import annotations

import qt
import slicer


def ask_sizes_again(widget) -> None:
    """Let a widget and all that is in it ask for their sizes anew, now and when Qt has shown what was unfolded."""
    _ask(widget)
    qt.QTimer.singleShot(0, lambda: _ask(widget))


def _ask(widget) -> None:
    if not widget:  # PythonQt: false once Qt has deleted it
        return
    for label in slicer.util.findChildren(widget, className="QLabel"):
        asking = label if label.wordWrap else None
        while asking is not None and asking != widget:  # from the label outwards
            asking.updateGeometry()
            asking = asking.parentWidget()
    widget.updateGeometry()
