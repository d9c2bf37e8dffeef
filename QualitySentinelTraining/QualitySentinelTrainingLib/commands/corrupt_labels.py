"""Copy a data set with known label noise.

Copy a data set with label noise: in a share of the cases, each structure is dilated, eroded or made noisy along its
edge. OUT is a data set that every command reads; OUT/CASE/clean.nii.gz and OUT/noise.csv keep the truth. CTs are
linked. The same command resumes.

    quality-sentinel corrupt-labels DATASET --alpha 0.3 --beta 5 --out noisy
    quality-sentinel corrupt-labels manifest.csv --alpha 0.7 --beta 10 --seed 1 --jobs 4 --out very_noisy
"""

from __future__ import annotations

import argparse
from pathlib import Path

from QualitySentinelLib.commands.printing import name_failed
from QualitySentinelLib.errors import command_text
from QualitySentinelLib.files import check_outside

from ..label_errors.options import NoiseOptions
from ..option_files import add_options, given_options
from .data_options import add_case_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="folder of a data set, or a manifest")
    parser.add_argument("--out", type=Path, required=True, help="folder for the new data set (made when missing)")
    add_case_options(parser)
    add_options(parser, NoiseOptions)
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes (default %(default)s)")


def run(options: argparse.Namespace) -> int:
    from QualitySentinelLib.datasets import find_cases

    from ..label_errors.noisy_data import corrupt_data

    check_outside(options.out, options.dataset)
    data = find_cases(options.dataset, options.layout, names=options.names, patient=options.patient)
    noise = NoiseOptions(**given_options(options, NoiseOptions))
    rows, failed = corrupt_data(data, options.out, noise, options.jobs)
    wrong = sum(bool(row[2]) for row in rows)
    print(f"{wrong} of {len(rows)} structures were corrupted; {options.out / 'noise.csv'} lists them")
    print(f"Find them: quality-sentinel find-errors {command_text(options.out)} --out errors")
    return name_failed(failed, options.out / "noise.csv")
