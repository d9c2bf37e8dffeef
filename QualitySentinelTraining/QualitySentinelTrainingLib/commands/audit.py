"""Score every case of a data set.

Score every case of a data set, and write tables of cases, segments and slices (Parquet and CSV), a report (HTML) and
work lists. The same command resumes where an earlier run left off. Cases that cannot be scored are named, and the
others are scored (exit code 6).

    quality-sentinel audit DATASET --out audit --workers 4
    quality-sentinel audit DATASET --layout nnunet --out audit --shard 1/8
"""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path

from QualitySentinelLib.commands.printing import CaseProgress, name_failed
from QualitySentinelLib.commands.score import add_scoring_arguments, scoring_options
from QualitySentinelLib.errors import CancelledError, UsageError, not_installed
from QualitySentinelLib.files import check_outside


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", type=Path, nargs="?", metavar="DATASET", help="folder of a data set, or a manifest")
    parser.add_argument("--out", type=Path, required=True, help="folder for the results (made when missing)")
    parser.add_argument(
        "--layout", default="auto", help="layout of the data set, see docs/AUDIT.md (default: detected)"
    )
    parser.add_argument("--metadata", type=Path, metavar="FILE", help="table with a row per case: sex, age, ...")
    parser.add_argument("--names", help="what label values or file stems mean, as for score (default: detected)")
    add_scoring_arguments(parser)
    parser.add_argument(
        "--scores", type=Path, metavar="DIR", help="use these scores, CASE.json of find-errors, instead of a model"
    )
    parser.add_argument("--workers", type=int, metavar="N", help="cases side by side (default: as the machine allows)")
    parser.add_argument("--engine", choices=("local", "ray"), default="local", help="where to score (default: local)")
    parser.add_argument("--ray-address", metavar="ADDRESS", help="a running Ray cluster; 'auto' finds it")
    parser.add_argument("--shard", metavar="I/N", help="only part I of N (1/N to N/N); combine parts with --merge")
    parser.add_argument("--merge", type=Path, nargs="+", metavar="DIR", help="merge these shards' folders")
    parser.add_argument("--retry-failed", action="store_true", help="retry the cases that failed before")
    parser.add_argument(
        "--keep-identifiers", action="store_true",
        help="name DICOM cases by their files, and keep names and paths of patients in the results",
    )  # fmt: skip
    parser.add_argument(
        "--title", help="name of the data set in tables and report (default: its folder; none for DICOM)"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar and no summary; warnings stay")
    report = parser.add_argument_group("report")
    report.add_argument("--compare", type=Path, metavar="DIR", help="compare with the audit in this folder")
    report.add_argument(
        "--bias-columns", metavar="COLUMNS", help="metadata columns to test for bias, comma-separated (default: all)"
    )
    report.add_argument(
        "--patient-column", "--person-column", metavar="COLUMN",
        help="metadata column of patients who have several CTs; 'none' for none (default: detected)",
    )  # fmt: skip
    report.add_argument("--budget", type=int, metavar="K", help="list only the K lowest slices in budget.csv")
    report.add_argument(
        "--exclude-below", type=float, metavar="DSC", help="write excluded.csv: masks and cases predicted below it"
    )
    report.add_argument("--report-pages", type=int, metavar="N", help="pages for the N worst cases (default: 500)")
    report.add_argument("--no-report", action="store_true", help="write tables only")
    opening = parser.add_argument_group("open a case of an audit (nothing is scored)")
    opening.add_argument("--open", metavar="CASE", help="review CASE of the audit in --out, in the browser")
    opening.add_argument("--slicer", metavar="PROGRAM", help="with --open: in 3D Slicer, started by this program")


def run(options: argparse.Namespace) -> int:
    if options.open:
        return _open(options)
    _check_options(options)
    if options.merge:
        return _merge(options)
    if options.dataset is None:
        raise UsageError("give the folder of a data set, or shards to merge with --merge")
    from ..audit.run import AuditOptions, run_audit
    from ..audit.scoring import ScoringSetup
    from ..runs import Shard

    check_outside(options.out, options.dataset)
    if options.ray_address and options.engine != "ray":
        raise UsageError("--ray-address needs --engine ray")
    setup = ScoringSetup(
        options.dataset, scoring_options(options), options.names, options.keep_identifiers, options.scores
    )
    columns, patient = (None, None) if options.no_report or options.shard else _columns(options)
    how = AuditOptions(
        options.layout, options.metadata, options.engine, options.workers, options.ray_address,
        None if options.shard is None else Shard.parse(options.shard), options.retry_failed, options.title or "",
        (*(columns or ()), *([patient] if patient else ())),
    )  # fmt: skip
    progress = CaseProgress(options.quiet)
    try:
        outcome = run_audit(options.dataset, options.out, setup, how, progress.show)
    except KeyboardInterrupt as stop:
        kept = f"{progress.done} of {progress.total} cases are kept in {options.out}"
        raise CancelledError(
            f"canceled; {kept if progress.total else 'nothing was scored'}; the same command resumes from there"
        ) from stop
    finally:
        progress.close()
    for note in outcome.notes:
        print("note:", note, file=sys.stderr)
    if not options.quiet:
        _summarize(outcome, options.out)
    if options.shard is not None:  # a shard is no data set: its report would be one of chance
        return name_failed(outcome.failed, options.out / "cases.csv")
    return _finish(options, outcome.data.root, outcome.failed)


def _open(options: argparse.Namespace) -> int:
    """Review a case; the data set's folder may be given when it has moved."""
    from ..audit.open_case import open_case, open_in_slicer

    folder = options.dataset
    if folder is not None and folder.is_file():  # a manifest: its paths are relative to where it lies
        folder = folder.parent
    if not options.slicer:
        return open_case(options.out, options.open, folder)
    open_in_slicer(options.out, options.open, options.slicer, folder)
    return 0


def _check_options(options: argparse.Namespace) -> None:
    """Refuse, before the work, options of the report that make no sense."""
    from ..audit.frames import read_audit
    from ..audit.lists import check_lists

    if not options.no_report and find_spec("pandas") is None:
        raise not_installed("the report", "pandas", "audit", ", or leave the report out with --no-report")
    if options.slicer:
        raise UsageError("--slicer needs --open CASE")
    check_lists(options.budget, options.exclude_below)
    if options.report_pages is not None and options.report_pages < 0:
        raise UsageError(f"--report-pages {options.report_pages}: give 0 or more")
    if options.compare is not None:
        if options.compare.resolve() == options.out.resolve():
            raise UsageError(f"{options.compare}: is this audit itself; name the folder of another with --compare")
        read_audit(options.compare)  # one that is done


def _columns(options: argparse.Namespace) -> tuple[list[str] | None, str | None]:
    """The metadata columns to test for bias, and the one that tells patients, as ``write_audit_report`` takes them."""
    columns = None
    if options.bias_columns is not None:
        columns = [c.strip().removeprefix("meta_") for c in options.bias_columns.split(",") if c.strip()]
    patient = options.patient_column
    return columns, "" if patient == "none" else patient and patient.removeprefix("meta_")


def _merge(options: argparse.Namespace) -> int:
    from ..audit.merge import merge_shards

    if options.dataset is not None:
        raise UsageError("--merge takes the shards' folders only, no data set")
    failed = merge_shards(options.merge, options.out, options.title or "")
    if not options.quiet:
        print(f"Tables of {len(options.merge)} shards are in {options.out}")
    return _finish(options, None, failed)


def _finish(options: argparse.Namespace, dataset_folder: Path | None, failed: dict[str, str]) -> int:
    """Write the report, and list the cases that could not be scored; the exit code."""
    try:
        _report(options, dataset_folder)
    finally:  # the tables are there, and the failures, whatever keeps the report from being written
        code = name_failed(failed, options.out / "cases.csv")
    return code


def _report(options: argparse.Namespace, dataset_folder: Path | None) -> None:
    """Write the report, and say what of an earlier one does not go with the tables any more."""
    from ..audit.lists import left_in

    before = left_in(options.out)
    if options.no_report:
        if before:
            print(
                f"note: {options.out}: left from an earlier report, may be outdated: "
                f"{', '.join(before)}; run the command without --no-report to rewrite it",
                file=sys.stderr,
            )
        return
    from tqdm import tqdm

    from ..audit.report import write_audit_report

    columns, patient = _columns(options)
    pages = {} if options.report_pages is None else {"max_pages": options.report_pages}
    with tqdm(desc="report", disable=options.quiet, file=sys.stderr, bar_format="{desc}") as bar:
        page = write_audit_report(
            options.out, dataset_folder, compare_with=options.compare, metadata=columns, patient=patient,
            budget=options.budget, exclude_below=options.exclude_below, progress=bar.set_description, **pages,
        )  # fmt: skip
    if gone := ", ".join(name for name in before if name not in left_in(options.out)):
        print(f"note: {options.out}: this report has no {gone}; removed those of the earlier one", file=sys.stderr)
    if not options.quiet:
        print(f"Open {page}")


def _summarize(outcome, out: Path) -> None:
    total = outcome.done + len(outcome.failed)
    now = total - outcome.kept
    print(
        f"{outcome.data.name} ({outcome.data.layout}): {outcome.done} of {total} cases scored, "
        f"{len(outcome.failed)} failed"
    )
    if now > 0 and outcome.seconds > 0:
        share = outcome.scoring_share
        scoring = f", scoring {share:.0%} of the time" if share is not None else ""
        print(
            f"{now} now, in {outcome.seconds:.1f} s: {60 * now / outcome.seconds:.1f} a minute, "
            f"workers: {outcome.workers}{scoring}"
        )
    print(f"Tables are in {out}")
