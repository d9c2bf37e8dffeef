"""An audit goes on where it stopped, however it stopped, and its tables do not tell how often that was."""

from __future__ import annotations

import csv
import errno
import json
import os
import random
import re
import shutil
import signal
import sys
import threading
import time
from pathlib import Path

import pytest
from Testing.Python.audit.conftest import tables

from QualitySentinelTrainingLib.audit.store import AuditFolder
from QualitySentinelTrainingLib.runs import Record
from QualitySentinelTrainingLib.runs import run as runs_run


def records(folder: Path) -> list[Path]:
    return sorted((folder / "cases").glob("[!.]*.jsonl"))


def wait_for_records(folder: Path, number: int, process) -> None:
    """Until the audit has written so many records, or has ended."""
    while len(records(folder)) < number and process.poll() is None:
        time.sleep(0.01)


def group_is_gone(group: int, seconds: float = 300.0) -> bool:
    """Whether no process of a group is left, soon: on a busy machine one may still be importing PyTorch."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def test_one_and_two_workers_write_the_same_bytes(a_data_set, audit, tmp_path):
    data = a_data_set(5)
    alone = audit(data, out=tmp_path / "one")
    both = audit(data, out=tmp_path / "two", workers=2)
    assert (alone.code, both.code) == (0, 0), both.err
    assert tables(alone.folder) == tables(both.folder)
    assert "5 of 5 cases scored, 0 failed" in both.out


def test_a_second_run_scores_nothing_again(a_data_set, audit):
    data = a_data_set(3)
    first = audit(data)
    written = {path: path.stat().st_mtime_ns for path in records(first.folder)}
    before = tables(first.folder)
    second = audit(data)
    assert (first.code, second.code) == (0, 0)
    assert {path: path.stat().st_mtime_ns for path in records(second.folder)} == written
    assert tables(second.folder) == before


def test_the_tables_hold_what_is_done_while_the_audit_goes_on(a_data_set, audit, torso_writer, monkeypatch):
    """From the first case on; also when some were scored by an earlier run."""
    from QualitySentinelLib.errors import InputError
    from QualitySentinelTrainingLib.audit.frames import read_audit

    monkeypatch.setattr(runs_run, "_LEAST_SECONDS", 0)
    monkeypatch.setattr(runs_run, "_TIMES_ITS_OWN", 0)
    seen, real = [], AuditFolder.write

    def write(folder, name, content):
        if (folder.path / "cases.csv").exists():
            with pytest.raises(InputError, match="is not done"):
                read_audit(folder.path)
            frames = read_audit(folder.path, finished=False)
            seen.append(frames.cases["case"].tolist())
            for table in (frames.segments, frames.slices):
                assert table["case"].unique().tolist() == seen[-1]
        real(folder, name, content)

    monkeypatch.setattr(AuditFolder, "write", write)
    data = a_data_set(3)
    assert audit(data).code == 0
    assert seen == [["s0001"], ["s0001", "s0002"]]
    for number in (4, 5):
        torso_writer.ct(data / f"s000{number}" / "ct.nii.gz", number)
        torso_writer.masks(data / f"s000{number}" / "segmentations", number)
    assert audit(data).code == 0
    assert seen[2:] == [["s0001", "s0002", "s0003"], ["s0001", "s0002", "s0003", "s0004"]]


@pytest.mark.slow
def test_a_killed_audit_goes_on_and_its_tables_are_the_same(a_data_set, audit, command, tmp_path):
    data = a_data_set(12)
    whole = audit(data, out=tmp_path / "whole")
    killed, seen = tmp_path / "killed", 0
    for after, workers in ((1, 2), (4, 1)):
        process = command(data, "--workers", workers, out=killed)
        wait_for_records(killed, seen + after, process)
        time.sleep(random.Random(after).uniform(0, 0.05))
        process.kill()  # SIGKILL to the main process alone: its workers must end by themselves
        process.wait()
        assert group_is_gone(process.pid)
        left = records(killed)
        for path in left:
            record = Record.from_bytes(path.read_bytes())
            assert record.head["status"] == "done" and record.lines
        assert len(left) >= seen
        seen = len(left)
    last = audit(data, out=killed)
    assert last.code == 0, last.err
    assert tables(killed) == tables(whole.folder)
    assert not [p for p in killed.rglob("*") if p.name.startswith(".writing")]


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_finished(a_data_set, audit, command, tmp_path):
    data, out = a_data_set(12), tmp_path / "out"
    process = command(data, "--workers", 2, out=out)
    wait_for_records(out, 2, process)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all processes of the command
    _, err = process.communicate(timeout=500)
    if process.returncode != 0:  # else it was done before the signal came
        assert process.returncode == 130
        last = err.strip().splitlines()[-1]
        assert last.startswith("quality-sentinel: canceled; ") and "of 12 cases are kept" in last
        assert "Traceback" not in err
    assert group_is_gone(process.pid)
    assert len(records(out)) >= 2
    assert audit(data, out=out).code == 0


@pytest.mark.slow
def test_a_worker_that_dies_costs_no_case(a_data_set, audit, tmp_path):
    data, killed = a_data_set(10), []

    def kill() -> None:
        """The first worker, once a case is done."""
        while not records(tmp_path / "out"):
            time.sleep(0.01)
        killed.extend(children(os.getpid())[:1])
        os.kill(killed[0], signal.SIGKILL)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    result = audit(data, out=tmp_path / "out", workers=2)
    killer.join(60)
    assert killed
    assert result.code == 0, result.err
    assert tables(result.folder) == tables(audit(data, out=tmp_path / "whole").folder)


def children(pid: int) -> list[int]:
    """Worker processes: not the helper that watches over shared resources."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
            line = (status.parent / "cmdline").read_text()
        except OSError:
            continue
        if int(fields[1]) == pid and "spawn_main" in line:
            found.append(int(status.parent.name))
    return found


@pytest.mark.slow
def test_a_case_that_kills_its_worker_is_the_only_one_that_fails(a_data_set, audit, monkeypatch, tmp_path):
    data = a_data_set(6)
    trap = tmp_path / "site"
    trap.mkdir()
    (trap / "sitecustomize.py").write_text(
        "import os\n"
        "from QualitySentinelTrainingLib.audit import scoring\n"
        "real = scoring.CaseWork.read\n"
        "def read(self, case):\n"
        "    os._exit(9) if case.name == 's0003' else None\n"
        "    return real(self, case)\n"
        "scoring.CaseWork.read = read\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(trap), *sys.path]))
    result = audit(data, workers=2)
    assert result.code == 6, result.err
    assert "failed: s0003: the process that worked on it was killed" in result.err
    monkeypatch.undo()
    again = audit(data, "--retry-failed")
    assert again.code == 0
    assert tables(again.folder) == tables(audit(data, out=tmp_path / "whole").folder)


def test_broken_cases_are_named_and_the_others_scored(a_data_set, audit, torso_writer):
    data = a_data_set(4)
    ct = data / "s0002" / "ct.nii.gz"
    ct.write_bytes(ct.read_bytes()[:-400])
    other = data / "s0003" / "ct.nii.gz"
    other.write_text("not an image")
    result = audit(data)
    assert result.code == 6
    assert "2 of 4 cases scored, 2 failed" in result.out
    truncated, no_image = [line for line in result.err.splitlines() if line.startswith("failed: ")]
    assert truncated == "failed: s0002: s0002/ct.nii.gz: ends too early (truncated); copy or download the CT again"
    assert no_image.startswith("failed: s0003: s0003/ct.nii.gz: is not a NIfTI image; ")
    cases = {row["case"]: row for row in result.rows("cases")}
    assert [cases[f"s000{n}"]["status"] for n in (1, 2, 3, 4)] == ["done", "failed", "failed", "done"]
    assert {row["case"] for row in result.rows("segments")} == {"s0001", "s0004"}

    kept = audit(data)  # nothing changed: they stay failed, and say so
    assert kept.code == 6
    assert "2 cases failed before; --retry-failed tries again" in kept.err

    torso_writer.ct(ct, 2)  # mended: scored without being asked, the other is not
    mended = audit(data)
    assert mended.code == 6
    assert "1 case done again, because input files have changed" in mended.err
    assert "s0003" in mended.err and "failed: s0002" not in mended.err

    torso_writer.ct(other, 3)
    assert audit(data, "--retry-failed").code == 0


def test_cases_that_change_or_go_leave_nothing_behind(a_data_set, audit, torso_writer, tmp_path):
    data = a_data_set(4)
    audit(data)
    torso_writer.masks(data / "s0001" / "segmentations", 3)
    shutil.rmtree(data / "s0004")
    lines = (data / "meta.csv").read_text().replace("s0002;42;m", "s0002;77;f")
    (data / "meta.csv").write_text(lines)
    result = audit(data)
    assert result.code == 0
    assert "1 case of an earlier run is left out: no longer in the data set" in result.err
    assert {row["case"]: row["meta_age"] for row in result.rows("cases")}["s0002"] == "77"
    assert tables(result.folder) == tables(audit(data, out=tmp_path / "anew").folder)


@pytest.mark.parametrize(
    ("options", "text"),
    [(("--threshold", "0.7"), "threshold 0.8, not 0.7"), (("--slices", "3"), "slices all, not 3"),
     (("--layout", "folders"), "layout totalsegmentator, not folders"), (("--shard", "1/2"), "shard none, not 1/2")],
)  # fmt: skip
def test_other_options_do_not_mix_with_earlier_results(a_data_set, audit, options, text):
    data = a_data_set(1)
    audit(data)
    result = audit(data, *options)
    assert result.code == 2
    assert text in result.err and result.err.count("\n") == 1


def test_own_thresholds_need_a_model_that_has_them(a_data_set, audit):
    result = audit(a_data_set(1), "--own-thresholds")
    assert result.code == 2 and result.err.count("\n") == 1
    assert "no thresholds by structure" in result.err


def test_a_damaged_record_is_scored_again(a_data_set, audit):
    data = a_data_set(2)
    first = audit(data)
    before = tables(first.folder)
    records(first.folder)[0].write_bytes(b"{}")
    assert audit(data).code == 0
    assert tables(first.folder) == before


def test_a_full_disk_ends_the_audit_in_one_line(a_data_set, audit, monkeypatch):
    real, room = runs_run.atomic_write, iter(range(3))

    def write(path, content):
        if next(room, None) is None:
            full = OSError(errno.ENOSPC, "No space left on device")
            from QualitySentinelLib.files import _cannot_be_written

            raise _cannot_be_written(path, full)
        return real(path, content)

    data = a_data_set(4)
    monkeypatch.setattr(runs_run, "atomic_write", write)
    result = audit(data)
    assert result.code == 3
    assert "No space left on device" in result.err and "Traceback" not in result.err
    monkeypatch.undo()
    assert len(records(result.folder)) == 2
    assert audit(data).code == 0


def test_results_lie_outside_the_data_set(a_data_set, audit, tmp_path):
    data = a_data_set(1)
    for out, how in ((data, "is"), (data / "results" / "audit", "lies in")):
        result = audit(data, out=out)
        assert (result.code, result.err.count("\n")) == (2, 1)
        assert f"{out}: {how} the data set; choose another folder" in result.err
    assert not (data / "results").exists()


def test_tables_of_others_are_not_written_over(a_data_set, audit, tmp_path):
    """A manifest may be called as a table is, and lie where the results are wanted."""
    data = a_data_set(1)
    manifest = tmp_path / "cases.csv"
    manifest.write_text("case,ct,seg\na,data/s0001/ct.nii.gz,data/s0001/segmentations\n")
    before = manifest.read_bytes()
    for source in (manifest, data):
        result = audit(source, out=tmp_path)
        assert (result.code, result.err.count("\n")) == (2, 1)
        assert "cases.csv: is of no audit and would be written over" in result.err
    assert manifest.read_bytes() == before
    assert audit(manifest, out=tmp_path / "out").code == 0


def test_a_report_that_is_older_than_the_tables_is_named(a_data_set, a_model_file, audit, tmp_path, capsys):
    """It is the user's, and stays; but a list to exclude cases by must not be taken for one of these tables."""
    from QualitySentinelLib.commands.main import main

    data, out = a_data_set(2), tmp_path / "out"
    assert "of an earlier report" not in audit(data).err
    words = ["audit", data, "--out", out, "--model", a_model_file, "--device", "cpu", "--workers", "1"]
    assert main([str(w) for w in (*words, "--exclude-below", "1")]) == 0
    capsys.readouterr()
    before = {name: (out / name).read_bytes() for name in ("report/index.html", "worst_first.csv", "excluded.csv")}
    result = audit(data, "--quiet")
    (line,) = result.err.splitlines()
    assert line.startswith(f"note: {out}: left from an earlier report, may be outdated: ")
    assert all(name in line for name in before) and "bias.csv" not in line
    assert {name: (out / name).read_bytes() for name in before} == before

    assert main([str(w) for w in (*words, "--quiet")]) == 0
    assert "this report has no excluded.csv; removed those of the earlier one" in capsys.readouterr().err
    assert not (out / "excluded.csv").exists()


def test_failed_cases_are_named_even_when_the_report_cannot_be_written(a_data_set, a_model_file, tmp_path, capsys):
    from QualitySentinelLib.commands.main import main

    data, out = a_data_set(2), tmp_path / "out"
    (data / "s0001" / "ct.nii.gz").write_bytes(b"broken")
    out.mkdir()
    (out / "report").write_text("no folder")
    words = ["audit", data, "--out", out, "--model", a_model_file, "--device", "cpu", "--workers", "1"]
    assert main([str(w) for w in words]) == 3
    failed, error = capsys.readouterr().err.splitlines()[-2:]
    assert failed.startswith("failed: s0001: ")
    assert "report" in error and "cannot be written" in error


@pytest.mark.parametrize("options", [("--bias-columns", "sex,weight"), ("--person-column", "weight")])
def test_a_column_that_is_not_there_is_said_before_the_work(a_data_set, a_model_file, options, tmp_path, capsys):
    from QualitySentinelLib.commands.main import main

    words = ["audit", a_data_set(1), "--out", tmp_path / "out", "--model", a_model_file, "--device", "cpu", *options]
    assert main([str(w) for w in words]) == 2
    said = capsys.readouterr().err
    assert said.endswith("weight: no metadata column of data; available: age, sex, institution, split\n")
    assert not (tmp_path / "out").exists()


def test_the_user_says_what_a_data_set_is_called(a_data_set, audit):
    data = a_data_set(1)
    assert {row["dataset"] for row in audit(data).rows("cases")} == {"data"}
    result = audit(data, "--title", "Phantoms, 2nd release")
    assert result.code == 0
    assert {row["dataset"] for row in result.rows("cases")} == {"Phantoms, 2nd release"}


def test_codes_that_look_like_numbers_stay_as_they_are(a_data_set, audit):
    data = a_data_set(2)
    (data / "meta.csv").write_text("image_id,code,batch,kvp\ns0001,007,1_2,120\ns0002,012,1_3,100.5\n")
    rows = audit(data).rows("cases")
    assert [(r["meta_code"], r["meta_batch"], r["meta_kvp"]) for r in rows] == [
        ("007", "1_2", "120"), ("012", "1_3", "100.5"),
    ]  # fmt: skip


def test_two_audits_do_not_share_a_folder(a_data_set, audit, tmp_path):
    data = a_data_set(1)
    with AuditFolder(tmp_path / "out"):
        result = audit(data)
    assert result.code == 2
    assert "another audit run is writing there" in result.err
    assert audit(data).code == 0


def test_segments_that_a_case_lacks_are_a_remark(a_data_set, audit, torso_writer):
    data = a_data_set(2)
    (data / "s0002" / "segmentations" / "spleen.nii.gz").unlink()
    result = audit(data, "--segments", "spleen")
    assert result.code == 0
    assert [(row["case"], row["segment"]) for row in result.rows("segments")] == [("s0001", "spleen")]
    assert result.rows("cases")[1]["warnings"] == "has no segment 'spleen'"


def test_scores_are_those_of_the_command_score(a_data_set, audit, a_model_file, tmp_path):
    from QualitySentinelLib.commands.main import main

    data = a_data_set(1)
    result = audit(data)
    case = data / "s0001"
    arguments = ["score", "--ct", case / "ct.nii.gz", "--seg", case / "segmentations", "--out", tmp_path / "score"]
    assert main([str(a) for a in (*arguments, "--model", a_model_file, "--device", "cpu", "--quiet")]) == 0
    for table in ("segments", "slices"):
        with open(tmp_path / "score" / f"{table}.csv", newline="", encoding="utf-8") as stream:
            expected, found = list(csv.DictReader(stream)), result.rows(table)
        assert len(expected) == len(found) > 0
        for one, other in zip(expected, found, strict=True):
            for column in ("predicted_dsc", "dsc_low", "dsc_high", "position_mm"):
                if column in one:
                    assert (one[column] == "") == (other[column] == "")
                    assert one[column] == "" or float(other[column]) == pytest.approx(float(one[column]), abs=2e-4)
            for column in ("segment", "structure", "n_slices", "n_flagged", "missed_slices", "slice_index"):
                assert column not in one or one[column] == other[column]


def test_volume_and_centre_are_those_of_the_mask(a_data_set, audit, a_torso, torso_writer):
    import numpy as np

    result = audit(a_data_set(1))
    (liver,) = [row for row in result.rows("segments") if row["segment"] == "liver"]
    k, j, i = np.nonzero(torso_writer.voxels(1) == 1)
    assert float(liver["volume_ml"]) == pytest.approx(len(k) * 6 * 6 * 5 / 1000, abs=1e-3)
    centre = (a_torso.ijk_to_ras @ [i.mean(), j.mean(), k.mean(), 1])[:3]
    found = [float(liver[f"centroid_{axis}_mm"]) for axis in "ras"]
    assert found == pytest.approx(centre.tolist(), abs=0.01)


def test_parquet_and_csv_say_the_same(a_data_set, audit):
    import pandas as pd

    folder = audit(a_data_set(2)).folder
    for table in ("cases", "segments", "slices"):
        parquet, text = pd.read_parquet(folder / f"{table}.parquet"), pd.read_csv(folder / f"{table}.csv")
        assert list(parquet.columns) == list(text.columns)
        for column in parquet.columns:
            one, other = parquet[column], text[column]
            if one.dtype.kind in "fib":
                assert one.astype(float).fillna(-1).tolist() == other.astype(float).fillna(-1).tolist(), column
            else:
                assert one.fillna("").tolist() == other.astype(object).fillna("").astype(str).tolist(), column
    assert pd.read_parquet(folder / "cases.parquet")["meta_age"].tolist() == [41.0, 42.0]


def test_any_name_of_a_case_becomes_a_file(a_data_set, audit):
    data = a_data_set(1)
    odd = "=ö:(1) " + "x" * 150
    shutil.move(data / "s0001", data / odd)
    (data / "meta.csv").unlink()
    result = audit(data)
    assert result.code == 0, result.err
    assert [row["case"] for row in result.rows("cases")] == ["'" + odd]  # no formula for spreadsheets
    assert all(path.name.isascii() and len(path.name) < 160 for path in records(result.folder))


def _other_digit(text: str) -> str:
    return re.sub(r'("predicted_dsc":0\.)(\d)', lambda found: f"{found[1]}{9 - int(found[2])}", text, count=1)


def _cut(text: str) -> str:
    return text[: text.rindex("{")]


@pytest.mark.parametrize("change", [lambda text: text.replace("missed_slices", "missed_slicez"), _other_digit, _cut])
def test_a_record_that_was_tampered_with_is_named_and_its_case_scored_again(a_data_set, audit, change):
    data = a_data_set(2)
    first = audit(data)
    before, path = tables(first.folder), records(first.folder)[0]
    path.write_text(change(path.read_text()))
    result = audit(data)
    assert result.code == 0
    assert f"note: {path}: is damaged; case s0001 is done again\n" in result.err
    assert tables(first.folder) == before


def test_an_audit_of_version_0_1_is_resumed_and_read(a_data_set, a_model_file, audit, tmp_path):
    """Its records have no checksum."""
    from QualitySentinelLib import __version__
    from QualitySentinelTrainingLib.audit.frames import read_audit

    data, out = a_data_set(2), tmp_path / "out"
    (data / "s0002" / "ct.nii.gz").write_bytes(b"broken")
    fresh = audit(data, "--slices", 2, out=tmp_path / "fresh")
    new = {name: AuditFolder(fresh.folder).head(name) for name in ("s0001", "s0002")}
    document = json.loads((fresh.folder / "audit.json").read_text())
    shutil.copytree(Path(__file__).with_name("audit_of_0.1"), out)
    for name, head in new.items():  # files of today, and a model of today's random weights
        path = out / "cases" / f"{name}.jsonl"
        old = json.loads(path.read_text().splitlines()[0])
        text = path.read_text().replace(old["fingerprint"], head["fingerprint"])
        path.write_text(text.replace(old["model_sha256"], document["key"]["model"]))
    run = json.loads((out / "audit.json").read_text())
    run["key"] |= {"version": __version__, "model": document["key"]["model"]}
    (out / "audit.json").write_text(json.dumps(run))
    before = {path: path.read_bytes() for path in records(out)}
    result = audit(data, "--slices", 2, out=out)
    assert result.code == 6
    assert "1 case failed before" in result.err and "damaged" not in result.err
    assert {path: path.read_bytes() for path in records(out)} == before
    segments = read_audit(out).segments
    assert segments["predicted_dsc"].tolist() == [0.7994, 0.774]
    assert audit(data, "--slices", 2, "--threshold", "0.7", out=out).code == 2
    path = out / "cases" / "s0001.jsonl"
    path.write_text(path.read_text().replace("missed_slices", "missed_slicez"))
    result = audit(data, "--slices", 2, "--retry-failed", out=out)
    assert f"{path}: is damaged; case s0001 is done again" in result.err
    assert tables(out) == tables(fresh.folder)
