"""What metadata say of people: ages and other numbers, groups, and who was scanned several times.

Data sets write the same thing in many ways: ``61``, ``061Y``, ``18M``, ``>89``; ``unknown``, ``-1``, ``999``.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from QualitySentinelLib.datasets.table import SEXES, UNKNOWN, age_in_years

if TYPE_CHECKING:
    import pandas as pd

AGE_EDGES = (18, 40, 60, 80)
"""Bounds of the age groups, years."""
_FEW_NUMBERS = 6
_OLDEST = 120
_SOME_WORDS = 0.8
"""A column of ages may hold other words, which say nothing, in one case of five."""
_SEX_WORDS = {"M": "male", "F": "female", "O": "other"}
_SEX_UNKNOWN = "u"
_AGE = re.compile(r"(?:^|[^a-z])age(?:$|[^a-z])")
_SEX = re.compile(r"(?:^|[^a-z])(?:sex|gender)(?:$|[^a-z])")
_AROUND_YEARS = re.compile(r"^[>≥]?=?\s*|\s*\+$")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")


def is_age(column: str) -> bool:
    """Whether a column is called so that its numbers are ages."""
    return bool(_AGE.search(column.lower()))


def is_sex(column: str) -> bool:
    """Whether a column is called so that its words are sexes."""
    return bool(_SEX.search(column.lower()))


def as_numbers(values: pd.Series, column: str = "") -> pd.Series | None:
    """A metadata column as numbers, nan where it says nothing; ``None`` when it holds words.

    A few different numbers (a scanner's code, 0 and 1) are words, unless they are ages. Ages are years, whole ones
    where they are told in months, weeks or days; those below 0 or above 120 stand for something else, and are missing.
    """
    text = _texts(values)
    age = is_age(column)
    numbers = text.map(_age if age else _number, na_action="ignore").astype(float)
    told, known = int(text.notna().sum()), int(numbers.notna().sum())
    if not known or known < told * (_SOME_WORDS if age else 1):
        return None
    if numbers.nunique() <= _FEW_NUMBERS and not age:
        return None
    return numbers.where((numbers >= 0) & (numbers <= _OLDEST)) if age else numbers


def as_words(values: pd.Series, column: str = "") -> pd.Series:
    """A metadata column as words, ``None`` where it says nothing; sexes by whatever name are male and female."""
    words = _texts(values)
    if is_sex(column):
        words = words.map(_sex, na_action="ignore")
    return words.astype(object).where(words.notna(), None)


def silent(values: pd.Series, taken: pd.Series) -> pd.Series:
    """What a column says where nothing was taken from it: ``unknown``, ``-1``. Empty cells are not listed."""
    said = values[values.notna() & taken.isna()].astype(str).str.strip()
    return said[said != ""]


def age_groups(years: pd.Series) -> pd.Series:
    """The age group of each age: ``under 18``, ``18 to 39``, ..., ``80 and over``."""
    import pandas as pd

    names = [f"under {AGE_EDGES[0]}"]
    names += [f"{a} to {b - 1}" for a, b in pairwise(AGE_EDGES)]
    names += [f"{AGE_EDGES[-1]} and over"]
    groups = pd.cut(years, [-np.inf, *AGE_EDGES, np.inf], right=False, labels=names)
    return groups.astype(object).where(years.notna(), None)


def who_was_scanned(patients: pd.Series) -> pd.Series:
    """Who each case is of, from the column that tells patients, by case; each unknown one is a patient of its own."""
    who = as_words(patients)
    alone = "case " + who.index.to_series().astype(str)
    return ("patient " + who).where(who.notna(), alone)


def by_patient(table: pd.DataFrame, who: pd.Series) -> pd.DataFrame:
    """Numbers [cases x columns] as means over each patient's cases [patients x columns], in the order of the first."""
    return table.groupby(who.loc[table.index].to_numpy(), sort=False).mean()


def first_of_patient(labels: pd.DataFrame, who: pd.Series) -> pd.DataFrame:
    """Metadata [cases x columns] as each patient's [patients x columns]: of the first case that says something."""
    patients = who.loc[labels.index].to_numpy()
    said = labels.where(labels.apply(_texts).notna()).groupby(patients, sort=False).first()
    return said.where(said.notna(), labels.groupby(patients, sort=False).first())


def _texts(values: pd.Series) -> pd.Series:
    """Each value as text; ``None`` where it says nothing."""
    texts = values.astype(object).where(values.notna(), None).map(_as_text, na_action="ignore")
    return texts.astype(object).where(texts.notna(), None)


def _as_text(value) -> str | None:
    whole = isinstance(value, float) and value.is_integer()  # a table with gaps holds 1 as 1.0
    text = str(int(value) if whole else value).strip()
    return None if text.lower() in UNKNOWN else text


def _sex(word: str) -> str | None:
    return None if word.lower() == _SEX_UNKNOWN else _SEX_WORDS.get(SEXES.get(word.lower()), word)


def _number(text: str) -> float:
    return float(text) if _NUMBER.fullmatch(text) else np.nan


def _age(text: str) -> float:
    years = age_in_years(_AROUND_YEARS.sub("", text))
    return _number(text) if years is None else years
