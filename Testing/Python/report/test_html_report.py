from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from QualitySentinelLib.report import write_html_report
from QualitySentinelLib.report.text import case_title
from QualitySentinelLib.scores import CaseScore, dsc_color, flag
from QualitySentinelLib.volume import Segmentation

pytestmark = pytest.mark.chromium


@pytest.fixture
def open_report(open_offline, tmp_path, a_scored_case):
    """Writes the report of a case (by default the scored one) and opens it."""

    def opened(case=a_scored_case.score, segmentation=a_scored_case.segmentation, width=1000, **options):
        path = write_html_report(
            tmp_path / "report.html", case, a_scored_case.ct, segmentation, created=datetime(2026, 5, 4, tzinfo=UTC)
        )
        return open_offline(path, width, **options)

    return opened


def segments_in(page) -> list[str]:
    """Names of the rows in sight, as the table orders them, in short."""
    names = page.locator("tbody:visible .opener").all_inner_texts()
    return ["hostile" if "script" in name else name for name in names]


def test_the_worst_segment_comes_first_and_those_without_a_score_last(open_report):
    assert segments_in(open_report()) == ["hostile", "liver", "spleen", "gallbladder"]


def test_the_header_says_what_was_scored_how_and_when(open_report):
    header = open_report().locator("header").inner_text()
    scored_on = "cpu (openvino, float32), 1 min 15 s"
    for words in ("a <b>case.nii.gz", "seg.nii.gz", "small", "0123456789ab", "DSC 0.8", "2026-05-04", scored_on):
        assert words in header
    assert "somebody" not in header


def test_the_page_says_that_there_is_no_ground_truth_and_repeats_the_warnings(open_report):
    text = open_report().locator("main").inner_text()
    assert "estimate made without a ground truth" in text
    assert "the CT was offset by 1024 & corrected" in text


def test_the_tiles_count_segments_and_slices(open_report, a_scored_case):
    page = open_report()
    tiles = page.locator(".tiles li").all_inner_texts()
    n_flagged = sum(s.n_flagged for s in a_scored_case.score.segments)
    assert "of 4 segments scored, 1 empty, 1 of unknown structure" in tiles[0].replace("\n", " ")
    assert page.locator("abbr", has_text="?").count() == 1  # a score of an unknown structure is no plain number
    assert tiles[0].startswith("3")
    assert tiles[2].startswith(str(n_flagged))
    assert "in 2 segments" in tiles[2]


def test_a_hostile_name_is_only_shown(open_report):
    page = open_report()
    page.click("#expand")
    page.wait_for_timeout(50)
    assert page.evaluate("window.hacked") is None
    assert page.locator("img[src=x]").count() == 0
    assert "{{ 7 * 7 }}" in page.locator("#segment-1 .opener").inner_text()


def test_a_click_on_a_head_sorts_and_another_turns_the_order(open_report):
    page = open_report()
    page.click("button[data-sort=name]")
    assert segments_in(page) == ["hostile", "gallbladder", "liver", "spleen"]
    page.click("button[data-sort=name]")
    assert segments_in(page) == ["spleen", "liver", "gallbladder", "hostile"]
    assert page.locator("th.c-name[aria-sort=descending]").count() == 1


def test_a_segment_without_a_score_stays_last_in_either_order(open_report):
    page = open_report()
    page.click("button[data-sort=dsc]")
    assert segments_in(page) == ["hostile", "liver", "spleen", "gallbladder"]
    page.click("button[data-sort=dsc]")
    assert segments_in(page) == ["spleen", "liver", "hostile", "gallbladder"]


def test_the_table_can_be_searched_and_filtered(open_report):
    page = open_report()
    page.fill("#find", "SPL")
    assert segments_in(page) == ["spleen"]
    page.fill("#find", "")
    page.select_option("#show", "flagged")
    assert segments_in(page) == ["hostile", "liver"]
    page.select_option("#show", "unscored")
    assert segments_in(page) == ["gallbladder"]
    assert page.inner_text("#count") == "1 of 4 segments"


def test_a_row_opens_on_its_plot_with_a_mark_for_every_slice(open_report, a_scored_case):
    page = open_report()
    liver = page.locator("tbody[data-name=liver]")
    assert not liver.locator("svg.plot").is_visible()
    liver.locator(".opener").click()
    assert liver.locator("svg.plot").is_visible()
    assert liver.locator(".flagged").count() == 3
    assert liver.locator(".point").count() == a_scored_case.score["1"].n_scored - 3
    first = a_scored_case.score["1"].slices[0]
    assert f"slice {first.slice_index}" in liver.locator(".flagged title").first.text_content()


def test_every_scored_segment_has_a_plot_and_an_empty_one_an_explanation(open_report):
    page = open_report()
    page.click("#expand")
    assert page.locator("svg.plot:visible").count() == 3
    assert "no voxel" in page.locator("tbody[data-name=gallbladder] .detail").inner_text()


def test_a_link_under_a_picture_leads_to_the_segments_row(open_report):
    page = open_report()
    page.click(".slices a:has-text('liver')")
    plot = page.locator("tbody[data-name=liver] svg.plot")
    plot.wait_for()  # the browser tells of the new address a moment after the click
    assert plot.is_visible()


def test_flagged_segments_have_pictures_of_their_worst_slices(open_report, a_scored_case):
    page = open_report()
    liver = page.locator("tbody[data-name=liver]")
    liver.locator(".opener").click()
    captions = liver.locator("figcaption").all_inner_texts()
    assert [re.search(r"0\.\d+", c).group() for c in captions] == ["0.30", "0.40", "0.50"]
    worst = a_scored_case.score["1"].slices[0]
    assert f"slice {worst.slice_index}" in captions[0]
    assert page.locator("tbody[data-name=spleen] .detail img").count() == 0


def test_every_picture_is_decoded_and_shows_something(open_report):
    page = open_report()
    page.click("#expand")
    looks = page.evaluate(
        """async () => Promise.all(Array.from(document.querySelectorAll("figure img")).map(async (img) => {
            await img.decode();
            const canvas = document.createElement("canvas");
            canvas.width = img.naturalWidth; canvas.height = img.naturalHeight;
            const context = canvas.getContext("2d");
            context.drawImage(img, 0, 0);
            const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
            const greys = new Set(pixels.filter((_, i) => i % 4 === 1));
            return [img.naturalWidth, greys.size];
        }))"""
    )
    assert len(looks) >= 2 + 2 + 4  # overview, the worst of the case, the worst of the segments
    assert all(width > 100 and greys > 30 for width, greys in looks)


@pytest.mark.parametrize("width", [1000, 400])
def test_nothing_runs_over_the_side_of_the_window(open_report, width):
    page = open_report(width=width)
    page.click("#expand")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("tbody[data-name=liver] .opener").bounding_box()["height"] < 30  # on one line


def test_dark_follows_the_system(open_report):
    background = "getComputedStyle(document.body).backgroundColor"
    light = open_report(color_scheme="light").evaluate(background)
    dark = open_report(color_scheme="dark").evaluate(background)
    assert min(map(int, re.findall(r"\d+", light))) > 200
    assert max(map(int, re.findall(r"\d+", dark))) < 60


def test_without_scripts_everything_is_still_there(open_report):
    page = open_report(java_script_enabled=False)
    assert page.locator("svg.plot:visible").count() == 3
    assert not page.locator(".tools").is_visible()


def test_the_threshold_of_the_case_is_the_pages(open_report, a_scored_case):
    flag(a_scored_case.score, 0.35)
    page = open_report()
    assert "DSC 0.35" in page.locator("header").inner_text()
    assert page.locator("tbody[data-name=liver] .flagged").count() == 1


@pytest.mark.parametrize(
    ("threshold", "text"), [(0.805, "DSC 0.805"), (0.8, "DSC 0.8"), (1.0, "DSC 1.0"), (0.0, "DSC 0.0")]
)
def test_the_threshold_is_told_as_it_was_given(a_scored_case, tmp_path, threshold, text):
    flag(a_scored_case.score, threshold)
    path = write_html_report(tmp_path / "r.html", a_scored_case.score, a_scored_case.ct, a_scored_case.segmentation)
    assert f"<dd>{text}</dd>" in path.read_text(encoding="utf-8")


def test_own_thresholds_are_told_and_drawn_for_each_structure(a_scored_case, tmp_path):
    case = a_scored_case.score
    flags = {"threshold": [0, 1], "share": [0, 1], "structures": {"liver": 0.37}, "structures_share": 0.06}
    case.model["calibration"], case.own_thresholds = {"flags": flags}, True
    flag(case)
    path = write_html_report(tmp_path / "r.html", case, a_scored_case.ct, a_scored_case.segmentation)
    text = path.read_text(encoding="utf-8")
    assert "<dd>one for each structure, others DSC 0.8</dd>" in text
    assert "these thresholds flagged 6&nbsp;%" in text and "at most 5&nbsp;%" in text
    limits = re.findall(r'class="limit" style="left:([\d.]+)%', text)
    assert sorted(set(limits)) == ["37.0", "80.0"]
    assert text.count("threshold 0.37") >= 1


def test_a_case_with_nothing_below_the_threshold_shows_its_lowest_slices(open_report, a_scored_case):
    flag(a_scored_case.score, 0.0)
    page = open_report()
    assert page.locator("text=Nothing is below the threshold").is_visible()
    assert page.locator("main > section .slices").first.locator("img").count() == 3


def test_a_case_without_segments_has_a_page_too(open_report, a_scored_case):
    page = open_report(CaseScore([], 0.8), Segmentation([], a_scored_case.ct.frame))
    assert page.locator("text=The segmentation has no segments").is_visible()


def test_the_worst_slices_come_before_the_fold_in_the_tables_order_and_the_explanation_is_folded(open_report):
    page = open_report(width=1280)
    first = page.locator("main > section .slices").first
    box = first.locator("img").first.bounding_box()
    assert box["y"] + box["height"] < 800
    assert [caption.split()[0] for caption in first.locator("figcaption").all_inner_texts()] == ["1", "2"]
    assert not page.get_by_text("no proof that a mask is right").is_visible()
    page.click("summary")
    assert page.get_by_text("no proof that a mask is right").is_visible()


def test_a_switch_turns_every_color_to_the_color_blind_safe_scale(open_report):
    page = open_report(java_script_enabled=False)
    chip = "getComputedStyle(document.querySelector('tbody .chip')).backgroundColor"
    rgb = f"rgb({', '.join(str(round(255 * c)) for c in dsc_color(0.2, 'color-blind-safe'))})"
    strips = page.locator("tbody .strip.color-blind-safe")
    assert page.evaluate(chip) != rgb and not strips.first.is_visible()
    page.check("#color-blind-safe")
    assert page.evaluate(chip) == rgb and strips.first.is_visible()
    assert page.locator(".overview .color-blind-safe:visible").count() == 2
    assert page.locator("img.red-yellow-green:visible").count() == 0


def test_every_picture_says_what_it_shows(open_report):
    alts = open_report().locator("img").evaluate_all("images => images.map(image => image.alt)")
    assert len(alts) > 8 and all(len(alt) > 15 for alt in alts)


@pytest.mark.parametrize(
    ("source", "title"),
    [
        ("/data/patient 7/ct.nii.gz", "patient 7"), ("C:\\data\\patient 7\\CT.nrrd", "patient 7"),
        ("/data/patient 7/DICOM", "patient 7"), ("/data/patient 7.nii.gz", "patient 7.nii.gz"), ("ct", "ct"), ("", ""),
    ],
)  # fmt: skip
def test_a_case_whose_file_is_just_called_ct_is_called_after_its_folder(source, title):
    assert case_title(source) == title


def test_missed_slices_are_counted_pictured_and_marked(open_report, a_case_with_missed_slices):
    page = open_report()
    tile = page.locator(".tiles li").nth(3).inner_text().replace("\n", " ")
    assert tile == "2 missed slices, in 1 segment: mask missing, structure expected"
    page.select_option("#show", "missed")
    assert segments_in(page) == ["spleen"]
    spleen = page.locator("tbody[data-name=spleen]")
    assert "2 missed" in spleen.locator(".c-flagged").inner_text()
    spleen.locator(".opener").click()
    titles = spleen.locator(".missed title").all_text_contents()
    places = [s.slice_index for s in a_case_with_missed_slices.score["2"].missed_slices]
    assert sorted(titles) == sorted(t for t in titles for n in places if f"slice {n}," in t)
    assert all("mask missing, structure expected" in t for t in titles)
    captions = spleen.locator("figcaption").all_inner_texts()
    assert len(captions) == 2 and all("mask missing, structure expected" in c for c in captions)
    assert "mask missing" in page.locator("main > section .slices").first.inner_text()


def test_a_case_that_was_not_searched_for_missed_slices_does_not_speak_of_them(open_report):
    page = open_report()
    assert "missed slice" not in page.locator("main").inner_text()
    assert page.locator("#show option[value=missed]").count() == 0


def test_ranges_stand_beside_the_dsc_of_segments_and_slices(open_report, a_scored_case):
    page = open_report()
    liver = page.locator("tbody[data-name=liver]")
    score = a_scored_case.score["1"]
    assert f"{score.dsc_low:.2f}–{score.dsc_high:.2f}" in liver.locator(".c-dsc").inner_text()
    liver.locator(".opener").click()
    assert "0.27–0.44" in liver.locator("figcaption").first.inner_text()
    assert "DSC 0.30 (0.27–0.44), below the threshold" in liver.locator(".flagged title").first.text_content()
    assert liver.locator(".band").count() == 1
    assert "90 % of cases" in page.locator(".how").text_content()


@pytest.mark.parametrize("width", [1000, 400])
def test_missed_slices_widen_no_row(open_report, a_case_with_missed_slices, width):
    page = open_report(width=width)
    cell = page.locator("tbody[data-name=spleen] .c-flagged")
    assert cell.evaluate("cell => cell.scrollWidth <= cell.clientWidth")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
