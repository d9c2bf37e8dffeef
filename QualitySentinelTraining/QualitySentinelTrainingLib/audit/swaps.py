"""Left and right mistaken for each other, in the cases of an audit."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from QualitySentinelLib.anatomy.sides import MistakenSides, mistaken_sides

if TYPE_CHECKING:
    import pandas as pd

SWAP_COLUMNS = ("case", "kind", "structures", "distance_mm", "evidence", "pairs_as_named", "pairs_reversed")


@dataclass(frozen=True, kw_only=True)
class Swap(MistakenSides):
    """A suspicion in a case.

    Attributes:
        case: the case's name.
    """

    case: str


def find_swaps(segments: pd.DataFrame) -> list[Swap]:
    """Suspected swaps of left and right; the largest distance first.

    See :func:`~QualitySentinelLib.anatomy.sides.mistaken_sides`; places are centroids.

    Args:
        segments: an audit's table; ``centroid_r_mm`` is the patient's R coordinate (RAS), rising to the right.
    """
    if "centroid_r_mm" not in segments.columns:
        return []
    rows = segments[segments["centroid_r_mm"].notna() & segments["structure"].notna()]
    swaps: list[Swap] = []
    for case, group in rows.groupby("case", sort=False, observed=True):
        found = mistaken_sides(zip(group["structure"], group["centroid_r_mm"].astype(float), strict=True))
        swaps += [Swap(case=str(case), **asdict(one)) for one in found]
    return sorted(swaps, key=lambda s: (-s.distance_mm, s.case))
