"""Train one model over several centers, and find harmful centers and samples.

Train a segmentation or classification model that travels from center to center. Each batch is first learned on trial
and verified on data of the server. Batches that make the model worse are left out, and samples that do so again are
eliminated. The same command resumes where it left off. See docs/MULTI_CENTER.md.

    quality-sentinel travel EXPERIMENT.toml --out travel
    quality-sentinel travel EXPERIMENT.toml --set engine=simulator --set travel.cycles=5 --out travel
"""

from __future__ import annotations

import argparse
from pathlib import Path

from QualitySentinelLib.files import check_outside


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("experiment", type=Path, metavar="EXPERIMENT.toml", help="data, centers, network and rules")
    parser.add_argument("--out", type=Path, required=True, help="folder for models, tables and report")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="change an option of the file")


def run(options: argparse.Namespace) -> int:
    from ..option_files import parsed_change, read_options
    from ..travelling.experiment import Experiment
    from ..travelling.travel import travel

    changes = dict(parsed_change(text) for text in options.set)
    experiment = read_options(Experiment, options.experiment, **changes)
    check_outside(options.out, experiment.data)
    report = travel(experiment, options.out)
    print(f"report: {report}")
    print(f"Look at the samples that were left out: {options.out / 'samples.csv'}")
    return 0
