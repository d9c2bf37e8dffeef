"""What a reader does with the review's page in a browser, and sees of it."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from PIL import Image

PATIENCE_MS = 180_000


@contextmanager
def opened(browser, address: str) -> Iterator[Page]:
    """The page as the first browser that opens the printed address sees it, with the segments listed."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = Page(context.new_page())
    page.page.goto(address)
    page.page.wait_for_selector("tbody tr")
    yield page
    context.close()


class Page:
    """The review in the browser, in the words of a user."""

    def __init__(self, page) -> None:
        self.page = page
        self.errors: list[str] = []
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda message: message.type == "error" and self.errors.append(message.text))

    def text(self, selector: str) -> str:
        return self.page.inner_text(selector).strip()

    def number(self, name: str) -> int:
        return int(self.text(f"#n-{name}"))

    def rows(self) -> list[list[str]]:
        return self.page.eval_on_selector_all(
            "tbody tr", "rows => rows.map(row => [...row.cells].map(cell => cell.innerText.trim()))"
        )

    def row(self, name: str) -> list[str]:
        return next(row for row in self.rows() if row[0] == name)

    def select(self, name: str) -> None:
        self.page.locator("tbody tr", has_text=name).click()
        self.wait("name => document.querySelector('.slices h2 span').innerText === name", name)

    def wait(self, condition: str, argument=None) -> None:
        self.page.wait_for_function(condition, arg=argument)

    def wait_for_text(self, selector: str, text: str) -> None:
        self.wait("([s, t]) => document.querySelector(s)?.innerText.includes(t)", [selector, text])

    @property
    def slice(self) -> int:
        """The slice that the text under the profile speaks of."""
        return int(self.text("#current b").split()[1])

    @property
    def shown(self) -> int:
        """The slice that the axial view says it shows."""
        return int(self.text("#shown").split()[1])

    def picture(
        self,
        other_than: np.ndarray | None = None,
        like: np.ndarray | None = None,
        view: str = "#axial",
        until: Callable[[np.ndarray], bool] = lambda picture: True,
    ) -> np.ndarray:
        """What a view shows, uint8 [rows, columns, 3], when it has come to rest.

        Args:
            other_than: wait until it shows something else.
            like: wait until it shows this.
            view: which one; by default the axial view.
            until: wait until this holds of what it shows.
        """
        last = None
        end = time.monotonic() + PATIENCE_MS / 1000
        while time.monotonic() < end:
            data = self.page.locator(view).screenshot()
            now = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
            waited_for = like is not None and not np.array_equal(now, like)
            waited_for |= other_than is not None and np.array_equal(now, other_than)
            if not waited_for and last is not None and np.array_equal(now, last) and until(now):
                return now
            last = now
            time.sleep(0.2)
        raise AssertionError(f"{view} does not show what it should")

    def drag(self, start, end) -> None:
        """Draw a line in the axial view, from and to points in pixels of its picture."""
        box = self.page.locator("#axial").bounding_box()
        (x0, y0), (x1, y1) = start, end
        self.page.mouse.move(box["x"] + x0, box["y"] + y0)
        self.page.mouse.down()
        self.page.mouse.move(box["x"] + x1, box["y"] + y1, steps=8)
        self.page.mouse.up()
