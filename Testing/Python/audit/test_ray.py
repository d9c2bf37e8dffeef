"""The engine ``ray``: the same tables, and one clear line where Ray is missing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
from Testing.Python.audit.conftest import tables


def test_without_ray_one_line_says_what_to_install(a_data_set, audit, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    result = audit(a_data_set(1), "--engine", "ray")
    assert result.code == 2
    assert result.err.strip().splitlines()[-1] == (
        "quality-sentinel: --engine ray needs Ray, which is not installed; in the folder of this program's repository, "
        "run: pip install -c constraints.txt '.[cluster]'"
    )


def test_gpus_are_dealt_out_by_ray():
    from QualitySentinelLib.errors import UsageError
    from QualitySentinelLib.options import ScoringOptions
    from QualitySentinelTrainingLib.audit.scoring import CaseWork, ScoringSetup
    from QualitySentinelTrainingLib.runs.ray_engine import RayEngine

    with pytest.raises(UsageError, match="give --device cuda"):
        RayEngine(CaseWork(ScoringSetup(Path(), ScoringOptions(device="cuda:1"))))


# In a process of its own, and not imported here: Ray's signal handlers and threads stay in a process that has used it.
@pytest.mark.skipif(find_spec("ray") is None, reason="needs Ray")
@pytest.mark.slow
def test_ray_writes_the_tables_of_the_local_engine_though_an_actor_dies(a_data_set, audit, command, tmp_path):
    data = a_data_set(8)
    local = audit(data, out=tmp_path / "local")
    run = command(data, "--engine", "ray", "--workers", 2, out=tmp_path / "ray")
    assert kill_an_actor(run, tmp_path / "ray")
    _, said = run.communicate(timeout=300)
    assert run.returncode == 0, said
    assert tables(tmp_path / "ray") == tables(local.folder)


def kill_an_actor(run: subprocess.Popen, out: Path) -> bool:
    """When a case is done, kill one of the processes that score."""
    while run.poll() is None and not any((out / "cases").glob("[!.]*.jsonl")):
        time.sleep(0.01)
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            an_actor = b"ray::Worker" in (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if an_actor and run.pid in ancestors(int(entry.name)):
            os.kill(int(entry.name), signal.SIGKILL)
            return True
    return False


def ancestors(pid: int) -> list[int]:
    """The processes above one."""
    found = []
    while pid > 1:
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            break
        found.append(pid)
    return found
