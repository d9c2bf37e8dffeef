"""What reaches the terminal: our own lines, whatever the names in them, as long as somebody reads."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

DEBUG_VARIABLE = "QUALITY_SENTINEL_DEBUG"
"""Set it to see the whole trace of an error instead of its one line, and the remarks of libraries."""


class _Reader:
    """A stream whose reader may leave, as ``| head`` does: what is written then goes nowhere, and the work goes on."""

    def __init__(self, stream) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write text."""
        try:
            return self._stream.write(text)
        except BrokenPipeError:
            self._leave()
            return len(text)

    def flush(self) -> None:
        """Write what is buffered."""
        try:
            self._stream.flush()
        except BrokenPipeError:
            self._leave()

    def __getattr__(self, name: str):
        return getattr(self._stream, name)

    def _leave(self) -> None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)


@contextmanager
def printing() -> Iterator[None]:
    """Print any name, with escapes for what the terminal's encoding lacks, and go on when the reader has left."""
    before = sys.stdout, sys.stderr
    for stream in before:
        if hasattr(stream, "reconfigure"):  # Slicer's console has streams of its own
            stream.reconfigure(errors="backslashreplace")
    sys.stdout, sys.stderr = (_Reader(stream) for stream in before)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, _Reader):
                stream.flush()
        sys.stdout, sys.stderr = before


@contextmanager
def library_remarks_hidden() -> Iterator[None]:
    """Warnings that libraries have for programmers are not shown, unless :data:`DEBUG_VARIABLE` is set."""
    with warnings.catch_warnings():
        if not os.environ.get(DEBUG_VARIABLE):
            warnings.simplefilter("ignore")
        yield
