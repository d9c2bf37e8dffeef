"""Where the network runs, and how many slices at once."""

from __future__ import annotations

import torch

from ..errors import ModelError, UsageError

_CPU_BATCH_PIXELS = 4 * 256 * 256
"""Input pixels at once on a CPU: with more, the activations no longer fit its caches."""
_BYTES_PER_PIXEL = 400
"""Generous estimate of activation memory per input pixel of a slice in inference, float32 (ResNet-50: about 300)."""
_SHARE_OF_FREE_MEMORY = 0.5
_LARGEST_BATCH = 256


def choose_device(request: str = "auto") -> torch.device:
    """The device for ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``; ``auto`` takes a GPU where there is one.

    Raises:
        UsageError: not the name of a device.
        ModelError: this machine lacks the device asked for.
    """
    if request == "auto":
        request = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    kind, _, index = request.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (index and not (kind == "cuda" and index.isdigit())):
        raise UsageError(f"device must be auto, cpu, cuda, cuda:N or mps, not {request!r}")
    if kind == "cuda" and not (torch.cuda.is_available() and int(index or 0) < torch.cuda.device_count()):
        raise ModelError(f"device {request}: torch finds no such GPU here; use --device cpu or --device auto")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise ModelError("device mps: torch finds no Apple GPU here; use --device cpu or --device auto")
    return torch.device(request)


def batch_size_for(device: torch.device, input_pixels: int) -> int:
    """How many slices of ``input_pixels`` (height x width of the network's input) to run at once on ``device``."""
    if device.type != "cuda":
        return max(1, _CPU_BATCH_PIXELS // input_pixels)
    free, _ = torch.cuda.mem_get_info(device)
    fitting = int(free * _SHARE_OF_FREE_MEMORY / (_BYTES_PER_PIXEL * 4 * input_pixels))
    return max(1, min(_LARGEST_BATCH, fitting))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether ``error`` is torch's way of saying that the device's memory is full."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(
        phrase in str(error) for phrase in ("out of memory", "can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED")
    )


class BatchSizer:
    """The size of the next batch, from how long the last ones took.

    Sizes are powers of two, because each size that is new to it costs the network some preparation.

    Args:
        most: the largest batch that the device can hold.
        step_seconds: how long a batch may take; ``None``: always the largest batch.

    Attributes:
        most: may be lowered, as when memory runs out.
    """

    def __init__(self, most: int, step_seconds: float | None = None) -> None:
        self.most = most
        self._seconds = step_seconds
        self._size = most if step_seconds is None else min(most, 4)  # not so few that the first says nothing

    @property
    def size(self) -> int:
        """How many slices to run next, at least 1."""
        return max(1, min(self._size, self.most))

    def took(self, slices: int, seconds: float) -> None:
        """Learn that a batch of ``slices`` took ``seconds``."""
        if self._seconds is None or slices < self.size:  # a last, smaller batch says little
            return
        if seconds > self._seconds:
            self._size = max(1, self.size // 2)
        elif 2.2 * seconds < self._seconds:  # twice as many still fit, with some room
            self._size = min(self.most, 2 * self.size)
