"""Threads of the numerical libraries: how many, and how they wait."""

import os
import subprocess
import sys

import pytest

from QualitySentinelLib import threads
from QualitySentinelLib.commands.main import main


@pytest.fixture
def a_machine(monkeypatch, tmp_path):
    """Sets cores, load and a container's quota; says nothing of threads itself."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OMP_WAIT_POLICY", "KMP_BLOCKTIME"):
        monkeypatch.setenv(name, "")  # so that what is set meanwhile is undone
        monkeypatch.delenv(name)

    def build(cores=8, load=0.0, quota="max 100000"):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
        monkeypatch.setattr(os, "cpu_count", lambda: cores)
        monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0), raising=False)
        (tmp_path / "cpu.max").write_text(quota)
        monkeypatch.setattr(threads, "_CGROUP_LIMIT", tmp_path / "cpu.max")

    return build


@pytest.mark.parametrize(
    ("cores", "load", "quota", "expected"),
    [
        (8, 0.0, "max 100000", 8),
        (8, 3.0, "max 100000", 5),  # others keep three cores busy
        (8, 60.0, "max 100000", 4),  # never less than half
        (2, 2.0, "max 100000", 1),
        (1, 5.0, "max 100000", 1),
        (64, 0.0, "250000 100000", 3),  # a container that may use two and a half cores
        (4, 0.0, "nonsense", 4),
    ],
)
def test_default_leaves_busy_cores_to_others(a_machine, cores, load, quota, expected):
    a_machine(cores, load, quota)
    assert threads.default_threads() == expected


def test_default_keeps_within_the_affinity_of_a_large_machine(a_machine, monkeypatch):
    a_machine(cores=4, load=64.0)
    monkeypatch.setattr(os, "cpu_count", lambda: 128)  # half of them busy: about two of our four
    assert threads.default_threads() == 2


def test_what_the_user_has_set_stays(a_machine, monkeypatch):
    a_machine()
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    threads.use_threads()
    assert os.environ["OMP_NUM_THREADS"] == "3" and os.environ["OMP_WAIT_POLICY"] == "active"


def test_new_processes_use_what_is_said_and_this_one_goes_on_as_before(a_machine, monkeypatch):
    a_machine()
    monkeypatch.setenv("MKL_NUM_THREADS", "5")
    with threads.new_processes_use(1):
        assert os.environ["OMP_NUM_THREADS"] == os.environ["MKL_NUM_THREADS"] == "1"
    assert "OMP_NUM_THREADS" not in os.environ and os.environ["MKL_NUM_THREADS"] == "5"


def test_pytorch_gets_the_number_of_threads_and_waits_passively():
    code = (
        "import os; from QualitySentinelLib.threads import use_threads; use_threads(1);"
        "import torch; print(torch.get_num_threads(), os.environ['OMP_WAIT_POLICY'])"
    )
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "MKL_"))}
    done = subprocess.run([sys.executable, "-c", code], env=clean, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "passive"]


@pytest.mark.parametrize("number", ["0", "-1", "two", "1.5", "²"])
def test_a_number_of_threads_that_cannot_be_is_refused(number, capsys):
    assert main(["score", "--ct", "c", "--seg", "s", "--out", "o", "--threads", number]) == 2
    assert "whole number" in capsys.readouterr().err
