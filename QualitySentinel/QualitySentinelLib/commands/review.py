"""Review one case, or the cases of a list, in a web page on this computer.

Score a case and review it in a local web page with Slicer's slice views: flagged slices, accepts, edits scored again,
export. The page is served only to this computer, and only to the browser that opens the printed address first. The
review is saved in the output folder; the same command resumes it. With --queue, it opens the cases of a list from
select one after another, and saves what is done beside the list.

    quality-sentinel review --ct ct.nii.gz --seg segmentation.nii.gz
    quality-sentinel review --ct ct.nii.gz --seg segmentation.nii.gz --scores results/report.json --out review
    quality-sentinel review --queue next/selection.csv --data POOL --predictions MASKS
"""

from __future__ import annotations

import argparse
import importlib.util
from contextlib import closing
from pathlib import Path

from ..errors import UsageError, not_installed
from ..files import check_outside, locked_folder
from ..scores import read_report_json
from .score import add_case_arguments, add_scoring_arguments, add_single_case_arguments, check_output

_NEEDED = ("trame", "trame_slicer", "slicer", "aiohttp")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_case_arguments(parser, required=False)
    parser.add_argument("--queue", type=Path, metavar="LIST", help="selection.csv of select; instead of --ct, --seg")
    parser.add_argument("--data", type=Path, metavar="POOL", help="the pool that the list was selected from")
    parser.add_argument("--layout", help="its layout, see docs/AUDIT.md (default: detected)")
    parser.add_argument("--predictions", type=Path, metavar="DIR", help="masks of the pool, if they are not in it")
    parser.add_argument(
        "--out", type=Path,
        help="folder for the review and its exports (default: SEG's name and -review; of a list: reviews, beside it)",
    )  # fmt: skip
    add_scoring_arguments(parser)
    add_single_case_arguments(parser)
    parser.add_argument("--scores", type=Path, help="report.json of an earlier scoring: only what changed is scored")
    parser.add_argument("--port", type=int, default=0, help="TCP port of the page (default: a free one)")
    parser.add_argument("--no-browser", action="store_true", help="only print the address")


def run(options: argparse.Namespace) -> int:
    """Read the case, serve it until Ctrl+C."""
    given = (options.ct and options.seg) if options.queue is None else options.data and not (options.ct or options.seg)
    if not given:
        raise UsageError("give a case with --ct and --seg, or a list with --queue and --data")
    _check_installed()
    from ..web_review.guard import check_port

    if options.queue is not None:
        options.out = options.out or options.queue.parent / "reviews"
        check_outside(options.out, options.data)
        check_port(options.port)
        _work_through(options)
        return 0
    options.out = options.out or default_folder(options.seg[0])
    check_output(options)
    check_port(options.port)
    from ..web_review.opening import open_review

    with locked_folder(options.out, "another review is open there; end it or choose another --out"):
        print("Reading the case ...", flush=True)
        scores = None if options.scores is None else read_report_json(options.scores)
        make_review = open_review(options, scores)
        from ..web_review.server import serve  # Slicer's classes take seconds to import: a wrong path is told before

        serve(make_review, options.seg[0].name or str(options.seg[0]), options.port, not options.no_browser)
    return 0


def _work_through(options: argparse.Namespace) -> None:
    from ..review.queue import ReviewQueue

    told = options.predictions, options.layout, options.names
    with closing(ReviewQueue(options.queue, options.data, *told)) as queue:
        from ..web_review.opening import CaseOpener
        from ..web_review.queue_run import QueueRun

        print("Reading the first case ...", flush=True)
        run = QueueRun(queue, CaseOpener(options))
        review = run.first()
        if review is not None:
            from ..web_review.server import serve

            serve(review, queue.current.case, options.port, not options.no_browser, queue=run)
        for line in queue.passed_over:
            print("passed over:", line)
        print(f"{queue.path}: {queue.counts}")
        if queue.step() is None:
            print("Next round:", queue.next_command)


def default_folder(seg: Path) -> Path:
    """Where the review of a segmentation is kept without ``--out``: in the current folder, under its name."""
    return Path(f"{seg.resolve().name.split('.')[0] or 'segmentation'}-review")


def _check_installed() -> None:
    """Refuse, before anything is read, when the extra is missing."""
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise not_installed("the review page", ", ".join(missing), "review")
