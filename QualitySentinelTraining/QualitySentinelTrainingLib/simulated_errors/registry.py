"""All simulated errors by name, and how often each is drawn: functions with a decorator."""

from __future__ import annotations

from collections.abc import Callable

ERRORS: dict[str, Callable] = {}
"""``ERRORS[name](mask, case, severity)`` is a wrong mask, bool ``[k, j, i]``; ``mask`` itself is never changed."""
BOUNDARY: dict[str, float] = {}
"""Errors that redraw the boundary, with their weights."""
OTHER: dict[str, float] = {}
"""Errors of parts, place and name, with their weights. They may follow a boundary error."""


def simulated_error(
    weight: float, group: dict[str, float] = OTHER, name: str = "", of_voxels: bool = False
) -> Callable[[Callable], Callable]:
    """Register a function as an error that is drawn with ``weight``, under its own name by default.

    An error ``of_voxels`` does nothing to a mask that an error before it has left without any.
    """

    def registered(function: Callable) -> Callable:
        called = name or function.__name__.replace("_", " ")
        error = (lambda mask, *how: function(mask, *how) if mask.any() else mask) if of_voxels else function
        ERRORS[called], group[called] = error, weight
        return error

    return registered
