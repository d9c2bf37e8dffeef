"""What is ranked: cases, structures or slices with a score and a cost; budgets; what is trusted. Arrays only."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import repeat
from typing import Any

import numpy as np
import pandas as pd

from QualitySentinelLib.errors import UsageError

WHOLE = -1
"""``slice_index`` of a unit that is not one slice."""


@dataclass
class StructureScores:
    """What a strategy says of one structure of one case; arrays ``[n]``, a value for each slice."""

    structure: str
    whole: float  # score of the whole structure, higher is sooner annotated; nan when nothing was found
    slices: np.ndarray  # canonical k, int
    area: np.ndarray  # predicted voxels
    score: np.ndarray
    confidence: np.ndarray | None = None  # mean |p - 0.5|, for DSAL's weak labeler only
    features: np.ndarray | None = None  # [n, F], for strategies that want variety only


@dataclass
class CaseScores:
    """What a strategy says of one case."""

    case: str
    structures: list[StructureScores]
    features: np.ndarray | None = None  # [F]


@dataclass
class Units:
    """N things to choose from; arrays ``[N]``."""

    case: np.ndarray
    structure: np.ndarray  # empty for whole cases
    slices: np.ndarray  # canonical k; WHOLE for more than one slice
    score: np.ndarray  # higher is sooner annotated; nan: nothing is known
    count: np.ndarray  # slices that hold a mask, or whose lack of one is doubted
    empty: np.ndarray  # nothing was found there, so there is nothing to trust
    confidence: np.ndarray  # nan where there is none
    features: np.ndarray | None = None  # [N, F]

    def __len__(self) -> int:
        return len(self.case)

    @property
    def keys(self) -> list[tuple[str, str, int]]:
        """Case, structure and slice of each."""
        return list(zip(self.case, self.structure, self.slices.tolist(), strict=True))

    def take(self, index: np.ndarray) -> Units:
        """Some of them, in the order given."""
        return Units(**{n: None if v is None else v[index] for n, v in vars(self).items()})


def units_of(cases: Iterable[CaseScores], level: str) -> Units:
    """The units of a level.

    A case's score is the mean of its structures'. Structures of which nothing was found do not count: that two empty
    masks agree says nothing.
    """
    rows: list[tuple] = []
    for one in cases:
        if level == "case":
            sure = np.concatenate([s.confidence for s in one.structures if s.confidence is not None] or [np.empty(0)])
            whole = [s.whole for s in one.structures if np.isfinite(s.whole)]
            count, empty = sum(len(s.slices) for s in one.structures), not any(s.area.any() for s in one.structures)
            rows.append((one.case, "", WHOLE, _mean(whole), count, empty, _mean(sure), one.features))
        for s in one.structures if level != "case" else ():
            sure = np.full(len(s.slices), np.nan) if s.confidence is None else s.confidence
            if level == "structure":
                rows.append((one.case, s.structure, WHOLE, s.whole, len(s.slices), not s.area.any(), _mean(sure), None))
                continue
            features = repeat(None) if s.features is None else s.features
            for k, score, area, confidence, feature in zip(s.slices, s.score, s.area, sure, features, strict=False):
                rows.append((one.case, s.structure, k, score, 1, not area, confidence, feature))
    columns = list(zip(*rows, strict=True)) if rows else [()] * 8
    kinds: list[Any] = [object, object, int, float, int, bool, float]
    known = np.stack(columns[7]) if rows and all(f is not None for f in columns[7]) else None
    arrays = (np.array(column, kind) for column, kind in zip(columns, kinds, strict=False))
    return Units(**{one.name: array for one, array in zip(fields(Units), arrays, strict=False)}, features=known)


def _mean(values: Sequence[float] | np.ndarray) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


@dataclass(frozen=True)
class Budget:
    """How much can be annotated."""

    amount: float
    unit: str = "cases"  # or slices, minutes
    minutes_per_slice: float = 1.0  # of one structure

    @classmethod
    def parse(cls, text: str, minutes_per_slice: float = 1.0) -> Budget:
        """From ``20``, ``20cases``, ``300slices`` or ``90minutes``.

        Raises:
            UsageError: it is none of these.
        """
        match = re.fullmatch(r"(\d+(?:\.\d+)?) ?(cases|slices|minutes)?", text.strip())
        unit = match[2] or "cases" if match else ""
        if not match or float(match[1]) <= 0 or (unit != "minutes" and not float(match[1]).is_integer()):
            raise UsageError(f"--budget {text}: give a number above 0, such as 20cases, 300slices or 90minutes")
        return cls(float(match[1]), unit, minutes_per_slice)

    def __str__(self) -> str:
        return self.told(self.amount)

    def told(self, amount: float) -> str:
        """An amount in the budget's unit, such as ``1 case``."""
        return f"{amount:g} {self.unit.removesuffix('s') if amount == 1 else self.unit}"

    @property
    def level(self) -> str:
        """What is ranked: slices where the budget is in slices, else whole cases."""
        return "slice" if self.unit == "slices" else "case"

    def costs(self, count: np.ndarray) -> np.ndarray:
        """What units of so many slices cost, in the budget's unit, float ``[N]``."""
        of_slice = {"cases": 0.0, "slices": 1.0, "minutes": self.minutes_per_slice}[self.unit]
        return count * of_slice + (self.unit == "cases")

    def spend(self, order: Iterable[int], costs: np.ndarray) -> np.ndarray:
        """The first units of ``order`` that the budget pays for; one that costs more than is left is passed over."""
        chosen, left, cheapest = [], self.amount, costs.min(initial=np.inf)
        for unit in order:
            if left < cheapest:
                break
            if costs[unit] <= left:
                chosen.append(unit)
                left -= costs[unit]
        return np.array(chosen, int)

    def check(self, costs: np.ndarray, pool: str) -> None:
        """Refuse a budget that the pool cannot use, or that buys nothing.

        Raises:
            UsageError: it is larger than the pool costs, or smaller than the cheapest unit.
        """
        if self.amount > costs.sum() + 1e-9:
            raise UsageError(f"--budget {self}: all of {pool} costs {self.told(costs.sum())}; give less")
        if self.amount < costs.min(initial=np.inf):
            raise UsageError(f"--budget {self}: the cheapest case costs {self.told(costs.min())}; give more")


Order = Callable[[Units, np.ndarray | None, np.random.Generator], Iterator[int]]
"""Indices of units, first to annotate first, given the features of what is annotated already."""


def neutral(score: np.ndarray) -> np.ndarray:
    """Scores ``[N]`` in which what is not known lies in the middle: neither doubtful nor certain."""
    known = np.isfinite(score)
    return np.where(known, score, np.median(score[known]) if known.any() else 0.0)


def by_score(units: Units, annotated: np.ndarray | None, rng: np.random.Generator) -> Iterator[int]:
    """Highest score first; ties are drawn, so that names decide nothing."""
    yield from np.lexsort((rng.permutation(len(units)), -neutral(units.score)))


def spread_out(units: Units, annotated: np.ndarray | None, rng: np.random.Generator) -> Iterator[int]:
    """The one farthest from all that is annotated or chosen, again and again (k-center greedy, Sener 2018)."""
    yield from _farthest(units, np.ones(len(units)), annotated, rng)


def doubtful_and_spread_out(units: Units, annotated: np.ndarray | None, rng: np.random.Generator) -> Iterator[int]:
    """The largest product of the score, 0 to 1 over the pool, and the distance to all annotated or chosen ones."""
    score = neutral(units.score)
    scaled = (score - score.min()) / max(np.ptp(score), 1e-12) if len(score) else score
    yield from _farthest(units, scaled + 1e-6, annotated, rng)


def _farthest(
    units: Units, weight: np.ndarray, annotated: np.ndarray | None, rng: np.random.Generator
) -> Iterator[int]:
    points = units.features - units.features.mean(axis=0)
    noise = rng.random(len(units))
    if annotated is not None and len(annotated):
        centers = annotated - units.features.mean(axis=0)
        distance = np.min([np.linalg.norm(points - center, axis=1) for center in centers], axis=0)
    else:
        distance = np.linalg.norm(points, axis=1)  # begin far from the middle of the pool
    left = np.ones(len(units), bool)
    for n in range(len(units)):
        value = np.where(left, weight * distance, -1.0)
        unit = int(np.lexsort((noise, -value))[0])
        yield unit
        left[unit] = False
        new = np.linalg.norm(points - points[unit], axis=1)
        distance = new if n == 0 and annotated is None else np.minimum(distance, new)


def most_trusted(units: Units, share: float, rng: np.random.Generator) -> np.ndarray:
    """Indices of the share of all units with the lowest scores, best first; never empty ones, nor unknown ones."""
    order = np.lexsort((rng.permutation(len(units)), units.score))
    good = ~units.empty & np.isfinite(units.score)
    return order[good[order]][: int(share * len(units) + 1e-9)]


@dataclass(frozen=True)
class WeakLabeler:
    """DSAL's rules for pseudo labels (Zhao et al., JBHI 2021; FACTS of its code)."""

    first_round: int = 5  # counted from 1
    step: int = 20  # units in that round, and more in each one after
    bins: int = 10  # of the histogram of confidence; units of the top bin pass

    def number(self, round_: int) -> int:
        """How many units are pseudo-labeled in a round."""
        return self.step * max(0, round_ - self.first_round + 1)

    def choose(self, units: Units, round_: int, rng: np.random.Generator) -> np.ndarray:
        """Indices of the units to pseudo-label, those whose levels agree best first.

        Of the ``number`` best that are not empty those in the top bin of confidence are taken; if they are fewer, the
        best others fill up; ties are drawn. (The published code counts two empty masks as perfect agreement; here they
        are left out.)
        """
        number = self.number(round_)
        good = rng.permutation(np.flatnonzero(~units.empty & np.isfinite(units.score)))
        order = good[np.argsort(units.score[good], kind="stable")]
        if not number or not len(order):
            return order[:0]
        edge = np.histogram_bin_edges(units.confidence[order], self.bins)[-2]
        sure = units.confidence[order] >= edge
        return np.concatenate([order[sure], order[~sure]])[:number]


def correction_curve(counts: pd.DataFrame) -> np.ndarray:
    """Mean volumetric DSC of all masks after 0, 1, ... slices are corrected, float ``[n + 1]``.

    Args:
        counts: the slices in that order: ``mask`` (number of the case's structure), ``shared`` (``|P and G|``),
            ``total`` (``|P| + |G|``) and ``truth`` (``|G|``), voxels.
    """
    mask, counts = counts["mask"], counts.drop(columns="mask").astype(float)
    first = counts.groupby(mask)[["shared", "total"]].transform("sum")
    change = pd.DataFrame({"shared": counts.truth - counts.shared, "total": 2 * counts.truth - counts.total})
    last = first + change.groupby(mask).cumsum()
    at_first, before, after = (
        np.where(v.total > 0, 2 * v.shared / np.maximum(v.total, 1), 1.0) for v in (first, last - change, last)
    )
    at_first = at_first[~mask.duplicated()]
    return at_first.mean() + np.concatenate([[0], np.cumsum(after - before)]) / len(at_first)
