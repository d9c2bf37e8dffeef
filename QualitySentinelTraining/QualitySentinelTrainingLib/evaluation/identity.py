"""Right masks under right and wrong names: does the score tell what it looks at?"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from zlib import crc32

import numpy as np

from QualitySentinelLib.checkpoint import QualityModel
from QualitySentinelLib.volume.segmentation import boxes_of_labels

from ..candidates import Candidate
from ..stats import auroc
from ..subjects import Subject
from ..synthesis.names import mirrored_name
from .external import score_masks

OWN, SIDE, ANOTHER = "own name", "other side's name", "another's name"
_OTHERS = 12
"""Names of other structures of the subject that each mask is shown under, besides its own and the other side's."""
_SLICES = 5
SWAPPED_BELOW = 0.3
"""A mask under the other side's name should be predicted below this."""


@dataclass
class Identity:
    """Reference masks under names, one row each, arrays [N].

    Attributes:
        subject, source: text.
        mask: the structure that the mask shows.
        name: the structure that it was scored as.
        kind: one of :data:`OWN`, :data:`SIDE`, :data:`ANOTHER`.
        predicted: mean predicted DSC of some slices of it.
    """

    subject: np.ndarray
    source: np.ndarray
    mask: np.ndarray
    name: np.ndarray
    kind: np.ndarray
    predicted: np.ndarray

    def figures(self) -> dict:
        """Figures of all rows, and ``by_source`` and ``by_structure`` (by the name): mean prediction of each kind,
        the AUROC of own masks above others under a name, and the side swaps predicted below 0.3.
        """
        return {
            "all": self._figures(np.ones(len(self.name), bool)),
            "by_source": {str(s): self._figures(self.source == s) for s in np.unique(self.source)},
            "by_structure": {str(s): self._figures(self.name == s) for s in np.unique(self.name)},
        }

    def _figures(self, rows: np.ndarray) -> dict:
        own, side = rows & (self.kind == OWN), rows & (self.kind == SIDE)
        wrong = rows & (self.kind != OWN)
        return {
            "subjects": len(np.unique(self.subject[rows])),
            "own": int(own.sum()),
            "wrong": int(wrong.sum()),
            "swaps": int(side.sum()),
            "mean_own": _mean(self.predicted[own]),
            "mean_wrong": _mean(self.predicted[wrong]),
            "auroc": self._auroc(own, wrong),
            "auroc_sides": self._auroc(own & np.isin(self.name, self.name[side]), side),
            "swaps_below": _mean(self.predicted[side] < SWAPPED_BELOW),
            "highest_swap": float(self.predicted[side].max()) if side.any() else float("nan"),
        }

    def _auroc(self, right: np.ndarray, wrong: np.ndarray) -> float:
        both = np.concatenate([self.predicted[right], self.predicted[wrong]])
        return auroc(both, np.repeat([True, False], [int(right.sum()), int(wrong.sum())]))

    def rows(self) -> list[dict]:
        """One dictionary for each row, for a table."""
        names = [f.name for f in fields(self)]
        return [
            dict(zip(names, row, strict=True)) for row in zip(*(getattr(self, n).tolist() for n in names), strict=True)
        ]


def identity(model: QualityModel, subjects: Iterable[Subject]) -> Identity:
    """Score every reference mask under its own name, the other side's, and those of other structures of the subject."""
    rows = []
    for subject in subjects:
        boxes = boxes_of_labels(subject.labels, subject.structures)
        value_of = {subject.structures[value]: value for value in boxes}
        shown = []
        for mask, value in value_of.items():
            rng = np.random.default_rng(crc32(f"{subject.name}/{mask}".encode()))
            side = mirrored_name(mask)
            others = sorted(set(value_of) - {mask, side})
            others = list(rng.permutation(others)[:_OTHERS])
            # The name of a side that the scan does not hold can be claimed all the same.
            sides = [side] if side != mask and side in model.table else []
            for kind, names in ((OWN, [mask]), (SIDE, sides), (ANOTHER, others)):
                shown += [(mask, str(name), kind, value) for name in names]
        corner = {value: tuple(r.start for r in box) for value, box in boxes.items()}
        candidates = [
            Candidate(value, subject.labels[boxes[value]] == value, corner[value], kind) for *_, kind, value in shown
        ]
        scores = score_masks(model, subject, candidates, [name for _, name, _, _ in shown], _SLICES)
        for (mask, name, kind, _), score in zip(shown, scores, strict=True):
            rows.append(
                (subject.name, subject.source, mask, name, kind, _mean([s.predicted_dsc for s in score.slices]))
            )
    names = [f.name for f in fields(Identity)]
    return Identity(**{name: np.array([row[i] for row in rows]) for i, name in enumerate(names)})


def _mean(values) -> float:
    return float(np.mean(values)) if len(values) else float("nan")
