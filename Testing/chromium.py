"""Headless Chromium for tests and pictures, driven by Playwright.

One at a time: Playwright refuses to start a second one in the same process while the first is open.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()


@contextmanager
def chromium() -> Iterator[object]:
    """The machine's own Chromium, as Playwright's browser.

    Raises:
        RuntimeError: there is none on this machine.
    """
    from playwright.sync_api import sync_playwright

    program = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)
    if program is None:
        raise RuntimeError("needs Chromium to look at pages, and there is none on this machine")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()
