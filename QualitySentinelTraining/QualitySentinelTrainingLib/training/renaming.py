"""Pairs told under another name: mirrored under the other side's, or, as examples of DSC 0, under a wrong one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from QualitySentinelLib.anatomy import structure_named
from QualitySentinelLib.anatomy.structures import level_of
from QualitySentinelLib.slices.place import name_numbers
from QualitySentinelLib.text import EmbeddingTable

from ..synthesis.names import mirrored_name, without_side

MASKS_OWN_FROM = 0.7
"""A mask with this DSC or more lies on its own structure, so hardly on any other of the same subject."""
_KINDS = {"side": 0.35, "level": 0.2, "subject": 0.3, "any": 0.15}
"""How often a wrong name is the other side's, that of a vertebra or rib near by, of another structure of the subject,
or any that cannot overlap; kinds that a structure does not have leave their share to the others."""
_NEAR_LEVELS = 2
_WIDE = ("tissue", "fat", "muscles", "skin", "body", "mediastin", "lymph", "findings", "tumor", "implant")
_TOGETHER = (
    ("spinal", "vertebra", "sacrum"), ("brain", "skull", "mandible", "cheek", "face", "temporal"),
    ("heart", "atrial", "pulmonary", "aorta", "vena cava"), ("lung", "bronchi", "trachea"),
)  # fmt: skip
"""Structures that may hold parts of each other, by words in their names."""


@dataclass
class Renamed:
    """How the pairs of a batch are told."""

    mirrored: np.ndarray  # to be shown mirrored, bool [B]
    wrong: np.ndarray  # told a wrong name, so that their DSC is 0, bool [B]
    vectors: np.ndarray  # embeddings of their names, float32 [B, D]
    claims: np.ndarray  # what their names claim of side and level, float32 [B, C], see ``slices.place.name_numbers``


class Renaming:
    """Chooses which pairs of a batch are told under another name; the same for the same batch and seed.

    Args:
        structures: all names.
        structure: number of each pair's name, int [N].
        file: number of each pair's file: one subject, whose structures do not overlap, int [N].
        may_mirror: pairs from where left and right look alike, bool [N]; half of their draws are mirrored.
        may_be_wrong: pairs whose mask lies on its own structure, bool [N].
        wrong_share: share of those told the name of another structure.
        unheard_share: share of the others told a name that no pair has, of the same side: what a network was never
            shown it must not call wrong.
        table: embeddings; names it lacks get the neutral one.
        seed: of the choice.
    """

    def __init__(
        self, structures: Sequence[str], structure: np.ndarray, file: np.ndarray, may_mirror: np.ndarray,
        may_be_wrong: np.ndarray, wrong_share: float, table: EmbeddingTable, seed: int, unheard_share: float = 0.0,
    ) -> None:  # fmt: skip
        self._structure, self._file, self._seed, self._wrong_share = structure, file, seed, wrong_share
        self._may_mirror, self._may_be_wrong, self._unheard_share = may_mirror, may_be_wrong, unheard_share
        own = list(structures)
        names = list(dict.fromkeys([*own, *(n for n in map(mirrored_name, own) if n in table)]))
        unheard = [name for name in table.names if name not in names and mirrored_name(name) not in names]
        names += unheard
        both = [names, [mirrored_name(name) for name in names]]
        self._vectors = np.stack([[table.vector(n if n in table else None) for n in some] for some in both])
        self._claims = np.stack([name_numbers(some) for some in both])
        order = np.argsort(file, kind="stable")
        of_files = np.split(order, np.flatnonzero(np.diff(file[order])) + 1)
        self._of_file = {int(file[rows[0]]): np.unique(structure[rows]) for rows in of_files}
        number_of = {name: number for number, name in enumerate(names)}
        self._others: list[dict[str, np.ndarray]] = []
        for name in own:
            side, level = mirrored_name(name), level_of(name)
            near = [] if level is None else [
                n for n in names
                if without_level(n) == without_level(name) and 0 < abs(level_of(n) - level) <= _NEAR_LEVELS
            ]  # fmt: skip
            others = {
                "side": [side] if side != name and side in number_of else [],
                "level": near,
                "any": [n for n in own if not may_overlap(n, name)],
            }
            self._others.append({kind: np.array([number_of[n] for n in some], int) for kind, some in others.items()})
        self._unheard = [
            np.array([number_of[n] for n in unheard if _side(n) == _side(name)], int) for name in own
        ]  # fmt: skip

    @property
    def wrong_chance(self) -> np.ndarray:
        """How often each pair is told a wrong name, [N] in 0..1."""
        return self._may_be_wrong * self._wrong_share

    def draw(self, indices: Sequence[int] | np.ndarray) -> Renamed:
        """For the pairs ``indices``."""
        rng = np.random.default_rng([self._seed, *indices])
        draws = rng.random((5, len(indices)))
        mirrored = self._may_mirror[indices] & (draws[0] < 0.5)
        wrong = self._may_be_wrong[indices] & (draws[1] < self._wrong_share)
        names = self._structure[indices].copy()
        for at in np.flatnonzero(wrong):
            own, of_subject = names[at], self._of_file[int(self._file[indices[int(at)]])]
            choices = self._others[own] | {"subject": of_subject[of_subject != own]}
            choices = {kind: some for kind, some in choices.items() if len(some)}
            if not choices:
                wrong[at] = False
                continue
            shares = np.cumsum([_KINDS[kind] for kind in choices])
            some = list(choices.values())[int(np.searchsorted(shares, draws[2, at] * shares[-1], side="right"))]
            names[at] = some[int(draws[3, at] * len(some))]
        for at in np.flatnonzero(~wrong & (draws[4] < self._unheard_share)):
            if len(some := self._unheard[names[at]]):
                names[at] = some[int(draws[3, at] * len(some))]
        turned = mirrored.astype(int)
        return Renamed(mirrored, wrong, self._vectors[turned, names], self._claims[turned, names])


def without_level(name: str) -> str:
    """``vertebra`` for ``vertebra T12``, ``costa right`` for ``costa 7 right``; other names tell no level."""
    words = name.split(" ")
    return " ".join([words[0], *words[2:]]) if level_of(name) is not None else ""


def _side(name: str) -> str:
    return name.removeprefix(without_side(name))


def may_overlap(one: str, other: str) -> bool:
    """Whether masks of two structures may share voxels: one is a part of the other, or annotators differ on it."""
    if one == other or without_side(one) == other or without_side(other) == one:
        return True
    if any(word in name for word in _WIDE for name in (one, other)):
        return True
    if any(all(any(word in name for word in words) for name in (one, other)) for words in _TOGETHER):
        return mirrored_name(one) != other
    return one in _wholes(other) or other in _wholes(one)


@cache
def _wholes(name: str) -> frozenset[str]:
    """Structures that this one is a part of."""
    try:
        parts = structure_named(name).part_of
    except KeyError:
        return frozenset()
    return frozenset(parts).union(*map(_wholes, parts))
