from __future__ import annotations

import pandas as pd
import pytest

from QualitySentinelLib.errors import InputError, UsageError
from QualitySentinelTrainingLib.audit.frames import read_audit
from QualitySentinelTrainingLib.audit.report import write_audit_report


@pytest.mark.parametrize("parquet", [True, False])
def test_tables_are_the_same_from_either_format(make, parquet):
    made = make(3)
    made.drop("c000", "liver")
    audit = read_audit(made.write(parquet))
    assert (len(audit.cases), len(audit.segments), len(audit.slices)) == (3, 29, 232)
    assert audit.segments["predicted_dsc"].dtype == float
    assert audit.slices["flagged"].dtype == bool
    assert audit.metadata == ["sex", "age", "institution"]
    assert audit.threshold == 0.8
    assert audit.name == "made"


def test_only_the_columns_asked_for_are_read_of_the_slices(make):
    frame = read_audit(make(2).write()).read_slices(["predicted_dsc"])
    assert list(frame.columns) == ["case", "segment", "structure", "predicted_dsc"]
    assert frame["case"].dtype == "category"


def test_names_that_look_like_formulas_or_gaps_survive_the_csv(make):
    made = make(2)
    made.cases[0]["case"], made.cases[1]["case"] = "'=1+1", "NA"
    assert read_audit(made.write(parquet=False)).cases["case"].tolist() == ["=1+1", "NA"]


def test_a_segment_of_no_known_structure_has_none(make):
    made = make(2)
    made.segments[0]["structure"] = None
    for parquet in (True, False):
        assert read_audit(made.write(parquet)).segments["structure"].iloc[0] is None


def test_a_folder_without_audit_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no cases.parquet"):
        read_audit(tmp_path)


def test_a_damaged_table_is_named(make):
    folder = make(2).write()
    (folder / "segments.parquet").write_bytes(b"PAR1 not at all")
    with pytest.raises(InputError, match="segments.parquet"):
        _ = read_audit(folder).segments


def test_a_table_that_lacks_a_column_is_named_with_it(make):
    folder = make(2).write()
    pd.read_parquet(folder / "segments.parquet").drop(columns="n_flagged").to_parquet(folder / "segments.parquet")
    with pytest.raises(InputError, match="n_flagged"):
        _ = read_audit(folder).segments


def test_a_damaged_run_file_is_named(make):
    folder = make(2).write()
    (folder / "audit.json").write_text("{")
    with pytest.raises(InputError, match="audit.json"):
        read_audit(folder)


def test_tables_of_an_audit_that_is_not_done_are_not_read_together(make):
    """Between two tables that are put in place a kill leaves tables of two runs; ``audit.json`` then says so."""
    made = make(2)
    made.options["complete"] = False
    folder = made.write()
    with pytest.raises(InputError, match="out: its audit is not done, so its tables may be of two runs; run its"):
        read_audit(folder)
    with pytest.raises(InputError, match="is not done"):
        write_audit_report(folder)
    assert len(read_audit(folder, finished=False).cases) == 2  # one table is whole


def test_a_case_is_found_by_name_or_refused(make):
    audit = read_audit(make(2).write())
    assert audit.case("c001")["meta_sex"] == "F"
    with pytest.raises(UsageError, match="c999"):
        audit.case("c999")


def test_segments_of_an_audit_with_own_thresholds_are_below_that_of_their_structure(make):
    made = make(2)
    made.options |= {"own-thresholds": True}
    made.model["calibration"] = {"flags": {"structures": {"liver": 1.0, "pancreas": 0.1}}}
    audit = read_audit(made.write())
    rows = audit.segments
    assert audit.below[rows["structure"] == "liver"].all() and not audit.below[rows["structure"] == "pancreas"].any()
    others = ~rows["structure"].isin(["liver", "pancreas"])
    assert (audit.below[others] == (rows["predicted_dsc"][others] < 0.8)).all()
    page = write_audit_report(audit.folder).read_text(encoding="utf-8")
    assert "<dd>one for each structure, others DSC 0.8</dd>" in page and "predicted below threshold" in page
