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
    scores = [float(row[1]) for row in reader.rows()]
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
        "#strip .slice rect.dsc", "bars => Math.min(...bars.map(bar => bar.height.baseVal.value))"
    )
    current = reader.page.eval_on_selector("#strip .current rect.dsc", "bar => bar.height.baseVal.value")
    assert current == worst


def test_the_selected_segment_is_shown_alone_and_back(reader):
    before = reader.picture()
    reader.page.click("#alone")
    reader.picture(other_than=before)
    reader.page.click("#alone")
    reader.picture(like=before)


def test_masks_are_colored_by_segment_by_slice_or_by_their_own(reader):
    by_segment = reader.picture()
    legend = reader.page.get_attribute("#legend i", "style")
    reader.page.click("#colors [data-mode=slices]")
    by_slice = reader.picture(other_than=by_segment)
    reader.page.click("#color-blind")
    reader.picture(other_than=by_slice)
    reader.wait("old => document.querySelector('#legend i').getAttribute('style') !== old", legend)
    reader.page.click("#color-blind")
    reader.picture(like=by_slice)
    reader.page.click("#colors [data-mode=own]")
    reader.page.wait_for_selector("#legend", state="hidden")
    reader.picture(other_than=by_slice)
    reader.page.keyboard.press("c")
    reader.page.keyboard.press("c")
    reader.wait("() => document.querySelector('#colors [data-mode=segments]').classList.contains('on')")
    reader.picture(like=by_segment)


def test_a_click_in_the_strip_plot_jumps_there(reader):
    bars = reader.page.locator("#strip .slice")
    for bar in (bars.first, bars.last):
        k = int(bar.get_attribute("data-k"))
        bar.locator(".hit").click()
        reader.wait("k => document.querySelector('#strip .current').dataset.k === k", str(k))
        assert reader.shown == reader.slice


def test_space_goes_through_the_flagged_slices_and_back(reader):
    reader.select("spleen")
    open_slices = [
        int(k) for k in reader.page.eval_on_selector_all(
            "#strip .slice", "bars => bars.filter(b => b.dataset.mark).map(b => b.dataset.k)"
        )
    ]  # fmt: skip
    reader.page.locator(f'#strip .slice[data-k="{open_slices[0]}"] .hit').click()
    reader.page.click("#alone")  # a focused box that Space would tick
    reader.page.keyboard.press("Space")
    reader.wait("k => document.querySelector('#strip .current').dataset.k === k", str(open_slices[1]))
    assert reader.page.is_checked("#alone")
    reader.page.keyboard.press("Shift+Space")
    reader.wait("k => document.querySelector('#strip .current').dataset.k === k", str(open_slices[0]))
    reader.page.click("#next")
    reader.wait("k => document.querySelector('#strip .current').dataset.k === k", str(open_slices[1]))
    reader.page.click("#previous")
    reader.wait("k => document.querySelector('#strip .current').dataset.k === k", str(open_slices[0]))
    assert reader.shown == reader.slice
    assert "spleen" in reader.text("#flags")
    reader.page.click("#alone")


def test_the_wheel_scrolls_and_the_strip_plot_follows(reader):
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


def test_accepts_are_taken_back_and_undone(reader):
    reader.select("spleen")
    left = reader.number("open")
    reader.page.click("#accept")
    reader.wait("left => +document.querySelector('#n-open').innerText === left - 1", left)
    assert reader.page.get_attribute("#strip .current", "data-mark") == "accepted"
    reader.page.click("#unaccept")
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
    """Height of each bar of the strip plot, by slice."""
    return dict(
        reader.page.eval_on_selector_all(
            "#strip .slice", "bars => bars.map(b => [b.dataset.k, b.querySelector('.dsc').getAttribute('height')])"
        )
    )


def test_an_erased_slice_is_scored_again_alone_and_the_stroke_undone(reader):
    reader.select("liver")
    middle = reader.page.locator("#strip .slice").nth(reader.page.locator("#strip .slice").count() // 2)
    k = middle.get_attribute("data-k")
    middle.locator(".hit").click()
    reader.wait("k => document.querySelector('#strip .current').dataset.k === k", k)
    reader.page.click("#alone")
    shown = reader.picture().astype(int)
    before = bars_of(reader)
    colored = np.ptp(shown[60:-60, 20:-220], axis=2) > 40  # the mask alone has a color
    rows, columns = np.nonzero(colored)
    row, column = 60 + int(np.median(rows)), 20 + int(np.median(columns))
    reader.page.keyboard.press("e")
    reader.wait_for_text(".tool", "Erasing liver")
    reader.drag((column - 25, row), (column + 25, row))
    reader.page.wait_for_selector(f'#strip .slice[data-k="{k}"] .edited')
    reader.wait("() => !document.querySelector('#cancel')")
    after = bars_of(reader)
    assert {k for k in before if after.get(k) != before[k]} == {k}
    assert reader.page.locator("#strip .edited").count() == 1
    assert not np.array_equal(reader.picture(), shown)
    reader.page.click("#undo-stroke")
    reader.wait("() => !document.querySelector('#strip .edited')")
    assert bars_of(reader) == before
    reader.page.keyboard.press("Escape")
    reader.wait("() => !document.querySelector('.tool')")
    reader.page.click("#alone")


def test_a_painted_slice_is_kept_and_exported(reader, review_files):
    reader.select("kidney right")
    reader.page.locator("#strip .slice").first.locator(".hit").click()
    reader.picture()
    reader.page.click("#paint")
    reader.wait_for_text(".tool", "Painting kidney right")
    size = reader.page.locator("#axial").bounding_box()
    reader.drag((size["width"] / 2, size["height"] / 2), (size["width"] / 2 + 40, size["height"] / 2))
    reader.page.wait_for_selector("#strip .edited")
    reader.wait("() => !document.querySelector('#cancel')")
    reader.page.keyboard.press("Escape")
    reader.page.click("#accept")
    reader.wait("() => document.querySelector('#n-accepted') && document.querySelector('#unaccept')")
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
    assert any("kept in" in line for line in served.lines)
    assert not any("Traceback" in line for line in served.lines)
    kept = json.loads((review_files.out / "review.json").read_text(encoding="utf-8"))
    assert kept["corrected"]
    assert any(segment["accepted"] for segment in kept["review"]["segments"].values())
