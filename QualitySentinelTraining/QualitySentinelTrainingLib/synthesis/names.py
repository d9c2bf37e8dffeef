"""What the names of structures tell: the side, and the kind."""

from __future__ import annotations

from collections.abc import Iterable


def without_side(name: str) -> str:
    """``kidney`` for ``kidney left``; a name without side stays."""
    return name.removesuffix(" left").removesuffix(" right")


def is_any_of(name: str, kinds: Iterable[str]) -> bool:
    """Whether a structure is one of ``kinds``, or one of their parts: ``vertebra L3`` is a ``vertebra``."""
    base = without_side(name)
    return any(base == kind or base.startswith(f"{kind} ") for kind in kinds)
