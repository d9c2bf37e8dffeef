from __future__ import annotations

import pytest
from Testing.Python.audit_report.conftest import make_audit

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
