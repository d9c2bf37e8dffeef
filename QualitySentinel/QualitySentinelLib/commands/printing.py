"""What reaches the terminal: our own lines, whatever the names in them, as long as somebody reads."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

DEBUG_VARIABLE = "QUALITY_SENTINEL_DEBUG"
"""Set it to see the whole trace of an error instead of its one line, and the remarks of libraries."""

FAILED_CASES = 6
"""Exit code when some cases could not be done; all others were."""
_LISTED = 20


class _Reader:
    """A stream whose reader may leave, as ``| head`` does: what is written then goes nowhere, and the work goes on."""

    def __init__(self, stream) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except BrokenPipeError:
            self._leave()
            return len(text)

    def flush(self) -> None:
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
    """Print any name, with escapes for what the terminal's encoding lacks, and go on when the reader has left.

    Warnings that libraries have for programmers are not shown, unless :data:`DEBUG_VARIABLE` is set.
    """
    before = sys.stdout, sys.stderr
    for stream in before:
        if hasattr(stream, "reconfigure"):  # Slicer's console has streams of its own
            stream.reconfigure(errors="backslashreplace")
    sys.stdout, sys.stderr = (_Reader(stream) for stream in before)
    try:
        with warnings.catch_warnings():
            if not os.environ.get(DEBUG_VARIABLE):
                warnings.simplefilter("ignore")
            yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, _Reader):
                stream.flush()
        sys.stdout, sys.stderr = before


class CaseProgress:
    """A bar of cases, from the moment that the first is given out: refusals before that are one line."""

    def __init__(self, quiet: bool) -> None:
        self.done = self.total = 0
        self._quiet, self._failed = quiet, 0
        self._bar: Any = None

    def show(self, done: int, total: int, head: dict | None) -> None:
        """What a run over cases tells: how many are done, and the head of the last record."""
        from tqdm import tqdm

        if self._bar is None:
            self._bar = tqdm(total=total, initial=done, unit="case", disable=self._quiet, dynamic_ncols=True)
        self._bar.update(done - self._bar.n)
        if head is not None and head["status"] == "failed":
            self._failed += 1
            self._bar.set_postfix(failed=self._failed)
        self.done, self.total = done, total

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


def name_failed(failed: dict[str, str], table: Path) -> int:
    """List the cases that could not be done, as the table does; the exit code."""
    for name, reason in list(failed.items())[:_LISTED]:
        print(f"failed: {name}: {reason}", file=sys.stderr)
    if len(failed) > _LISTED:
        print(f"and {len(failed) - _LISTED} more, see {table}", file=sys.stderr)
    return FAILED_CASES if failed else 0
