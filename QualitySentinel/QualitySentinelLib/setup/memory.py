"""Whether a scoring will fit into memory, said before it starts."""

from __future__ import annotations

import sys

GIB = 1 << 30
_TORCH_BYTES = 460 << 20
"""What importing torch 2.12 adds to a process on Linux."""
_CPU_NETWORK_BYTES = 530 << 20
"""What a published ResNet-50 adds from loading it to its last batch on a CPU; the bundled network adds 100 MiB."""
_GPU_NETWORK_BYTES = 1 << 30
"""Room for the driver, the network twice (as trained and as fused) and one slice: an estimate, not a measurement."""


def memory_needed(volume, segmentation=None, on_gpu: bool = False) -> int:
    """Bytes of main memory that a scoring takes on top of what the scene holds; a generous estimate.

    The sum of a copy of the CT, which is made where its values have to be corrected; a copy of each layer of the
    segmentation's labels (without a segmentation, one layer of the CT's size with one byte a voxel), and once more the
    largest, with which its masks are found; PyTorch, unless it is imported already; and the largest network with its
    activations, whose batches have a set size, so that this part does not grow with the CT.

    ``volume`` is a vtkMRMLScalarVolumeNode. With ``on_gpu``, the network takes none.
    """
    voxels, bytes_each = _size_of(volume)
    layers = _layers_of(segmentation) or [voxels]
    needed = voxels * bytes_each + sum(layers) + max(layers)
    return needed + (0 if "torch" in sys.modules else _TORCH_BYTES) + (0 if on_gpu else _CPU_NETWORK_BYTES)


def memory_warning(volume, device: str = "auto", segmentation=None) -> str | None:
    """What to tell the user before a scoring that may not fit into memory; ``None`` when it should fit.

    Main memory is compared with :func:`memory_needed`, which takes the same. A graphics card is asked how much it has
    free, when PyTorch is imported already: a batch is made to fit it, so only the network and one slice must. Where
    nobody knows how much is free, nothing is said.
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
    """Bytes of main memory that programs can still take; ``None`` where psutil is not installed."""
    try:
        import psutil
    except ImportError:
        return None
    return int(psutil.virtual_memory().available)


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
    image = volume.GetImageData()
    if image is None:
        return 0, 0
    return image.GetNumberOfPoints(), 2 if image.GetScalarSize() <= 2 else 4


def _layers_of(segmentation) -> list[int]:
    """Bytes of each layer of binary labelmaps; none when there is no segmentation or it has surfaces alone."""
    if segmentation is None:
        return []
    from ..scene.segmentation_node import layers_of

    layers = layers_of(segmentation, segmentation.GetSegmentation().GetSegmentIDs())
    images = (segmentation.GetBinaryLabelmapInternalRepresentation(ids[0]) for ids in layers)
    return [image.GetNumberOfPoints() * image.GetScalarSize() for image in images if image is not None]
