"""What a strategy is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..image import PoolImage
from ..units import Order, StructureScores, by_score

NEEDS = {
    "ct": "nothing but the CTs (masks, if the budget is in slices or minutes)",
    "masks": "predicted masks (--predictions, --probabilities or --network); predicted-quality also takes --scores",
    "scores": "--scores of find-errors, or class probabilities (--probabilities or --network) to judge the masks by",
    "probabilities": "class probabilities (--probabilities or --network)",
    "passes": "--network trained with dropout, or several folders of --probabilities, one for each pass",
    "networks": "two or more networks: --predictions, --probabilities or --network with two or more values",
    "levels": "--network trained with deep supervision, or three --probabilities: full, 1/4 and 1/2 resolution",
}
"""What a strategy may need, and the options that give it."""


@dataclass(frozen=True)
class Strategy:
    """A way to judge the pool."""

    name: str
    about: str  # what it ranks by, in a few words
    needs: str  # a key of NEEDS
    cost: str  # for each case
    reason: str  # of the lists, with {score} and {good}, which is one minus the score
    measure: Callable[[PoolImage], list[StructureScores]]
    order: Order = by_score
    features: bool = False  # its order needs those of cases and slices
    from_table: bool = False  # a table of predicted DSC or label quality serves it, too
    trusts: bool = True  # its scores tell good pseudo labels from bad ones
