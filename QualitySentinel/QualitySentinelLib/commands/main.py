"""The ``quality-sentinel`` command line: finds the command, runs it, turns errors into one line and an exit code."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import sys
from collections.abc import Sequence

from .. import __version__
from ..errors import CancelledError, QualitySentinelError
from ..threads import use_threads

DEBUG_VARIABLE = "QUALITY_SENTINEL_DEBUG"
"""Set it to see the whole trace of an error instead of its one line."""

_COMMANDS = {
    "score": "QualitySentinelLib.commands.score",
    "review": "QualitySentinelLib.commands.review",
    "info": "QualitySentinelLib.commands.info",
    "audit": "QualitySentinelTrainingLib.commands.audit",
    "make-pairs": "QualitySentinelTrainingLib.commands.make_pairs",
    "train-segmenters": "QualitySentinelTrainingLib.commands.train_segmenters",
    "train": "QualitySentinelTrainingLib.commands.train",
    "average": "QualitySentinelTrainingLib.commands.average",
    "evaluate": "QualitySentinelTrainingLib.commands.evaluate",
    "calibrate": "QualitySentinelTrainingLib.commands.calibrate",
}
_THREADED = ("score", "review", "train-segmenters", "train", "evaluate")
"""Commands whose one process computes; the others have workers, or nothing to compute."""
_UNEXPECTED = 1


def build_parser() -> argparse.ArgumentParser:
    """The parser of every command that is installed (the training library may be absent)."""
    parser = argparse.ArgumentParser(
        prog="quality-sentinel",
        description="Predict, slice by slice, how good CT segmentation masks are, without a ground truth.",
        epilog="Exit codes: 0 done; 2 usage; 3 an input cannot be read or an output written; 4 inputs do not fit "
        "each other; 5 model or device; 6 some cases of an audit failed; 130 cancelled.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in _COMMANDS.items():
        if _installed(module):
            importlib.import_module(module).add_parser(commands.add_parser, name)
            if name in _THREADED:
                commands.choices[name].add_argument(
                    "--threads", type=_thread_count, metavar="N",
                    help="threads on the CPU (default: one per core that is free, at least half of them)",
                )  # fmt: skip
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code (see the parser's epilog)."""
    _print_any_name()
    try:
        options = build_parser().parse_args(arguments)
    except SystemExit as stop:  # argparse: 0 after --help, 2 after a usage error
        return int(stop.code or 0)
    try:
        use_threads(getattr(options, "threads", None))  # before a command imports PyTorch
        return int(options.run(options) or 0)
    except QualitySentinelError as error:
        return _refuse(error, error.exit_code)
    except KeyboardInterrupt:
        return _refuse("cancelled; nothing was written", CancelledError.exit_code)
    except MemoryError:
        return _refuse("not enough memory; close other programs or score fewer segments (--segments)", _UNEXPECTED)
    except Exception as error:
        return _refuse(f"unexpected {type(error).__name__}: {error} (set {DEBUG_VARIABLE}=1 for details)", _UNEXPECTED)


def _thread_count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 1024:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to 1024, not {text!r}")
    return int(text)


def _installed(module: str) -> bool:
    """Whether the library of a command is there: the training library may be absent."""
    library = module.partition(".")[0]
    return importlib.util.find_spec(library) is not None and importlib.util.find_spec(module) is not None


def _print_any_name() -> None:
    """Let names that the terminal's encoding lacks be printed with escapes, instead of ending a finished run."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # Slicer's console has streams of its own
            stream.reconfigure(errors="backslashreplace")


def _refuse(error: object, code: int) -> int:
    if os.environ.get(DEBUG_VARIABLE):
        import traceback

        traceback.print_exc()
    print("quality-sentinel:", " ".join(str(error).split()), file=sys.stderr)
    return code
