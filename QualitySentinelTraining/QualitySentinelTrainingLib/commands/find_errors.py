"""Find the voxels of a data set whose labels are wrong.

Find label errors by confident learning: networks that never saw the patient predict every case, and labels that they
confidently contradict are flagged. Writes OUT/errors/CASE.nii.gz (1 wrongly included, 2 missing, 3 another structure),
OUT/corrected, label_errors.csv, label quality as scores, report.html, and an audit of label quality in OUT/audit. The
same command resumes. Cases that cannot be read are named, and the others are done (exit code 6).

    quality-sentinel find-errors DATASET --out errors --epochs 40 --jobs 2
    quality-sentinel find-errors DATASET --probabilities nnUNetTrainer__nnUNetPlans__3d_fullres --out errors
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from QualitySentinelLib.commands.printing import CaseProgress, name_failed
from QualitySentinelLib.files import check_outside

from ..label_errors.options import FindOptions
from ..option_files import add_options, given_options
from ..segmentation.options import SegmentationOptions
from .data_options import add_case_options

_EPOCHS = (20,)
"""One stage is enough to find errors; those of the paper take a day."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", type=Path, metavar="DATASET", help="folder of a data set, or a manifest")
    parser.add_argument("--out", type=Path, required=True, help="folder for the results (made when missing)")
    add_case_options(parser)
    parser.add_argument(
        "--probabilities", type=Path, metavar="DIR",
        help="class probabilities, CASE.npz or CASE.nii.gz, of networks that never saw the patient (default: networks "
        "are trained out-of-fold)",
    )  # fmt: skip
    add_options(parser, FindOptions)
    networks = parser.add_argument_group("networks, unless probabilities are given")
    add_options(networks, SegmentationOptions, epochs=_EPOCHS)
    parser.add_argument("--device", default="auto", help="cpu, cuda or auto")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes (default %(default)s)")


def run(options: argparse.Namespace) -> int:
    from QualitySentinelLib.datasets import find_cases
    from QualitySentinelLib.options import ScoringOptions

    from ..audit.report import write_audit_report
    from ..audit.run import AuditOptions, check_tables_can_be_written, run_audit
    from ..audit.scoring import ScoringSetup
    from ..label_errors.find import find_errors
    from ..label_errors.quality import THRESHOLD

    check_outside(options.out, options.dataset)
    if options.probabilities is not None:
        check_outside(options.out, options.probabilities, "the folder of the probabilities")
    check_tables_can_be_written()
    data = find_cases(options.dataset, options.layout, names=options.names, patient=options.patient)
    data.title = options.source
    found = find_errors(
        data, options.out, FindOptions(**given_options(options, FindOptions)),
        SegmentationOptions(**({"epochs": _EPOCHS} | given_options(options, SegmentationOptions))),
        options.probabilities, options.device, options.jobs,
    )  # fmt: skip
    audit = options.out / "audit"
    scored = ScoringSetup(data.root, ScoringOptions(threshold=THRESHOLD), options.names, scores=options.out / "scores")
    how = AuditOptions(options.layout or "auto", workers=options.jobs, retry_failed=True, title=data.title)
    progress = CaseProgress(quiet=not sys.stderr.isatty())
    run_audit(options.dataset, audit, scored, how, progress.show)
    progress.close()
    write_audit_report(audit, data.root)
    wrong = sum(row[3] + row[4] for row in found.rows if not row[1])
    print(f"{wrong} voxels are probably labeled wrong")
    print(f"See where: open {options.out / 'report.html'}, and {options.out / 'errors'} beside the CTs in Slicer")
    print(f"Label quality of every slice: open {audit / 'report' / 'index.html'}")
    return name_failed(found.failed, options.out / "label_errors.csv")
