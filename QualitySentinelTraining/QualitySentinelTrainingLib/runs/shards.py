"""Shards of a run: which items each process or machine does, when they share no folder."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from QualitySentinelLib.errors import UsageError

from .work import Item


@dataclass(frozen=True)
class Shard:
    """One of several parts of a run; an item's name decides which it belongs to."""

    number: int  # 1 to ``count``
    count: int  # how many parts

    @classmethod
    def parse(cls, text: str) -> Shard:
        """From ``3/20``. Raises ``UsageError``: it is no such text."""
        number, _, count = text.partition("/")
        if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
            raise UsageError(f"--shard {text}: give the number of the part and of all parts, from 1/20 to 20/20")
        return cls(int(number), int(count))

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def holds(self, item: Item) -> bool:
        """Whether an item belongs to this part; items that come or go do not move the others."""
        digest = sha256(item.name.encode("utf-8", "surrogateescape")).digest()
        return int.from_bytes(digest[:8], "big") % self.count == self.number - 1
