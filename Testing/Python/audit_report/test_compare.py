from __future__ import annotations

import pytest
from Testing.Python.audit_report.conftest import make_audit

from QualitySentinelLib.errors import UsageError
from QualitySentinelTrainingLib.audit.bias import OVERALL
from QualitySentinelTrainingLib.audit.compare import compare_audits
from QualitySentinelTrainingLib.audit.frames import read_audit


@pytest.fixture
def two(tmp_path):
    """The same cases, whose livers are worse in the first audit by 0.2."""
    one, other = (make_audit(tmp_path / name, 20, seed=3) for name in ("one", "other"))
    for s in one.segments:
        if s["structure"] == "liver":
            s["predicted_dsc"] -= 0.2
    return one, other


def test_versions_of_labels_are_compared_case_by_case(two):
    comparison = compare_audits(*(read_audit(m.write()) for m in two))
    rows = {r.structure: r for r in comparison.rows}
    assert comparison.paired
    assert rows["liver"].difference == pytest.approx(-0.2)
    assert rows["liver"].low == pytest.approx(-0.2)
    assert rows["liver"].found
    assert rows["spleen"].difference == 0
    assert not rows["spleen"].found
    assert rows[OVERALL].difference == pytest.approx(-0.02)
    assert [r.structure for r in comparison.rows][:2] == [OVERALL, "liver"]
    assert comparison.changed[0]["structure"] == "liver"


def test_cases_and_structures_of_one_only_are_named(two):
    one, other = two
    one.drop("c000", "pancreas")
    other.cases, other.segments = other.cases[:15], [s for s in other.segments if s["case"] < "c015"]
    other.segments = [s for s in other.segments if s["structure"] != "bladder"]
    comparison = compare_audits(read_audit(one.write()), read_audit(other.write()))
    assert (comparison.n_common, comparison.n_here, comparison.n_there) == (15, 5, 0)
    assert comparison.only_here == ["bladder"]
    assert {r.structure: r.n for r in comparison.rows}["pancreas"] == 14


def test_other_patients_are_compared_as_groups(two):
    one, other = two
    for rows in (other.cases, other.segments):
        for row in rows:
            row["case"] = "x" + row["case"]
    comparison = compare_audits(read_audit(one.write()), read_audit(other.write()))
    rows = {r.structure: r for r in comparison.rows}
    assert not comparison.paired
    assert rows["liver"].found
    assert rows["liver"].low < -0.2 < rows["liver"].high
    assert not rows["spleen"].found


def test_the_same_names_in_other_places_are_other_patients(two):
    one, other = two
    for s in other.segments:
        s["centroid_a_mm"] += 400
    comparison = compare_audits(read_audit(one.write()), read_audit(other.write()))
    assert not comparison.paired
    assert "other places" in comparison.why


def test_scores_of_two_models_are_warned_of(tmp_path):
    audits = [read_audit(make_audit(tmp_path / m, 6, model=m * 64).write()) for m in "ab"]
    assert "different models" in compare_audits(*audits).warnings[0]


def test_the_table_has_a_row_per_structure(two):
    frame = compare_audits(*(read_audit(m.write()) for m in two)).to_frame()
    assert len(frame) == 11
    assert frame.loc[frame["structure"] == "liver", "found"].tolist() == [True]


def with_patients(made, scans: int, column: str = "meta_patient") -> None:
    """Each ``scans`` cases in a row are of one patient."""
    for number, case in enumerate(made.cases):
        case[column] = f"p{number // scans}"


def test_a_patient_with_many_scans_counts_once(two):
    """One patient's 11 scans are worse by 0.2, the other 9 patients' are as they were: no change of the labels."""
    one, other = two
    for number, case in enumerate(one.cases):
        case["meta_patient"] = "p0" if number < 11 else f"p{number}"
    for s in one.segments:
        if s["structure"] == "liver" and s["case"] >= "c011":
            s["predicted_dsc"] = other.segment(s["case"], "liver")["predicted_dsc"]
    audits = [read_audit(m.write()) for m in two]
    by_case = {r.structure: r for r in compare_audits(*audits, patient="").rows}["liver"]
    comparison = compare_audits(*audits)
    by_patient = {r.structure: r for r in comparison.rows}["liver"]
    assert (by_case.n, by_case.found) == (20, True)
    assert (by_patient.n, by_patient.found) == (10, False)
    assert by_patient.difference == pytest.approx(-0.02)
    assert by_patient.low < -0.02 < by_patient.high
    assert (comparison.here.patient, comparison.here.n_cases, comparison.here.n) == ("patient", 20, 10)
    assert {c["case"] for c in comparison.changed} == {f"c{n:03d}" for n in range(11)}  # cases: these are opened


def test_patients_are_told_by_the_metadata_of_either_audit(two):
    _, other = two
    with_patients(other, 2, "meta_subject")
    audits = [read_audit(m.write()) for m in two]
    assert compare_audits(*audits).here.n == compare_audits(*audits[::-1]).here.n == 10
    with pytest.raises(UsageError, match="ward: no metadata column of"):
        compare_audits(*audits, patient="ward")


def test_groups_of_patients_are_compared_where_the_patients_are_others(two):
    one, other = two
    for rows in (other.cases, other.segments):
        for row in rows:
            row["case"] = "x" + row["case"]
    with_patients(one, 2)
    comparison = compare_audits(*(read_audit(m.write()) for m in two))
    liver = {r.structure: r for r in comparison.rows}["liver"]
    assert (liver.n, liver.n_other) == (10, 20)
    assert (comparison.here.patient, comparison.there.patient) == ("patient", None)
    assert liver.found
    assert liver.low < -0.2 < liver.high


def test_cases_of_unknown_patients_are_not_one_patient(two):
    one, _ = two
    for number, case in enumerate(one.cases):
        case["meta_patient"] = "unknown" if number < 6 else None if number < 8 else f"p{number // 2}"
    assert compare_audits(*(read_audit(m.write()) for m in two)).here.n == 14


def test_missed_slices_sought_in_one_audit_only_are_warned_of(two):
    _, other = two
    other.options["key"] = {"slices": "8"}
    assert "in one of the two audits only" in compare_audits(*(read_audit(m.write()) for m in two)).warnings[0]
