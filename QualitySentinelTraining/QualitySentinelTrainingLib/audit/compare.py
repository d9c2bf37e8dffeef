"""Two audits side by side: two versions of the labels of the same cases, or two data sets.

As in the tests of bias, patients are the independent units, or cases where nothing tells patients.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

import numpy as np

from QualitySentinelLib.datasets.table import patient_column
from QualitySentinelLib.errors import UsageError

from ..people import by_patient, who_was_scanned
from ..stats import LEVEL, adjusted, bootstrap_interval, drawn_means, rank_test, signed_rank_p
from ..tables import META
from .bias import OVERALL

if TYPE_CHECKING:
    import pandas as pd

    from .frames import Audit

DRAWS = 2000
LEAST_UNITS = 5
"""A structure is compared over so many patients, or cases, at least."""
_COMMON_SHARE = 0.5
_SAME_PLACE_MM = 50.0
"""Two masks of one structure in one CT lie nearer to each other than this, however bad they are."""
_LISTED = 50


@dataclass(frozen=True)
class Difference:
    """One structure, or all of them, in this audit and in the other."""

    structure: str  # its name, or :data:`~.bias.OVERALL`
    n: int  # units compared with themselves; or units of this audit, when not paired
    n_other: int  # units of the other audit
    # mean, other_mean: mean predicted DSC over those units
    mean: float
    other_mean: float
    difference: float  # mean of this less the other, with its 95 % bootstrap interval over units, ``low`` to ``high``
    low: float
    high: float
    p: float  # Wilcoxon signed-rank (paired) or Mann-Whitney U; ``q`` corrected for all structures (Benjamini-Hochberg)
    q: float

    @property
    def found(self) -> bool:
        """Whether there is a difference, after correction for all structures."""
        return self.q <= LEVEL


@dataclass(frozen=True)
class Units:
    """What one side of a comparison counts: the metadata column that told patients, without ``meta_`` (``None`` when
    each case was a unit), the cases with scores that took part, and the units that they make.
    """

    patient: str | None = None
    n_cases: int = 0
    n: int = 0


@dataclass
class Comparison:
    """This audit against another."""

    # name, other_name: what the two are called
    name: str
    other_name: str
    paired: bool  # whether cases were compared with themselves
    why: str  # how that was decided, a sentence
    rows: list[Difference]  # over all structures first, then structures by difference, the largest loss first
    # n_common, n_here, n_there: cases in both, only in this, only in the other (by name; paired only)
    n_common: int = 0
    n_here: int = 0
    n_there: int = 0
    # here, there: what was counted of each; the same when paired
    here: Units = Units()
    there: Units = Units()
    # paired only: the segments that changed most, rows of ``case``, ``structure``, ``dsc``, ``other``, ``difference``;
    # the largest change first
    changed: list[dict] = field(default_factory=list)
    # only_here, only_there: structures that only one of the two has
    only_here: list[str] = field(default_factory=list)
    only_there: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)  # what makes the comparison doubtful

    def to_frame(self) -> pd.DataFrame:
        """One row per structure."""
        import pandas as pd

        columns = [*(f.name for f in fields(Difference)), "found"]
        return pd.DataFrame([vars(r) | {"found": r.found} for r in self.rows], columns=columns)


def compare_audits(
    audit: Audit, other: Audit, *, patient: str | None = None, draws: int = DRAWS, seed: int = 0
) -> Comparison:
    """Compare the predicted DSC of two audits.

    The same cases are compared in pairs: case by structure, then the mean of the differences over the cases of a
    patient, then over patients, with an interval from drawing patients; over all structures a patient counts with the
    mean of the structures' differences. Different cases are compared as groups of patients; over all structures a
    patient counts with the mean of the deviations from the structures' means, so that a scan does not count for the
    structures it happens to show. Where no column tells patients, each case counts as one. Cases of one name are the
    same when half of the smaller set's names are in both and the masks of one name lie in one place.

    Args:
        patient: metadata column of ``audit`` that tells the patient, and of ``other`` where it has it; by default the
            columns that are called so (``PATIENT_COLUMNS``); ``""`` for none.
        draws, seed: of the bootstrap.

    Raises:
        UsageError: ``audit`` has no such column.
    """
    if patient and patient not in audit.metadata:
        raise UsageError(f"{patient}: no metadata column of {audit.folder}; available: {', '.join(audit.metadata)}")
    here, there = _table(audit), _table(other)
    common = [c for c in here.index if c in set(there.index)]
    paired, why = _same_cases(audit, other, common, min(len(here), len(there)))
    structures = [s for s in here.columns if s in set(there.columns)]
    names = (audit.name, other.name) if audit.name != other.name else (f"{audit.name} (this)", f"{other.name} (other)")
    comparison = Comparison(
        *names, paired, why, [], len(common), len(here) - len(common), len(there) - len(common),
        only_here=sorted(set(here.columns) - set(structures)), only_there=sorted(set(there.columns) - set(structures)),
        warnings=_doubts(audit, other),
    )  # fmt: skip
    whose = [(here, _patients(audit, patient)), (there, _patients(other, patient))]
    if paired:
        a, b = here.loc[common, structures], there.loc[common, structures]
        comparison.changed = _changed(a, b)
        known = next((found for _, found in whose if found[0]), (None, None))
        whose = [(a.where(b.notna()), known), (b.where(a.notna()), known)]
    (a, comparison.here), (b, comparison.there) = (_units(side[structures], *found) for side, found in whose)
    comparison.rows = _rows(a, b, paired, draws, seed)
    return comparison


def _table(audit: Audit) -> pd.DataFrame:
    """Predicted DSC [cases x structures] of an audit; segments of no known structure go by their own name."""
    segments = audit.segments[audit.segments["predicted_dsc"].notna()]
    names = segments["structure"].where(segments["structure"].notna(), segments["segment"])
    table = segments.assign(structure=names).pivot_table(
        index="case", columns="structure", values="predicted_dsc", aggfunc="mean", observed=True
    )
    return table.astype(float)


def _patients(audit: Audit, patient: str | None) -> tuple[str | None, pd.Series | None]:
    """The column that tells patients, and who each case is of; nothing where no column does."""
    column = patient if patient in audit.metadata else patient_column(audit.metadata)
    if patient == "" or column is None:
        return None, None
    return column, who_was_scanned(audit.cases.drop_duplicates("case").set_index("case")[META + column])


def _units(table: pd.DataFrame, column: str | None, who: pd.Series | None) -> tuple[pd.DataFrame, Units]:
    """A table [cases x structures] as one of units; without the cases that have none of the structures."""
    table = table.dropna(how="all")
    units = table if who is None else by_patient(table, who)
    return units, Units(column, len(table), len(units))


def _same_cases(audit: Audit, other: Audit, common: list[str], smaller: int) -> tuple[bool, str]:
    if not common or len(common) < _COMMON_SHARE * smaller:
        return False, f"{len(common)} of {smaller} cases bear the same name: compared as two different sets"
    apart = _distances(audit, other)
    if len(apart) and float((apart > _SAME_PLACE_MM).mean()) > 0.5:
        return False, ("cases bear the same names, but their masks lie in other places: compared as two different sets")
    return True, f"{len(common)} cases are in both: each is compared with itself"


def _distances(audit: Audit, other: Audit) -> np.ndarray:
    """Median distance in mm, by case, of the centroids of the masks that both audits have."""
    axes = ["centroid_r_mm", "centroid_a_mm", "centroid_s_mm"]
    if any(not set(axes) <= set(a.segments.columns) for a in (audit, other)):
        return np.zeros(0)
    keys = ["case", "structure"]
    parts = [a.segments.dropna(subset=[*keys, *axes]).drop_duplicates(keys)[[*keys, *axes]] for a in (audit, other)]
    both = parts[0].merge(parts[1], on=keys, suffixes=("", "_other"))
    gaps = np.stack([(both[a] - both[f"{a}_other"]).to_numpy(float) for a in axes])
    return both.assign(mm=np.sqrt((gaps**2).sum(axis=0))).groupby("case")["mm"].median().to_numpy()


def _doubts(audit: Audit, other: Audit) -> list[str]:
    doubts = []
    models = [set(a.done.get("model_sha256", ())) - {None, np.nan} for a in (audit, other)]
    if all(models) and models[0] != models[1]:
        doubts.append("the two audits were made with different models: their predicted DSC are not comparable")
    if audit.missed_sought != other.missed_sought:
        doubts.append("missed slices were looked for in one of the two audits only, and lower the DSC of its segments")
    return doubts


def _rows(a: pd.DataFrame, b: pd.DataFrame, paired: bool, draws: int, seed: int) -> list[Difference]:
    """Both audits [units x structures] compared, units of one name with themselves when ``paired``."""
    import pandas as pd

    means, rows = pd.concat([a, b]).mean(), []
    for structure in [OVERALL, *a.columns]:
        one = [structure] if structure != OVERALL else list(a.columns)
        if paired:
            change = (a - b)[one].mean(axis=1).dropna()
            x, y = (side.loc[change.index, one].mean(axis=1).to_numpy() for side in (a, b))
            groups = [change.to_numpy()]
        else:  # over all structures: how far each lies from what is usual
            usual = means if structure == OVERALL else 0.0 * means
            level = float(means.mean()) if structure == OVERALL else 0.0
            x, y = groups = [(side - usual)[one].mean(axis=1).dropna().to_numpy() + level for side in (a, b)]
        if min(len(x), len(y)) < LEAST_UNITS:
            continue
        drawn = [drawn_means(values[:, None], draws, [seed, n])[:, 0] for n, values in enumerate(groups)]
        low, high = bootstrap_interval(drawn[0] - (0.0 if paired else drawn[1]), min(len(x), len(y)))
        p = signed_rank_p(groups[0]) if paired else rank_test(groups).p if np.ptp(np.concatenate(groups)) else 1.0
        difference = float(groups[0].mean()) if paired else float(x.mean() - y.mean())
        rows.append((structure, len(x), len(y), float(x.mean()), float(y.mean()), difference, low, high, p))
    q = adjusted([row[-1] for row in rows])
    found = [Difference(*row, float(value)) for row, value in zip(rows, q, strict=True)]
    return sorted(found, key=lambda r: (r.structure != OVERALL, r.difference, r.structure))


def _changed(a: pd.DataFrame, b: pd.DataFrame) -> list[dict]:
    change = (a - b).rename_axis(index="case", columns="structure").stack().dropna()
    change = change[change != 0]
    order = change.abs().sort_values(ascending=False, kind="stable").head(_LISTED).index
    return [
        {"case": case, "structure": structure, "dsc": float(a.loc[case, structure]),
         "other": float(b.loc[case, structure]), "difference": float(change.loc[(case, structure)])}
        for case, structure in order
    ]  # fmt: skip
