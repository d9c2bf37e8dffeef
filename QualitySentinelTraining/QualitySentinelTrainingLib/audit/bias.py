"""Whether predicted quality differs between groups of people: by sex, age, and any other column of the metadata.

Persons are the independent units, or cases where nothing tells persons: each gives one number per test, however many
segments and slices it has.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from QualitySentinelLib.datasets.table import patient_column
from QualitySentinelLib.errors import UsageError

from ..stats import LEVEL, RankTest, adjusted, bootstrap_interval, drawn_means, rank_correlation, rank_test
from .frames import META
from .people import (
    age_groups,
    as_numbers,
    as_words,
    by_person,
    first_of_person,
    is_age,
    silent,
    who_was_scanned,
)

if TYPE_CHECKING:
    import pandas as pd

    from .frames import Audit

MIN_GROUP = 10
"""Smaller groups are not compared."""
MIN_NUMERIC = 20
"""A number (age) is not tested on fewer cases."""
MOST_GROUPS = 12
"""A column with more different words than this is an identifier or a comment, not a grouping."""
DRAWS = 2000
OVERALL = "all structures"


@dataclass(frozen=True)
class Group:
    """One side of a comparison.

    Attributes:
        name: the value of the metadata column.
        n: units.
        mean, low, high: mean predicted DSC over the units and its 95 % bootstrap interval.
    """

    name: str
    n: int
    mean: float
    low: float
    high: float


@dataclass
class BiasTest:
    """One test: a metadata column against the predicted DSC of one structure, or of all.

    Attributes:
        column: metadata column, without ``meta_``; ``age group`` for the groups made of ``age``.
        structure: the structure's name, or :data:`OVERALL`.
        test, n, p, effect_name, effect: as :class:`.stats.RankTest` has them; ``q`` is ``p`` corrected for all tests of
            the report.
        difference: of the first group's mean DSC less the second's (two groups), else ``None``.
        low, high: 95 % interval of ``difference``, or of rho; ``None`` with more than two groups, whose means have
            intervals of their own.
        groups: the groups, best first; empty for numbers.
    """

    column: str
    structure: str
    test: str
    n: int
    p: float
    effect_name: str
    effect: float
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    groups: tuple[Group, ...] = ()
    q: float = float("nan")

    @property
    def found(self) -> bool:
        """Whether there is a difference, after correction for all tests of the report."""
        return self.q <= LEVEL


@dataclass
class Bias:
    """All tests of a report.

    Attributes:
        tests: smallest ``q`` first.
        notes: columns and groups that were not tested, and why, one line each.
        person: the metadata column that told persons, without ``meta_``; ``None`` when each case was a unit.
        n_cases, n_units: cases with scores, and units that they make.
    """

    tests: list[BiasTest]
    notes: list[str] = field(default_factory=list)
    person: str | None = None
    n_cases: int = 0
    n_units: int = 0

    @property
    def found(self) -> list[BiasTest]:
        """Differences that are claimed."""
        return [t for t in self.tests if t.found]

    @property
    def columns(self) -> list[str]:
        """Columns tested, in the order of the metadata."""
        return list(dict.fromkeys(t.column for t in sorted(self.tests, key=lambda t: t.column)))

    def to_frame(self) -> pd.DataFrame:
        """One row per test."""
        import pandas as pd

        return pd.DataFrame([
            {
                "column": t.column, "structure": t.structure, "test": t.test, "n": t.n,
                "groups": "; ".join(f"{g.name}: {g.mean:.4f} ({g.low:.4f} to {g.high:.4f}, n {g.n})" for g in t.groups),
                "difference": t.difference, "ci_low": t.low, "ci_high": t.high,
                "effect": t.effect_name, "effect_size": t.effect, "p": t.p, "q": t.q, "found": t.found,
            }
            for t in self.tests
        ], columns=BIAS_COLUMNS)  # fmt: skip


BIAS_COLUMNS = [
    "column", "structure", "test", "n", "groups", "difference", "ci_low", "ci_high", "effect", "effect_size", "p", "q",
    "found",
]  # fmt: skip


def find_bias(
    audit: Audit,
    columns: Iterable[str] | None = None,
    *,
    person: str | None = None,
    min_group: int = MIN_GROUP,
    draws: int = DRAWS,
    seed: int = 0,
) -> Bias:
    """Compare predicted DSC between groups of cases, for every structure and over all of them.

    A case's value for a structure is its predicted DSC (the mean, should several segments be that structure). Its
    value over all structures is the mean, over its segments, of the DSC less the structure's mean in the data set,
    plus the mean of the structures' means: which structures a scan happens to show does not count.

    Two groups: Mann-Whitney U, Cliff's delta, difference of means with a bootstrap interval over cases. More:
    Kruskal-Wallis, epsilon squared ``H / (n - 1)``. Numbers: Spearman's rho with the interval of Bonett and Wright
    (2000). Ages are tested as numbers, and as groups. All p values are corrected together (Benjamini-Hochberg).

    Args:
        audit: its ``cases`` and ``segments`` are read.
        columns: metadata columns, without ``meta_``; all by default.
        person: metadata column that tells the person: the mean of a person's cases is one unit, with the metadata of
            the first of them that says something. By default the column that is called so (``PATIENT_COLUMNS``),
            if there is one; ``""`` for none, so that each case is a unit.
        min_group: smallest group that is compared, in units.
        draws: of the bootstrap; 0 for no intervals of means.
        seed: of the bootstrap.

    Raises:
        UsageError: there is no such column.
    """
    chosen = list(audit.metadata if columns is None else columns)
    for name in [*chosen, *([person] if person else [])]:
        if name not in audit.metadata:
            there = ", ".join(audit.metadata) or "none"
            raise UsageError(f"{name}: no metadata column of {audit.folder}; available: {there}")
    person = patient_column(audit.metadata) if person is None else person or None
    outcomes, labels, n_cases = _outcomes(audit, chosen, person)
    tests: list[BiasTest] = []
    notes: list[str] = []
    for name in chosen:
        if name != person and len(outcomes):
            tests += _tests_of(name, labels[META + name], outcomes, min_group, draws, seed, notes)
    for test, q in zip(tests, adjusted([t.p for t in tests]), strict=True):
        test.q = float(q)
    tests.sort(key=lambda t: (t.q, t.p, t.structure != OVERALL, t.column, t.structure))
    return Bias(tests, notes, person, n_cases, len(outcomes))


def _outcomes(audit: Audit, columns: Sequence[str], person: str | None) -> tuple[pd.DataFrame, pd.DataFrame, int]:
    """Predicted DSC [units x structures], ``OVERALL`` first; the metadata [units x columns], rows alike; cases."""
    segments = audit.segments[["case", "structure", "predicted_dsc"]].dropna()
    dsc = segments.pivot_table(index="case", columns="structure", values="predicted_dsc", aggfunc="mean")
    cases = audit.done.drop_duplicates("case").set_index("case")
    dsc = dsc.reindex([c for c in cases.index if c in dsc.index]).astype(float)
    labels = cases.loc[dsc.index, [META + c for c in dict.fromkeys(columns)]]
    n_cases = len(dsc)
    if person:
        who = who_was_scanned(cases.loc[dsc.index, META + person])
        dsc, labels = by_person(dsc, who), first_of_person(labels, who)
    means = dsc.mean()
    overall = (dsc - means).mean(axis=1) + (means.mean() if len(means) else 0.0)
    dsc.insert(0, OVERALL, overall)
    return dsc, labels, n_cases


def _tests_of(
    name: str, values: pd.Series, outcomes: pd.DataFrame, min_group: int, draws: int, seed: int, notes: list[str]
) -> list[BiasTest]:
    numbers = as_numbers(values, name)
    words = as_words(values, name) if numbers is None else None
    taken = numbers if words is None else words
    left_out = silent(values, taken)
    if len(left_out):
        said = ", ".join(f"'{word}'" for word in list(dict.fromkeys(left_out))[:3])
        notes.append(f"{name}: {len(left_out)} of {len(left_out) + taken.notna().sum()} values say nothing: {said}")
    if numbers is not None:
        if numbers.notna().sum() < MIN_NUMERIC:
            notes.append(f"{name}: known of {int(numbers.notna().sum())} only; {MIN_NUMERIC} are needed")
            return []
        tests = _spearman(name, numbers, outcomes)
        if is_age(name):
            tests += _grouped("age group", age_groups(numbers), outcomes, min_group, draws, seed, notes)
        return tests
    n_words = words.nunique()
    if n_words > MOST_GROUPS:
        notes.append(f"{name}: {n_words} different values, more than {MOST_GROUPS}: not used for grouping")
        return []
    return _grouped(name, words, outcomes, min_group, draws, seed, notes)


def _spearman(name: str, numbers: pd.Series, outcomes: pd.DataFrame) -> list[BiasTest]:
    tests = []
    for structure in outcomes.columns:
        y = outcomes[structure]
        both = (y.notna() & numbers.notna()).to_numpy()
        n = int(both.sum())
        x, dsc = numbers.to_numpy()[both], y.to_numpy()[both]
        if n < MIN_NUMERIC or not np.ptp(x) or not np.ptp(dsc):
            continue
        found = rank_correlation(x, dsc)
        tests.append(_test(name, structure, found, low=found.low, high=found.high))
    return tests


def _grouped(
    name: str, words: pd.Series, outcomes: pd.DataFrame, min_group: int, draws: int, seed: int, notes: list[str]
) -> list[BiasTest]:
    counts = words.dropna().value_counts()
    small = counts[counts < min_group]
    if len(small):
        listed = ", ".join(f"{w} ({n})" for w, n in small.items())
        notes.append(f"{name}: groups of fewer than {min_group} are left out: {listed}")
    groups = sorted(counts.index[counts >= min_group])
    if len(groups) < 2:
        notes.append(f"{name}: fewer than two groups of {min_group} or more: nothing to compare")
        return []
    members = {g: (words == g).to_numpy() for g in groups}
    all_dsc = outcomes.to_numpy()
    drawn = {g: drawn_means(all_dsc[members[g]], draws, [seed, place]) for place, g in enumerate(groups)}
    tests = []
    for column, structure in enumerate(outcomes.columns):
        y = outcomes[structure].to_numpy()
        there = [g for g in groups if np.isfinite(y[members[g]]).sum() >= min_group]
        values = {g: y[members[g]][np.isfinite(y[members[g]])] for g in there}
        if len(there) < 2 or not np.ptp(np.concatenate(list(values.values()))):
            continue
        there.sort(key=lambda g: -values[g].mean())
        sides = tuple(_group(g, values[g], drawn[g][:, column]) for g in there)
        found = _test(name, structure, rank_test([values[g] for g in there]), groups=sides)
        if len(there) == 2:
            first, second = there
            found.difference = float(values[first].mean() - values[second].mean())
            drawn_difference = drawn[first][:, column] - drawn[second][:, column]
            found.low, found.high = bootstrap_interval(drawn_difference, min(len(values[g]) for g in there))
        tests.append(found)
    return tests


def _test(column: str, structure: str, found: RankTest, **more) -> BiasTest:
    return BiasTest(column, structure, found.name, found.n, found.p, found.effect_name, found.effect, **more)


def _group(name: str, values: np.ndarray, drawn: np.ndarray) -> Group:
    return Group(name, len(values), float(values.mean()), *bootstrap_interval(drawn, len(values)))
