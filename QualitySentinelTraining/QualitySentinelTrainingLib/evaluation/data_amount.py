"""How good a model gets with more data: one row for each amount trained with (Fig. 2a of the paper)."""

from __future__ import annotations

from collections.abc import Iterable

from ..stats import DRAWS
from .evaluated import Evaluated
from .figures import with_intervals


def data_amount(trained: Iterable[tuple[int, Evaluated]], unit: str = "pairs", draws: int = DRAWS) -> list[dict]:
    """Figures of models trained alike but for the amount of data, evaluated on the same unseen subjects.

    Args:
        trained: (amount, evaluation of the model trained with it).
        unit: of the amount: ``"pairs"``, ``"subjects"``.

    Returns:
        Rows by ascending amount: ``amount``, ``unit`` and the slices' figures with intervals.
    """
    rows = []
    for amount, evaluated in sorted(trained, key=lambda item: item[0]):
        masked = evaluated.masked
        measured = with_intervals(masked.predicted, masked.dsc, masked.person, draws, ("pearson_r", "mae"))
        rows.append({"amount": int(amount), "unit": unit, **measured})
    return rows
