"""Checks of values that come from files: a ``ValueError`` says in one line what is wrong."""

from __future__ import annotations

import math


def finite_number(value: object, name: str, least: float = -math.inf, most: float = math.inf) -> float:
    """``value`` as a float when it is a finite number in ``least..most``."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{name} is not a finite number")
    if not least <= value <= most:
        raise ValueError(f"{name} {value:g} is outside {least:g}..{most:g}")
    return float(value)


def whole_number(value: object, name: str, least: int, most: int) -> int:
    """``value`` when it is an int in ``least..most``."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"{name} must be a whole number in {least}..{most}, not {value!r}"[:200])
    return value


def whole_numbers(values: object, name: str, count: int, least: int, most: int) -> tuple[int, ...]:
    """``values`` as a tuple when it holds ``count`` ints in ``least..most``."""
    if not isinstance(values, (list, tuple)) or len(values) != count:
        raise ValueError(f"{name} must be {count} whole numbers")
    return tuple(whole_number(v, name, least, most) for v in values)


def choice(value: object, name: str, choices) -> str:
    """``value`` when it is one of the texts ``choices``."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, not {value!r}"[:200])
    return value
