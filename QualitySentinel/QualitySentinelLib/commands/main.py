"""The ``quality-sentinel`` command line: finds the command, runs it, turns errors into one line and an exit code."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import sys
from collections.abc import Sequence
from errno import ELOOP
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import CancelledError, InputError, QualitySentinelError, not_installed, one_line
from ..threads import use_threads
from .printing import DEBUG_VARIABLE, printing

_COMMANDS = {
    "QualitySentinelLib": "score review info",
    "QualitySentinelTrainingLib": "audit make-pairs train-segmenters find-errors corrupt-labels train average evaluate "
    "calibrate select split-sites harm travel simulate train-pseudo",
}
"""By library. The module of ``make-pairs`` is ``commands/make_pairs.py`` there."""
_THREADED = ("score", "review", "train-segmenters", "find-errors", "train", "evaluate", "travel")
"""Commands whose one process computes; the others have workers, or nothing to compute."""
_UNEXPECTED = 1


def build_parser() -> argparse.ArgumentParser:
    """The parser of every command that is installed (the training library may be absent)."""
    parser = argparse.ArgumentParser(
        prog="quality-sentinel",
        description="Predict, slice by slice, how good CT segmentation masks are, without a ground truth.",
        epilog="Exit codes: 0 done; 2 usage; 3 an input cannot be read or an output written; 4 inputs do not fit "
        "each other; 5 model or device; 6 some cases of a data set failed; 130 canceled.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for library, names in _COMMANDS.items():
        for name in names.split() if importlib.util.find_spec(library) else ():
            try:
                module = importlib.import_module(f"{library}.commands.{name.replace('-', '_')}")
            except ModuleNotFoundError as error:
                _add_unavailable(commands, name, error)
            else:
                _add_command(commands, name, module)
    return parser


def _add_command(commands: Any, name: str, module: Any) -> None:
    """A command: its module has ``add_arguments`` and ``run``, and its docstring is the help, in three paragraphs.

    The first is the summary in the list of commands, the second the description, the third has examples.
    """
    summary, _, more = (module.__doc__ or "").strip().partition("\n\n")
    description, _, examples = more.partition("\n\n")
    parser = commands.add_parser(
        name, help=summary[:1].lower() + summary[1:].rstrip("."), description=description,
        epilog=f"Examples:\n{examples}" if examples else None, formatter_class=_KeepsExamples,
    )  # fmt: skip
    module.add_arguments(parser)
    if name in _THREADED:
        parser.add_argument(
            "--threads", type=_thread_count, metavar="N",
            help="threads on the CPU (default: one per core that is free, at least half of them)",
        )  # fmt: skip
    parser.set_defaults(run=module.run)


def _add_unavailable(commands: Any, name: str, error: ModuleNotFoundError) -> None:
    """A command that needs a package that is not installed: it says so, whatever its options."""
    if error.name is None or error.name.startswith("QualitySentinel"):
        raise error
    parser = commands.add_parser(name, prefix_chars="\0", add_help=False)
    parser.add_argument("rest", nargs="*")

    def refuse(options: argparse.Namespace) -> int:
        raise not_installed(name, error.name, "training") from error

    parser.set_defaults(run=refuse)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code (see the parser's epilog)."""
    with printing():
        return _run(arguments)


def _run(arguments: Sequence[str] | None) -> int:
    try:
        options = build_parser().parse_args(arguments)
    except SystemExit as stop:  # argparse: 0 after --help, 2 after a usage error
        return int(stop.code or 0)
    try:
        _check_links(options)
        use_threads(getattr(options, "threads", None))  # before a command imports PyTorch
        return int(options.run(options) or 0)
    except QualitySentinelError as error:
        return _refuse(error, error.exit_code)
    except KeyboardInterrupt:
        return _refuse("canceled; nothing was written", CancelledError.exit_code)
    except MemoryError:
        return _refuse("not enough memory; close other programs or score fewer segments (--segments)", _UNEXPECTED)
    except Exception as error:
        return _refuse(f"unexpected {type(error).__name__}: {error} (set {DEBUG_VARIABLE}=1 for details)", _UNEXPECTED)


class _KeepsExamples(argparse.HelpFormatter):
    """Wraps every text but examples, which are lines to copy."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if text.startswith("Examples:") else super()._fill_text(text, width, indent)


def _thread_count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 1024:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to 1024, not {text!r}")
    return int(text)


def _check_links(options: argparse.Namespace) -> None:
    """Refuse paths that are loops of links; Python raises for them in many places."""
    values = [v for value in vars(options).values() for v in (value if isinstance(value, list) else [value])]
    for path in filter(lambda value: isinstance(value, Path), values):
        try:
            path.stat()
        except OSError as error:
            if error.errno == ELOOP:
                raise InputError(f"{path}: is a loop of links; give another path") from error


def _refuse(error: object, code: int) -> int:
    if os.environ.get(DEBUG_VARIABLE):
        import traceback

        traceback.print_exc()
    print("quality-sentinel:", one_line(error), file=sys.stderr)
    return code
