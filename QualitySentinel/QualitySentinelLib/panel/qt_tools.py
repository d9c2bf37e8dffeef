"""Needs ``qt``. What Qt's event loop, keys, sizes and labels need from the panel."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from ..review.presenter import Action, distinct_lines

MOST_WARNINGS = 3


class StepRun:
    """Drives a generator: one step at a time, with the event loop in between.

    Args:
        steps: what to run to its end; it is closed when the run is stopped or fails.
        on_end: called once, with the exception that ended the steps, or ``None`` when they came to their end. Not
            called when :meth:`stop` ended the run.
        on_step: called with what each step yields.
    """

    def __init__(
        self,
        steps: Generator,
        on_end: Callable[[Exception | None], object],
        on_step: Callable[[Any], object] = lambda _step: None,
    ) -> None:
        self._steps: Generator | None = steps
        self._on_end, self._on_step = on_end, on_step
        self._step_soon()

    def stop(self) -> None:
        steps, self._steps = self._steps, None
        if steps is not None:
            steps.close()

    def _step_soon(self) -> None:
        # No timer of our own: a run that ends would delete it while Qt is still busy with its signal.
        qt.QTimer.singleShot(0, self._step)

    def _step(self) -> None:
        if self._steps is None:
            return
        try:
            self._on_step(next(self._steps))
        except StopIteration:
            self._end(None)
        except Exception as error:
            self._end(error)
        else:
            if self._steps is not None:  # not stopped from within
                self._step_soon()

    def _end(self, error: Exception | None) -> None:
        if self._steps is not None:
            self.stop()
            self._on_end(error)


def single_shot_timer(milliseconds: int, on_timeout: Callable[[], object]) -> qt.QTimer:
    """A timer that calls once after each ``start()``, so long after the last one."""
    timer = qt.QTimer()
    timer.setSingleShot(True)
    timer.setInterval(milliseconds)
    timer.connect("timeout()", on_timeout)
    return timer


class ActionButtons:
    """Buttons of the actions that ``act`` does, called ``nextFlaggedButton`` for ``next_flagged``, where there is one.

    Their tooltips say why they are off.
    """

    def __init__(self, ui: SimpleNamespace, actions: Iterable[str], act: Callable[[str], object]) -> None:
        words = {name: name.title().replace("_", "") for name in actions}
        buttons = {name: getattr(ui, f"{word[0].lower()}{word[1:]}Button", None) for name, word in words.items()}
        self._buttons = {name: button for name, button in buttons.items() if button is not None}
        self._tips = {name: button.toolTip for name, button in self._buttons.items()}
        for name, button in self._buttons.items():
            button.connect("clicked(bool)", lambda *_checked, name=name: act(name))

    def draw(self, actions: Mapping[str, Action], texts: Collection[str] = ()) -> None:
        """Show the actions as they are now, none without a review; ``texts``: those whose text is shown, too."""
        for name, button in self._buttons.items():
            action = actions.get(name, Action(button.text, False))
            button.enabled = action.enabled
            button.toolTip = "\n".join(filter(None, (self._tips[name], action.reason)))
            if name in texts:
                button.text = action.text


class Shortcuts:
    """Keys that do something while a widget can be seen.

    A key belongs to a widget: Qt asks whether it is visible and in the active window. That of a module's panel is
    hidden when another module is opened, so its keys are the other module's then; while it is open, keys work in the
    slice views too. Text fields keep the keys that they need. ``actions``: what keys, as Qt writes them
    (``Shift+Space``), do.
    """

    def __init__(self, parent: qt.QWidget, actions: Mapping[str, Callable[[], object]]) -> None:
        self._shortcuts = []
        for keys, action in actions.items():
            shortcut = qt.QShortcut(qt.QKeySequence(keys), parent)
            shortcut.connect("activated()", action)
            self._shortcuts.append(shortcut)

    def remove(self) -> None:
        for shortcut in self._shortcuts:
            if shortcut:  # PythonQt: false once Qt has deleted it with its widget, as when Slicer ends
                shortcut.setEnabled(False)
                shortcut.deleteLater()
        self._shortcuts = []


def ask_sizes_again(widget) -> None:
    """Let a widget and all that is in it ask for their sizes anew, now and when Qt has shown what was unfolded.

    Qt remembers how high a layout must be for a width, and forgets it when something inside asks for another size. What
    asks while the module is closed, or its section folded, is not heard: the panel then comes back too low, and Slicer
    squeezes what is in it.
    """
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


def show_warnings(label: qt.QLabel, warnings: Sequence[str]) -> None:
    """Show warnings, one line each, the same one once; the tooltip has all. The label hides when there is none."""
    warnings = distinct_lines(warnings)
    label.visible = bool(warnings)
    lines = warnings[:MOST_WARNINGS]
    if len(warnings) > MOST_WARNINGS:
        lines.append(_("and {count} more").format(count=len(warnings) - MOST_WARNINGS))
    label.text = "\n".join(f"\u26a0 {line}" for line in lines)
    if warnings:
        label.toolTip = "\n".join(warnings)
