"""The engine ``ray``: the same tables, and one clear line where Ray is missing."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest
from Testing.Python.audit.conftest import tables


def test_without_ray_one_line_says_what_to_install(a_data_set, audit, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    result = audit(a_data_set(1), "--engine", "ray")
    assert result.code == 2
    assert result.err.strip().splitlines()[-1] == (
        "quality-sentinel: --engine ray needs Ray; install it with: pip install 'quality-sentinel[cluster]'"
    )


def test_gpus_are_dealt_out_by_ray(a_data_set, audit, monkeypatch):
    pytest.importorskip("ray")
    from QualitySentinelLib.errors import UsageError
    from QualitySentinelTrainingLib.audit.ray_engine import RayEngine
    from QualitySentinelTrainingLib.audit.scoring import ScoringSetup

    with pytest.raises(UsageError, match="give --device cuda"):
        RayEngine(ScoringSetup(Path(), device="cuda:1"))


@pytest.mark.slow
def test_ray_writes_the_tables_of_the_local_engine_though_an_actor_dies(a_data_set, audit, tmp_path, monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    data = a_data_set(8)
    local = audit(data, out=tmp_path / "local")
    killer = threading.Thread(target=kill_an_actor, args=(tmp_path / "ray",), daemon=True)
    killer.start()
    ray = audit(data, "--engine", "ray", out=tmp_path / "ray", workers=2)
    assert ray.code == 0, ray.err
    assert tables(ray.folder) == tables(local.folder)


def kill_an_actor(out: Path) -> None:
    """When a case is done, kill one of the processes that score."""
    for _ in range(6000):
        if any((out / "cases").glob("[!.]*.jsonl")):
            break
        time.sleep(0.01)
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            ours = b"ray::_Actor" in (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if ours and os.getpid() in ancestors(int(entry.name)):
            os.kill(int(entry.name), signal.SIGKILL)
            return


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
