from __future__ import annotations

import csv

import numpy as np
import pytest
from Testing.Python.audit_report.conftest import MadeAudit, add_segment, make_audit

from QualitySentinelLib.errors import UsageError
from QualitySentinelTrainingLib.audit.budget import budget_plan
from QualitySentinelTrainingLib.audit.frames import read_audit
from QualitySentinelTrainingLib.audit.lists import check_lists, excluded, worst_first, write_budget, write_frame

GOOD, PLACE = [0.9] * 4, (80.0, 0.0, 0.0)


def audit_of(folder, *segments, missed=()):
    """An audit of one case per list of DSC, all of the liver; the last one has the missed slices."""
    made = MadeAudit(folder)
    for number, dsc in enumerate(segments):
        case = f"c{number}"
        last = number == len(segments) - 1
        add_segment(made, case, "liver", PLACE, dsc, missed=missed if last else ())
        made.cases.append({"case": case, "dataset": "d", "status": "done", "reason": "", "ct": f"{case}/ct.nii.gz",
                           "seg": f"{case}/seg.nii.gz", "n_segments": 1})  # fmt: skip
    return made


def test_the_gain_is_that_of_the_mean_over_segments(tmp_path):
    """Two livers of four slices: one slice of 0.5 reaches the 0.9 of the good ones, a quarter of half of the mean."""
    plan = budget_plan(read_audit(audit_of(tmp_path, GOOD, [0.9, 0.9, 0.9, 0.5]).write()))
    assert plan.mean_before == pytest.approx((0.9 + 0.8) / 2)
    assert plan.gain(1) == pytest.approx(0.4 / 4 / 2)
    assert plan.gain(0) == 0
    assert plan.gain(1000) == plan.gain(1)


def test_the_mean_is_that_of_the_segments_table(tmp_path):
    """Whatever the score of a segment was made of."""
    made = audit_of(tmp_path, GOOD, [0.9, 0.9, 0.9, 0.5])
    made.segment("c1", "liver")["predicted_dsc"] = 0.7
    plan = budget_plan(read_audit(made.write()))
    assert plan.mean_before == pytest.approx((0.9 + 0.7) / 2)
    assert 0 < plan.gain(1) < 0.1


def test_gains_add_up_to_what_the_corrected_masks_would_have(tmp_path):
    plan = budget_plan(read_audit(audit_of(tmp_path, GOOD, [0.9, 0.2, 0.5, 0.9], missed=[0.1, 0.3]).write()))
    before = (0.9 + 0.2 + 0.5 + 0.9) / (4 + (0.9 + 0.7) / 2)
    assert plan.mean_before == pytest.approx((0.9 + before) / 2)
    assert plan.mean_before + plan.gains[-1] == pytest.approx(0.9)
    assert len(plan.slices) == 4


def test_the_worst_come_first_or_the_largest_gain_does(tmp_path):
    made = audit_of(tmp_path, [0.9, 0.9, 0.9, 0.5], [0.9] * 19 + [0.3])
    audit = read_audit(made.write())
    worst, gain = (budget_plan(audit, order).slices["case"].tolist() for order in ("worst", "gain"))
    assert worst == ["c1", "c0"]
    assert gain == ["c0", "c1"]  # a slice of four is more of its mask than one of twenty


def test_no_order_gains_more_than_the_one_for_gain(make):
    audit = read_audit(make_audit(make(1).folder, 12, sex_gap=0.1).write())
    worst, gain = (budget_plan(audit, order) for order in ("worst", "gain"))
    assert (gain.gains >= worst.gains - 1e-9).all()
    assert gain.gains[-1] == pytest.approx(worst.gains[-1])
    assert (np.diff(gain.gains) >= -1e-12).all()


def test_cautious_gains_are_smaller(make):
    plan = budget_plan(read_audit(make_audit(make(1).folder, 12, sex_gap=0.1).write()))
    assert (plan.cautious <= plan.gains + 1e-12).all()


def test_scoring_few_slices_of_a_mask_promises_less_per_slice(tmp_path):
    made = audit_of(tmp_path, GOOD, [0.9, 0.9, 0.9, 0.5])
    made.segment("c1", "liver")["n_slices"] = 40
    assert budget_plan(read_audit(made.write())).gain(1) == pytest.approx(0.4 / 40 / 2)


def test_nothing_doubtful_is_nothing_to_correct(tmp_path):
    plan = budget_plan(read_audit(audit_of(tmp_path, GOOD).write()))
    assert (len(plan.slices), plan.gain(5)) == (0, 0.0)


def test_the_budget_file_holds_as_many_slices_as_asked_for(tmp_path):
    plan = budget_plan(read_audit(audit_of(tmp_path / "out", GOOD, [0.1, 0.2, 0.3, 0.9]).write()))
    rows = list(csv.DictReader(open(write_budget(plan, tmp_path / "b.csv", 2), encoding="utf-8", newline="")))
    assert [row["predicted_dsc"] for row in rows] == ["0.1000", "0.2000"]
    assert float(rows[1]["gain_so_far"]) == pytest.approx(plan.gain(2), abs=1e-8)
    with pytest.raises(UsageError, match="--budget 0"):
        check_lists(0, None)


def test_worst_first_names_the_slices_to_look_at(tmp_path):
    frame = worst_first(read_audit(audit_of(tmp_path, GOOD, [0.9, 0.7, 0.5, 0.9], missed=[0.1]).write()))
    assert frame["case"].tolist() == ["c1"]  # the good one is not work
    assert frame["worst_slices"].tolist() == ["42:0.50 41:0.70"]
    assert frame["missing_at"].tolist() == ["44"]


def test_the_exclusion_list_has_masks_and_whole_cases(make, tmp_path):
    made = make(3)
    for s in made.segments:
        if s["case"] == "c001":
            s["predicted_dsc"] = 0.5
    made.segment("c002", "liver")["predicted_dsc"] = 0.4
    audit = read_audit(made.write())
    frame = excluded(audit, 0.7)
    assert frame.loc[frame["level"] == "case", "case"].tolist() == ["c001"]
    assert len(frame[frame["level"] == "segment"]) == 11
    rows = list(csv.DictReader(open(write_frame(tmp_path / "e.csv", frame), encoding="utf-8", newline="")))
    assert len(rows) == 12
    with pytest.raises(UsageError):
        check_lists(None, 7)
