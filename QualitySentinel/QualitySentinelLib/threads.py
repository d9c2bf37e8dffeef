"""Threads of the numerical libraries: how many, and that those with nothing to do leave their core to others.

OpenMP's threads wait for their next piece of work by spinning. Beside any other busy program they then take turns with
it, and each parallel loop waits for the slowest: measured on two busy cores, scoring took six times as long. Passive
waiting costs next to nothing on an idle machine. The libraries read these variables once, when they are loaded.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PASSIVE = {"OMP_WAIT_POLICY": "passive", "KMP_BLOCKTIME": "0"}
"""For GNU's OpenMP, and for Intel's and LLVM's."""
_COUNTS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
_CGROUP_LIMIT = Path("/sys/fs/cgroup/cpu.max")


def wait_passively() -> None:
    """Let waiting threads sleep. Call it before PyTorch is imported; what the user has set stays."""
    for name, value in _PASSIVE.items():
        os.environ.setdefault(name, value)


def use_threads(number: int | None = None) -> None:
    """Set passive waiting and the number of threads, by default ``OMP_NUM_THREADS``, else :func:`default_threads`."""
    wait_passively()
    if number is None:
        if any(os.environ.get(name) for name in _COUNTS):
            return
        number = default_threads()
    os.environ.update(dict.fromkeys(_COUNTS, str(number)))
    if torch := sys.modules.get("torch"):  # has read them already
        torch.set_num_threads(number)


def default_threads() -> int:
    """Threads for this process: one for each core it may use, less what others keep busy, but at least half of them."""
    cores = usable_cores()
    try:
        busy = os.getloadavg()[0] * cores / (os.cpu_count() or 1)
    except (AttributeError, OSError):  # Windows
        busy = 0.0
    return max(1, math.ceil(cores / 2), min(cores, round(cores - busy)))


def usable_cores() -> int:
    """Cores that this process may use: the affinity's (``taskset``, SLURM), and no more than a container's quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = _CGROUP_LIMIT.read_text().split()
        cores = min(cores, math.ceil(int(quota) / int(period)))
    except (OSError, ValueError):  # no cgroup v2, or "max": no limit
        pass
    return max(1, cores)


@contextmanager
def new_processes_use(number: int, **variables: str) -> Iterator[None]:
    """Processes started meanwhile use ``number`` threads each, and have these environment variables besides."""
    variables |= dict.fromkeys(_COUNTS, str(number))
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
