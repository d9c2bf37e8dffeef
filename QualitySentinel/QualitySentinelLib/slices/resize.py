"""Batched separable resampling by a triangle filter: two batched matrix products, on any device.

The filter is that of Pillow's ``BILINEAR`` and of torch's ``interpolate(mode="bilinear", antialias=True,
align_corners=False)``: a triangle whose half-width is one pixel of the coarser of the two grids, normalized to sum one,
on the pixels that the box touches.
"""

from __future__ import annotations

import numpy as np
import torch


def resize(planes: torch.Tensor, starts: np.ndarray, lengths: np.ndarray, size: int) -> torch.Tensor:
    """Resample a box of every item to ``size x size``.

    Args:
        planes: ``[N, H, C, W]`` float32: item n's rows and columns from index 0, channels between (one product then
            serves all channels).
        starts: float64 ``[N, 2]``, row and column where the box starts, in pixel edges; at least 0.
        lengths: float64 ``[N, 2]``, rows and columns of the box; it must end within H and W.
        size: output side S.

    Returns:
        float32 ``[N, C, S, S]`` on the device of ``planes``.
    """
    number, height, channels, width = planes.shape
    along_rows = triangle_weights(starts[:, 0], lengths[:, 0], size, height, planes.device)
    along_columns = triangle_weights(starts[:, 1], lengths[:, 1], size, width, planes.device)
    rows = torch.bmm(along_rows, planes.view(number, height, channels * width))
    both = torch.bmm(rows.view(number, size * channels, width), along_columns.transpose(1, 2))
    return both.view(number, size, channels, size).transpose(1, 2)


def triangle_weights(
    starts: np.ndarray, lengths: np.ndarray, size: int, count: int, device: torch.device | str = "cpu"
) -> torch.Tensor:
    """Weight matrices of the triangle filter along one axis.

    Args:
        starts: float64 ``[N]``, where each item's interval starts, in pixel edges.
        lengths: float64 ``[N]``, pixels that each interval spans.
        size: output samples S.
        count: input pixels H of the padded batch; pixels outside an item's interval get weight zero.

    Returns:
        float32 ``[N, S, H]`` on ``device``; rows sum to one.
    """
    scale = lengths / size
    centers = starts[:, None] + scale[:, None] * (np.arange(size) + 0.5) - 0.5  # in pixel indices
    # Split into whole and fraction: float32 then holds the distance to near pixels to 1e-7 at any position.
    whole = np.floor(centers)
    fraction = torch.from_numpy((centers - whole).astype(np.float32)).to(device)
    nearest = torch.from_numpy(whole.astype(np.float32)).to(device)
    sharpness = torch.from_numpy((1.0 / np.maximum(scale, 1.0)).astype(np.float32)).to(device)
    pixels = torch.arange(count, dtype=torch.float32, device=device)
    weights = pixels[None, None, :] - nearest[:, :, None]
    weights.sub_(fraction[:, :, None]).abs_().mul_(sharpness[:, None, None]).neg_().add_(1.0).clamp_(min=0.0)
    first = torch.from_numpy(np.floor(starts + 1e-9).astype(np.float32)).to(device)
    last = torch.from_numpy(np.ceil(starts + lengths - 1e-9).astype(np.float32)).to(device) - 1.0
    inside = (pixels >= first[:, None]) & (pixels <= last[:, None])
    weights.mul_(inside[:, None, :])
    return weights.div_(weights.sum(dim=2, keepdim=True))
