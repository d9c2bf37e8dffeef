"""The most different CTs: k-center greedy (Sener and Savarese, ICLR 2018) on small pictures of them."""

from ..units import spread_out
from .strategy import Strategy

STRATEGY = Strategy(
    "core-set", "greatest variety", "ct", "reading the CT", "differs from all above it",
    lambda image: image.plain(True), spread_out, features=True, trusts=False,
)  # fmt: skip
