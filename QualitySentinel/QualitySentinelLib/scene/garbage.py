"""Python's full garbage collections, put off while something runs in steps.

A full collection looks at every object there is and lets nothing else run. PyTorch brings hundreds of thousands, so
that the application would stand still for longer than its users do not notice. New objects are collected all the same.
"""

from __future__ import annotations

import functools
import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_NEVER = 1 << 30

_holders = 0
_thresholds = (0, 0, 0)


@contextmanager
def full_collections_later() -> Iterator[None]:
    """Put full collections off until the block, and every other one, has ended."""
    global _holders, _thresholds
    if not _holders:
        _thresholds = gc.get_threshold()
        gc.set_threshold(*_thresholds[:2], _NEVER)
    _holders += 1
    try:
        yield
    finally:
        _holders -= 1
        if not _holders:
            gc.set_threshold(*_thresholds)


def without_full_collections(make_steps: Callable) -> Callable:
    """The same generator function, with full collections put off from its first step to its end."""

    @functools.wraps(make_steps)
    def made(*arguments, **options):
        with full_collections_later():
            return (yield from make_steps(*arguments, **options))

    return made
