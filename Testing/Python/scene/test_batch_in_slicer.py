"""The command line run by ``Slicer --python-script``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "QualitySentinel" / "QualitySentinelLib" / "commands" / "batch_in_slicer.py"

pytest.importorskip("trame_slicer")


def slicer(*arguments: str, script: Path = SCRIPT) -> subprocess.CompletedProcess:
    """Run the script as Slicer does, in a process of its own."""
    options = ["--no-splash", "--no-main-window", "--python-script", str(script), "--", *arguments]
    command = [sys.executable, "-m", "Testing.Host.slicer_command", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


def test_a_case_is_scored_and_all_files_are_written(a_case_on_disk, a_model_file, tmp_path):
    pytest.importorskip("QualitySentinelLib.report.html_report")
    done = slicer(
        "score", "--ct", str(a_case_on_disk.ct), "--seg", str(a_case_on_disk.seg), "--names", str(a_case_on_disk.names),
        "--model", str(a_model_file), "--device", "cpu", "--out", str(tmp_path / "out"), "--quiet",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    names = {p.name for p in (tmp_path / "out").iterdir()}
    assert names == {"segments.csv", "slices.csv", "report.json", "report.html", "scored.seg.nrrd"}


def test_a_refusal_is_one_line_and_its_exit_code(tmp_path):
    done = slicer("score", "--ct", "no-such.nii.gz", "--seg", "none.nii.gz", "--out", str(tmp_path / "out"))
    assert done.returncode == 3
    assert [line for line in done.stderr.splitlines() if "no-such.nii.gz" in line] == [done.stderr.splitlines()[-1]]
    assert not (tmp_path / "out").exists()


def test_slicers_own_options_reach_the_command_behind_the_dashes():
    done = slicer("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("quality-sentinel ")


def test_what_is_missing_is_named(tmp_path):
    copy = tmp_path / "QualitySentinel" / "QualitySentinelLib" / "commands" / "batch_in_slicer.py"
    copy.parent.mkdir(parents=True)
    copy.write_bytes(SCRIPT.read_bytes())
    requirements = tmp_path / "QualitySentinel" / "Resources" / "requirements.txt"
    requirements.parent.mkdir()
    requirements.write_text("# needed\nno-such-package>=1\n")
    done = slicer("--version", script=copy)
    assert done.returncode == 5
    assert "Slicer's Python lacks no-such-package>=1" in done.stderr.splitlines()[-1]
