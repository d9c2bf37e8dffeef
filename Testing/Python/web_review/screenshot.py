"""Make the pictures of docs/WEB_REVIEW.md: ``python -m Testing.Python.web_review.screenshot [--out FILE]``.

The second one, of errors, is called as the first, with ``_errors``; that of a list, with ``_queue``, is made by
``--queue`` alone.

TotalSegmentator's example CT (Apache-2.0) from ``../shared`` with errors planted in its segmentation; where that is
absent, a generated phantom.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from Testing.chromium import chromium

from .serving import REPOSITORY, served_review

SIZE = {"width": 1280, "height": 800}
SHOWN = "liver"
"""The segment that the picture is about."""


def main(arguments: list[str] | None = None) -> int:
    """Score the case, look at a flagged slice, take the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=REPOSITORY / "Resources" / "Screenshots" / "web_review.png")
    parser.add_argument("--queue", action="store_true", help="only the picture of a list that is worked through")
    options = parser.parse_args(arguments)
    if options.queue:
        return picture_of_queue(options.out.with_stem(f"{options.out.stem}_queue"))
    with tempfile.TemporaryDirectory() as work:
        with scored_page([*case_arguments(Path(work)), "--out", "review"], Path(work)) as page:
            row = page.locator("tbody tr", has_text=SHOWN)
            (row if row.count() else page.locator("tbody tr")).first.click()
            for key in ("d", "d", "n"):  # accept two slices, go on
                page.keyboard.press(key)
                time.sleep(1)
            page.mouse.move(0, 0)
            time.sleep(5)
            data = [page.screenshot()]
            for key in ("f", "i"):
                page.keyboard.press(key)
            page.wait_for_selector("#errors-told")
            page.click("#alone")
            page.mouse.move(0, 0)
            time.sleep(5)
            data.append(page.screenshot())
    from Testing.screenshots import picture_of, save

    for number, path in enumerate((options.out, options.out.with_stem(f"{options.out.stem}_errors"))):
        save(picture_of(data[number]), path)
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")
    return 0


def picture_of_queue(out: Path) -> int:
    """A slice of a list, the case open at it."""
    from Testing.screenshots import make_queue, picture_of, save

    with tempfile.TemporaryDirectory() as work:
        listed, pool = make_queue(Path(work), *case_arguments(Path(work))[1::2])
        arguments = ["--queue", str(listed), "--data", str(pool), "--segments", "liver,spleen,stomach,pancreas,aorta"]
        with scored_page(arguments, Path(work)) as page:
            page.mouse.move(0, 0)
            time.sleep(5)
            save(picture_of(page.screenshot()), out)
    print(f"{out}: {out.stat().st_size / 1000:.0f} kB")
    return 0


@contextmanager
def scored_page(arguments: list[str], folder: Path) -> Iterator:
    """The page of a review, when its case is scored."""
    with served_review(arguments, folder) as served, chromium() as browser:
        page = browser.new_page(viewport=SIZE)
        page.set_default_timeout(900_000)
        page.goto(served.address)
        page.wait_for_selector("tbody tr")
        page.wait_for_function("() => +document.querySelector('#n-open').innerText > 0")
        page.wait_for_function("() => !document.querySelector('#cancel')")
        yield page


def case_arguments(folder: Path) -> list[str]:
    """``--ct``, ``--seg`` and ``--names`` of the case."""
    from Testing.screenshots import EXAMPLE, corrupted_example, make_phantom_files

    if EXAMPLE.is_dir():
        return ["--ct", str(EXAMPLE / "example_ct.nii.gz"), "--seg", str(corrupted_example(folder))]
    ct, seg, names = make_phantom_files(folder)
    return ["--ct", str(ct), "--seg", str(seg), "--names", str(names)]


if __name__ == "__main__":
    sys.exit(main())
