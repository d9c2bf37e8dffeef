"""Batched separable resampling on the CPU or an NVIDIA GPU: an output row is a weighted sum of the input rows near it.

Two filters. A triangle, that of Pillow's ``BILINEAR`` and of torch's ``interpolate(mode="bilinear", antialias=True,
align_corners=False)``: its half-width is one pixel of the coarser of the two grids, and it is normalized to sum one on
the pixels that the box touches. And the mean over the area of each output pixel; what lies outside the planes adds 0.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch.nn.functional import embedding_bag

_CHUNK_NUMBERS = 4_000_000
"""Most float32 numbers in the padded planes of one chunk and what becomes of them (16 MB): memory stays bounded."""


def chunks(sides: np.ndarray, size: int) -> Iterator[slice]:
    """Items in turn, as many at once as fit the memory bound.

    Args:
        sides: ``[N, 2]``, rows and columns of each item; they are padded to the largest of their chunk.
        size: output side S.
    """
    start, height, width = 0, 0, 0
    for number, (rows, columns) in enumerate(np.ceil(sides).astype(int) + 1):
        height, width = max(height, rows), max(width, columns)
        if number > start and (number + 1 - start) * (2 * width + 4 * size) * (height + size) > _CHUNK_NUMBERS:
            yield slice(start, number)
            start, height, width = number, rows, columns
    if start < len(sides):
        yield slice(start, len(sides))


def upload(values: torch.Tensor, device: torch.device) -> torch.Tensor:
    """``values`` of the CPU on ``device``: to an NVIDIA GPU from pinned memory, in the present stream, without waiting.

    PyTorch gives the pinned memory to others only after an event behind the copy: buffers of our own are not needed.
    """
    return values.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else values.to(device)


def resize(
    planes: torch.Tensor, starts: np.ndarray, lengths: np.ndarray, size: int, means: bool = False
) -> torch.Tensor:
    """Resample a box of every item to ``size x size``.

    Args:
        planes: ``[N, W, C, H]`` float32: item n's columns and rows from index 0, channels between, so that all channels
            are resampled at once and both passes add whole rows of memory.
        starts: float64 ``[N, 2]``, row and column where the box starts, in pixel edges.
        lengths: float64 ``[N, 2]``, rows and columns of the box. It must lie within 0 and H, W; but not for ``means``.
        size: output side S.
        means: take means over areas instead of the triangle filter.

    Returns:
        float32 ``[N, C, S, S]`` on the device of ``planes``: rows, then columns.
    """
    number, _, channels, height = planes.shape
    if not number:
        return planes.new_zeros((0, channels, size, size))
    narrow = _weighted_sums(planes.flatten(2), starts[:, 1], lengths[:, 1], size, means)
    narrow = narrow.view(number, size, channels, height).permute(0, 3, 2, 1).contiguous()
    both = _weighted_sums(narrow.flatten(2), starts[:, 0], lengths[:, 0], size, means)
    return both.view(number, size, channels, size).transpose(1, 2)


def _weighted_sums(planes: torch.Tensor, starts: np.ndarray, lengths: np.ndarray, size: int, means: bool):
    """The second axis of ``[N, H, M]`` resampled: ``[N, S, M]``."""
    number, count, _ = planes.shape
    pixels, weights = _taps(starts, lengths, size, count, means)
    pixels += count * np.arange(number)[:, None, None]
    pixels, weights = (upload(torch.from_numpy(x.reshape(number * size, -1)), planes.device) for x in (pixels, weights))
    return embedding_bag(pixels, planes.flatten(0, 1), mode="sum", per_sample_weights=weights).view(number, size, -1)


def _taps(starts: np.ndarray, lengths: np.ndarray, size: int, count: int, means: bool) -> tuple[np.ndarray, np.ndarray]:
    """The pixels of ``count`` that each output sample sums, int64 ``[N, S, T]``, and their weights, float32."""
    starts, lengths = starts[:, None, None], lengths[:, None, None]
    scale = lengths / size
    centers = starts + scale * (np.arange(size)[:, None] + 0.5)
    reach = (1.0 + scale) / 2 if means else np.maximum(scale, 1.0)
    pixels = np.ceil(centers - reach - 0.5) + np.arange(int(2 * reach.max()) + 1)
    away = np.abs(pixels + 0.5 - centers)
    weights, first, last = reach - away, np.floor(starts + 1e-9), np.ceil(starts + lengths - 1e-9) - 1
    if means:
        weights, first, last = np.minimum(weights, np.minimum(scale, 1.0)) / scale, np.array(0), np.array(count - 1)
    weights = np.where((pixels >= first) & (pixels <= last), weights, 0.0).clip(0.0)
    if not means:
        weights /= weights.sum(axis=2, keepdims=True)
    return np.clip(pixels, first, last).astype(np.int64), weights.astype(np.float32)
