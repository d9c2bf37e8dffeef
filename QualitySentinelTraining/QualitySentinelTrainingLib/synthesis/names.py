"""What the names of structures tell: the side, and the kind."""

from __future__ import annotations

from collections.abc import Iterable


def without_side(name: str) -> str:
    """``kidney`` for ``kidney left``; a name without side stays."""
    return name.removesuffix(" left").removesuffix(" right")


def mirrored_name(name: str) -> str:
    """``kidney left`` for ``kidney right`` and the reverse; a name without side stays."""
    side = {"left": "right", "right": "left"}.get(name.rpartition(" ")[2])
    return name if side is None else f"{without_side(name)} {side}"


def is_any_of(name: str, kinds: Iterable[str]) -> bool:
    """Whether a structure is one of ``kinds``, or one of their parts: ``vertebra L3`` is a ``vertebra``."""
    base = without_side(name)
    return any(base == kind or base.startswith(f"{kind} ") for kind in kinds)
