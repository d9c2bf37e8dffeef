"""Left and right mistaken for each other: what the places of masks say about their names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from math import isfinite, nan
from statistics import fmean, median

from .structures import all_structures

REVERSED_MM = 10.0
"""A left structure this far on the right of its partner is suspicious; less may be a tilted patient."""
OFF_SIDE_MM = 25.0
"""A structure this far beyond the midline is on the wrong side; the midline is known to about a centimeter."""
WRONG_SIDE = "wrong side"
_LEAST_MIDLINE = 3
"""So many places must agree on the midline before a single structure is judged by it."""
_MIDLINE = ("vertebra", "sacrum", "spinal", "sternum", "brainstem", "mandible", "larynx", "trachea", "skull", "bladder")
_CROSSING = ("brachiocephalic vein", "gonads", "breast")
"""The left brachiocephalic vein runs to the right; the others' masks are no reliable sides."""
_USUAL_SIDE = {"liver": "right", "gallbladder": "right", "spleen": "left", "stomach": "left", "heart": "left"}
_SIDES = ("right", "left")


@dataclass(frozen=True)
class MistakenSides:
    """A suspicion."""

    # ``names swapped`` (a pair lies the other way round, or all do and organs of one side do not), ``case mirrored``
    # (all pairs do, and what is known of such organs), or ``wrong side`` (a structure lies beyond the midline)
    kind: str
    structures: str  # those concerned, joined with ``, ``
    distance_mm: float  # how far on the wrong side of each other, or of the midline; the largest
    evidence: str  # what else of the body says, as a sentence
    # pairs_as_named, pairs_reversed: the case's pairs that lie as their names say, and the other way round
    pairs_as_named: int
    pairs_reversed: int


def mistaken_sides(masks: Iterable[tuple[str, float]]) -> list[MistakenSides]:
    """Where left and right are suspected to be mistaken in a case.

    A pair is judged by the two places against each other, and then against the case's other pairs: when those lie
    as named, the names of this pair are swapped; when all pairs of a case are reversed, the case is mirrored, or named
    by the reader's side: liver and spleen tell which. A structure on its own, and a pair that lies on one side
    together, is judged by the midline, which is the median of the middles of pairs and of the places of spine,
    sternum and the like.

    Args:
        masks: structure of each mask, and where it is: the patient's R coordinate (RAS), mm, rising to the right. Of
            two masks of one structure none counts: which of them is meant cannot be said.
    """
    found: dict[str, float] = {}
    for name, place in masks:
        found[name] = nan if name in found else place
    places = {name: place for name, place in found.items() if isfinite(place)}
    sided = {name: side for name in places if (side := _sides().get(name))}
    stems = sorted({name.removesuffix(side).rstrip() for name, side in sided.items()})
    # R rises to the right: as named, the right partner has the larger coordinate
    gaps = {s: places[f"{s} right"] - places[f"{s} left"] for s in stems
            if f"{s} right" in places and f"{s} left" in places}  # fmt: skip
    reversed_ = {s: -gap for s, gap in gaps.items() if gap < -REVERSED_MM}
    as_named = [s for s, gap in gaps.items() if gap > REVERSED_MM]
    if reversed_ and not as_named:
        return [_mirrored(places, reversed_)]
    swaps = [
        MistakenSides(
            "names swapped", f"{s} left, {s} right", distance,
            f"the left one lies {distance:.0f} mm to the right of the right one; "
            f"{_count(len(as_named), 'other pair')} of this case ({_some(as_named)}) as named",
            len(as_named), len(reversed_),
        )
        for s, distance in reversed_.items()
    ]  # fmt: skip
    return swaps + _off_side(places, sided, gaps, reversed_, as_named)


@cache
def _sides() -> dict[str, str]:
    """Structures that lie on one side, and which that is."""
    return {
        s.name: s.side for s in all_structures() if s.kind == "anatomy" and s.side and not s.name.startswith(_CROSSING)
    }


def _mirrored(places: Mapping[str, float], reversed_: Mapping[str, float]) -> MistakenSides:
    distance, organs, single = max(reversed_.values()), _organs_reversed(places), len(reversed_) == 1
    stem = next(iter(reversed_))
    evidence = (
        f"the left one lies {distance:.0f} mm to the right of the right one; the case has no other pair to tell "
        "a swapped name from a mirrored image"
        if single
        else f"all {len(reversed_)} pairs of this case are the other way round: the image or the masks are mirrored, "
        "or sides are named as the reader sees them"
    )
    mirrored = organs if single else organs is not False
    return MistakenSides(
        "case mirrored" if mirrored else "names swapped",
        f"{stem} left, {stem} right" if single else _some(list(reversed_)),
        distance, evidence + _organs(places), 0, len(reversed_),
    )  # fmt: skip


def _off_side(places, sided, gaps, reversed_, as_named) -> list[MistakenSides]:
    """Structures beyond the midline whose names no pair has explained."""
    middles = [(places[f"{s} left"] + places[f"{s} right"]) / 2 for s in as_named]
    middles += [r for name, r in places.items() if name.startswith(_MIDLINE) and name not in sided]
    if len(middles) < _LEAST_MIDLINE or not as_named:
        return []
    midline = median(middles)
    swaps = []
    for name, side in sided.items():
        stem = name.removesuffix(side).rstrip()
        if stem in reversed_ or gaps.get(stem, 0.0) > REVERSED_MM:
            # of a pair that lies as named, one beyond the midline is a shifted or turned patient
            continue
        beyond = midline - places[name] if side == "right" else places[name] - midline
        if beyond > OFF_SIDE_MM:
            swaps.append(MistakenSides(
                WRONG_SIDE, name, beyond,
                f"it lies {beyond:.0f} mm on the other side of the midline, which {_count(len(middles), 'place')} of "
                f"the case agree on; {_count(len(as_named), 'pair')} as named",
                len(as_named), len(reversed_),
            ))  # fmt: skip
    return swaps


def _organs(places: Mapping[str, float]) -> str:
    """What organs of one side say about a mirrored image: liver and spleen do not change sides with their names."""
    reversed_ = _organs_reversed(places)
    if reversed_ is None:
        return ""
    names = [name for name in _USUAL_SIDE if name in places]
    organs = f"{', '.join(names[:-1])} and {names[-1]}"
    if reversed_:
        return f"; {organs} are reversed too, so the image is mirrored (or the patient's organs are)"
    return f"; {organs} lie as usual, so the names are wrong rather than the image"


def _organs_reversed(places: Mapping[str, float]) -> bool | None:
    """Whether organs of the right lie on the left of those of the left; ``None`` where one side has none."""
    right, left = ([places[n] for n, s in _USUAL_SIDE.items() if s == side and n in places] for side in _SIDES)
    return fmean(right) <= fmean(left) if right and left else None


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def _some(names: list[str], most: int = 4) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
