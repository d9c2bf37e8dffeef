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
from pathlib import Path

from QualitySentinelLib.commands.printing import CaseProgress, name_failed
from QualitySentinelLib.commands.score import add_scoring_arguments, scoring_options
from QualitySentinelLib.errors import CancelledError, UsageError
from QualitySentinelLib.files import check_outside

from ..audit.report_options import (
    add_report_arguments,
    asked_columns,
    check_report_options,
    open_from,
    report_from,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
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
    add_report_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Audit a data set, put shards together, or open a case of an audit."""
    if options.open:
        return open_from(options)
    check_report_options(options)
    if options.merge:
        return _merge(options)
    if options.dataset is None:
        raise UsageError("give the folder of a data set, or shards to merge with --merge")
    from ..audit.run import AuditOptions, run_audit
    from ..audit.scoring import ScoringSetup
    from ..runs import Shard

    _check_output(options)
    setup = ScoringSetup(
        options.dataset, scoring_options(options), options.names, options.keep_identifiers, options.scores
    )
    columns, patient = (None, None) if options.no_report or options.shard else asked_columns(options)
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
            f"cancelled; {kept if progress.total else 'nothing was scored'}; the same command resumes from there"
        ) from stop
    finally:
        progress.close()
    for note in outcome.notes:
        print("note:", note, file=sys.stderr)
    if not options.quiet:
        _summarize(outcome, options.out)
    if options.shard is not None:  # a shard is no data set: its report would be one of chance
        return name_failed(outcome.failed, options.out / "cases.csv")
    return _report(options, outcome.data.root, outcome.failed)


def _check_output(options: argparse.Namespace) -> None:
    """Refuse, before the work, options and folders that cannot be meant."""
    check_outside(options.out, options.dataset)
    if options.ray_address and options.engine != "ray":
        raise UsageError("--ray-address needs --engine ray")


def _merge(options: argparse.Namespace) -> int:
    from ..audit.merge import merge_shards

    if options.dataset is not None:
        raise UsageError("--merge takes the shards' folders only, no data set")
    failed = merge_shards(options.merge, options.out, options.title or "")
    if not options.quiet:
        print(f"Tables of {len(options.merge)} shards are in {options.out}")
    return _report(options, None, failed)


def _report(options: argparse.Namespace, dataset_folder: Path | None, failed: dict[str, str]) -> int:
    """Write the report, and list the cases that could not be scored; the exit code."""
    try:
        page = report_from(options, dataset_folder)
        if page is not None and not options.quiet:
            print(f"Open {page}")
    finally:  # the tables are there, and the failures, whatever keeps the report from being written
        code = name_failed(failed, options.out / "cases.csv")
    return code


def _summarize(outcome, out: Path) -> None:
    scored_now = outcome.done + len(outcome.failed) - outcome.kept
    total = outcome.done + len(outcome.failed)
    print(
        f"{outcome.data.name} ({outcome.data.layout}): {outcome.done} of {total} cases scored, "
        f"{len(outcome.failed)} failed"
    )
    if scored_now > 0 and outcome.seconds > 0:
        share = outcome.scoring_share
        scoring = f", scoring {share:.0%} of the time" if share is not None else ""
        print(
            f"{scored_now} now, in {outcome.seconds:.1f} s: {60 * scored_now / outcome.seconds:.1f} a minute, "
            f"workers: {outcome.workers}{scoring}"
        )
    print(f"Tables are in {out}")
