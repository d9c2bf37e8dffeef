"""From CT slices and masks to the network's input tensors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..volume import CtVolume, Segment
from ..volume.segmentation import Extent, mask_extent, overlap
from .crop import CropBox, crop_box
from .place import body_of
from .preset import Preset
from .resize import chunks, resize, upload

_NEIGHBOUR_FADES_MM = 15.0
"""Distance after which a neighbouring slice's mask shows e times weaker: the network sees how far away it is."""


@dataclass
class SliceBatch:
    """The network's input."""

    # float32 ``[N, C, S, S]``: the preset's CT windows, the mask, and the neighbour where the preset has it
    images: torch.Tensor
    pixel_mm: torch.Tensor  # float32 ``[N]``: side of an input pixel in mm (geometric mean of both directions)
    boxes: Sequence[CropBox] = ()  # crop boxes, see ``crop.py``, in the preset's order of rows and columns
    # float32 ``[N, P]``: where in the body the masks lie (see ``place.py``); ``None`` without a locator
    place: torch.Tensor | None = None
    # float32 ``[N, 2, L, L]``: the body's box in the slice, and the mask in it; ``None`` likewise
    locator: torch.Tensor | None = None


@dataclass
class PlaneCrop:
    """One slice with the place to crop it.

    All positions are pixels of one and the same plane, whichever part of it ``ct`` and ``mask`` hold; what they do not
    hold is air and outside the mask.
    """

    ct: np.ndarray  # HU ``[rows, columns]``, any real dtype
    mask: np.ndarray  # ``[rows, columns]``; non-zero pixels belong
    box: CropBox  # crop box, see ``crop.py``; may be fractional and reach outside
    spacing: tuple[float, ...] = (1.0, 1.0)  # mm per row and per column
    ct_origin: tuple[int, int] = (0, 0)  # row and column of ``ct[0, 0]``
    mask_origin: tuple[int, int] = (0, 0)  # row and column of ``mask[0, 0]``
    # ``None`` when ``mask`` is the slice's own. Else the slice is empty, ``mask`` is that of the nearest masked slice,
    # and this is how strongly it shows in the neighbour channel, 0..1
    neighbour: float | None = None


def crop_plane(
    ct: np.ndarray,
    mask: np.ndarray,
    preset: Preset,
    spacing: tuple[float, ...] = (1.0, 1.0),
    mask_origin: tuple[int, int] = (0, 0),
    extent: Extent | None = None,
) -> PlaneCrop:
    """Crop a whole slice as ``preset`` does at inference.

    Args:
        ct: HU of the whole slice ``[rows, columns]``.
        mask: mask of the slice, or of the part of it that starts at ``mask_origin``.
        preset: the rule.
        spacing: mm per row and per column.
        mask_origin: row and column of ``mask[0, 0]``.
        extent: crop around this half-open extent instead of the mask's own (the mask may then be empty).

    Raises:
        ValueError: the mask is empty and no extent is given.
    """
    extent = extent or mask_extent(mask, mask_origin)
    if extent is None:
        raise ValueError("the mask is empty in this slice: say where to crop")
    return PlaneCrop(ct, mask, crop_box(extent, ct.shape, spacing, preset), spacing, (0, 0), mask_origin)


def make_batch(
    ct: CtVolume,
    items: Sequence[tuple[Segment, int]],
    preset: Preset,
    device: torch.device | str = "cpu",
    neighbours: Sequence[int | None] | None = None,
) -> SliceBatch:
    """Network input for slices of segments.

    Args:
        ct: the CT, in the canonical frame.
        items: segments (on the CT's grid) with canonical slice numbers k.
        preset: the preprocessing. With frame ``"file"`` rows and columns are taken in the file's order where the file's
            slices are axial; else the canonical order stands in, because such files have no axial slices of their own.
        device: where the tensors are made.
        neighbours: per item, ``None`` or, for a slice where the segment is empty, the canonical slice (of the same
            segment, not empty) that lends its extent to crop around and its mask to the neighbour channel.

    Returns:
        images ``[N, C, S, S]`` and pixel_mm ``[N]``, in the order of ``items``.

    Raises:
        ValueError: a mask is empty in its slice and no neighbour is given, or one is given to a preset without that
            channel.
    """
    if neighbours is not None and not preset.neighbour and any(n is not None for n in neighbours):
        raise ValueError(f"preset {preset.name!r} has no channel for a neighbouring slice's mask")
    spacing, crops = ct.frame.spacing[1:], []
    in_file_order = preset.frame == "file" and ct.frame.plane_axis == 0
    if in_file_order and ct.frame.permutation[1] == 2:
        spacing = spacing[::-1]
    for number, (segment, k) in enumerate(items):
        plane = ct.hu[k]
        near = neighbours[number] if neighbours is not None else None
        mask, extent = segment.cut_mask(k if near is None else near)
        if extent is None:
            raise ValueError(f"segment {segment.name!r}, slice {k}: the mask is empty: say which slice is near")
        if in_file_order:
            (_, *sides), (_, *corner) = ct.frame.file_box((k, *extent[::2]), (1, *mask.shape))
            extent = corner[0], corner[0] + sides[0], corner[1], corner[1] + sides[1]
            plane, mask = (ct.frame.to_file(x[None])[0] for x in (plane, mask))
        crop = crop_plane(plane, mask, preset, spacing, extent[::2], extent)
        if near is not None:
            crop.neighbour = neighbour_strength(abs(near - k) * ct.frame.spacing[0])
        crops.append(crop)
    batch = prepare(crops, preset, device)
    if preset.locator:
        batch.place, batch.locator = (
            upload(torch.from_numpy(values), batch.images.device)
            for values in body_of(ct).places([k for _, k in items], crops, preset.locator)
        )
    return batch


def neighbour_strength(distance_mm: float) -> float:
    """How strongly the mask of a slice ``distance_mm`` away shows in the neighbour channel, 0..1."""
    return math.exp(-distance_mm / _NEIGHBOUR_FADES_MM)


def prepare(crops: Sequence[PlaneCrop], preset: Preset, device: torch.device | str = "cpu") -> SliceBatch:
    """Network input for slices that are plain arrays (training, and :func:`make_batch`).

    HU are clipped to the presets' whole range, resampled once, and then windowed.

    Args:
        crops: slices and crop boxes.
        preset: size and windows; its crop rule is not used here.
        device: where the tensors are made.
    """
    device = torch.device(device)
    sides = _sides(crops)
    spacing = np.array([c.spacing for c in crops], dtype=np.float64).reshape(-1, 2)
    pixel_mm = np.sqrt((sides * spacing).prod(axis=1)) / preset.size
    # Apple's GPUs lack the sums that resampling is made of
    maker = device if device.type == "cuda" else torch.device("cpu")
    images = torch.empty((len(crops), preset.channels, preset.size, preset.size), device=maker)
    for some in chunks(sides, preset.size):
        small = _resampled(crops[some], preset.size, maker, preset.hu_range)
        _window(small, [c.neighbour for c in crops[some]], preset, images[some])
    pixel_mm = upload(torch.from_numpy(pixel_mm.astype(np.float32)), device)
    return SliceBatch(images.to(device), pixel_mm, [c.box for c in crops])


def _sides(crops: Sequence[PlaneCrop]) -> np.ndarray:
    """Rows and columns of the boxes, float64 ``[N, 2]``."""
    return np.array([(c.box[1] - c.box[0], c.box[3] - c.box[2]) for c in crops], dtype=np.float64).reshape(-1, 2)


def coverage(crops: Sequence[PlaneCrop], size: int) -> torch.Tensor:
    """Share of each output pixel that ``mask`` covers, float32 ``[N, S, S]`` in 0..1: a training target, on the CPU."""
    shares = torch.empty((len(crops), size, size))
    for some in chunks(_sides(crops), size):
        shares[some] = _resampled(crops[some], size, shares.device)[:, 0]
    return shares


def _resampled(
    crops: Sequence[PlaneCrop], size: int, device: torch.device, hu: tuple[float, float] | None = None
) -> torch.Tensor:
    """Masks of a few crops, ``[N, 1, S, S]``; with a range of ``hu``, before them the CT limited to it."""
    boxes = np.array([crop.box for crop in crops], dtype=np.float64)
    corners = np.floor(boxes[:, ::2] + 1e-9).astype(int)  # the first pixel that each touches
    height, width = np.ceil(boxes[:, 1::2] - 1e-9 - corners).max(axis=0).astype(int)
    outside = [0.0] if hu is None else [hu[0], 0.0]  # what lies outside the image is air
    planes = torch.empty((len(crops), width, len(outside), height), pin_memory=device.type == "cuda")
    for channel, value in enumerate(outside):
        planes[:, :, channel] = value
    for plane, crop, corner in zip(planes.numpy(), crops, corners, strict=True):
        if hu is not None:
            shown, part = overlap(plane[:, 0].T, crop.ct, crop.ct_origin - corner)
            np.clip(part, *map(np.float32, hu), out=shown)
        shown, part = overlap(plane[:, -1].T, crop.mask, crop.mask_origin - corner)
        np.not_equal(part, 0, out=shown)
    starts, lengths = boxes[:, ::2] - corners, boxes[:, 1::2] - boxes[:, ::2]
    return resize(upload(planes, device), starts, lengths, size)


def _window(small: torch.Tensor, neighbours: Sequence[float | None], preset: Preset, images: torch.Tensor) -> None:
    """Fill images ``[N, C, S, S]`` from HU and masks ``[N, 2, S, S]``."""
    for image, window in zip(images.unbind(1), preset.windows, strict=False):
        gain = (window.out_high - window.out_low) / (window.high - window.low)
        torch.mul(small[:, 0], gain, out=image)
        image.add_(window.out_low - window.low * gain).clamp_(window.out_low, window.out_high)
    outside, inside = preset.mask_range
    # A slice shows either its own mask or a neighbour's: one resampled plane serves both channels.
    shown = [[float(n is None) for n in neighbours]]
    if preset.neighbour:
        shown.append([n or 0.0 for n in neighbours])
    strengths = upload(torch.tensor(shown), small.device)[..., None, None] * (inside - outside)
    for image, strength in zip(images.unbind(1)[preset.mask_channel :], strengths, strict=True):
        torch.mul(small[:, 1], strength, out=image).add_(outside)
