"""Coroutines in tests: Playwright, once it is open, keeps an event loop running in the main thread."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor


def run(story: Coroutine) -> object:
    """Run a coroutine to its end in a loop, and a thread, of its own."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, story).result()
