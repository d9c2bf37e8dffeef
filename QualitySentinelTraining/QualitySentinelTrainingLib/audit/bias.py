"""Whether predicted quality differs between groups of people: by sex, age, and any other column of the metadata.

Patients are the independent units, or cases where nothing tells patients: each gives one number per test, however many
segments and slices it has.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from QualitySentinelLib.datasets.table import patient_column
from QualitySentinelLib.errors import UsageError

from ..people import age_groups, as_numbers, as_words, by_patient, first_of_patient, is_age, silent, who_was_scanned
from ..stats import LEVEL, RankTest, adjusted, bootstrap_interval, drawn_means, rank_correlation, rank_test
from ..tables import META

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
    """One side of a comparison."""

    name: str  # the value of the metadata column
    n: int  # units
    # mean, low, high: mean predicted DSC over the units and its 95 % bootstrap interval
    mean: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class BiasTest(RankTest):
    """One test: a metadata column against the predicted DSC of one structure, or of all.

    ``low`` and ``high`` are of ``difference``, or of rho; more than two groups have intervals of their own.
    """

    column: str  # metadata column, without ``meta_``; ``age group`` for the groups made of ``age``
    structure: str  # its name, or :data:`OVERALL`
    difference: float | None = None  # of two groups: the first one's mean DSC less the second's
    groups: tuple[Group, ...] = ()  # best first; empty for numbers
    q: float = float("nan")  # ``p`` corrected for all tests of the report

    @property
    def found(self) -> bool:
        """Whether there is a difference, after correction for all tests of the report."""
        return self.q <= LEVEL


@dataclass
class Bias:
    """All tests of a report."""

    tests: list[BiasTest]  # smallest ``q`` first
    notes: list[str] = field(default_factory=list)  # columns and groups that were not tested, and why, one line each
    # the metadata column that told patients, without ``meta_``; ``None`` when each case was a unit
    patient: str | None = None
    # n_cases, n_units: cases with scores, and units that they make
    n_cases: int = 0
    n_units: int = 0

    @property
    def found(self) -> list[BiasTest]:
        """Differences that are claimed."""
        return [t for t in self.tests if t.found]

    def to_frame(self) -> pd.DataFrame:
        """One row per test."""
        import pandas as pd

        told = {
            "column": "column", "structure": "structure", "name": "test", "n": "n", "groups": "groups",
            "difference": "difference", "low": "ci_low", "high": "ci_high", "effect_name": "effect",
            "effect": "effect_size", "p": "p", "q": "q", "found": "found",
        }  # fmt: skip
        frame = pd.DataFrame([{name: getattr(t, name) for name in told} for t in self.tests], columns=list(told))
        frame["groups"] = [
            "; ".join(f"{g.name}: {g.mean:.4f} ({g.low:.4f} to {g.high:.4f}, n {g.n})" for g in t.groups)
            for t in self.tests
        ]
        return frame.rename(columns=told)


def find_bias(
    audit: Audit, columns: Iterable[str] | None = None, *, patient: str | None = None, min_group: int = MIN_GROUP,
    draws: int = DRAWS, seed: int = 0,
) -> Bias:  # fmt: skip
    """Compare predicted DSC between groups of cases, for every structure and over all of them.

    A case's value for a structure is its predicted DSC (the mean, should several segments be that structure). Its
    value over all structures is the mean, over its segments, of the DSC less the structure's mean in the data set,
    plus the mean of the structures' means: which structures a scan happens to show does not count.

    Two groups: Mann-Whitney U, Cliff's delta, difference of means with a bootstrap interval over cases. More:
    Kruskal-Wallis, epsilon squared ``H / (n - 1)``. Numbers: Spearman's rho with the interval of Bonett and Wright
    (2000). Ages are tested as numbers, and as groups. All p values are corrected together (Benjamini-Hochberg).

    Args:
        columns: metadata columns, without ``meta_``; all by default.
        patient: metadata column that tells the patient: the mean of a patient's cases is one unit, with the metadata of
            the first of them that says something. By default the column that is called so (``PATIENT_COLUMNS``),
            if there is one; ``""`` for none, so that each case is a unit.
        min_group: smallest group that is compared, in units.
        draws: of the bootstrap; 0 for no intervals of means.

    Raises:
        UsageError: there is no such column.
    """
    chosen = list(audit.metadata if columns is None else columns)
    for name in [*chosen, *([patient] if patient else [])]:
        if name not in audit.metadata:
            there = ", ".join(audit.metadata) or "none"
            raise UsageError(f"{name}: no metadata column of {audit.folder}; available: {there}")
    patient = patient_column(audit.metadata) if patient is None else patient or None
    outcomes, labels, n_cases = _outcomes(audit, chosen, patient)
    tests: list[BiasTest] = []
    notes: list[str] = []
    for name in chosen:
        if name != patient and len(outcomes):
            tests += _tests_of(name, labels[META + name], outcomes, min_group, draws, seed, notes)
    tests = [replace(t, q=float(q)) for t, q in zip(tests, adjusted([t.p for t in tests]), strict=True)]
    tests.sort(key=lambda t: (t.q, t.p, t.structure != OVERALL, t.column, t.structure))
    return Bias(tests, notes, patient, n_cases, len(outcomes))


def _outcomes(audit: Audit, columns: Sequence[str], patient: str | None) -> tuple[pd.DataFrame, pd.DataFrame, int]:
    """Predicted DSC [units x structures], ``OVERALL`` first; the metadata [units x columns], rows alike; cases."""
    segments = audit.segments[["case", "structure", "predicted_dsc"]].dropna()
    dsc = segments.pivot_table(index="case", columns="structure", values="predicted_dsc", aggfunc="mean")
    cases = audit.done.drop_duplicates("case").set_index("case")
    dsc = dsc.reindex([c for c in cases.index if c in dsc.index]).astype(float)
    labels, n_cases = cases.loc[dsc.index, [META + c for c in dict.fromkeys(columns)]], len(dsc)
    if patient:
        who = who_was_scanned(cases.loc[dsc.index, META + patient])
        dsc, labels = by_patient(dsc, who), first_of_patient(labels, who)
    means = dsc.mean()
    dsc.insert(0, OVERALL, (dsc - means).mean(axis=1) + (means.mean() if len(means) else 0.0))
    return dsc, labels, n_cases


def _tests_of(
    name: str, values: pd.Series, outcomes: pd.DataFrame, min_group: int, draws: int, seed: int, notes: list[str]
) -> list[BiasTest]:
    numbers = as_numbers(values, name)
    taken = as_words(values, name) if numbers is None else numbers
    left_out, known = silent(values, taken), int(taken.notna().sum())
    if len(left_out):
        said = ", ".join(f"'{word}'" for word in list(dict.fromkeys(left_out))[:3])
        notes.append(f"{name}: {len(left_out)} of {len(left_out) + known} values say nothing: {said}")
    if numbers is None:
        if taken.nunique() > MOST_GROUPS:
            notes.append(f"{name}: {taken.nunique()} different values, more than {MOST_GROUPS}: not used for grouping")
            return []
        return _grouped(name, taken, outcomes, min_group, draws, seed, notes)
    if known < MIN_NUMERIC:
        notes.append(f"{name}: known of {known} only; {MIN_NUMERIC} are needed")
        return []
    tests = []
    for structure, dsc in outcomes.items():
        both = (dsc.notna() & numbers.notna()).to_numpy()
        x, y = numbers.to_numpy()[both], dsc.to_numpy()[both]
        if len(x) >= MIN_NUMERIC and np.ptp(x) and np.ptp(y):
            tests.append(BiasTest(**asdict(rank_correlation(x, y)), column=name, structure=structure))
    if is_age(name):
        tests += _grouped("age group", age_groups(numbers), outcomes, min_group, draws, seed, notes)
    return tests


def _grouped(
    name: str, words: pd.Series, outcomes: pd.DataFrame, min_group: int, draws: int, seed: int, notes: list[str]
) -> list[BiasTest]:
    counts = words.dropna().value_counts()
    if small := ", ".join(f"{word} ({n})" for word, n in counts[counts < min_group].items()):
        notes.append(f"{name}: groups of fewer than {min_group} are left out: {small}")
    groups = sorted(counts.index[counts >= min_group])
    if len(groups) < 2:
        notes.append(f"{name}: fewer than two groups of {min_group} or more: nothing to compare")
        return []
    members = {g: outcomes[(words == g).to_numpy()] for g in groups}
    drawn = {g: drawn_means(members[g].to_numpy(), draws, [seed, place]) for place, g in enumerate(groups)}
    tests = []
    for column, structure in enumerate(outcomes.columns):
        values = {g: members[g][structure].dropna().to_numpy() for g in groups}
        there = sorted((g for g in groups if len(values[g]) >= min_group), key=lambda g: -values[g].mean())
        if len(there) < 2 or not np.ptp(np.concatenate([values[g] for g in there])):
            continue
        found = asdict(rank_test([values[g] for g in there]))
        if len(there) == 2:
            ends = drawn[there[0]][:, column] - drawn[there[1]][:, column]
            found["low"], found["high"] = bootstrap_interval(ends, min(len(values[g]) for g in there))
            found["difference"] = float(values[there[0]].mean() - values[there[1]].mean())
        sides = tuple(
            Group(g, len(values[g]), float(values[g].mean()), *bootstrap_interval(drawn[g][:, column], len(values[g])))
            for g in there
        )
        tests.append(BiasTest(**found, column=name, structure=structure, groups=sides))
    return tests
