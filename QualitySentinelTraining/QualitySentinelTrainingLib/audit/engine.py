"""What an engine gives for each case, and how many workers one machine has room for."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from .record import CaseRecord

_WORKER_BYTES = 5 << 29
"""2.5 GiB: a worker's libraries, and two CTs of 512 x 512 x 500 voxels with their masks, one scored, one read."""
_WORKERS_PER_GPU = 2
"""One prepares slices while the other's run."""


@dataclass(frozen=True)
class Finished:
    """A case that an engine has done.

    Attributes:
        head: what its record says of it.
        content: the record, as it is kept.
    """

    head: dict
    content: bytes

    @classmethod
    def of(cls, record: CaseRecord) -> Finished:
        """From a record."""
        return cls(record.head, record.to_bytes())


def usable_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def default_workers(device: str, cases: int) -> int:
    """How many workers suit this machine: one for each core, or some for each GPU, as far as memory goes.

    Args:
        device: kind of the device: ``cpu``, ``cuda`` or ``mps``.
        cases: how many there are to do.
    """
    if device == "cuda":
        import torch

        room = _WORKERS_PER_GPU * torch.cuda.device_count()
    else:
        room = usable_cores() if device == "cpu" else 1
    free = _free_memory()
    if free is not None:
        room = min(room, free // _WORKER_BYTES)
    return max(1, min(room, cases))


def _free_memory() -> int | None:
    """Bytes that can be had without swapping, where the system says so."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError, StopIteration):
        return None
