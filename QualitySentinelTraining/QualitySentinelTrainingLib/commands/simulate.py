"""Compare annotation strategies in a closed loop on a labeled data set.

In each round every strategy chooses, the reference annotates, and a small network is trained further and measured on
patients that nobody chooses from. Writes tables and a page of DSC, NSD, time, memory and disk. The same command resumes
where an earlier run left off.

    quality-sentinel simulate experiment.toml --out experiment
    quality-sentinel simulate experiment.toml --out experiment --workers 8
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from QualitySentinelLib.commands.printing import name_failed
from QualitySentinelLib.files import check_outside


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("experiment", type=Path, metavar="EXPERIMENT.toml", help="see docs/SELECTION.md")
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="steps side by side (default %(default)s)")


def run(options: argparse.Namespace) -> int:
    from ..option_files import read_options
    from ..selection.experiment import Experiment
    from ..selection.simulate import run_simulate

    experiment = read_options(Experiment, options.experiment)
    if experiment.data is not None:
        check_outside(options.out, experiment.data)
    failed = run_simulate(experiment, options.out, options.workers, lambda line: print(line, file=sys.stderr))
    print(f"Open {options.out / 'report.html'}")
    return name_failed(failed, options.out)
