"""Train small segmentation networks; their predictions become training pairs.

Train one small network per fold and write, at growing numbers of epochs, what it predicts of the subjects it never saw:
OUT/epoch_0010/SUBJECT.nii.gz. The same command resumes where it left off.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from QualitySentinelLib.errors import UsageError, command_text

from ..label_errors.options import StudentOptions
from ..option_files import add_options, given_options
from ..segmentation.options import SegmentationOptions
from .data_options import add_data_options, subjects_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_data_options(parser)
    parser.add_argument("--out", type=Path, required=True, help="folder for predictions and networks")
    parser.add_argument("--probabilities", action="store_true", help="write class probabilities, too")
    add_options(parser, SegmentationOptions)
    labels = parser.add_argument_group("labels with errors")
    labels.add_argument(
        "--errors", type=Path, metavar="DIR", help="folder of find-errors for the same data: learn from what it found"
    )
    add_options(labels, StudentOptions)
    parser.add_argument("--device", default="auto", help="cpu, cuda or auto")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes (default %(default)s)")


def run(options: argparse.Namespace) -> int:
    from ..segmentation.folds import train_segmenters

    sources = subjects_of(options, options.data)
    if not sources:
        raise UsageError("nothing to train on; give --data, --phantoms, or both")
    student, learned = StudentOptions(**(given := given_options(options, StudentOptions))), ""
    if options.errors is not None or student.labels == "pick-and-learn":
        from ..label_errors.students import student_sources

        sources = student_sources(sources, options.errors, student)
        learned = f"{options.errors.resolve()} {student}" if options.errors else student.labels
    elif given:
        raise UsageError(f"--{next(iter(given))} needs --errors, the folder of find-errors")
    settings = SegmentationOptions(**given_options(options, SegmentationOptions))
    results = train_segmenters(
        sources, options.out, settings, options.device, jobs=options.jobs, probabilities=options.probabilities,
        learned=learned,
    )
    if results:
        print(_table(results))
    print(f"predictions: {options.out}")
    made = command_text(options.out)
    print(f"Make pairs of them: quality-sentinel make-pairs --data DATASET --predictions {made} --out pairs")
    return 0


def _table(results: list) -> str:
    """Mean DSC, structures down, stages across."""
    import pandas as pd

    table = pd.DataFrame(results).pivot_table("dsc", "structure", "epochs")
    return table.rename_axis("mean DSC at", axis="columns").rename_axis(None).to_string(
        float_format="{:.3f}".format, na_rep="-"
    )
