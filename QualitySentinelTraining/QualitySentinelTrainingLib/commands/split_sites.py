"""Deal a data set out to centers for multi-center training.

Write a table that says which center, or which of verification and test set, each case belongs to. Patients are never
split. No image is opened or copied.

    quality-sentinel split-sites DATASET --centers 20 --sizes center_sizes.json --out sites.csv
    quality-sentinel split-sites DATASET --column institution --out sites.csv
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from QualitySentinelLib.errors import UsageError, command_text
from QualitySentinelLib.files import check_outside

from .data_options import PATIENT_HELP


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", type=Path, metavar="DATASET", help="folder or CSV manifest; see docs/AUDIT.md")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the table, CSV")
    parser.add_argument("--centers", type=int, metavar="N", help="number of centers")
    parser.add_argument("--sizes", type=Path, metavar="FILE", help="JSON with sizes of centers to follow")
    parser.add_argument("--column", default="", help="metadata column that names the center, instead of --centers")
    parser.add_argument("--verification", type=float, default=0.15, metavar="SHARE", help="of patients (default: 0.15)")
    parser.add_argument("--test", type=float, default=0.25, metavar="SHARE", help="of patients (default: 0.25)")
    parser.add_argument("--metadata", type=Path, metavar="FILE", help="CSV with a row per case (default: detected)")
    parser.add_argument("--layout", help="layout of the data set (default: detected)")
    parser.add_argument("--patient", metavar="REGEX", help=PATIENT_HELP)
    parser.add_argument("--seed", type=int, default=0)


def run(options: argparse.Namespace) -> int:
    from QualitySentinelLib.datasets import find_cases

    from ..travelling.sites import read_sizes, split_sites, write_sites

    if bool(options.column) == bool(options.centers or options.sizes):
        raise UsageError("give --centers, --sizes or both; or --column alone")
    for table in (options.data, options.metadata):
        if table and table.is_file():
            check_outside(options.out, table)
    sizes = read_sizes(options.sizes) if options.sizes else None
    data = find_cases(
        options.data, options.layout, metadata=options.metadata, patient=options.patient, keep_identifiers=True
    )
    centers = options.centers or (len(sizes) if sizes else None)
    shares = options.verification, options.test
    rows = split_sites(data, centers, sizes, options.column, *shares, seed=options.seed)
    write_sites(options.out, rows)
    number = Counter(row["institution"] for row in rows if row["institution"])
    held = Counter(row["split"] for row in rows if not row["institution"])
    print(f"{len(number)} centers of {min(number.values())} to {max(number.values())} cases; "
          f"verification {held['verification']}, test {held['test']}: {options.out}")  # fmt: skip
    print(f"Make some harmful: quality-sentinel harm {command_text(options.out)} --out harmful.csv")
    return 0
