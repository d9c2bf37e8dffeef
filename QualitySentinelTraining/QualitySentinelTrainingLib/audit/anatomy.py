"""What is wrong with a case's anatomy: structures that it lacks although the scan would show them, mistaken sides."""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from QualitySentinelLib.anatomy.sides import MistakenSides, mistaken_sides

if TYPE_CHECKING:
    import pandas as pd

_LEAST_CASES = 5
"""Where a structure lies is taken from so many cases at least."""
_LEAST_NEIGHBOURS = 3
_REACH_MM = 10.0
"""Masks reach further than their centroids, by this at least."""
USUAL_SHARE = 0.8
"""A structure that so many of the scans in whose range it lies have is expected in the others."""

MISSING_COLUMNS = ("case", "structure", "how", "share_of_similar_cases", "expected_s_mm")
SWAP_COLUMNS = ("case", "kind", "structures", "distance_mm", "evidence", "pairs_as_named", "pairs_reversed")


@dataclass(frozen=True)
class MissingStructure:
    """A structure that some cases have and others lack."""

    structure: str  # its name
    n_present: int  # cases with a mask that holds voxels
    n_empty: int  # cases with a mask without a voxel
    n_absent: int  # cases without such a mask
    in_range: int  # cases of those that lack it whose other masks reach above and below its usual place
    # of the cases whose range holds that place, those that have it, 0..1; ``None`` when too few are known
    share: float | None
    # names of the cases in ``in_range``, with the expected S coordinate in mm and ``empty`` or ``absent``
    cases: tuple[tuple[str, float, str], ...] = ()

    @property
    def expected(self) -> bool:
        """Whether those that lack it are exceptions: almost all similar scans have it."""
        return bool(self.cases) and self.share is not None and self.share >= USUAL_SHARE


def missing_structures(segments: pd.DataFrame, case_names: list[str]) -> list[MissingStructure]:
    """Structures missing in some of the scored cases but not in all, the most telling first.

    A structure's usual place is where it lies above or below each other structure (median over the cases that have
    both). In a case that lacks it, its place is the median of what the structures there say; it counts as *in range*
    when the centroids of other structures reach as far up and as far down as that place (to 10 mm). Without
    ``centroid_s_mm`` only counts are given.
    """
    rows = segments[segments["structure"].notna()]
    filled = rows[rows["n_slices"].fillna(0) > 0]
    empty = set(rows.drop(filled.index)[["case", "structure"]].astype(str).itertuples(index=False, name=None))
    structures = sorted(set(rows["structure"]))
    present = {s: set(g) for s, g in filled.groupby("structure", observed=True)["case"]}
    places = None  # S coordinates in mm [cases x structures], nan where missing
    if "centroid_s_mm" in filled.columns and filled["centroid_s_mm"].notna().any():
        table = filled.pivot_table("centroid_s_mm", "case", "structure", aggfunc="mean", observed=True)
        places = table.reindex(index=case_names, columns=structures).to_numpy(float)
    found = []
    for column, structure in enumerate(structures):
        having = present.get(structure, set())
        lacking = [c for c in case_names if c not in having]
        if not lacking or not having:
            continue
        n_empty = sum((c, structure) in empty for c in lacking)
        listed, share = ([], None) if places is None else _in_range(column, places, case_names, structure, empty)
        found.append(MissingStructure(
            structure, len(having), n_empty, len(lacking) - n_empty, len(listed), share, tuple(listed)
        ))  # fmt: skip
    return sorted(found, key=lambda m: (not m.expected, -(m.share or 0.0), -m.in_range, m.structure))


def _in_range(column, places, case_names, structure, empty) -> tuple[list[tuple[str, float, str]], float | None]:
    own = places[:, column]
    above = own[:, None] - places  # how far the structure lies above each other one, by case
    enough = np.isfinite(above).sum(axis=0) >= _LEAST_CASES
    enough[column] = False
    others = np.delete(places, column, axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of nothing but nan
        said = places + np.where(enough, np.nanmedian(above, axis=0), np.nan)
        expected = np.nanmedian(said, axis=1)
        low, high = np.nanmin(others, axis=1), np.nanmax(others, axis=1)
    known = np.isfinite(said).sum(axis=1) >= _LEAST_NEIGHBOURS
    inside = known & (expected >= low - _REACH_MM) & (expected <= high + _REACH_MM)
    has = np.isfinite(own)
    listed = [
        (case_names[i], float(expected[i]), "empty" if (case_names[i], structure) in empty else "absent")
        for i in np.flatnonzero(inside & ~has)
    ]
    return listed, float(has[inside].mean()) if inside.sum() >= _LEAST_CASES else None


@dataclass(frozen=True, kw_only=True)
class Swap(MistakenSides):
    """A suspicion that left and right were mistaken for each other in ``case``."""

    case: str


def find_swaps(segments: pd.DataFrame) -> list[Swap]:
    """Suspected swaps of left and right, by centroids (``mistaken_sides``); the largest distance first.

    ``centroid_r_mm`` is the patient's R coordinate (RAS), rising to the right.
    """
    if "centroid_r_mm" not in segments.columns:
        return []
    rows = segments[segments["centroid_r_mm"].notna() & segments["structure"].notna()]
    swaps: list[Swap] = []
    for case, group in rows.groupby("case", sort=False, observed=True):
        found = mistaken_sides(zip(group["structure"], group["centroid_r_mm"].astype(float), strict=True))
        swaps += [Swap(case=str(case), **asdict(one)) for one in found]
    return sorted(swaps, key=lambda s: (-s.distance_mm, s.case))
