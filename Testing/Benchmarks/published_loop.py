"""The published inference loop, written anew from its description, as the yardstick of our speed.

One mask file after another is read at full size; of its non-empty slices at most ten are taken, cropped with NumPy,
resized by Pillow in float mode, and run through the network one at a time with gradients on. (The published code,
torchvision 0.16, has these traits; see arXiv 2406.00327.)
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch
from PIL import Image

SIZE = 256
MARGIN = 20
MOST_SLICES = 10


def read(path: Path) -> np.ndarray:
    """Voxels ``[z, y, x]`` in file order."""
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def crop(planes: Iterable[np.ndarray], mask: np.ndarray) -> list[np.ndarray]:
    """The published crop around the mask: one pixel less below and right, squared by half the difference."""
    rows, columns = np.where(mask.any(axis=1))[0], np.where(mask.any(axis=0))[0]
    height, width = mask.shape
    top, bottom = max(rows[0] - MARGIN, 0), min(rows[-1] + MARGIN, height)
    left, right = max(columns[0] - MARGIN, 0), min(columns[-1] + MARGIN, width)
    difference = (bottom - top) - (right - left)
    if difference > 0:
        left, right = max(left - difference // 2, 0), min(right + difference // 2, width)
    elif difference < 0:
        top, bottom = max(top - -difference // 2, 0), min(bottom + -difference // 2, height)
    return [plane[top:bottom, left:right] for plane in planes]


def to_tensor(plane: np.ndarray, mean: float, spread: float) -> torch.Tensor:
    """Resize by Pillow in float mode, normalise."""
    image = Image.fromarray(plane.astype(np.float32)).resize((SIZE, SIZE), Image.Resampling.BILINEAR)
    return (torch.from_numpy(np.array(image)) - mean) / spread


def score_case(
    ct_path: Path, mask_paths: dict[str, Path], network: torch.nn.Module, embeddings: dict[str, torch.Tensor]
) -> dict[str, list[float]]:
    """Raw outputs of the scored slices of every structure, in file order, on the network's device."""
    ct, device = read(ct_path), next(network.parameters()).device
    scores = {}
    for name, path in mask_paths.items():
        mask = read(path)
        held = [z for z in range(len(mask)) if (mask[z] > 0).any()]
        if len(held) > MOST_SLICES:
            held = [held[int(len(held) / MOST_SLICES * i)] for i in range(MOST_SLICES)]
        outputs = []
        for z in held:
            ct_plane, mask_plane = crop([ct[z], mask[z]], mask[z])
            scaled = (np.clip(ct_plane, -200, 200) + 200).astype(np.float32) / 400
            images = torch.stack([to_tensor(scaled, 0.5, 0.25), to_tensor(mask_plane, 0.5, 0.5)])[None]
            outputs.append(network(images.to(device), embeddings[name][None].to(device)).item())
        scores[name] = outputs
    return scores
