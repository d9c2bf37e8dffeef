"""Does a threshold for each structure find more wrong slices than one for all, at equal false flags?

python QualitySentinelTraining/Research/thresholds.py evaluation/slices.csv.gz

Thresholds are set on half of the patients, each structure's so that at most 5 % of the slices of its correct masks are
flagged (drawn towards that of all structures where there are few), and measured on the other half, in 50 random halves.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from QualitySentinelTrainingLib.pairs.columns import OLD_NAMES

CORRECT, WRONG, FALSE_FLAGS, HALVES = 0.95, 0.7, 0.05, 50
_FEW = 40
"""A structure with so many correct slices gets the mean of its own threshold and that of all."""


def compared(table: pd.DataFrame, rng: np.random.Generator) -> dict[str, float]:
    """Shares of correct slices flagged and of wrong slices found on a random half of the patients."""
    patients = rng.permutation(table.patient.unique())
    fitted = table.patient.isin(patients[: len(patients) // 2])
    correct, wrong = table.dsc >= CORRECT, table.dsc < WRONG
    of_all = table.predicted[fitted & correct].quantile(FALSE_FLAGS)
    own = table[fitted & correct].groupby("structure").predicted.agg(n="count", at=lambda p: p.quantile(FALSE_FLAGS))
    own = (own.n * own["at"] + _FEW * of_all) / (own.n + _FEW)
    tested = table[~fitted]
    flagged = tested.predicted < tested.structure.map(own).fillna(of_all)
    false_flags = flagged[correct[~fitted]].mean()
    equal = tested.predicted[correct[~fitted]].quantile(false_flags)  # one threshold with as many false flags
    return {
        "false flags": false_flags,
        "wrong found, own thresholds": flagged[wrong[~fitted]].mean(),
        "wrong found, one threshold": (tested.predicted < equal)[wrong[~fitted]].mean(),
    }


def main() -> None:
    """Print the means over the halves, and in how many one threshold found as much or more."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", type=Path, nargs="+", help="slices.csv.gz of evaluations")
    table = pd.concat([pd.read_csv(path) for path in parser.parse_args().tables])
    table = table.rename(columns=OLD_NAMES).query("area > 0")
    rng = np.random.default_rng(0)
    halves = pd.DataFrame([compared(table, rng) for _ in range(HALVES)])
    print(f"{len(table)} slices of {table.patient.nunique()} patients, {HALVES} halves")
    print(halves.mean().round(3).to_string())
    better = (halves["wrong found, one threshold"] >= halves["wrong found, own thresholds"]).mean()
    print(f"one threshold found as many or more in {better:.0%} of the halves")


if __name__ == "__main__":
    main()
