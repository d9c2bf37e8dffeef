from __future__ import annotations

import csv
import shlex
import subprocess
import sys

import pytest

from QualitySentinelLib.commands.main import main
from QualitySentinelLib.errors import InputError, UsageError
from QualitySentinelTrainingLib.audit.frames import read_audit
from QualitySentinelTrainingLib.audit.lists import write_worst_first
from QualitySentinelTrainingLib.audit.open_case import (
    open_case,
    open_in_slicer,
    write_slicer_script,
)


@pytest.fixture
def audited(make, tmp_path):
    """An audit whose data set lies in ``data set``, with files that are there (and empty)."""
    made = make(3, sex_gap=0.2)
    made.options["dataset"] = str(tmp_path / "data set")
    for case in made.cases:
        folder = tmp_path / "data set" / case["case"]
        (folder / "segmentations").mkdir(parents=True)
        (folder / "ct.nii.gz").touch()
    return made


def test_the_command_names_both_files_and_survives_a_shell(audited, tmp_path, capsys):
    audited.options["key"] = {"names": "btcv"}
    assert open_case(audited.write(), "c001", run=False) == 0
    words = shlex.split(capsys.readouterr().out)
    assert words[:2] == ["quality-sentinel", "review"]
    ct, seg = (str(tmp_path / "data set" / "c001" / name) for name in ("ct.nii.gz", "segmentations"))
    assert words[2:8] == ["--ct", ct, "--seg", seg, "--names", "btcv"]


def test_a_case_is_opened_from_the_command_line(audited, capsys, monkeypatch):
    opened = []
    monkeypatch.setattr("QualitySentinelLib.commands.review.run", lambda options: opened.append(options) or 0)
    assert main(["audit", "--open", "c001", "--out", str(audited.write())]) == 0
    assert str(opened[0].ct).endswith("data set/c001/ct.nii.gz")
    assert "quality-sentinel review" in capsys.readouterr().out


def test_a_case_is_opened_with_the_scoring_of_its_audit(audited, tmp_path, monkeypatch):
    """The review scores as the audit did: it shows the slices and the DSC that the report speaks of."""
    audited.options |= {"threshold": 0.7, "own-thresholds": True, "model_file": "/models/own.safetensors"}
    audited.options["key"] = {"slices": "8", "segments": ["liver", "a, b"]}
    folder, opened = audited.write(), []
    monkeypatch.setattr("QualitySentinelLib.commands.review.run", lambda options: opened.append(options) or 0)
    assert main(["audit", "--open", "c001", "--out", str(folder)]) == 0
    (options,) = opened
    assert options.out == folder / "reviews" / "c001"
    assert (options.model, options.threshold, options.slices) == ("/models/own.safetensors", 0.7, "8")
    assert options.own_thresholds and options.segments == ["liver", "a, b"]


def test_cases_whose_files_are_called_alike_are_reviewed_in_folders_of_their_own(audited, monkeypatch):
    folder, opened = audited.write(), []
    monkeypatch.setattr("QualitySentinelLib.commands.review.run", lambda options: opened.append(options) or 0)
    for case in ("c000", "c001"):
        assert main(["audit", "--open", case, "--out", str(folder)]) == 0
    assert opened[0].seg[0].name == opened[1].seg[0].name
    assert opened[0].out != opened[1].out


def test_every_row_for_annotators_opens_its_case_in_the_audits_folder(audited, tmp_path, monkeypatch, capsys):
    """And names no folder, so that the table can be shared."""
    folder, opened = audited.write(), []
    monkeypatch.setattr("QualitySentinelLib.commands.review.run", lambda options: opened.append(options) or 0)
    path = write_worst_first(read_audit(folder), folder / "w.csv")
    assert str(tmp_path) not in path.read_text(encoding="utf-8")
    monkeypatch.chdir(folder)
    for row in csv.DictReader(open(path, encoding="utf-8", newline="")):
        assert main(shlex.split(row["open"])[1:]) == 0
        assert opened[-1].ct == tmp_path / "data set" / row["case"] / "ct.nii.gz"


def test_a_data_set_that_moved_is_opened_where_it_is_now(audited, tmp_path, capsys):
    folder = audited.write()
    (tmp_path / "data set").rename(tmp_path / "moved")
    with pytest.raises(InputError, match="is not there"):
        open_case(folder, "c001", run=False)
    assert open_case(folder, "c001", tmp_path / "moved", run=False) == 0
    assert "moved/c001/ct.nii.gz" in capsys.readouterr().out


def test_no_such_case_is_said_by_name(audited, capsys):
    assert main(["audit", "--open", "c9", "--out", str(audited.write())]) == UsageError.exit_code
    assert "c9: no case of" in capsys.readouterr().err


def test_a_case_whose_paths_are_hidden_is_opened_by_its_audit(audited):
    for case in audited.cases:
        case["ct"] = case["seg"] = ""
    path = write_worst_first(read_audit(audited.write()), audited.folder / "w.csv")
    rows = list(csv.DictReader(open(path, encoding="utf-8", newline="")))
    assert rows[0]["open"] == "quality-sentinel audit --open c001 --out ."


def test_slicer_is_started_with_the_script_and_the_files(audited, tmp_path):
    """A stand-in for Slicer's program that notes its arguments; how to score is chosen in the panel."""
    audited.options["threshold"] = 0.7
    folder, noted = audited.write(), tmp_path / "noted.txt"
    program = tmp_path / "Slicer"
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {shlex.quote(str(noted))}\n')
    program.chmod(0o755)
    assert open_in_slicer(folder, "c001", program).wait(30) == 0
    words = noted.read_text().splitlines()
    assert words[:3] == ["--python-script", str(folder / "open_in_slicer.py"), "--"]
    assert words[3:5] == ["--ct", str(tmp_path / "data set" / "c001" / "ct.nii.gz")]
    assert len(words) == 7
    with pytest.raises(InputError, match="cannot be started"):
        open_in_slicer(folder, "c001", tmp_path / "no Slicer")


def test_the_script_for_slicer_says_what_is_wrong_without_slicer(audited):
    script = write_slicer_script(audited.write())
    for words, problem in (([], "give the name of one case"), (["c9"], "c9: no case of"),
                           (["--dataset", "/nowhere", "c001"], "/nowhere/c001/ct.nii.gz: is not there")):  # fmt: skip
        done = subprocess.run([sys.executable, script, "--", *words], capture_output=True, text=True, timeout=300)
        assert problem in done.stderr
