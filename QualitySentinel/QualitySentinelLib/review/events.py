"""What a review tells those who watch it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from .changes import ScoreChanges
from .refs import SliceRef


class Changed(StrEnum):
    """What a :class:`ReviewEvent` is about."""

    THRESHOLD = "threshold"
    CURRENT = "current"
    """Another segment or slice is looked at."""
    ACCEPTED = "accepted"
    SCORES = "scores"


@dataclass(frozen=True)
class ReviewEvent:
    """One change of a review, told after it is complete.

    Attributes:
        changed: what it is about.
        segments: ids of the segments to draw anew: whose flags, accepts or scores changed; for ``CURRENT`` those
            left and entered.
        slices: the slices whose accept changed (``ACCEPTED``), or the slice now looked at, if any (``CURRENT``).
        scores: what another scoring changed (``SCORES``), else ``None``.
    """

    changed: Changed
    segments: tuple[str, ...] = ()
    slices: tuple[SliceRef, ...] = ()
    scores: ScoreChanges | None = None
