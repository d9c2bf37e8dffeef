"""Pairs told under another name: mirrored under the other side's, or, as examples of DSC 0, under a wrong one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from QualitySentinelLib.text import EmbeddingTable

from ..synthesis.names import mirrored_name

MASKS_OWN_FROM = 0.7
"""A mask with this DSC or more lies on its own structure, so hardly on any other of the same subject."""
_OTHER_SIDE_SHARE = 0.5
"""So many wrong names are the other side's, where the structure has one: neighbours look less alike than sides."""


@dataclass
class Renamed:
    """How the pairs of a batch are told.

    Attributes:
        mirrored: to be shown mirrored, bool [B].
        wrong: told a wrong name, so that their DSC is 0, bool [B].
        vectors: embeddings of their names, float32 [B, D].
    """

    mirrored: np.ndarray
    wrong: np.ndarray
    vectors: np.ndarray


class Renaming:
    """Chooses which pairs of a batch are told under another name; the same for the same batch and seed.

    Args:
        structures: all names.
        structure: number of each pair's name, int [N].
        file: number of each pair's file: one subject, whose structures do not overlap, int [N].
        may_mirror: pairs from where left and right look alike, bool [N]; half of their draws are mirrored.
        may_be_wrong: pairs whose mask lies on its own structure, bool [N].
        wrong_share: share of those told the name of another structure of their subject.
        table: embeddings; names it lacks get the neutral one.
        seed: of the choice.
    """

    def __init__(
        self, structures: Sequence[str], structure: np.ndarray, file: np.ndarray, may_mirror: np.ndarray,
        may_be_wrong: np.ndarray, wrong_share: float, table: EmbeddingTable, seed: int,
    ) -> None:  # fmt: skip
        self._structure, self._file, self._seed, self._wrong_share = structure, file, seed, wrong_share
        self._may_mirror, self._may_be_wrong = may_mirror, may_be_wrong
        number_of = {name: number for number, name in enumerate(structures)}
        self._other_side = [number_of.get(mirrored_name(name), number) for name, number in number_of.items()]
        both = [structures, [mirrored_name(name) for name in structures]]
        self._vectors = np.stack([[table.vector(n if n in table else None) for n in names] for names in both])
        order = np.argsort(file, kind="stable")
        of_files = np.split(order, np.flatnonzero(np.diff(file[order])) + 1)
        self._of_file = {int(file[rows[0]]): np.unique(structure[rows]) for rows in of_files}

    def draw(self, indices: Sequence[int]) -> Renamed:
        """For the pairs ``indices``."""
        rng = np.random.default_rng([self._seed, *indices])
        draws = rng.random((4, len(indices)))
        mirrored = self._may_mirror[indices] & (draws[0] < 0.5)
        wrong = self._may_be_wrong[indices] & (draws[1] < self._wrong_share)
        names = self._structure[indices].copy()
        for at in np.flatnonzero(wrong):
            own, others = names[at], self._of_file[int(self._file[indices[at]])]
            others, side = others[others != own], self._other_side[own]
            if side in others and draws[2, at] < _OTHER_SIDE_SHARE:
                names[at] = side
            elif len(others):
                names[at] = others[int(draws[3, at] * len(others))]
            else:
                wrong[at] = False
        return Renamed(mirrored, wrong, self._vectors[mirrored.astype(int), names])
