"""``quality-sentinel travel``: multi-center training that finds harmful centers and samples."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path


def add_parser(add: Callable[..., argparse.ArgumentParser], name: str) -> None:
    """Describe the command's arguments."""
    parser = add(
        name,
        help="train one model over several centers, and find harmful centers and samples",
        description="Train a segmentation or classification model that travels from center to center. Each update is "
        "verified on data of the server; updates that make the model worse are undone, and samples that do so again "
        "and again are eliminated. The same command resumes where it left off. See docs/MULTI_CENTER.md.",
    )
    parser.add_argument("experiment", type=Path, metavar="EXPERIMENT.toml", help="data, centers, network and rules")
    parser.add_argument("--out", type=Path, required=True, help="folder for models, tables and report")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="change an option of the file")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Travel and report."""
    from QualitySentinelLib.files import check_outside

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
