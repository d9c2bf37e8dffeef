"""``quality-sentinel select``: what to annotate next, and which pseudo labels to trust."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

FAILED_CASES = 6


def add_parser(add: Callable[..., argparse.ArgumentParser], name: str) -> None:
    """Describe the command's arguments."""
    parser = add(
        name,
        help="choose what to annotate next, and which pseudo labels to trust",
        description="Rank the cases of a pool, or the slices of their masks, and write selection.csv (what to annotate "
        "next, within the budget) and trusted.csv (the best of what is left, as pseudo labels). The same command "
        "resumes where an earlier run left off; another budget measures nothing again.",
    )
    parser.add_argument("pool", type=Path, nargs="?", metavar="POOL", help="folder of CTs, with or without masks")
    parser.add_argument("--out", type=Path, help="folder for the lists")
    parser.add_argument("--budget", metavar="N[cases|slices|minutes]", help="how much can be annotated")
    parser.add_argument("--strategy", default="predicted-quality", help="how to rank (default %(default)s)")
    parser.add_argument("--list-strategies", action="store_true", help="say what each strategy needs and costs")
    for what, text in (
        ("predictions", "predicted masks"), ("probabilities", "class probabilities"), ("network", "our networks"),
    ):  # fmt: skip
        parser.add_argument(f"--{what}", type=Path, nargs="+", default=[], metavar="PATH", help=text)
    parser.add_argument("--scores", type=Path, metavar="DIR", help="an audit or find-errors: nothing is scored again")
    parser.add_argument(
        "--trust", type=float, default=0.5, metavar="SHARE", help="trust so much of the rest (default %(default)s)"
    )  # fmt: skip
    parser.add_argument("--trust-by", choices=("case", "structure", "slice"), help="(default: as the budget is)")
    parser.add_argument("--minutes-per-slice", type=float, default=1.0, help="cost of a slice (default %(default)s)")
    parser.add_argument("--done", type=Path, nargs="+", default=[], metavar="FILE", help="earlier lists, done since")
    parser.add_argument("--export", nargs="+", default=[], choices=("case-iterator", "tasks"), help="lists for others")
    parser.add_argument("--nnunet", type=Path, metavar="DIR", help="write nnU-Net's raw data of the next round")
    parser.add_argument("--layout", help="layout of the pool, see docs/AUDIT.md (default: detected)")
    parser.add_argument("--names", help="what label values of the pool's masks mean")
    parser.add_argument("--model", default="bundled", help="quality model (default %(default)s)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or auto (default %(default)s)")
    parser.add_argument("--workers", type=int, metavar="N", help="cases side by side (default: as the machine allows)")
    parser.add_argument("--seed", type=int, default=0, help="draws ties and random choices (default %(default)s)")
    parser.add_argument("--retry-failed", action="store_true", help="retry the cases that failed before")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Select, and name what failed."""
    from QualitySentinelLib.errors import UsageError

    from ..selection.pool import Given
    from ..selection.select import SelectOptions, run_select
    from ..selection.strategies import NEEDS, STRATEGIES
    from ..selection.units import Budget

    if options.list_strategies:
        for one in STRATEGIES.values():
            print(f"{one.name}: {one.about}\n    needs {NEEDS[one.needs]}\n    costs {one.cost}")
        return 0
    for value, called in ((options.pool, "POOL"), (options.out, "--out"), (options.budget, "--budget")):
        if value is None:
            raise UsageError(f"give {called}; quality-sentinel select --help shows examples")
    given = Given(
        tuple(options.predictions), tuple(options.probabilities), tuple(options.network), options.scores
    )  # fmt: skip
    how = SelectOptions(
        Budget.parse(options.budget, options.minutes_per_slice), options.strategy, given, options.trust,
        options.trust_by, options.seed, options.layout, options.names, tuple(options.done), tuple(options.export),
        options.nnunet, options.model, options.device, options.workers, options.retry_failed,
    )  # fmt: skip
    selection = run_select(options.pool, options.out, how)
    for note in selection.notes:
        print("note:", note, file=sys.stderr)
    for name, reason in selection.failed.items():
        print(f"failed: {name}: {reason}", file=sys.stderr)
    print(f"{len(selection.chosen)} to annotate: {options.out / 'selection.csv'}")
    print(f"{len(selection.trusted)} to trust: {options.out / 'trusted.csv'}")
    trusted = options.out / "trusted.csv"
    print(f"Train on both: quality-sentinel train-pseudo --data ANNOTATED --pool {options.pool} --trusted {trusted}")
    return FAILED_CASES if selection.failed else 0
