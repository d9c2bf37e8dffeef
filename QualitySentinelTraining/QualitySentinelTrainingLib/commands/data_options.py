"""The options that say which subjects a command works on: alike in all commands of training."""

from __future__ import annotations

import argparse
from pathlib import Path

from QualitySentinelLib.errors import UsageError
from QualitySentinelLib.files import check_outside

PATIENT_HELP = "regular expression whose first group is the patient, in a case's name"


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--data``, ``--phantoms`` and the options of :func:`add_case_options`."""
    parser.add_argument(
        "--data", type=Path, nargs="+", default=[], metavar="DIR", help="data sets: folders, or CSV manifests"
    )
    add_case_options(parser)
    parser.add_argument("--phantoms", type=int, default=0, metavar="N", help="also use this many generated torsos")


def add_case_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--layout``, ``--source``, ``--names`` and ``--patient``."""
    parser.add_argument("--layout", help="layout of the data sets, see docs/AUDIT.md (default: detected)")
    parser.add_argument("--source", default="", help="name of the data set (default: its folder's)")
    parser.add_argument("--names", help="meaning of the values of label maps: dap, openkbp or a file")
    parser.add_argument(
        "--patient", "--person", metavar="REGEX",
        help=f"{PATIENT_HELP}, where a data set has several CTs of one patient: folds are split by patient",
    )  # fmt: skip


def subjects_of(options: argparse.Namespace, data: list[Path], test: bool = False) -> list:
    """The ``SubjectSource`` of each subject of the data sets, and of as many phantoms as asked for.

    Phantoms to ``test`` on are never trained on.

    Raises:
        InputError, UsageError: as ``find_subjects`` does; there are not so many phantoms; the results (``--out``) would
            lie in a data set.
    """
    from ..subjects import PHANTOM_SEEDS, find_subjects, phantom_sources

    for one in data:
        check_outside(options.out, one)
    told = options.source, options.names, options.patient, options.layout
    found = [subject for one in data for subject in find_subjects(one, *told)]
    seeds, phantoms = PHANTOM_SEEDS["test" if test else "train"], getattr(options, "phantoms", 0)
    if not 0 <= phantoms <= len(seeds):
        raise UsageError(f"--phantoms {phantoms}: give 0 to {len(seeds)}")
    return found + phantom_sources(seeds[:phantoms])
