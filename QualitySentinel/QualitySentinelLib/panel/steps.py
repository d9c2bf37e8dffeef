"""Needs ``qt``. Long work in small steps from the event loop, so that the application stays alive."""

from __future__ import annotations

from collections.abc import Callable, Generator

import qt


class StepRun:
    """Drives a generator: one step at a time, with the event loop in between.

    Args:
        steps: what to run to its end; it is closed when the run is stopped or fails.
        on_step: called with what each step yields.
        on_end: called once, with the exception that ended the steps, or ``None`` when they came to their end. Not
            called when :meth:`stop` ended the run.
    """

    def __init__(
        self,
        steps: Generator,
        on_step: Callable[[object], object],
        on_end: Callable[[Exception | None], object],
    ) -> None:
        self._steps: Generator | None = steps
        self._on_step, self._on_end = on_step, on_end
        self._step_soon()

    def stop(self) -> None:
        """Drop what is left to do."""
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
