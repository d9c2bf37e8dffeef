"""Where the network runs, and how many slices at once."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch

from ..errors import ModelError, UsageError
from ..slices import SliceBatch

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
    if kind == "cuda":
        if not (torch.cuda.is_available() and int(index or 0) < torch.cuda.device_count()):
            raise ModelError(f"device {request}: torch finds no such GPU here; use --device cpu or --device auto")
        return torch.device(kind, int(index or 0))  # with a number, as the network's weights say where they are
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


class MadeAhead:
    """Batches, made when they are taken, or before: while a GPU computes with one, the processor makes the next.

    What it uploads then goes through a stream of its own, so that it does not wait for what the GPU computes. Hold on
    to a batch until the GPU is done with it: the memory of what was let go serves the next uploads.

    Args:
        make: makes the batch of some of all items.
    """

    def __init__(self, make: Callable[[slice], SliceBatch]) -> None:
        self._make = make
        self._made: tuple[slice, SliceBatch, torch.cuda.Stream] | None = None

    def make(self, part: slice, device: torch.device) -> None:
        """Make the batch that will be taken next, on an NVIDIA GPU."""
        stream = _upload_stream(device)
        with torch.cuda.stream(stream):
            self._made = part, self._make(part), stream

    def take(self, part: slice) -> tuple[slice, SliceBatch]:
        """The batch of ``part``, or of as much of its beginning as was made before."""
        made, self._made = self._made, None
        if made is not None and made[0].start == part.start and made[0].stop <= part.stop:
            torch.cuda.current_stream(made[2].device).wait_stream(made[2])
            return made[:2]
        return part, self._make(part)


@functools.cache
def _upload_stream(device: torch.device) -> torch.cuda.Stream:
    """One for all runs: memory that was used in one stream is not used in another."""
    return torch.cuda.Stream(device)
