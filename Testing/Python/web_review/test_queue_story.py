"""An annotator's day with a list of ``select`` in the browser. The steps follow each other: one list, one browser."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("aiohttp", reason="needs the extra 'review'")

from Testing.Python.audit.conftest import TorsoWriter

from QualitySentinelLib.commands.main import main
from QualitySentinelLib.datasets.pool import LIST_COLUMNS, read_list
from QualitySentinelLib.reading import read_ct, read_segmentation
from QualitySentinelLib.scores.tables import write_table

from .reader_page import Page, opened
from .serving import served_review
from .test_review_story import LEFT, TOP, colored

pytestmark = pytest.mark.chromium
SLICE = 8
"""A slice of the torso's liver and spleen, by the file's own number."""


@pytest.fixture(scope="module")
def pool(a_torso, tmp_path_factory):
    """Three cases, one of them damaged, and the list: a whole case, the damaged one, two slices of the last."""
    folder = tmp_path_factory.mktemp("queue")
    for name in ("a", "b", "c"):
        a_torso.write(folder / "pool" / name / "ct.nii.gz", a_torso.hu)
        a_torso.write(folder / "pool" / name / "seg.nii.gz", a_torso.labels)
        a_torso.write_names(folder / "pool" / name / "labels.json")
    (folder / "pool" / "b" / "ct.nii.gz").write_bytes(b"damaged")
    rows = [("a", "", None, "predicted DSC 0.31"), ("b", "", None, ""), ("c", "liver", SLICE, "predicted DSC 0.4"),
            ("c", "spleen", SLICE + 1, "predicted DSC 0.5")]  # fmt: skip
    table = [(n, *row[:3], 0.5, 1.0, row[3]) for n, row in enumerate(rows, 1)]
    write_table(folder / "next" / "selection.csv", LIST_COLUMNS, table)
    return folder


@pytest.fixture(scope="module")
def served(pool):
    pytest.importorskip("trame_slicer", reason="needs the extra 'review'")
    with served_review(["--queue", "next/selection.csv", "--data", "pool"], pool) as served:
        yield served


@pytest.fixture(scope="module")
def annotator(browser, served) -> Page:
    with opened(browser, served.address) as page:
        yield page


def scored(page: Page, case: str) -> None:
    page.wait("name => document.querySelector('.bar .case[title=\"' + name + '\"]')", case)
    page.wait("() => !document.querySelector('#cancel') && document.querySelectorAll('tbody tr').length === 2")


def test_the_first_case_is_open_and_its_reason_is_told(annotator):
    annotator.wait_for_text("#queue-place", "Case 1 of 3 · predicted DSC 0.31")
    scored(annotator, "a")


def test_done_saves_what_was_painted_and_opens_the_next_case_that_can_be_read(annotator, pool):
    annotator.select("liver")
    annotator.page.locator(f'#profile .slice[data-k="{SLICE}"] .hit').click()
    annotator.wait("k => document.querySelector('#profile .current').dataset.k === k", str(SLICE))
    annotator.page.click("#alone")
    rows, columns = np.nonzero(colored(annotator.picture()))  # the mask alone has a color
    row, column = TOP + int(np.median(rows)), LEFT + int(np.median(columns))
    annotator.page.keyboard.press("e")
    annotator.wait_for_text(".tool", "Erasing liver")
    annotator.drag((column - 25, row), (column + 25, row))
    annotator.page.wait_for_selector("#undo-edit:not([disabled])")
    annotator.page.keyboard.press("Shift+D")  # before the slice is scored again
    annotator.wait_for_text("#queue-place", "Case 3 of 3 · liver · slice")
    assert annotator.text("#queue-passed") == "1 passed over"
    assert "b: " in annotator.page.get_attribute("#queue-passed", "title")
    scored(annotator, "c")
    assert [row.case for row in read_list(pool / "next" / "done.csv")] == ["a"]
    ct = read_ct(pool / "pool" / "a" / "ct.nii.gz")
    corrected = read_segmentation(pool / "next" / "corrected" / "a.seg.nrrd", ct)
    original = read_segmentation(pool / "pool" / "a" / "seg.nii.gz", ct)
    areas = [sum(int(s.areas.sum()) for s in masks) for masks in (corrected, original)]
    assert areas[0] < areas[1], "the stroke is in the corrections, and not in the pool"


def test_rows_of_slices_jump_there_and_the_page_lives_on(annotator):
    annotator.wait("k => +document.querySelector('#shown').innerText.split(' ')[1] === k", SLICE)
    assert annotator.text(".slices h2 span") == "liver" and annotator.slice == SLICE
    shown = annotator.picture()
    annotator.page.keyboard.press("o")
    annotator.picture(other_than=shown)
    annotator.page.keyboard.press("o")
    annotator.page.keyboard.press("b")
    annotator.wait_for_text("#queue-place", "spleen · slice")
    annotator.wait("() => document.querySelector('.slices h2 span').innerText === 'spleen'")
    assert annotator.slice == SLICE + 1


def test_a_slip_is_taken_back(annotator, pool):
    annotator.page.keyboard.press("Shift+G")
    annotator.wait_for_text("#queue-place", "back to the pool")
    annotator.page.click("#queue-back")
    annotator.wait("() => !document.querySelector('#queue-place').innerText.includes('back')")
    assert read_list(pool / "next" / "back_to_pool.csv") == []
    annotator.page.click("#queue-back")
    annotator.wait_for_text("#queue-place", "spleen · slice")


def test_a_second_person_is_refused(annotator, pool, capsys):
    assert main(["review", "--queue", str(pool / "next" / "selection.csv"), "--data", str(pool / "pool")]) == 2
    assert "its list is open elsewhere" in capsys.readouterr().err


def test_in_the_end_the_next_command_is_told(annotator, served):
    annotator.page.click("#queue-done")
    annotator.wait_for_text("#queue-command", "quality-sentinel select pool --budget 4cases --done next/done.csv")
    assert annotator.text("#queue-place") == "2 done, 1 back to the pool, 1 open"
    assert annotator.page.is_disabled("#queue-done") and annotator.page.is_enabled("#queue-previous")
    assert not annotator.errors
    assert served.end() == 0
    said = "\n".join(served.lines)
    assert "passed over: b:" in said and "Next round: quality-sentinel select" in said


def test_after_a_restart_nothing_is_left_to_open(pool, capsys, monkeypatch):
    monkeypatch.chdir(pool)
    assert main(["review", "--queue", "next/selection.csv", "--data", "pool"]) == 0
    assert "2 done, 1 back to the pool, 1 open" in capsys.readouterr().out


def test_a_list_of_dicom_series_is_worked_through(browser, a_torso, tmp_path):
    pytest.importorskip("trame_slicer", reason="needs the extra 'review'")
    first, second = TorsoWriter(a_torso).dicom_list(tmp_path)
    arguments = ["--queue", "next/selection.csv", "--data", "pool"]
    with served_review(arguments, tmp_path) as served, opened(browser, served.address) as page:
        page.wait_for_text("#queue-place", "Case 1 of 2 · reason 1")
        scored(page, first)
        page.page.keyboard.press("Shift+D")
        page.wait_for_text("#queue-place", "Case 2 of 2 · reason 2")
        scored(page, second)
    assert [row.case for row in read_list(tmp_path / "next" / "done.csv")] == [first]
    ct = read_ct(tmp_path / "pool" / "a" / "ct")
    corrected = read_segmentation(tmp_path / "next" / "corrected" / f"{first}.seg.nrrd", ct)
    assert {s.structure: int(s.areas.sum()) for s in corrected} == {
        name: np.count_nonzero(a_torso.labels == value) for value, name in a_torso.names.items()
    }
