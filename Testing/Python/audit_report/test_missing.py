from __future__ import annotations

from Testing.Python.audit_report.conftest import add_segment

from QualitySentinelTrainingLib.audit.anatomy import missing_structures
from QualitySentinelTrainingLib.audit.frames import read_audit


def found(made) -> dict:
    audit = read_audit(made.write())
    return {m.structure: m for m in missing_structures(audit.segments, list(audit.done["case"]))}


def test_nothing_is_missing_where_all_have_everything(make):
    assert found(make(8)) == {}


def test_an_organ_within_the_scan_is_expected(make):
    made = make(12)
    made.drop("c003", "pancreas")
    (missing,) = found(made).values()
    assert missing.structure == "pancreas"
    assert missing.expected
    assert [(case, how) for case, _, how in missing.cases] == [("c003", "absent")]
    assert missing.cases[0][1] == -20


def test_an_empty_mask_is_told_from_none(make):
    made = make(12)
    made.drop("c003", "pancreas")
    add_segment(made, "c003", "pancreas", (0, 0, 0), [])
    missing = found(made)["pancreas"]
    assert (missing.n_empty, missing.n_absent) == (1, 0)
    assert missing.cases[0][2] == "empty"


def test_an_organ_beyond_the_scan_is_not_expected(make):
    """A scan of the chest alone has no bladder, and nobody forgot it."""
    made = make(12)
    for name in ("bladder", "vertebra_L3", "vertebra_L1", "kidney_left", "kidney_right"):
        made.drop("c003", name)
    assert found(made)["bladder"].cases == ()


def test_an_organ_that_half_of_the_patients_have_is_no_exception(make):
    made = make(12)
    for number in range(0, 12, 2):
        made.drop(f"c{number:03d}", "pancreas")
    missing = found(made)["pancreas"]
    assert missing.in_range == 6
    assert not missing.expected


def test_few_cases_give_counts_only(make):
    made = make(3)
    made.drop("c001", "liver")
    missing = found(made)["liver"]
    assert (missing.n_present, missing.n_absent, missing.share) == (2, 1, None)
