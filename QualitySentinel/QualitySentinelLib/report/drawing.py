"""What the pictures of the report share: gray values, contours, letters, and pictures as text for the page."""

from __future__ import annotations

import base64
import io
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from ..anatomy import WINDOW_PRESETS, WindowPreset

MISSED_COLOR = (0.62, 0.24, 0.86)
"""Violet: what a mask misses. Not on the DSC scale, and no tissue."""

_LEAST_SHOWN = 1 / 3
"""Share of a structure's pixels that its window must show as neither black nor white."""
_SUPERSAMPLING = 2
"""Masks are drawn this many times finer than the picture and averaged, so that contours have no steps."""


def gray_values(hu: np.ndarray, window: WindowPreset) -> np.ndarray:
    """Gray values 0..255, uint8, of an array of HU of any shape, as ``window`` shows them."""
    gray = (np.asarray(hu, dtype=np.float32) - window.low) * (255.0 / window.width)
    return np.clip(np.nan_to_num(gray), 0, 255).astype(np.uint8)


def fitting_window(preset: WindowPreset, hu: np.ndarray) -> WindowPreset:
    """The preset; or, where it shows most of ``hu`` as black or white, the next wider one that shows a third of them.

    Example:
        >>> from QualitySentinelLib.anatomy import window_of
        >>> [fitting_window(window_of("brain"), np.array(hu)).name for hu in ([20, 60], [-90, 150], [-3000, -2000])]
        ['brain', 'soft tissue', 'full range']
    """
    wider = sorted((p for p in WINDOW_PRESETS if p.width > preset.width), key=lambda p: p.width)
    for window in (preset, *wider):
        if np.mean((hu > window.low) & (hu < window.high)) >= _LEAST_SHOWN:
            return window
    low, high = float(np.min(hu)), float(np.max(hu))
    return WindowPreset("full range", (low + high) / 2, max(high - low, 1.0))


class Picture:
    """A plane of the CT to paint on.

    Args:
        gray: uint8 ``[rows, columns]``.
        size: (width, height) of the picture.
        box: what it shows of the plane: (left, top, right, bottom) in pixel edges, maybe fractional.
    """

    def __init__(self, gray: np.ndarray, size: tuple[int, int], box: tuple[float, float, float, float]) -> None:
        self.size, self._box = size, box
        scaled = Image.fromarray(np.ascontiguousarray(gray)).resize(size, Image.Resampling.BICUBIC, box=box)
        self._pixels = np.repeat(np.asarray(scaled, dtype=np.float32)[..., None], 3, axis=2)

    def fill_and_line(self, mask: np.ndarray, line_px: float) -> tuple[np.ndarray, np.ndarray]:
        """Opacity 0..1, float32 ``[height, width]``, of the inside of a mask of the plane, and of its contour.

        The contour is where the mask, interpolated linearly, falls just under one half: along the voxels' edges but
        without stairs, and voxels that touch at a corner stay joined.
        """
        fine = (self.size[0] * _SUPERSAMPLING, self.size[1] * _SUPERSAMPLING)
        plane = Image.fromarray(mask.astype(np.uint8) * 255)
        inside = plane.resize(fine, Image.Resampling.BILINEAR, box=self._box).point(lambda v: 255 if v >= 105 else 0)
        blur = line_px * _SUPERSAMPLING / 2
        edge = np.asarray(inside.filter(ImageFilter.GaussianBlur(blur)), dtype=np.float32) / 255
        line = np.clip(2.2 * (1 - np.abs(2 * edge - 1)) - 0.4, 0, 1)
        return (
            np.asarray(inside.reduce(_SUPERSAMPLING), dtype=np.float32) / 255,
            np.asarray(Image.fromarray((line * 255).astype(np.uint8)).reduce(_SUPERSAMPLING), dtype=np.float32) / 255,
        )

    def paint(self, rgb: tuple[float, float, float], opacity: np.ndarray) -> None:
        """Paint ``rgb`` (0..1) over it."""
        self._pixels += opacity[..., None] * (np.array(rgb, dtype=np.float32) * 255 - self._pixels)

    def labeled(self, edges: str, px_per_mm: float) -> tuple[Image.Image, ImageDraw.ImageDraw]:
        """The picture with a scale bar and the patient's directions at its left, right, upper and lower edge."""
        image = Image.fromarray(np.clip(self._pixels + 0.5, 0, 255).astype(np.uint8))
        draw, (width, height) = ImageDraw.Draw(image), self.size
        places = ((5, height / 2), (width - 5, height / 2), (width / 2, 3), (width / 2, height - 4))
        for letter, place, anchor in zip(edges, places, ("lm", "rm", "ma", "md"), strict=True):
            _write(draw, place, letter, anchor, 15)
        longest = width / 3 / px_per_mm
        mm = max((m for m in (5, 10, 20, 50, 100, 200) if m <= longest), default=5)
        x, y, end = 8, height - 9, 8 + mm * px_per_mm
        draw.rectangle([x - 1, y - 2, end + 1, y + 2], fill="black")
        draw.rectangle([x, y - 1, end, y + 1], fill="white")
        _write(draw, (x, y - 4), f"{mm / 10:g} cm", "ld", 12)
        return image, draw


@cache
def font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    """The font that comes with Pillow: pictures look alike on every machine."""
    return ImageFont.load_default(size)


def _write(draw: ImageDraw.ImageDraw, place: tuple[float, float], text: str, anchor: str, size: int) -> None:
    """Letters with a dark rim, readable on any tissue; ``anchor`` as Pillow has it, e.g. ``mm`` for the middle."""
    draw.text(place, text, fill="white", font=font(size), anchor=anchor, stroke_width=2, stroke_fill="black")


def data_uri(image: Image.Image, kind: str, **options) -> str:
    """A picture as a ``data:`` URI; ``kind`` and ``options`` as Pillow saves it."""
    stream = io.BytesIO()
    image.save(stream, kind, optimize=True, **options)
    return f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"
