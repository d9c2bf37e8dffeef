"""Which center each sample is at, and what is wrong with it: the table that ``split-sites`` and ``harm`` write.

Columns ``case`` (a name of the data set), ``patient``, ``institution`` (the center), ``split`` (``train``,
``verification`` or ``test``), ``harm`` (of :data:`.harms.HARMS`; empty: none), and the data set's own metadata.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from QualitySentinelLib.datasets import Case, DataSet
from QualitySentinelLib.datasets.folds import natural_key
from QualitySentinelLib.datasets.table import read_table
from QualitySentinelLib.errors import InputError, UsageError, reason_of

from ..pages import write_table
from .harms import harm_named

OWN_COLUMNS = ("case", "patient", "institution", "split", "harm")
TRAIN, VERIFICATION, TEST = SPLITS = ("train", "verification", "test")


def split_sites(
    data: DataSet, centers: int | None = None, sizes: Sequence[float] | None = None, column: str = "",
    verification: float = 0.15, test: float = 0.25, seed: int = 0,
) -> list[dict[str, str]]:  # fmt: skip
    """Deal the patients of a data set out to centers, to the verification set and to the test set.

    Args:
        data: cases that cannot be read are left out.
        sizes: of the centers, in any unit; with another number of centers, sizes of the same distribution are taken.
            Alike by default.
        column: metadata column that names the center, instead of ``centers``.
        verification, test: shares of the patients, who are never split.

    Raises:
        UsageError: the shares are none, there are too few patients, or the column is not known of each case.
    """
    if not (verification > 0 and test > 0 and verification + test < 1):
        raise UsageError(f"--verification {verification} and --test {test}: give shares above 0, together below 1")
    cases = [case for case in data.cases if not case.problem]
    of_patient: dict[str, list[Case]] = {}
    for case in cases:
        of_patient.setdefault(case.patient or case.name, []).append(case)
    patients = sorted(of_patient, key=natural_key)
    rng = np.random.default_rng(seed)
    rng.shuffle(patients)
    held = [round(share * len(patients)) for share in (verification, test)]
    split = dict.fromkeys(patients[:held[0]], VERIFICATION) | dict.fromkeys(patients[held[0]:sum(held)], TEST)
    training = patients[sum(held) :]
    if not held[0] or not held[1] or not training:
        raise UsageError(f"{len(patients)} patients are too few for centers, a verification set and a test set")
    home: dict[str, str] = {}
    if column:
        for patient in training:
            home[patient] = of_patient[patient][0].metadata.get(column, "")
            if not home[patient]:
                raise UsageError(f"{of_patient[patient][0].name}: has no '{column}'; choose another --column")
    else:
        numbers = center_sizes(len(training), centers or 0, sizes)
        digits = len(str(len(numbers)))
        names = [f"center_{n:0{digits}d}" for n, size in enumerate(numbers, start=1) for _ in range(size)]
        home = dict(zip(training, names, strict=True))
    rows = []
    for patient in sorted(of_patient, key=natural_key):
        for case in of_patient[patient]:
            told = {k: v for k, v in case.metadata.items() if k not in OWN_COLUMNS}
            own = (case.name, patient, home.get(patient, ""), split.get(patient, TRAIN), case.metadata.get("harm", ""))
            rows.append(dict(zip(OWN_COLUMNS, own, strict=True)) | told)
    return rows


def center_sizes(patients: int, centers: int, like: Sequence[float] | None = None) -> list[int]:
    """How many patients each center gets, the largest first; each at least one.

    Args:
        like: sizes whose distribution is followed, by its quantiles; alike by default.

    Raises:
        UsageError: no centers, or more than patients.
    """
    if not 1 <= centers <= patients:
        raise UsageError(f"{centers} centers: give 1 to {patients}, as many as there are patients to train on")
    at = (np.arange(centers)[::-1] + 0.5) / centers
    wanted = np.ones(centers) if like is None else np.quantile(like, at, method="inverted_cdf")
    if not (np.isfinite(wanted).all() and wanted.sum() > 0 and wanted.min() >= 0):
        raise UsageError("sizes of centers must be numbers above 0")
    sizes = np.ones(centers, int)
    for _ in range(patients - centers):  # each patient to the center that lacks most
        sizes[np.argmax(wanted / wanted.sum() * patients - sizes)] += 1
    return [int(size) for size in sizes]


def read_sizes(path: Path) -> list[float]:
    """Sizes of centers: JSON, a list of numbers, or ``rows`` whose first numbers they are.

    Raises:
        InputError: the file is nothing like that.
    """
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        rows = told["rows"] if isinstance(told, dict) else told
        return [float(row[0] if isinstance(row, list) else row) for row in rows]
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise InputError(f"{path}: has no sizes of centers ({reason_of(error)}); give a JSON list") from error


def do_harm(
    rows: Sequence[Mapping[str, str]], kinds: Sequence[str], centers: float = 0.2, samples: float = 0.05, seed: int = 0
) -> list[dict[str, str]]:
    """Rows of a table of sites in which some training samples are harmful.

    Args:
        kinds: harms to choose from, equally likely.
        centers: share of the centers all of whose samples are harmful, all with one harm.
        samples: share of the samples of the other centers that are harmful.

    Raises:
        UsageError: there is no such harm, or nobody to train on.
    """
    for kind in kinds:
        harm_named(kind)
    training = [row["case"] for row in rows if row["split"] == TRAIN]
    at = {row["case"]: row["institution"] for row in rows}
    names = sorted({at[case] for case in training}, key=natural_key)
    if not names or not kinds:
        raise UsageError("nothing to harm: the table has no samples to train on, or no kinds of harm are given")
    rng = np.random.default_rng(seed)
    bad = [names[n] for n in rng.permutation(len(names))[: round(centers * len(names))]]
    harm = {center: kinds[n % len(kinds)] for n, center in enumerate(bad)}
    good = [case for case in training if at[case] not in harm]
    single = rng.permutation(len(good))[: round(samples * len(good))]
    alone = {good[n]: kinds[int(rng.integers(len(kinds)))] for n in single}
    return [
        {**row, "harm": alone.get(row["case"], harm.get(row["institution"], "") if row["split"] == TRAIN else "")}
        for row in rows
    ]


def read_sites(path: Path) -> list[dict[str, str]]:
    """Rows of a table of sites; an ``InputError`` where it cannot be read or lacks a column."""
    rows = read_table(path)
    if missing := [c for c in ("case", "institution", "split") if not rows or c not in rows[0]]:
        raise InputError(f"{path}: has no column '{missing[0]}'; write the table with split-sites")
    return rows


def write_sites(path: Path, rows: Sequence[Mapping[str, str]]) -> Path:
    columns = list(dict.fromkeys([*OWN_COLUMNS, *(name for row in rows for name in row)]))
    return write_table(path, columns, [[row.get(name, "") for name in columns] for row in rows])
