"""Coroutines in tests: Playwright, once it is open, keeps an event loop running in the main thread."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor


def run(story: Coroutine) -> object:
    """Run a coroutine to its end in a loop, and a thread, of its own."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, story).result()


def in_own_loop(story: Callable[..., Coroutine]) -> Callable:
    """A test that is a coroutine, run so."""

    @functools.wraps(story)
    def test(*arguments, **fixtures):
        run(story(*arguments, **fixtures))

    return test
