"""Folds are split by patient, never by CT."""

import numpy as np
import pytest

from QualitySentinelLib.datasets import Case, split_by_patient
from QualitySentinelLib.errors import UsageError


def cases(patients, site=""):
    return [Case(f"{p}_{n}", "", "", patient=p, site=site) for p in patients for n in range(2)]


def test_cases_of_a_patient_share_a_fold_and_folds_are_even():
    found = cases([f"p{n}" for n in range(23)], "A") + cases([f"q{n}" for n in range(7)], "B") + [Case("alone", "", "")]
    for seed in (None, 0, 1):
        folds = split_by_patient(found, 5, seed)
        assert all(folds[f"{c.patient}_0"] == folds[c.name] for c in found if c.patient)
        assert np.ptp(np.bincount([folds[c.name] for c in found])) <= 2
        assert np.ptp(np.bincount([folds[c.name] for c in found if c.site == "B"], minlength=5)) <= 2
        assert split_by_patient(found[::-1], 5, seed) == folds


def test_a_seed_shuffles():
    found = cases([f"p{n}" for n in range(20)])
    assert len({tuple(split_by_patient(found, 5, seed).items()) for seed in (None, 0, 1)}) == 3


def test_numbers_sort_as_numbers_and_digits_that_are_none_as_letters():
    folds = split_by_patient(cases(["10", "2", "1²", "٣"]), 4)
    assert [folds[f"{p}_0"] for p in ("1²", "2", "٣", "10")] == [0, 1, 2, 3]


def test_more_folds_than_patients_are_refused():
    with pytest.raises(UsageError, match="3 folds need as many patients; only 2 are available"):
        split_by_patient(cases(["a", "b"]), 3)
