"""Starts ``quality-sentinel review`` as a user does, in a process of its own, and looks at it in headless Chromium."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
STARTING_SECONDS = 300


@dataclass
class Served:
    """The command while it runs."""

    process: subprocess.Popen
    lines: list[str] = field(default_factory=list)
    address: str = ""

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(re.search(r":(\d+)/", self.address)[1])

    def end(self) -> int:
        """Press Ctrl+C; returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self.process.wait(60)


@contextmanager
def served_review(
    arguments: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None
) -> Iterator[Served]:
    """The command, listening; ended with Ctrl+C at the end of the block.

    Args:
        arguments: of ``quality-sentinel review``; no browser is opened.
        folder: the current folder of the command.
        environment: variables beside those of this process.

    Raises:
        RuntimeError: it did not start; with what it said.
    """
    libraries = [str(REPOSITORY / "QualitySentinel"), str(REPOSITORY / "QualitySentinelTraining")]
    variables = os.environ | {"PYTHONPATH": os.pathsep.join(libraries)} | dict(environment or {})
    variables.pop("DISPLAY", None)
    command = [sys.executable, "-m", "QualitySentinelLib", "review", *arguments, "--no-browser"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=variables, cwd=folder
    )
    served, ready = Served(process), threading.Event()

    def read() -> None:
        for line in process.stdout:
            served.lines.append(line.rstrip())
            if found := re.search(r"http://\S+token=\S+", line):
                served.address = found[0]
                ready.set()
        ready.set()

    threading.Thread(target=read, daemon=True).start()
    try:
        ready.wait(STARTING_SECONDS)
        if not served.address:
            raise RuntimeError("the review did not start:\n" + "\n".join(served.lines))
        yield served
        served.end()
    finally:
        if process.poll() is None:
            process.kill()
