"""All errors by name, and how often each is drawn."""

from __future__ import annotations

from collections.abc import Callable

from . import boundary, parts, place

BOUNDARY: dict[str, float] = {
    "erosion": 1.0, "dilation": 1.0, "one sided": 1.0, "elastic": 1.6, "roughness": 0.7, "uncertain": 2.4,
    "by intensity": 0.8, "over-smoothing": 0.7, "staircase": 0.6, "interpolation": 0.5, "resampled": 0.6,
}  # fmt: skip
"""Errors that redraw the boundary, with their weights."""

PARTS: dict[str, float] = {
    "missing part": 1.4, "bite": 0.8, "holes": 0.4, "added blob": 0.8, "truncated ends": 0.6, "dropped slices": 0.3,
    "extra slices": 0.8, "largest piece": 0.3,
}  # fmt: skip
PLACE: dict[str, float] = {
    "shift": 1.3, "mirrored": 0.25, "misplaced": 0.3, "leak": 1.6, "other structure": 0.4, "with neighbour": 0.3,
    "empty": 0.02,
}  # fmt: skip
OTHER = PARTS | PLACE
"""Errors of parts, place and name, with their weights. They may follow a boundary error."""

ERRORS: dict[str, Callable] = {
    name: getattr(module, name.replace(" ", "_").replace("-", "_"))
    for module, weights in ((boundary, BOUNDARY), (parts, PARTS), (place, PLACE))
    for name in weights
}
"""``ERRORS[name](mask, case, severity)`` is a wrong mask, bool ``[k, j, i]``; ``mask`` itself is never changed."""
