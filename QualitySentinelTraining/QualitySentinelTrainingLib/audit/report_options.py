"""What ``quality-sentinel audit`` offers of the report: its options, writing it, and opening a case."""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path

from QualitySentinelLib.errors import UsageError


def add_report_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the report and of opening a case; nothing heavy is imported."""
    group = parser.add_argument_group("report")
    group.add_argument("--compare", type=Path, metavar="DIR", help="compare with the audit in this folder")
    group.add_argument(
        "--bias-columns", metavar="COLUMNS", help="metadata columns to test for bias, comma-separated (default: all)"
    )
    group.add_argument(
        "--patient-column", "--person-column", metavar="COLUMN",
        help="metadata column of patients who have several CTs; 'none' for none (default: detected)",
    )  # fmt: skip
    group.add_argument("--budget", type=int, metavar="K", help="list only the K lowest slices in budget.csv")
    group.add_argument(
        "--exclude-below", type=float, metavar="DSC", help="write excluded.csv: masks and cases predicted below it"
    )
    group.add_argument("--report-pages", type=int, metavar="N", help="pages for the N worst cases (default: 500)")
    group.add_argument("--no-report", action="store_true", help="write tables only")
    opening = parser.add_argument_group("open a case of an audit (nothing is scored)")
    opening.add_argument("--open", metavar="CASE", help="review CASE of the audit in --out, in the browser")
    opening.add_argument("--slicer", metavar="PROGRAM", help="with --open: in 3D Slicer, started by this program")


def open_from(options: argparse.Namespace) -> int:
    """``--open CASE --out DIR``: review the case; the data set's folder may be given when it has moved.

    Raises:
        QualitySentinelError: as :func:`.open_case.open_case` does.
    """
    from .open_case import open_case, open_in_slicer

    folder = options.dataset
    if folder is not None and folder.is_file():  # a manifest: its paths are relative to where it lies
        folder = folder.parent
    if not options.slicer:
        return open_case(options.out, options.open, folder)
    open_in_slicer(options.out, options.open, options.slicer, folder)
    return 0


def check_report_options(options: argparse.Namespace) -> None:
    """Refuse, before the work, options of the report that make no sense.

    Raises:
        UsageError: there is such an option.
        InputError: the folder to compare with holds no audit that is done.
    """
    from .frames import read_audit
    from .lists import check_lists

    if not options.no_report and find_spec("pandas") is None:
        raise UsageError(
            "the report needs pandas; install it with: pip install 'quality-sentinel[audit]', or leave the report out "
            "with --no-report"
        )
    if options.slicer and not options.open:
        raise UsageError("--slicer needs --open CASE")
    check_lists(options.budget, options.exclude_below)
    if options.report_pages is not None and options.report_pages < 0:
        raise UsageError(f"--report-pages {options.report_pages}: give 0 or more")
    if options.compare is not None:
        if options.compare.resolve() == options.out.resolve():
            raise UsageError(f"{options.compare}: is this audit itself; name the folder of another with --compare")
        read_audit(options.compare)  # one that is done


def asked_columns(options: argparse.Namespace) -> tuple[list[str] | None, str | None]:
    """The metadata columns to test for bias, and the one that tells patients, as ``write_audit_report`` takes them."""
    columns = None
    if options.bias_columns is not None:
        columns = [c.strip().removeprefix("meta_") for c in options.bias_columns.split(",") if c.strip()]
    patient = options.patient_column
    return columns, "" if patient == "none" else patient and patient.removeprefix("meta_")


def report_from(options: argparse.Namespace, dataset_folder: Path | None = None) -> Path | None:
    """Write the report that the options ask for; the first page, or ``None`` for ``--no-report``.

    What an earlier report left that does not go with the tables any more is said in a line. Pictures are of the CTs in
    ``dataset_folder``, by default where the data set was audited.
    """
    from .lists import left_in

    before = left_in(options.out)
    if options.no_report:
        if before:
            print(
                f"note: {options.out}: left from an earlier report, may be outdated: "
                f"{', '.join(before)}; run the command without --no-report to rewrite it",
                file=sys.stderr,
            )
        return None
    from tqdm import tqdm

    from .report import write_audit_report

    columns, patient = asked_columns(options)
    pages = {} if options.report_pages is None else {"max_pages": options.report_pages}
    with tqdm(desc="report", disable=options.quiet, file=sys.stderr, bar_format="{desc}") as bar:
        page = write_audit_report(
            options.out, dataset_folder, compare_with=options.compare, metadata=columns, patient=patient,
            budget=options.budget, exclude_below=options.exclude_below, progress=lambda what: bar.set_description(what),
            **pages,
        )  # fmt: skip
    gone = [name for name in before if name not in left_in(options.out)]
    if gone:
        names = ", ".join(gone)
        print(f"note: {options.out}: this report has no {names}; removed those of the earlier one", file=sys.stderr)
    return page
