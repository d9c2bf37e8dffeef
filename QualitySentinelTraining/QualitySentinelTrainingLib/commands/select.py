"""Choose what to annotate next, and which pseudo labels to trust.

Rank the cases of a pool, or the slices of their masks, and write selection.csv (what to annotate next, within the
budget) and trusted.csv (the best of what is left, as pseudo labels). The same command resumes where an earlier run left
off; another budget measures nothing again.

    quality-sentinel select POOL --predictions MASKS --budget 20cases --out next
    quality-sentinel select POOL --scores AUDIT --budget 300slices --export case-iterator --out next
"""

from __future__ import annotations

import argparse
import sys
from itertools import product
from pathlib import Path

from QualitySentinelLib.commands.printing import CaseProgress, name_failed
from QualitySentinelLib.errors import UsageError, command_text
from QualitySentinelLib.files import check_outside

from ..option_files import add_options, given_options, read_options
from ..selection.options import SelectOptions


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("pool", type=Path, nargs="?", metavar="POOL", help="folder of CTs, with or without masks")
    parser.add_argument("--out", type=Path, help="folder for the lists")
    parser.add_argument("--list-strategies", action="store_true", help="say what each strategy needs and costs")
    add_options(parser, SelectOptions)


def run(options: argparse.Namespace) -> int:
    from ..selection.select import run_select
    from ..selection.strategies import NEEDS, STRATEGIES

    if options.list_strategies:
        for one in STRATEGIES.values():
            print(f"{one.name}: {one.about}\n    needs {NEEDS[one.needs]}\n    costs {one.cost}")
        return 0
    for value, called in ((options.pool, "POOL"), (options.out, "--out"), (options.budget, "--budget")):
        if value is None:
            raise UsageError(f"give {called}; quality-sentinel select --help shows examples")
    inputs = (options.pool, *(options.predictions or ()), *(options.probabilities or ()), options.scores)
    for place, data in product(filter(None, (options.out, options.nnunet)), filter(None, inputs)):
        check_outside(place, data, f"the input {data}")
    how = read_options(SelectOptions, None, **given_options(options, SelectOptions))
    progress = CaseProgress(quiet=False)
    try:
        selection = run_select(options.pool, options.out, how, progress.show)
    finally:
        progress.close()
    for note in selection.notes:
        print("note:", note, file=sys.stderr)
    print(f"{len(selection.chosen)} to annotate: {options.out / 'selection.csv'}")
    print(f"{len(selection.trusted)} to trust: {options.out / 'trusted.csv'}")
    if selection.trusted:
        train = ["train-pseudo", "--data", "ANNOTATED", "--pool", options.pool]
        train += ["--predictions", how.predictions[0]] if how.predictions else []
        train += ["--trusted", options.out / "trusted.csv"]
        print("Train on both:", command_text("quality-sentinel", *train))
    return name_failed(selection.failed, options.out)
