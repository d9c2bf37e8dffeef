"""Lowest label quality first, as ``find-errors`` measures it by confident learning."""

from .strategy import Strategy

STRATEGY = Strategy(
    "label-quality", "lowest label quality", "scores", "none beyond find-errors", "label quality {good:.3f}", None,
    from_table=True,
)
