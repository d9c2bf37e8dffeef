"""The errors a user can meet. Each carries the exit code of the command line and one clear line of text."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager


class QualitySentinelError(Exception):
    """Base class: ``str(error)`` is one line that names the file or thing at fault and says what to do."""

    exit_code = 1


class UsageError(QualitySentinelError):
    """The request itself makes no sense (unknown option value, segment that does not exist)."""

    exit_code = 2


class InputError(QualitySentinelError):
    """An input cannot be read, or is not what it should be; also an output that cannot be written."""

    exit_code = 3


class MismatchError(QualitySentinelError):
    """The inputs are readable but do not belong together (other place in space, no overlap)."""

    exit_code = 4


class ModelError(QualitySentinelError):
    """The model file is corrupt, hostile or of another architecture, or the device cannot run it."""

    exit_code = 5


class CancelledError(QualitySentinelError):
    """The user asked to stop. What was finished before is kept."""

    exit_code = 130


def not_installed(what: str, packages: str, extra: str, otherwise: str = "") -> UsageError:
    """``what`` needs ``packages``, which the optional dependencies ``extra`` of pyproject.toml bring.

    The package is on no index: it is installed from a copy of the repository.
    """
    how = f"in the folder of this program's repository, run: pip install -c constraints.txt '.[{extra}]'"
    return UsageError(f"{what} needs {packages}, which is not installed; {how}{otherwise}")


@contextmanager
def readable(
    path: str | os.PathLike, remedy: str = "check the path and its permissions", *more: type[Exception]
) -> Iterator[None]:
    """Turn the ``OSError`` (or what is ``more``) of what cannot be read into an ``InputError`` that names it."""
    expected: tuple[type[Exception], ...] = (OSError, *more)
    try:
        yield
    except expected as error:
        where, reason = getattr(error, "filename", None) or path, getattr(error, "strerror", None) or reason_of(error)
        raise InputError(f"{where}: cannot be read ({reason}); {remedy}") from error


def command_text(*words: object) -> str:
    """A command as this system's terminal takes it."""
    told = [str(word) for word in words]
    if os.name != "nt":
        return shlex.join(told)
    quoted = [subprocess.list2cmdline([word]) for word in told]  # leaves & and parentheses bare
    return " ".join(word if re.fullmatch(r'".*"|[\w.:\\/-]+', word) else f'"{word}"' for word in quoted)


def one_line(text: object, most: int | None = None) -> str:
    """A text on one line, cut to ``most`` characters: names may hold line breaks, or be endless."""
    line = " ".join(str(text).split())
    return line if most is None or len(line) <= most else line[: most - 3] + "..."


def reason_of(error: BaseException, most: int = 200) -> str:
    """What another library's error says, on one line of at most ``most`` characters; its class when it says nothing."""
    return one_line(error)[:most] or type(error).__name__
