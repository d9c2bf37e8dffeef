from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from Testing.Python.audit_report.conftest import make_audit

from QualitySentinelLib.errors import UsageError
from QualitySentinelTrainingLib.audit.bias import OVERALL, find_bias
from QualitySentinelTrainingLib.audit.frames import Audit, read_audit
from QualitySentinelTrainingLib.people import age_groups, as_numbers
from QualitySentinelTrainingLib.stats import LEVEL, bootstrap_interval


def in_memory(cases: pd.DataFrame, segments: pd.DataFrame) -> Audit:
    """An audit without files."""
    audit = Audit(folder=None)
    audit.cases, audit.segments = cases.assign(status="done"), segments
    return audit


def people(seed: int, n: int = 60, n_structures: int = 6, gap: float = 0.0, per_case: int = 3) -> Audit:
    """Cases with sex, age and hospital, several segments per structure that are alike within a case."""
    rng = np.random.default_rng(seed)
    female = rng.random(n) < 0.5
    level = rng.normal(0.9, 0.03, n) - gap * female
    cases = pd.DataFrame({
        "case": [f"c{i}" for i in range(n)], "meta_sex": np.where(female, "F", "M"),
        "meta_age": rng.integers(20, 90, n).astype(str), "meta_hospital": rng.choice(list("ABC"), n),
    })  # fmt: skip
    segments = pd.DataFrame([
        {"case": f"c{i}", "structure": f"s{s}", "predicted_dsc": level[i] - 0.02 * s + rng.normal(0, 0.01)}
        for i in range(n) for s in range(n_structures) for _ in range(per_case)
    ])  # fmt: skip
    return in_memory(cases, segments)


def test_a_planted_bias_is_found_with_its_size_and_direction(make):
    bias = find_bias(read_audit(make(60, sex_gap=0.03).write()))
    overall = next(t for t in bias.tests if t.column == "sex" and t.structure == OVERALL)
    assert overall.found
    assert [g.name for g in overall.groups] == ["male", "female"]
    assert overall.low < 0.03 < overall.high
    assert overall.effect > 0.5
    assert {t.column for t in bias.found} == {"sex"}
    assert len([t for t in bias.found if t.structure != OVERALL]) >= 8


def test_an_absent_bias_is_claimed_no_more_often_than_the_level_allows():
    n_reports = 80
    claims = sum(bool(find_bias(people(seed, n_structures=4, per_case=1), ["sex", "hospital"], draws=0).found)
                 for seed in range(n_reports))  # fmt: skip
    # without any bias, Benjamini-Hochberg makes a claim in at most LEVEL of the reports; 3 standard errors of room
    assert claims / n_reports <= LEVEL + 3 * np.sqrt(LEVEL * (1 - LEVEL) / n_reports)


def test_many_segments_of_a_case_are_no_more_evidence_than_one():
    one, many = (find_bias(people(3, per_case=k), draws=0) for k in (1, 40))
    ns = {t.n for bias in (one, many) for t in bias.tests if t.column == "sex"}
    assert ns == {60}


def test_a_planted_bias_of_few_cases_is_mostly_found_and_its_interval_holds_it():
    biases = [
        find_bias(people(seed, n_structures=2, per_case=1, gap=0.04), ["sex"], draws=400) for seed in range(1000, 1040)
    ]
    tests = [next(t for t in bias.tests if t.structure == OVERALL) for bias in biases]
    assert sum(t.found for t in tests) >= 36
    assert sum(t.low <= 0.04 <= t.high for t in tests) >= 34  # 38 expected of an interval of 95 %


def test_intervals_of_ten_units_hold_the_mean_about_as_often_as_they_say():
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        units = rng.normal(0.9, 0.03, 10)
        drawn = rng.choice(units, (400, 10)).mean(axis=1)
        low, high = bootstrap_interval(drawn, 10)
        held += low <= 0.9 <= high
    assert 0.92 <= held / 400 <= 0.99


def test_which_structures_a_scan_shows_is_no_bias():
    """Men have a structure that is always predicted low; what both have is the same."""
    audit = people(1)
    men = set(audit.cases.loc[audit.cases["meta_sex"] == "M", "case"])
    prostate = pd.DataFrame([{"case": c, "structure": "prostate", "predicted_dsc": 0.4} for c in sorted(men)])
    audit.segments = pd.concat([audit.segments, prostate])
    assert not any(t.found for t in find_bias(audit, ["sex"]).tests)


def test_an_age_that_lowers_quality_is_found_as_a_number_and_by_group():
    audit = people(5, n=120)
    years = audit.cases.set_index("case")["meta_age"].astype(float)
    audit.segments["predicted_dsc"] -= 0.002 * audit.segments["case"].map(years)
    tests = {(t.column, t.structure): t for t in find_bias(audit, ["age"]).tests}
    assert tests["age", OVERALL].found
    assert tests["age", OVERALL].high < 0
    assert tests["age group", OVERALL].found
    assert tests["age group", OVERALL].groups[0].name == "18 to 39"
    assert tests["age group", OVERALL].name == "Kruskal-Wallis"
    assert 0 < tests["age group", OVERALL].effect <= 1


def test_small_groups_are_left_out_and_said_to_be():
    audit = people(2)
    audit.cases["meta_hospital"] = ["tiny"] * 4 + ["large", "other"] * 28
    bias = find_bias(audit, ["hospital"])
    assert all(g.name != "tiny" for t in bias.tests for g in t.groups)
    assert any("tiny (4)" in note for note in bias.notes)


def test_what_is_no_grouping_is_not_tested_and_said_why():
    audit = people(2)
    audit.cases["meta_id"] = [f"patient {i}" for i in range(60)]
    audit.cases["meta_same"] = "x"
    audit.cases["meta_few"] = [float(i) if i < 5 else None for i in range(60)]
    bias = find_bias(audit, ["id", "same", "few"])
    assert bias.tests == []
    assert all(any(note.startswith(name) for note in bias.notes) for name in ("id", "same", "few"))


def test_several_scans_of_a_patient_count_once_when_the_patient_is_known():
    audit = people(4)
    audit.cases["meta_person"] = [f"p{i // 2}" for i in range(60)]
    audit.cases["meta_sex"] = ["M" if i // 2 % 2 else "F" for i in range(60)]
    test = next(t for t in find_bias(audit, ["sex"], patient="person").tests if t.structure == OVERALL)
    assert test.n == 30


def test_a_failed_case_takes_no_part():
    audit = people(2)
    audit.cases.loc[0, "status"] = "failed"
    assert max(t.n for t in find_bias(audit, ["sex"]).tests) == 59


def test_a_column_that_does_not_exist_is_refused_by_name():
    with pytest.raises(UsageError, match="weight"):
        find_bias(people(0), ["weight"])


@pytest.mark.parametrize("values", [["061Y", "007Y", "005M"], ["61", "7", "0"], [61, 7, 0]])
def test_ages_are_numbers_however_they_are_written(values):
    assert as_numbers(pd.Series(values, dtype=object), "age").tolist() == [61.0, 7.0, 0.0]


def test_a_code_of_a_few_numbers_is_a_word():
    assert as_numbers(pd.Series(["1", "2", "1", "2"]), "scanner") is None


def test_age_groups_have_closed_lower_ends():
    groups = age_groups(pd.Series([17.9, 18, 39.9, 40, 80, np.nan])).tolist()
    assert groups == ["under 18", "18 to 39", "18 to 39", "40 to 59", "80 and over", None]


def test_the_table_of_tests_holds_all_of_them_with_their_groups(make):
    bias = find_bias(read_audit(make_audit(make(1).folder, 40, sex_gap=0.02).write()))
    frame = bias.to_frame()
    assert len(frame) == len(bias.tests)
    assert frame["q"].is_monotonic_increasing
    assert frame.loc[frame["column"] == "sex", "groups"].str.contains("female: 0.").all()


@pytest.mark.parametrize(
    ("written", "years"),
    [
        ("050Y", 50), ("50", 50), ("50.0", 50), (50.0, 50), ("018M", 1), ("003W", 0), ("89+", 89), (">89", 89),
        ("63 years", 63), ("unknown", None), ("n/a", None), (np.nan, None), (None, None), ("-1", None), ("999", None),
        (-1.0, None), (" 7 ", 7),
    ],
)  # fmt: skip
def test_an_age_is_years_or_missing_however_it_is_written(written, years):
    column = pd.Series([*map(str, range(20, 40)), written], dtype=object)
    assert as_numbers(column, "patient_age").astype(object).where(lambda v: v.notna(), None).iloc[-1] == years


def test_ages_that_some_do_not_tell_are_tested_and_the_silent_ones_counted():
    audit = people(5, n=120)
    audit.cases["meta_age"] = [f"0{20 + i % 60}Y" for i in range(120)]
    audit.cases.loc[:8, "meta_age"] = ["unknown", "unknown", "NaN", "-1", None, np.nan, "", "050Y", "018M"]
    bias = find_bias(audit, ["age"], draws=50)
    assert {t.n for t in bias.tests if t.column == "age"} == {113}
    assert "age group" in {t.column for t in bias.tests}
    assert "age: 4 of 117 values say nothing: 'unknown', 'NaN', '-1'" in bias.notes


def test_words_for_nothing_known_are_no_group():
    audit = people(2)
    audit.cases["meta_sex"] = ["M", "F", "unknown"] * 20
    audit.cases["meta_hospital"] = ["A", "B", "N/A"] * 20
    bias = find_bias(audit, ["sex", "hospital"], draws=50)
    assert {g.name for t in bias.tests for g in t.groups} == {"male", "female", "A", "B"}
    assert "sex: 20 of 60 values say nothing: 'unknown'" in bias.notes


def test_patients_are_told_by_a_column_of_that_name_unless_that_is_not_wanted():
    audit = people(4)
    audit.cases["meta_subject"] = [f"p{i // 2}" for i in range(60)]
    by_patient, by_case = find_bias(audit, draws=50), find_bias(audit, patient="", draws=50)
    assert (by_patient.patient, by_patient.n_cases, by_patient.n_units) == ("subject", 60, 30)
    assert (by_case.patient, by_case.n_cases, by_case.n_units) == (None, 60, 60)
    assert all(t.column != "subject" for t in by_patient.tests)
    assert find_bias(people(4), draws=50).patient is None
    audit.cases.loc[:9, "meta_subject"] = "unknown"  # 10 cases of 5 patients: who, nobody knows
    assert find_bias(audit, draws=50).n_units == 35


def test_what_any_scan_of_a_patient_says_is_known_of_the_patient():
    audit = people(4)
    audit.cases["meta_person"] = [f"p{i // 2}" for i in range(60)]
    audit.cases["meta_sex"] = [("unknown" if i % 2 == 0 else "MF"[i // 2 % 2]) if i < 56 else "?" for i in range(60)]
    bias = find_bias(audit, ["sex"], draws=50)
    assert {t.n for t in bias.tests} == {28}
    assert bias.notes == ["sex: 2 of 30 values say nothing: '?'"]


def test_sexes_are_the_same_however_they_are_written():
    audit = people(4)
    audit.cases["meta_sex"] = ["M", "w", "Male", "F", "man", "Woman", "u", "O", "x", "unknown"] * 6
    groups = {g.name: g.n for t in find_bias(audit, min_group=6, draws=50).tests if t.column == "sex" for g in t.groups}
    assert groups == {"male": 18, "female": 18, "other": 6, "x": 6}


def test_a_small_example_is_what_scipy_says_of_it():
    """One structure, worked out by hand: the numbers of the tests, effect sizes and corrected p values."""
    rng = np.random.default_rng(11)
    men, women = rng.normal(0.9, 0.03, 12), rng.normal(0.87, 0.03, 15)
    dsc = np.concatenate([men, women])
    site = np.array(["A", "B", "C"] * 9)
    age = rng.integers(20, 90, 27)
    cases = pd.DataFrame({
        "case": [f"c{i}" for i in range(27)], "meta_sex": ["M"] * 12 + ["F"] * 15, "meta_site": site,
        "meta_age": [f"{a:03d}Y" for a in age],
    })  # fmt: skip
    segments = pd.DataFrame({"case": cases["case"], "structure": "liver", "predicted_dsc": dsc})
    bias = find_bias(in_memory(cases, segments), ["sex", "site", "age"], min_group=9, draws=4000)
    tests = {t.column: t for t in bias.tests if t.structure == "liver"}

    _, p = stats.mannwhitneyu(men, women)
    wins = sum(np.sign(m - w) for m in men for w in women) / (12 * 15)
    assert tests["sex"].p == pytest.approx(p) and tests["sex"].effect == pytest.approx(wins)
    assert tests["sex"].difference == pytest.approx(men.mean() - women.mean())
    welch = stats.ttest_ind(men, women, equal_var=False).confidence_interval()
    assert [tests["sex"].low, tests["sex"].high] == pytest.approx([welch.low, welch.high], abs=0.004)

    h, p = stats.kruskal(*(dsc[site == s] for s in "ABC"))
    assert tests["site"].p == pytest.approx(p) and tests["site"].effect == pytest.approx(h / 26)

    rho, p = stats.spearmanr(age, dsc)
    assert (tests["age"].effect, tests["age"].p) == pytest.approx((rho, p))
    assert tests["age"].low < rho < tests["age"].high

    assert [t.q for t in bias.tests][::2] == pytest.approx([0.00174483464506, 0.436440688296, 0.724281077169])
    assert [tests["sex"].low, tests["sex"].high] == pytest.approx([0.020460025385645, 0.067425438309786])
    # one structure: what holds over all structures is what holds for it
    assert next(t for t in bias.tests if (t.column, t.structure) == ("sex", OVERALL)).p == tests["sex"].p
