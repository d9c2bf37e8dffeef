"""A reader's day with the page, as a user clicks. The steps follow each other: one review, one browser."""

from __future__ import annotations

import asyncio
import csv
import json
import socket
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

aiohttp = pytest.importorskip("aiohttp", reason="needs the extra 'review'")
msgpack = pytest.importorskip("msgpack", reason="needs the extra 'review'")
pytest.importorskip("wslink", reason="needs the extra 'review'")
from wslink.chunking import UnChunker, generate_chunks  # noqa: E402

from QualitySentinelLib.colors import SCALES  # noqa: E402
from QualitySentinelLib.reading import read_ct, read_segmentation  # noqa: E402
from QualitySentinelLib.scores import read_report_json  # noqa: E402

from .conftest import HOSTILE_NAME  # noqa: E402
from .reader_page import Page, opened  # noqa: E402

pytestmark = pytest.mark.chromium


@pytest.fixture(scope="module")
def reader(browser, served) -> Page:
    """The page as the first browser that opens the printed address sees it."""
    with opened(browser, served.address) as page:
        yield page


def test_the_case_is_scored_and_listed_worst_first(reader):
    reader.wait("() => !document.querySelector('#cancel') && +document.querySelector('#n-flagged').innerText > 0")
    scores = [float(row[1].removesuffix(" ?")) for row in reader.rows()]
    assert len(scores) == 5 and scores == sorted(scores)
    assert "slices reviewed" in reader.text("#progress-text")
    assert reader.number("open") == sum(int(row[4] or 0) for row in reader.rows() if row[4] != "✓")


def test_a_hostile_name_is_only_text(reader):
    assert reader.row(HOSTILE_NAME)
    assert "hacked" not in reader.page.title() and "49" not in reader.text("tbody")


def test_a_click_on_a_row_shows_its_worst_slice(reader):
    before = reader.picture()
    reader.select("kidney right")
    assert reader.shown == reader.slice
    reader.picture(other_than=before)
    worst = reader.page.eval_on_selector_all(
        "#profile .slice rect.dsc", "bars => Math.min(...bars.map(bar => bar.height.baseVal.value))"
    )
    current = reader.page.eval_on_selector("#profile .current rect.dsc", "bar => bar.height.baseVal.value")
    assert current == worst


def test_the_selected_segment_is_shown_alone_and_back(reader):
    before = reader.picture()
    reader.page.click("#alone")
    reader.picture(other_than=before)
    reader.page.click("#alone")
    reader.picture(like=before)


def test_masks_are_colored_by_slice_by_segment_or_by_their_own(reader):
    assert reader.page.locator("#colors [data-mode=slices]").get_attribute("class") == "on", "where the errors are"
    by_slice = reader.picture()
    legend = reader.page.get_attribute("#legend i", "style")
    offered = reader.page.locator("#color-scale option")
    assert [offered.nth(i).get_attribute("value") for i in range(offered.count())] == list(SCALES)
    reader.page.select_option("#color-scale", "color-blind-safe")
    reader.picture(other_than=by_slice)
    reader.wait("old => document.querySelector('#legend i').getAttribute('style') !== old", legend)
    reader.page.select_option("#color-scale", "red-yellow-green")
    reader.picture(like=by_slice)
    reader.page.click("#colors [data-mode=segments]")
    by_segment = reader.picture(other_than=by_slice)
    reader.page.click("#colors [data-mode=own]")
    reader.page.wait_for_selector("#legend", state="hidden")
    reader.picture(other_than=by_segment)
    reader.page.keyboard.press("c")
    reader.wait("() => document.querySelector('#colors [data-mode=slices]').classList.contains('on')")
    reader.picture(like=by_slice)


def test_the_window_is_that_of_the_structure_until_the_reader_chooses(reader):
    reader.wait_for_text("#window-level", "W 400 · L 40")
    before = reader.picture()
    reader.page.keyboard.press("3")
    reader.wait_for_text("#window-level", "W 1500 · L 300")
    assert reader.page.locator("#window").input_value() == "bone"
    reader.picture(other_than=before)
    reader.page.select_option("#window", "")
    reader.picture(like=before)
    size = reader.page.locator("#axial").bounding_box()
    reader.drag((size["width"] / 2, size["height"] / 2), (size["width"] / 2 + 60, size["height"] / 2 + 20))
    reader.wait("() => !document.querySelector('#window-level').innerText.includes('W 400 ·')")
    reader.picture(other_than=before)
    reader.wait("() => document.querySelector('#window').value === 'own'")
    reader.page.keyboard.press("0")
    reader.picture(like=before)


TOP, LEFT, RIGHT = 60, 30, 220
"""Pixels at the edges of the axial view that have writing."""


def colored(picture) -> np.ndarray:
    """Where a picture of the axial view has a color, away from the writing."""
    return np.ptp(picture.astype(int)[TOP:-TOP, LEFT:-RIGHT], axis=2) > 40


def test_masks_are_filled_outlines_or_hidden_by_keys(reader):
    filled = reader.picture()
    reader.page.keyboard.press("o")
    outlines = reader.picture(other_than=filled)
    assert 0 < colored(outlines).sum() < colored(filled).sum() / 2
    reader.page.keyboard.press("h")
    assert not colored(reader.picture(other_than=outlines)).any()
    reader.page.keyboard.press("h")
    reader.picture(like=filled)
    reader.page.keyboard.press("+")
    reader.picture(other_than=filled)
    reader.page.keyboard.press("-")
    reader.picture(like=filled)


def test_marks_say_where_the_patients_sides_are(reader):
    reader.select("liver")
    reader.page.click("#alone")
    picture = reader.picture()
    sides = {place: reader.text(f"#axial .side.{place}") for place in ("left", "right", "top", "bottom")}
    assert sides == {"left": "R", "right": "L", "top": "A", "bottom": "P"}
    assert LEFT + np.nonzero(colored(picture))[1].mean() < picture.shape[1] / 2, "the liver is on the right"
    assert [reader.text(f"#{view} .side.{place}") for view in ("coronal", "sagittal") for place in ("left", "top")] == [
        "R", "S", "A", "S",
    ]  # fmt: skip
    reader.page.click("#alone")


def test_a_segment_is_shown_large_and_so_is_the_next(reader):
    reader.select("kidney right")
    everything = colored(reader.picture()).sum()
    reader.page.click("#alone")
    whole = reader.picture(until=lambda picture: colored(picture).sum() < everything / 2)
    reader.page.keyboard.press("f")
    large = reader.picture(other_than=whole)
    assert colored(large).sum() > 3 * colored(whole).sum()
    reader.select("spleen")
    assert colored(reader.picture(other_than=large)).any()
    reader.select("kidney right")
    reader.page.keyboard.press("f")
    reader.picture(like=whole)
    reader.page.click("#alone")


def row_of_the_line(picture) -> int:
    """The row of a picture of the coronal view in which the blue line of the axial slice is."""
    blue = (np.subtract(picture[..., 2], picture[..., 0], dtype=int) > 25)[4:].sum(axis=1)  # the frame is blue, too
    assert blue.max() > picture.shape[1] / 3
    return int(blue.argmax())


def test_a_line_shows_the_axial_slice_in_the_other_views(reader):
    bars = reader.page.locator("#profile .slice")
    rows, picture = [], None
    for bar in (bars.first, bars.last):
        bar.locator(".hit").click()
        reader.wait("k => document.querySelector('#profile .current').dataset.k === k", bar.get_attribute("data-k"))
        picture = reader.picture(other_than=picture, view="#coronal")
        rows.append(row_of_the_line(picture))
    assert rows[0] > rows[1], "superior is up"


def test_the_list_of_keys_is_that_of_the_documentation(reader, repository):
    reader.page.keyboard.press("?")
    listed = reader.page.eval_on_selector_all(
        "#keys dt", "terms => terms.map(term => [term.innerText, term.nextElementSibling.innerText])"
    )
    text = (repository / "docs" / "WEB_REVIEW.md").read_text(encoding="utf-8")
    told = [[cell.strip() for cell in line.split("|")[1:3]] for line in text.splitlines() if line.startswith("| ")]
    assert listed and told[1:] == listed
    reader.page.keyboard.press("Escape")
    reader.page.wait_for_selector("#keys", state="hidden")


def test_there_is_a_light_style(reader):
    color = "() => getComputedStyle(document.querySelector('.panel')).backgroundColor"
    dark = reader.page.evaluate(color)
    reader.page.keyboard.press("l")
    assert reader.page.evaluate(color) == "rgb(255, 255, 255)" != dark
    reader.page.click("#theme")
    assert reader.page.evaluate(color) == dark


def test_a_click_in_the_profile_jumps_there(reader):
    bars = reader.page.locator("#profile .slice")
    for bar in (bars.first, bars.last):
        k = int(bar.get_attribute("data-k"))
        bar.locator(".hit").click()
        reader.wait("k => document.querySelector('#profile .current').dataset.k === k", str(k))
        assert reader.shown == reader.slice


def test_space_goes_through_the_flagged_slices_and_back(reader):
    reader.select("spleen")
    open_slices = [
        int(k) for k in reader.page.eval_on_selector_all(
            "#profile .slice", "bars => bars.filter(b => b.dataset.mark).map(b => b.dataset.k)"
        )
    ]  # fmt: skip
    reader.page.locator(f'#profile .slice[data-k="{open_slices[0]}"] .hit').click()
    reader.page.click("#alone")  # a focused box that Space would tick
    reader.page.keyboard.press("Space")
    reader.wait("k => document.querySelector('#profile .current').dataset.k === k", str(open_slices[1]))
    assert reader.page.is_checked("#alone")
    reader.page.keyboard.press("Shift+Space")
    reader.wait("k => document.querySelector('#profile .current').dataset.k === k", str(open_slices[0]))
    reader.page.click("#next")
    reader.wait("k => document.querySelector('#profile .current').dataset.k === k", str(open_slices[1]))
    reader.page.click("#previous")
    reader.wait("k => document.querySelector('#profile .current').dataset.k === k", str(open_slices[0]))
    assert reader.shown == reader.slice
    assert "spleen" in reader.text("#flags")
    reader.page.click("#alone")


def test_the_wheel_scrolls_and_the_profile_follows(reader):
    reader.picture()
    before = reader.shown
    reader.page.locator("#axial").hover()
    reader.page.mouse.wheel(0, -120)
    reader.wait("before => !document.querySelector('#shown').innerText.startsWith(`slice ${before} `)", before)
    reader.wait_for_text("#current", f"Slice {reader.shown}")


def test_counts_follow_the_threshold(reader):
    before = reader.number("flagged")
    slider = reader.page.locator("#threshold")
    slider.focus()
    for _ in range(10):
        slider.press("ArrowLeft")
    reader.wait_for_text("#threshold-value", "0.70")
    reader.wait("before => +document.querySelector('#n-flagged').innerText < before", before)
    for _ in range(10):
        slider.press("ArrowRight")
    reader.wait("before => +document.querySelector('#n-flagged').innerText === before", before)


def test_the_check_box_of_own_thresholds_turns_them_on_and_off(reader):
    box = reader.page.locator("#own-thresholds")
    said = "document.querySelector('#threshold').parentElement.title.includes('without their own threshold')"
    box.check()  # once the model is loaded
    reader.wait(f"() => {said}")
    box.uncheck()
    reader.wait(f"() => !{said}")


def test_a_slice_is_accepted_and_the_next_one_shown_by_one_key(reader):
    reader.select("liver")
    reader.select("spleen")
    left, first = reader.number("open"), reader.slice
    reader.page.keyboard.press("d")
    reader.wait("left => +document.querySelector('#n-open').innerText === left - 1", left)
    assert reader.slice != first
    reader.page.keyboard.press("z")
    reader.wait("left => +document.querySelector('#n-open').innerText === left", left)
    reader.wait_for_text("#current", f"Slice {first} ")


def test_accepts_are_taken_back_and_undone(reader):
    reader.select("spleen")
    left = reader.number("open")
    reader.page.click("#accept")
    reader.wait("left => +document.querySelector('#n-open').innerText === left - 1", left)
    assert reader.page.get_attribute("#profile .current", "data-mark") == "accepted"
    reader.wait_for_text("#accept", "Undo accept")
    reader.page.click("#accept")
    reader.wait("left => +document.querySelector('#n-open').innerText === left", left)
    reader.page.click("#accept-all")
    reader.wait("() => [...document.querySelectorAll('tr.selected td')].at(-1).innerText === '✓'")
    reader.page.keyboard.press("Control+z")
    reader.wait("left => +document.querySelector('#n-open').innerText === left", left)
    reader.page.click("#redo")
    reader.wait("left => +document.querySelector('#n-open').innerText < left", left)
    reader.page.click("#undo")
    reader.wait("left => +document.querySelector('#n-open').innerText === left", left)


def bars_of(reader) -> dict[str, str]:
    """Height of each bar of the profile, by slice."""
    return dict(
        reader.page.eval_on_selector_all(
            "#profile .slice", "bars => bars.map(b => [b.dataset.k, b.querySelector('.dsc').getAttribute('height')])"
        )
    )


def test_an_erased_slice_is_scored_again_alone_and_the_stroke_undone(reader):
    reader.select("liver")
    middle = reader.page.locator("#profile .slice").nth(reader.page.locator("#profile .slice").count() // 2)
    k = middle.get_attribute("data-k")
    middle.locator(".hit").click()
    reader.wait("k => document.querySelector('#profile .current').dataset.k === k", k)
    reader.page.click("#alone")
    shown = reader.picture()
    before = bars_of(reader)
    rows, columns = np.nonzero(colored(shown))  # the mask alone has a color
    row, column = TOP + int(np.median(rows)), LEFT + int(np.median(columns))
    reader.page.keyboard.press("e")
    reader.wait_for_text(".tool", "Erasing liver")
    reader.drag((column - 25, row), (column + 25, row))
    reader.page.wait_for_selector(f'#profile .slice[data-k="{k}"] .edited')
    reader.wait("() => !document.querySelector('#cancel')")
    after = bars_of(reader)
    assert {k for k in before if after.get(k) != before[k]} == {k}
    assert reader.page.locator("#profile .edited").count() == 1
    assert not np.array_equal(reader.picture(), shown)
    reader.page.click("#undo-edit")
    reader.wait("() => !document.querySelector('#profile .edited')")
    assert bars_of(reader) == before
    reader.page.keyboard.press("Escape")
    reader.wait("() => !document.querySelector('.tool')")
    reader.page.click("#alone")


def magenta_or_blue(picture) -> np.ndarray:
    """Where a picture of the axial view has the colors of errors, away from the writing."""
    _red, green, blue = np.moveaxis(picture.astype(int)[TOP:-TOP, LEFT:-RIGHT], 2, 0)
    return (blue - green > 45) & (blue > 110)


def test_an_error_island_is_found_applied_and_undone(reader):
    reader.select("spleen")
    plain, before = reader.picture(), bars_of(reader)
    reader.page.keyboard.press("i")
    reader.wait_for_text("#errors-told", "Island 1 of ")
    assert reader.shown == reader.slice
    errors = reader.picture(other_than=plain)
    assert magenta_or_blue(errors).sum() > magenta_or_blue(plain).sum() + 50
    reader.page.click("#apply-island")
    reader.page.wait_for_selector("#profile .edited")
    reader.wait("() => !document.querySelector('#cancel')")
    edited = reader.page.eval_on_selector_all("#profile .slice", """
        slices => slices.filter(s => s.querySelector('.edited')).map(s => s.dataset.k)""")
    after = bars_of(reader)
    assert {k for k in before if after.get(k) != before[k]} <= set(edited)
    assert np.mean([float(after[k]) for k in edited if k in after]) > np.mean([float(before[k]) for k in edited])
    assert magenta_or_blue(reader.picture(other_than=errors)).sum() < magenta_or_blue(errors).sum()
    reader.wait_for_text("#errors-told", "Applied: predicted DSC ")
    reader.page.click("#undo-edit")
    reader.wait("() => !document.querySelector('#profile .edited')")
    assert bars_of(reader) == before
    reader.page.keyboard.press("x")
    reader.page.wait_for_selector("#errors-told", state="detached")
    assert reader.text("#errors") == "Show errors"


def test_a_slice_gets_the_expected_contour(reader):
    reader.select("spleen")
    reader.page.click("#errors")
    reader.wait_for_text("#errors-told", "This slice: ")
    reader.page.keyboard.press("v")
    reader.page.wait_for_selector("#profile .current .edited")
    reader.wait("() => !document.querySelector('#cancel')")
    assert reader.page.locator("#profile .edited").count() == 1
    reader.page.click("#undo-edit")
    reader.wait("() => !document.querySelector('#profile .edited')")
    reader.page.click("#errors")
    reader.page.wait_for_selector("#errors-told", state="detached")


def test_a_painted_slice_is_kept_and_exported(reader, review_files):
    reader.select("kidney right")
    reader.page.locator("#profile .slice").first.locator(".hit").click()
    reader.picture()
    reader.page.click("#paint")
    reader.wait_for_text(".tool", "Painting kidney right")
    size = reader.page.locator("#axial").bounding_box()
    reader.drag((size["width"] / 2, size["height"] / 2), (size["width"] / 2 + 40, size["height"] / 2))
    reader.page.wait_for_selector("#profile .edited")
    reader.wait("() => !document.querySelector('#cancel')")
    reader.wait_for_text("#window-level", "W 400 · L 40")  # dragging has painted
    reader.page.keyboard.press("Escape")
    reader.page.click("#accept")
    reader.wait_for_text("#accept", "Undo accept")
    reader.page.click("#export")
    reader.wait_for_text("#note", "Exported")
    out = review_files.out
    for name in ("segments.csv", "slices.csv", "report.json", "report.html", "scored.seg.nrrd"):
        assert (out / name).is_file(), name
    with open(out / "segments.csv", encoding="utf-8", newline="") as stream:
        assert len(list(csv.DictReader(stream))) == 5
    ct = read_ct(review_files.ct)
    original = read_segmentation(review_files.seg, ct, names=str(review_files.names))
    exported = {s.name: s for s in read_segmentation(out / "scored.seg.nrrd", ct)}
    assert "spleen: remove" in {s.name for s in read_segmentation(out / "errors.seg.nrrd", ct)}
    assert "expected contour dashed" in (out / "report.html").read_text(encoding="utf-8")
    old = next(s for s in original if s.name == "kidney right")
    assert exported["kidney right"].areas.sum() > old.areas.sum()
    kidney = next(s for s in read_report_json(out / "report.json").segments if s.name == "kidney right")
    assert f"{kidney.predicted_dsc:.2f}" == reader.row("kidney right")[1]


def test_a_reload_goes_on_where_it_was(reader):
    rows = reader.rows()
    reader.page.reload()
    reader.page.wait_for_selector("tbody tr.selected")
    assert reader.rows() == rows
    assert reader.picture().max() > 100


def test_the_used_token_is_of_no_use_to_another_browser(reader, browser, served):
    other = browser.new_context()
    assert other.new_page().goto(served.address).status == 403
    other.close()


def test_without_the_cookie_nothing_is_served(reader, served):
    for path in ("/", "/index.html", "/quality_sentinel/page.html", "/ws", f"/?token={'x' * 43}"):
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(f"http://127.0.0.1:{served.port}{path}")


def test_the_cookie_without_the_secret_gets_nothing_from_the_websocket(reader, served):
    """As a server on another port of this computer could try, which browsers send the cookie to."""
    cookie = "; ".join(f"{c['name']}={c['value']}" for c in reader.page.context.cookies())

    async def ask(secret: str) -> list[dict]:
        address = f"http://127.0.0.1:{served.port}/ws"
        async with aiohttp.ClientSession() as session, session.ws_connect(address, headers={"Cookie": cookie}) as ws:
            answers = []
            for number, method, arguments in (
                ("system:c0:0", "wslink.hello", [{"secret": secret}]),
                ("rpc:c0:1", "trame.state.get", []),
            ):
                call = {"wslink": "1.0", "id": number, "method": method, "args": arguments, "kwargs": {}}
                for chunk in generate_chunks(msgpack.packb(call), 1 << 20):
                    await ws.send_bytes(chunk)
                answers.append(UnChunker().process_chunk((await ws.receive()).data))
            return answers

    with ThreadPoolExecutor(1) as pool:  # Playwright's event loop runs in this thread
        for secret in ("wslink-secret", "", served.address.partition("token=")[2]):
            hello, state = pool.submit(asyncio.run, ask(secret)).result(60)
            assert "Authentication failed" in hello["error"]["message"]
            assert "Unauthorized" in state["error"]["message"] and "result" not in state


def test_it_listens_on_the_loopback_address_alone(served):
    addresses = {
        address for _, _, _, _, (address, *_) in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)
    }
    for address in addresses - {"127.0.0.1"}:
        with pytest.raises(ConnectionError), socket.create_connection((address, served.port), timeout=2):
            pass


def test_nothing_went_wrong_in_the_page(reader):
    assert reader.errors == []


def test_ctrl_c_ends_it_and_the_review_is_kept(reader, served, review_files):
    assert served.end() == 0
    assert any("saved in" in line for line in served.lines)
    assert not any("Traceback" in line for line in served.lines)
    kept = json.loads((review_files.out / "review.json").read_text(encoding="utf-8"))
    assert kept["corrected"]
    assert any(segment["accepted"] for segment in kept["review"]["segments"].values())
