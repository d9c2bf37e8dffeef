"""Make centers or single samples harmful, for tests.

Choose harmful centers and samples in a table of split-sites. The harm is done when 'travel' reads a sample, so that the
data set stays as it is and the table keeps the truth.

    quality-sentinel harm sites.csv --centers 0.2 --samples 0.05 --out harmful.csv
    quality-sentinel harm sites.csv --kinds inverted 'shifted masks' --seed 1 --out harmful.csv
"""

from __future__ import annotations

import argparse
from pathlib import Path

from QualitySentinelLib.errors import UsageError

from ..travelling.harms import HARMS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sites", type=Path, metavar="SITES.csv", help="table of split-sites")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the table with harm, CSV")
    kinds = "; ".join(f"{name!r}: {harm.about}" for name, harm in HARMS.items())
    parser.add_argument(
        "--kinds", nargs="+", metavar="KIND", default=list(HARMS), help=f"harms to choose from (default: all). {kinds}"
    )
    parser.add_argument("--centers", type=float, default=0.2, metavar="SHARE", help="harmful centers (default: 0.2)")
    parser.add_argument(
        "--samples", type=float, default=0.05, metavar="SHARE", help="harmful samples of other centers (default: 0.05)"
    )
    parser.add_argument("--seed", type=int, default=0)


def run(options: argparse.Namespace) -> int:
    from ..travelling.sites import do_harm, read_sites, write_sites

    for name in ("centers", "samples"):
        if not 0 <= getattr(options, name) <= 1:
            raise UsageError(f"--{name} {getattr(options, name)}: give a share from 0 to 1")
    rows = read_sites(options.sites)
    rows = do_harm(rows, options.kinds, options.centers, options.samples, options.seed)
    write_sites(options.out, rows)
    print(f"{sum(bool(row['harm']) for row in rows)} of {len(rows)} samples are harmful: {options.out}")
    print("Train over the centers: quality-sentinel travel EXPERIMENT.toml --out travel")
    return 0
