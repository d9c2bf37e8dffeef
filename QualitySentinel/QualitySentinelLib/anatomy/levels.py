"""Where along the spine a structure's name says that it is: the level of vertebrae and ribs."""

from __future__ import annotations

import re

LEVELS = 25
"""C1 to C7, T1 to T12, L1 to L5 and S1."""
_FIRST = {"C": 0, "T": 7, "L": 19, "S": 24}
_NAMED = re.compile(r"vertebra ([CTLS])(\d+)|costa (\d+) (?:left|right)")


def level_of(name: str) -> int | None:
    """Level of a vertebra or rib by its canonical name, 1 (C1) to :data:`LEVELS` (S1); ``None`` for other structures.

    A rib has the level of the thoracic vertebra of its number.
    """
    match = _NAMED.fullmatch(name)
    if match is None:
        return None
    return _FIRST[match[1] or "T"] + int(match[2] or match[3])
