"""Cross-validation folds, split by patient: no patient is ever in two folds."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from zlib import crc32

import numpy as np

from ..errors import UsageError
from .case import Case

FOLDS = 5


def split_by_patient(cases: Iterable[Case], folds: int = FOLDS, seed: int | None = None) -> dict[str, int]:
    """Fold of each case, 0 to ``folds`` - 1, by the case's name.

    A case whose patient is unknown is a patient of its own. Patients are dealt out site by site, so that folds, and the
    folds of each site, differ by one patient at most. ``seed`` shuffles the patients of each site; by default they are
    in natural order (2 before 10).

    Raises:
        UsageError: fewer patients than folds.
    """
    patient_of = {case.name: case.patient or case.name for case in cases}
    site_of = {patient_of[case.name]: case.site for case in cases}
    patients = sorted(site_of, key=natural_key)
    if not 1 <= folds <= len(patients):
        raise UsageError(f"{folds} folds need as many patients; only {len(patients)} are available")
    if seed is not None:
        np.random.default_rng(seed).shuffle(patients)
    fold = {p: number % folds for number, p in enumerate(sorted(patients, key=lambda p: natural_key(site_of[p])))}
    return {name: fold[patient] for name, patient in patient_of.items()}


def fold_of(sources: Mapping[str, str], folds: int = FOLDS) -> dict[str, int]:
    """Fold of each patient, 0 to ``folds`` - 1, that does not depend on other data sets: models are trained so.

    Patients of one data set are numbered in natural order and dealt out in turn, starting at a fold that follows from
    the data set's name. ``sources``: the data set of each patient, by the patient's name; what follows a comma
    (``, synthetic``) does not count.
    """
    numbers: dict[str, int] = {}
    fold = {}
    for patient in sorted(sources, key=natural_key):
        source = sources[patient].split(",")[0]
        numbers.setdefault(source, crc32(source.encode()))
        fold[patient] = numbers[source] % folds
        numbers[source] += 1
    return fold


def natural_key(name: str) -> list:
    """Sorts ``s2`` before ``s10``; digits that are no numbers, as in ``1²``, are letters."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", name) if part]
