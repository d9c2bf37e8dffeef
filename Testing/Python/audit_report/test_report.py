from __future__ import annotations

import csv
import re
import time
from datetime import UTC, datetime

import nibabel
import numpy as np
import pytest
from Testing.Python.audit_report.conftest import MadeAudit, add_segment, make_audit

from QualitySentinelLib.commands.main import main
from QualitySentinelLib.errors import InputError, UsageError
from QualitySentinelTrainingLib.audit.report import write_audit_report

HOSTILE = '"><script>window.hacked = 1</script><img src=x onerror="window.hacked = 1">{{ 7 * 7 }}'
WHEN = datetime(2026, 5, 4, tzinfo=UTC)


@pytest.fixture
def open_page(open_offline):
    """Opens a page of the report."""
    return lambda path, width=1100: open_offline(path, width)


@pytest.fixture
def telling(make) -> MadeAudit:
    """Twenty cases with a bad liver, a failure, a swap, a missing pancreas, and women a little worse."""
    made = make(24, sex_gap=0.03)
    made.drop("c002", "liver")
    add_segment(made, "c002", "liver", (80, 0, 0), [0.3, 0.5, 0.9, 0.95], missed=[0.1])
    left, right = made.segment("c004", "kidney_left"), made.segment("c004", "kidney_right")
    left["centroid_r_mm"], right["centroid_r_mm"] = right["centroid_r_mm"], left["centroid_r_mm"]
    made.drop("c006", "pancreas")
    made.cases.append(made.cases[0] | {"case": "broken", "status": "failed", "reason": "ct.nii.gz: not a NIfTI file",
                                       "n_segments": 0})  # fmt: skip
    return made


@pytest.mark.chromium
def test_the_first_page_says_what_an_auditor_asks(telling, open_page):
    page = open_page(write_audit_report(telling.write(), created=WHEN))
    text = page.locator("body").inner_text()
    assert "24\nof 25 cases scored, 1 failed" in text
    assert "ct.nii.gz: not a NIfTI file" in text
    assert "estimate made without a ground truth" in " ".join(text.split())
    assert "2026-05-04" in text
    assert page.locator("#cases tbody tr", has_text="c002").locator("td").nth(2).inner_text() == "liver"
    assert page.locator("#structures tbody tr").first.locator("td").first.inner_text() == "pancreas"
    assert "c004" in page.locator("#swaps").inner_text()
    assert "c006" in page.locator("#missing").inner_text()
    assert page.locator("#distribution svg").count() == 2
    assert page.locator("#comparison").count() == 0
    assert re.search(r"\d+ differences in \d+ tests, by sex", page.locator("#bias").inner_text())
    assert "biased itself" in page.locator("#bias").inner_text()
    assert page.locator("#budget tbody tr").count() >= 2


@pytest.mark.chromium
def test_the_first_page_says_which_slices_were_scored_and_what_was_left_out(telling, open_page):
    telling.options |= {"key": {"slices": "8"}, "notes": ["2 CT series without a segmentation left out"]}
    text = open_page(write_audit_report(telling.write())).locator("body").inner_text()
    assert "Slices scored\nup to 8 of each segment" in text
    assert "2 CT series without a segmentation left out" in text
    assert "–\nmissed slices: not looked for, as not all slices were scored" in text


@pytest.mark.chromium
def test_where_slices_were_sampled_no_page_counts_missed_ones(telling, open_page):
    """None were looked for: a nought would read as none found."""
    telling.options["key"] = {"slices": "8"}
    folder = write_audit_report(telling.write()).parent
    page = open_page(folder / "cases" / "c004.html")
    assert "–\nmissed slices: not looked for" in page.locator(".tiles").inner_text()
    assert set(page.locator("tbody tr td:nth-child(5)").all_inner_texts()) == {"–"}
    page = open_page(folder / "cases.html")
    assert set(page.locator("#case-table td:nth-child(8)").all_inner_texts()) == {"–"}
    assert page.locator("option[value=missed]").count() == 0
    rows = csv.DictReader((folder.parent / "worst_first.csv").open(encoding="utf-8"))
    assert {row["missed_slices"] for row in rows} == {""}


@pytest.mark.chromium
def test_the_section_on_bias_says_what_it_took_for_a_patient(make, open_page):
    made = make(40)
    text = open_page(write_audit_report(made.write())).locator("#bias").inner_text()
    assert "No column tells whether several CTs are of one patient" in text
    for number, case in enumerate(made.cases):
        case |= {"meta_patient": f"p{number // 2}", "meta_sex": "MF"[number // 2 % 2]}
    text = open_page(write_audit_report(made.write())).locator("#bias").inner_text()
    assert "A patient counts once (40 CTs of 20 patients, told by the column patient)" in text


@pytest.mark.chromium
def test_a_whole_number_of_the_metadata_is_shown_as_one(telling, open_page):
    for case in telling.cases:
        case["meta_age"] = 61.0
    folder = write_audit_report(telling.write()).parent
    assert "age\n61\n" in open_page(folder / "cases" / "c002.html").locator("dl.facts").inner_text() + "\n"


def test_an_audit_that_is_not_done_is_not_compared_with(make, tmp_path, capsys):
    other = make(3, "other")
    other.options["complete"] = False
    words = ["audit", str(tmp_path), "--out", str(tmp_path / "new"), "--compare", str(other.write())]
    assert main(words) == InputError.exit_code
    assert "is not done" in capsys.readouterr().err
    assert main([*words[:-1], words[3]]) == UsageError.exit_code
    assert "is this audit itself" in capsys.readouterr().err


@pytest.mark.chromium
def test_a_case_has_a_page_with_its_slices_and_a_way_into_the_review(telling, open_page):
    page = open_page(write_audit_report(telling.write()))
    page.locator("#cases a", has_text="c002").first.click()
    page.wait_for_url("**/cases/c002.html")
    assert page.locator("h1").inner_text() == "c002"
    assert "quality-sentinel audit --open c002" in page.locator("main").inner_text()
    assert page.locator("tbody tr").first.locator("td").first.inner_text() == "liver"
    assert page.locator("svg .flagged").count() >= 2
    assert page.locator("svg path.missed").count() == 1
    page.get_by_text("better ▶").click()
    page.wait_for_function("document.querySelector('h1').innerText !== 'c002'")
    page.locator("a", has_text="Audit of").click()
    page.wait_for_url("**/index.html")


@pytest.mark.chromium
def test_all_cases_can_be_searched_filtered_and_sorted(telling, open_page):
    page = open_page(write_audit_report(telling.write()).parent / "cases.html")
    rows = page.locator("#case-table tbody tr:visible")
    assert rows.count() == 25
    page.select_option("#show", "failed")
    assert rows.count() == 1
    page.select_option("#show", "all")
    page.fill("#find", "c00")
    assert rows.count() == 10
    page.fill("#find", "")
    means = lambda: [float(v) for v in page.evaluate(  # noqa: E731
        "[...document.querySelectorAll('#case-table tbody tr')].map(r => r.cells[1].dataset.value).filter(Boolean)"
    )]  # fmt: skip
    page.get_by_role("button", name="Mean DSC").click()
    assert means() == sorted(means())
    page.get_by_role("button", name="Mean DSC").click()
    assert means() == sorted(means(), reverse=True)
    assert page.locator("#case-table tbody tr").last.locator("td").last.inner_text() == "failed"


@pytest.mark.chromium
def test_hostile_names_are_only_shown(make, open_page):
    made = make(24)
    for rows in (made.cases, made.segments, made.slices):
        for row in rows:
            if row["case"] == "c000":
                row["case"] = HOSTILE
            if row.get("segment") == "liver":
                row["segment"] = HOSTILE
    made.cases[1] |= {"dataset": HOSTILE, "meta_sex": HOSTILE}
    for case in made.cases:
        case["meta_ward"] = HOSTILE if case["meta_sex"] == "M" else "other"
    page = open_page(write_audit_report(made.write()))
    for link in ("#cases a", None):
        if link:
            page.locator(link).last.click()
        page.wait_for_timeout(50)
        assert page.evaluate("window.hacked") is None
        assert page.locator("img[src=x]").count() == 0
        assert "49" not in page.locator("h1").inner_text()


def test_a_case_keeps_its_page_whichever_is_the_worst(make):
    """A link that was kept must not lead to another case, nor two cases share a page where disks fold capitals."""
    made, found = make(2), []
    for number, case in enumerate(("lung", "Lung")):
        for rows in (made.cases, made.segments, made.slices):
            for row in rows:
                row["case"] = case if row["case"] == f"c00{number}" else row["case"]
    for bad in ("lung", "Lung"):
        for s in made.segments:
            s["predicted_dsc"] = 0.5 if s["case"] == bad else 0.9
        folder = write_audit_report(made.write()).parent / "cases"
        found.append({p.name: re.search(r"<h1>.*?>(\w+)<", p.read_text("utf-8"))[1] for p in folder.iterdir()})
    assert found[0] == found[1]
    assert sorted(found[0].values()) == ["Lung", "lung"]
    assert len({name.lower() for name in found[0]}) == 2


@pytest.mark.chromium
def test_the_page_fits_a_narrow_window(telling, open_page):
    folder = write_audit_report(telling.write()).parent
    for name in ("index.html", "cases.html", "cases/c002.html"):
        page = open_page(folder / name, width=400)
        page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
        assert page.evaluate("document.documentElement.scrollWidth") <= 400, name


@pytest.mark.chromium
def test_two_versions_of_labels_are_compared_on_the_page(make, open_page):
    one, other = make(20, "one", seed=1), make(20, "other", seed=1)
    for s in one.segments:
        if s["structure"] == "spleen":
            s["predicted_dsc"] -= 0.1
    other.write()
    page = open_page(write_audit_report(one.write(), compare_with=other.folder))
    rows = page.locator("#comparison table").first.locator("tbody tr")
    assert rows.nth(1).inner_text().startswith("spleen")
    assert "−0.100" in rows.nth(1).inner_text()
    assert (one.folder / "comparison.csv").is_file()


@pytest.mark.chromium
def test_the_comparison_says_what_it_took_for_a_patient(make, open_page):
    one, other = make(20, "one", seed=1), make(20, "other", seed=2)
    other.write()
    told = lambda: open_page(write_audit_report(one.write(), compare_with=other.folder)).locator("#comparison")  # noqa: E731
    text = " ".join(told().inner_text().split())
    assert "Differences are of one case at a time" in text and "No column tells whether several CTs" in text
    for number, case in enumerate(one.cases):
        case["meta_patient"] = f"p{number // 2}"
    section = told()
    text = " ".join(section.inner_text().split())
    assert "a patient counts once (20 CTs of 10 patients, told by the column patient), with the mean of the" in text
    assert "drawing patients anew" in text and "No column tells" not in text
    assert section.locator("tbody").first.locator("tr").first.inner_text().split("\t")[:2] == ["all structures", "10"]
    for rows in (one.cases, one.segments, one.slices):
        for row in rows:
            row["case"] = "x" + row["case"]
    text = " ".join(told().inner_text().split())
    assert "here 20 CTs of 10 patients, told by the column patient, there 20 cases. A patient counts once" in text
    assert "No column of one of the two tells" in text


def test_a_column_of_patients_that_is_not_there_is_refused(make):
    made = make(6)
    made.cases = [{k: v for k, v in c.items() if not k.startswith("meta_")} for c in made.cases]
    with pytest.raises(UsageError, match="pid: no metadata column"):
        write_audit_report(made.write(), patient="pid")


def test_no_bias_is_claimed_where_there_is_none(make):
    page = write_audit_report(make(40, seed=2).write()).read_text(encoding="utf-8")
    assert "No difference was found in" in page
    assert "That is no proof of none" in page


def test_a_data_set_without_metadata_has_no_section_on_bias(make):
    made = make(6)
    made.cases = [{k: v for k, v in c.items() if not k.startswith("meta_")} for c in made.cases]
    folder = made.write()
    assert 'id="bias"' not in write_audit_report(folder).read_text(encoding="utf-8")
    assert not (folder / "bias.csv").exists()


def test_nothing_scored_is_a_report_of_failures(make):
    made = make(2)
    for case in made.cases:
        case |= {"status": "failed", "reason": "no CT"}
    columns = {name: list(getattr(made, name)[0]) for name in ("segments", "slices")}
    folder = made.write()
    import pandas as pd

    for name, names in columns.items():
        pd.read_parquet(folder / f"{name}.parquet").head(0)[names].to_parquet(folder / f"{name}.parquet")
    page = write_audit_report(folder).read_text(encoding="utf-8")
    assert "0</b><span>of 2 cases scored, 2 failed" in page
    assert "no CT" in page


def test_all_empty_masks_are_no_stumbling_block(tmp_path):
    made = MadeAudit(tmp_path)
    made.cases = make_audit(tmp_path, 1).cases
    add_segment(made, "c000", "liver", (0, 0, 0), [])
    add_segment(made, "c000", "spleen", (0, 0, 0), [0.9])
    page = write_audit_report(made.write()).read_text(encoding="utf-8")
    assert "1 empty" in page


def test_a_second_report_leaves_nothing_of_the_first(make):
    made = make(6)
    write_audit_report(made.write(), exclude_below=0.7)
    assert (made.folder / "excluded.csv").is_file()
    made.cases = made.cases[:3]
    made.segments = [s for s in made.segments if s["case"] < "c003"]
    made.slices = [s for s in made.slices if s["case"] < "c003"]
    write_audit_report(made.write())
    assert sorted(p.name for p in (made.folder / "report" / "cases").iterdir()) == [f"c00{i}.html" for i in range(3)]
    assert not (made.folder / "excluded.csv").exists()


def test_the_same_tables_give_the_same_pages(make):
    folder = make(12).write()
    first = write_audit_report(folder, created=WHEN).read_bytes()
    assert write_audit_report(folder, created=WHEN).read_bytes() == first


def test_pages_are_for_the_worst_cases_where_there_are_many(make):
    folder = make(12).write()
    page = write_audit_report(folder, max_pages=4).read_text(encoding="utf-8")
    assert len(list((folder / "report" / "cases").iterdir())) == 4
    assert "4 worst cases have one" in " ".join(page.split())


def test_a_large_set_makes_a_small_report_quickly(make):
    folder = make_audit(make(1).folder, 1000, n_slices=4).write()
    started = time.process_time()
    write_audit_report(folder, max_pages=100)
    assert time.process_time() - started < 60
    report = folder / "report"
    assert (report / "index.html").stat().st_size < 500_000
    assert sum(p.stat().st_size for p in report.rglob("*.html")) < 6_000_000


def test_options_that_make_no_sense_are_refused_before_the_work(make):
    folder = make(2).write()
    for options in ({"budget": 0}, {"exclude_below": 2}, {"metadata": ["weight"]}):
        with pytest.raises(UsageError):
            write_audit_report(folder, **options)
    with pytest.raises(InputError):
        write_audit_report(folder, compare_with=folder / "nowhere")


@pytest.mark.chromium
def test_the_worst_slices_are_pictured_where_the_cts_are_at_hand(a_torso, tmp_path, open_page):
    data, made = tmp_path / "data", MadeAudit(tmp_path / "out")
    case = data / "p1"
    (case / "segmentations").mkdir(parents=True)
    made.cases = make_audit(tmp_path, 1).cases
    made.cases[0] |= {"case": "p1", "ct": "p1/ct.nii.gz", "seg": "p1/segmentations"}
    nibabel.save(nibabel.Nifti1Image(np.ascontiguousarray(a_torso.hu.T), a_torso.ijk_to_ras), case / "ct.nii.gz")
    for value, name in a_torso.names.items():
        mask = (a_torso.labels == value).astype(np.uint8)
        nibabel.save(
            nibabel.Nifti1Image(np.ascontiguousarray(mask.T), a_torso.ijk_to_ras),
            case / "segmentations" / f"{name}.nii.gz",
        )
        held = np.flatnonzero(mask.any(axis=(1, 2)))
        add_segment(made, "p1", name, (0, 0, 0), np.linspace(0.3, 0.95, len(held)), missed=[0.2])
        for k, row in zip([*held, held[-1] + 1], made.slices_of("p1", name), strict=True):
            row |= {"k": int(k), "slice_index": int(k)}
    page = open_page(write_audit_report(made.write(), data))
    picture = page.locator("#cases figure").first
    assert picture.locator("img").evaluate("i => i.complete && i.naturalWidth > 100")
    assert "0.30" in picture.inner_text()
    assert {f.inner_text().splitlines()[0] for f in page.locator("#structures figure").all()} == {
        "p1: liver",
        "p1: spleen",
    }
    picture.locator("a").click()
    assert page.locator("figure").count() >= 3
    assert page.locator("figure .missing").count() >= 1
    gone = write_audit_report(made.folder, tmp_path / "gone").read_text(encoding="utf-8")
    assert "There are no pictures" in gone
    assert not list(made.folder.rglob("*.nii.gz"))
    for mask in (case / "segmentations").iterdir():
        mask.rename(mask.with_name(f"other_{mask.name}"))
    changed = write_audit_report(made.folder, data).read_text(encoding="utf-8")
    assert "There are no pictures: the masks are not those that were scored" in changed
