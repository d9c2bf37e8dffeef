"""Cancel while a large case is scored: the page says so, and the review goes on with what there is."""

from __future__ import annotations

import json

import numpy as np
import pytest

from .reader_page import opened
from .serving import served_review

pytest.importorskip("trame_slicer", reason="needs the extra 'review'")
pytestmark = pytest.mark.chromium

TIMES = 60
"""How often the torso is put upon itself: scoring takes far longer than a user needs to click."""


@pytest.fixture(scope="module")
def a_tall_case(a_torso, tmp_path_factory):
    """Arguments of the command for liver and spleen, many of each, and the folder of the review."""
    folder = tmp_path_factory.mktemp("tall")
    for name, voxels in (("ct", a_torso.hu), ("seg", a_torso.labels)):
        a_torso.write(folder / f"{name}.nii.gz", np.tile(voxels, (TIMES, 1, 1)))
    (folder / "names.json").write_text(json.dumps({str(k): v for k, v in a_torso.names.items()}), encoding="utf-8")
    files = {name: str(folder / name) for name in ("ct.nii.gz", "seg.nii.gz", "names.json", "kept")}
    arguments = ["--ct", files["ct.nii.gz"], "--seg", files["seg.nii.gz"], "--names", files["names.json"]]
    return [*arguments, "--out", files["kept"]], folder / "kept"


@pytest.fixture(scope="module")
def reader(browser, a_tall_case):
    """The page while the case is scored, and the command behind it."""
    arguments, folder = a_tall_case
    with served_review(arguments, folder.parent) as served:
        with opened(browser, served.address) as page:
            page.served = served
            yield page


def test_cancel_is_offered_while_scoring_and_ends_it(reader):
    reader.wait("() => +(document.querySelector('#progress-text')?.innerText.match(/Scoring ([0-9]+) of/)?.[1]) > 0")
    _scoring, done, _of, total, *_ = reader.text("#progress-text").split()
    assert 0 < int(done) < int(total)
    reader.page.click("#cancel")
    reader.wait_for_text("#progress-text", "Canceled: some slices are not scored")
    reader.page.wait_for_selector("#cancel", state="detached")
    assert reader.text("#score") == "Resume scoring"


def test_the_review_is_usable_after_cancelling(reader):
    reader.select("liver")
    assert reader.page.locator("#profile .slice").count() > 0, "slices scored until then are shown"
    reader.page.locator("#profile .slice").first.locator(".hit").click()
    reader.page.wait_for_selector("#accept:not([disabled])")
    reader.page.click("#accept")
    reader.wait_for_text("#accept", "Undo accept")
    assert reader.page.get_attribute("#profile .current", "data-mark") == "accepted"
    slider = reader.page.locator("#threshold")
    slider.focus()
    slider.press("ArrowRight")
    reader.wait_for_text("#threshold-value", "0.81")


def test_scoring_goes_on_where_it_was_and_can_be_cancelled_again(reader):
    scored = reader.page.locator("#profile .slice").count()
    reader.page.click("#score")
    reader.page.wait_for_selector("#cancel")
    reader.wait("before => document.querySelectorAll('#profile .slice').length > before", scored)
    reader.page.click("#cancel")
    reader.wait_for_text("#progress-text", "Canceled")
    assert reader.text("#accept") == "Undo accept", "the accept has stayed"
    assert reader.errors == []


def test_what_was_scored_and_accepted_is_kept(reader, a_tall_case):
    assert reader.served.end() == 0
    kept = json.loads((a_tall_case[1] / "review.json").read_text(encoding="utf-8"))
    liver = next(s for s in kept["scores"]["segments"] if s["name"] == "liver")
    assert liver["slices"] and kept["review"]["segments"]
