"""By chance: what every other strategy has to beat."""

from .strategy import Strategy

STRATEGY = Strategy(
    "random", "chance", "ct", "none", "drawn by chance", lambda image: image.plain(), trusts=False,
)  # fmt: skip
