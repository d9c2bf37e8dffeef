"""Whether a scoring will fit into memory, said before it starts."""

from __future__ import annotations

import os
import sys
from pathlib import Path

GIB = 1 << 30
_TORCH_BYTES = 460 << 20
"""What importing torch 2.12 adds to a process on Linux."""
_CPU_NETWORK_BYTES = 530 << 20
"""What a published ResNet-50 adds from loading it to its last batch on a CPU; the bundled network adds 100 MiB."""
_GPU_NETWORK_BYTES = 1 << 30
"""Room for the driver, the network twice (as trained and as fused) and one slice: an estimate, not a measurement."""


def memory_needed(volume, segmentation=None, on_gpu: bool = False) -> int:
    """Bytes of main memory that a scoring takes on top of what the scene holds; a generous estimate.

    The sum of

    - a copy of the CT: made where its values have to be corrected (padding below -1024 is common), 2 bytes a voxel,
      or 4 where the CT is not of whole numbers;
    - a copy of each layer of the segmentation's labels, as large as the layer itself. Where the segmentation is not
      given, one layer of the CT's size with one byte a voxel;
    - while one layer is read, what its masks are found with: as much as the largest layer again;
    - PyTorch, unless it is imported already, and the largest network with its activations. Slices are scored in
      batches of a set size, so this part does not grow with the CT.

    Args:
        volume: vtkMRMLScalarVolumeNode, or the CT's shape ``(k, j, i)``.
        segmentation: vtkMRMLSegmentationNode, or ``None``.
        on_gpu: the network runs elsewhere and takes no main memory.
    """
    voxels, bytes_each = _size_of(volume)
    layers = _layers_of(segmentation) or [voxels]
    needed = voxels * bytes_each + sum(layers) + max(layers)
    return needed + (0 if "torch" in sys.modules else _TORCH_BYTES) + (0 if on_gpu else _CPU_NETWORK_BYTES)


def memory_warning(volume, device: str = "auto", segmentation=None) -> str | None:
    """What to tell the user before a scoring that may not fit into memory; ``None`` when it should fit.

    Main memory is compared with :func:`memory_needed`. A graphics card is asked how much it has free, when PyTorch is
    imported already: a batch is made to fit it, so only the network and one slice must. Where the system does not say
    how much is free, nothing is said.

    Args:
        volume: vtkMRMLScalarVolumeNode, the CT's shape ``(k, j, i)``, or ``None`` (then there is nothing to say).
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        segmentation: vtkMRMLSegmentationNode, or ``None``.

    Returns:
        One sentence or two, for people.
    """
    if volume is None or not _size_of(volume)[0]:
        return None
    gpu_free = _gpu_memory(device)
    if gpu_free is not None and gpu_free < _GPU_NETWORK_BYTES:
        return (
            f"The graphics card has {gpu_free / GIB:.1f} GiB of free memory; scoring needs about "
            f"{_GPU_NETWORK_BYTES / GIB:.1f} GiB. Close other programs that use it, or select the device cpu."
        )
    needed, free = memory_needed(volume, segmentation, on_gpu=gpu_free is not None), available_memory()
    if free is None or needed <= free:
        return None
    return (
        f"Scoring this CT needs about {needed / GIB:.1f} GiB of memory; {free / GIB:.1f} GiB are free. "
        "Close other programs or volumes first, or crop the CT; otherwise Slicer may become slow or stop."
    )


def available_memory() -> int | None:
    """Bytes of main memory that programs can still take; ``None`` when the system does not say.

    From psutil where it is installed, else from Linux's ``/proc/meminfo`` or from Windows. On macOS without psutil it
    is all the memory the machine has, which is more than is free.
    """
    try:
        import psutil

        return int(psutil.virtual_memory().available)
    except ImportError:
        pass
    if sys.platform == "win32":
        return _available_on_windows()
    return _available_on_linux() or _all_memory()


def _available_on_linux() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError, StopIteration):
        return None


def _available_on_windows() -> int | None:
    import ctypes

    class MemoryStatus(ctypes.Structure):
        """``MEMORYSTATUSEX`` of the Windows API."""

        _fields_ = [("length", ctypes.c_ulong), ("load", ctypes.c_ulong)] + [
            (name, ctypes.c_ulonglong)
            for name in ("total", "available", "page_total", "page_free", "virtual_total", "virtual_free", "extended")
        ]

    status = MemoryStatus(length=ctypes.sizeof(MemoryStatus))
    if not ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):  # type: ignore[attr-defined]  # Windows
        return None
    return int(status.available)


def _all_memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return None


def _gpu_memory(device: str) -> int | None:
    """Free bytes of the graphics card that ``device`` means; ``None`` when it means none, or torch is not imported."""
    torch = sys.modules.get("torch")
    if torch is None or device.partition(":")[0] not in ("auto", "cuda"):
        return None
    try:
        if not torch.cuda.is_available():
            return None
        return int(torch.cuda.mem_get_info(int(device.partition(":")[2] or 0))[0])
    except (RuntimeError, ValueError, AssertionError):  # no such card: the scorer says so better
        return None


def _size_of(volume) -> tuple[int, int]:
    """Number of voxels, and bytes a voxel of the CT in Hounsfield units."""
    if isinstance(volume, tuple | list):
        k, j, i = volume
        return int(k) * int(j) * int(i), 2
    image = volume.GetImageData()
    if image is None:
        return 0, 0
    whole_and_short = image.GetScalarSize() <= 2
    return image.GetNumberOfPoints(), 2 if whole_and_short else 4


def _layers_of(segmentation) -> list[int]:
    """Bytes of each layer of binary labelmaps; none when there is no segmentation or it has surfaces alone."""
    source = segmentation.GetSegmentation() if segmentation is not None else None
    if source is None:
        return []
    layers = {}
    for segment_id in source.GetSegmentIDs():
        image = segmentation.GetBinaryLabelmapInternalRepresentation(segment_id)
        if image is not None:
            layers[image.GetAddressAsString("")] = image.GetNumberOfPoints() * image.GetScalarSize()
    return list(layers.values())
