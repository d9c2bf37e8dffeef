"""Cross-validation folds, split by patient: no patient is ever in two folds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from zlib import crc32

FOLDS = 5


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
