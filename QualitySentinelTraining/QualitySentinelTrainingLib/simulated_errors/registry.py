"""All simulated errors by name, and how often each is drawn: functions with a decorator."""

from __future__ import annotations

from collections.abc import Callable

ERRORS: dict[str, Callable] = {}
"""``ERRORS[name](mask, case, severity)`` is a wrong mask, bool ``[k, j, i]``; ``mask`` itself is never changed."""
BOUNDARY: dict[str, float] = {}
"""Errors that redraw the boundary, with their weights."""
OTHER: dict[str, float] = {}
"""Errors of parts, place and name, with their weights. They may follow a boundary error."""


def simulated_error(weight: float, group: dict[str, float] = OTHER, name: str = "") -> Callable[[Callable], Callable]:
    """Register a function as an error that is drawn with ``weight``, under its own name by default."""

    def registered(function: Callable) -> Callable:
        called = name or function.__name__.replace("_", " ")
        ERRORS[called], group[called] = function, weight
        return function

    return registered
