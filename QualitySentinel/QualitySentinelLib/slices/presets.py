"""The two presets: the published preprocessing, and ours, which mends its defects."""

from __future__ import annotations

from .preset import Preset, Window

PUBLISHED = Preset(
    name="published",
    size=256,
    frame="file",
    windows=(Window(-200.0, 200.0, -2.0, 2.0),),
    mask_range=(-1.0, 1.0),
    crop="pixels",
    margin_px=20,
)
"""Quality Sentinel as published (arXiv 2406.00327), float path of torchvision 0.16: 256 pixels, margin 20 px, distorted
where the crop is not square, rows and columns in the file's order."""

COMPACT = Preset(
    name="compact",
    size=128,
    frame="canonical",
    windows=(Window(-160.0, 240.0), Window(-1000.0, 1000.0)),
    mask_range=(-1.0, 1.0),
    crop="square_mm",
    margin_mm=20.0,
    min_side_mm=96.0,
    extent_factor=1.3,
    neighbour=True,
    locator=64,
)
"""Ours: square in mm and never distorted, canonical orientation, a soft-tissue and a wide window, missed slices judged.
96 mm on 128 pixels is the in-plane resolution of an ordinary CT (0.75 mm): a smaller field would magnify without
showing more."""
