"""Patients in the order in which they are dealt out to folds; see also training/test_folds.py."""

from QualitySentinelLib.datasets.folds import natural_key


def test_numbers_sort_as_numbers_and_digits_that_are_none_as_letters():
    assert sorted(["10", "2", "1²", "٣"], key=natural_key) == ["1²", "2", "٣", "10"]
