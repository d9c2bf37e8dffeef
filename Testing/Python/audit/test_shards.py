"""Shards of a data set, put together, are what one audit of it gives."""

from __future__ import annotations

import json
import os

import pytest
from Testing.Python.audit.conftest import tables

from QualitySentinelLib.datasets import Case
from QualitySentinelLib.errors import InputError, UsageError
from QualitySentinelTrainingLib.audit.frames import read_audit
from QualitySentinelTrainingLib.audit.merge import merge_shards
from QualitySentinelTrainingLib.runs import Shard


@pytest.fixture
def shards(a_data_set, audit, tmp_path):
    """A data set of 6 cases, its tables from one run, and the folders of its three shards."""
    data = a_data_set(6)
    whole = tables(audit(data, out=tmp_path / "whole").folder)
    folders = [tmp_path / f"shard_{number}" for number in (1, 2, 3)]
    for number, folder in enumerate(folders, start=1):
        assert audit(data, "--shard", f"{number}/3", out=folder).code == 0
    return data, whole, folders


def test_merged_shards_are_the_whole(shards, audit, tmp_path):
    _, whole, folders = shards
    merged = audit(None, "--merge", *reversed(folders), out=tmp_path / "merged", workers=None)
    assert merged.code == 0, merged.err
    assert tables(merged.folder) == whole
    run = json.loads((merged.folder / "audit.json").read_text())
    assert run["complete"] and run["counts"] == {"cases": 6, "cases_of_all_shards": 6, "done": 6, "failed": 0}


def test_what_is_missing_is_named(shards, audit, tmp_path):
    data, _, folders = shards
    refused = audit(None, "--merge", *folders[:2], out=tmp_path / "merged", workers=None)
    assert (refused.code, refused.err.count("\n")) == (3, 1)
    assert "of 3 shards 3 is missing" in refused.err

    run = json.loads((folders[0] / "audit.json").read_text())
    (folders[0] / "audit.json").write_text(json.dumps({**run, "complete": False}))
    refused = audit(None, "--merge", *folders, folders[2], out=tmp_path / "merged", workers=None)
    assert refused.code == 3
    assert "given twice: 3" in refused.err and "shard 1/3 in" in refused.err and "is not done" in refused.err
    assert not (tmp_path / "merged").exists()

    assert audit(data, "--shard", "1/3", out=folders[0]).code == 0
    assert audit(None, "--merge", *folders, out=tmp_path / "merged", workers=None).code == 0


def test_shards_of_other_audits_are_refused(shards, a_data_set, audit, tmp_path):
    data, _, folders = shards
    audit(data, "--shard", "2/3", "--threshold", "0.5", out=tmp_path / "other")
    refused = audit(None, "--merge", folders[0], tmp_path / "other", folders[2], out=tmp_path / "merged", workers=None)
    assert refused.code == 4
    assert "threshold is another than in" in refused.err

    a_data_set(7)
    audit(data, "--shard", "2/3", out=tmp_path / "later")
    refused = audit(None, "--merge", folders[0], tmp_path / "later", folders[2], out=tmp_path / "merged", workers=None)
    assert refused.code == 4
    assert "is a shard of other cases than" in refused.err

    refused = audit(None, "--merge", *folders, tmp_path / "whole", out=tmp_path / "merged", workers=None)
    assert refused.code == 2
    assert "was not made with --shard" in refused.err


def test_a_merge_that_is_stopped_leaves_nothing_that_reads_as_whole(shards, audit, tmp_path, monkeypatch):
    """A kill between two tables; the next merge mends it. A merge may be repeated, but writes over no other audit."""
    _, whole, folders = shards
    merged = tmp_path / "merged"
    real, moved = os.replace, []

    def stop(source, target):
        if str(target).endswith(("slices.csv", "slices.parquet")):
            moved.append(target)
            raise KeyboardInterrupt
        real(source, target)

    monkeypatch.setattr("QualitySentinelLib.files.os.replace", stop)
    with pytest.raises(KeyboardInterrupt):
        merge_shards(folders, merged)
    monkeypatch.undo()
    assert moved
    with pytest.raises(InputError, match="is not done"):
        read_audit(merged)
    for _ in range(2):
        assert audit(None, "--merge", *folders, out=merged, workers=None).code == 0
        assert tables(merged) == whole
    assert len(read_audit(merged).cases) == 6
    refused = audit(None, "--merge", *folders, out=tmp_path / "whole", workers=None)
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "holds an audit of its own" in refused.err


def test_cases_of_any_name_are_merged(a_data_set, audit, tmp_path):
    """Also those whose names are no UTF-8, which tables cannot hold, or would be formulas."""
    data = a_data_set(3)
    for number, name in enumerate((b"s0001_\xe9", b"=s", "s\u00e9".encode()), start=1):
        (data / f"s000{number}").rename(data / os.fsdecode(name))
    whole = audit(data, "--layout", "folders", out=tmp_path / "whole")
    assert whole.code == 0, whole.err
    folders = [tmp_path / f"shard_{number}" for number in (1, 2)]
    for number, folder in enumerate(folders, start=1):
        assert audit(data, "--layout", "folders", "--shard", f"{number}/2", out=folder).code == 0
    merged = audit(None, "--merge", *folders, out=tmp_path / "merged", workers=None)
    assert merged.code == 0, merged.err
    assert tables(merged.folder) == tables(whole.folder)
    next((folders[0] / "cases").glob("[!.]*.jsonl")).unlink()
    refused = audit(None, "--merge", *folders, out=tmp_path / "again", workers=None)
    assert refused.code == 4
    assert "cases of 3; audit them again" in refused.err


def test_one_shard_of_one_is_the_whole(a_data_set, audit, tmp_path):
    data = a_data_set(2)
    whole = tables(audit(data, out=tmp_path / "whole").folder)
    assert audit(data, "--shard", "1/1", out=tmp_path / "all").code == 0
    assert audit(None, "--merge", tmp_path / "all", out=tmp_path / "merged", workers=None).code == 0
    assert tables(tmp_path / "merged") == whole


def test_data_that_are_mended_are_merged_after_all_shards_have_seen_them(a_data_set, audit, torso_writer, tmp_path):
    data = a_data_set(6)
    ct = data / "s0002" / "ct.nii.gz"
    ct.write_bytes(b"broken")
    folders = [tmp_path / f"shard_{number}" for number in (1, 2)]
    codes = [audit(data, "--shard", f"{n}/2", out=folder).code for n, folder in enumerate(folders, start=1)]
    assert sorted(codes) == [0, 6]
    merged = audit(None, "--merge", *folders, out=tmp_path / "merged", workers=None)
    assert merged.code == 6
    assert "failed: s0002" in merged.err
    torso_writer.ct(ct, 2)
    for number, folder in enumerate(folders, start=1):
        assert audit(data, "--shard", f"{number}/2", "--retry-failed", out=folder).code == 0
    assert audit(None, "--merge", *folders, out=tmp_path / "merged", workers=None).code == 0
    assert tables(tmp_path / "merged") == tables(audit(data, out=tmp_path / "whole").folder)


def test_every_case_belongs_to_one_shard_whatever_others_there_are():
    cases = [Case(f"s{n:04d}", "", "") for n in range(500)]
    parts = [Shard(number, 7) for number in range(1, 8)]
    of_case = {case.name: [str(part) for part in parts if part.holds(case)] for case in cases}
    assert all(len(found) == 1 for found in of_case.values())
    sizes = [sum(part.holds(case) for case in cases) for part in parts]
    assert min(sizes) > 40


@pytest.mark.parametrize("text", ["0/4", "5/4", "1", "a/b", "1/0", "-1/3"])
def test_a_shard_that_cannot_be_is_refused(text):
    with pytest.raises(UsageError, match="give the number of the part"):
        Shard.parse(text)
