"""What the pictures of the report share: scaling, contours, letters, and pictures as text for the page."""

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


def scaled_gray(gray: np.ndarray, size: tuple[int, int], box: tuple[float, float, float, float]) -> np.ndarray:
    """A gray plane (uint8 ``[rows, columns]``) inside ``box`` scaled to ``size``, float32 ``[height, width]`` 0..255.

    ``size`` is (width, height), ``box`` (left, top, right, bottom) in pixel edges of the plane, maybe fractional.
    """
    image = Image.fromarray(np.ascontiguousarray(gray)).resize(size, Image.Resampling.BICUBIC, box=box)
    return np.asarray(image, dtype=np.float32)


def fill_and_line(
    mask: np.ndarray, size: tuple[int, int], box: tuple[float, float, float, float], line_px: float = 2.0
) -> tuple[np.ndarray, np.ndarray]:
    """Opacity 0..1, float32 ``[height, width]``, of a mask's inside and of its contour ``line_px`` wide.

    The contour is where the mask, interpolated linearly, falls just under one half: along the voxels' edges but
    without stairs, and voxels that touch at a corner stay joined. Arguments as for :func:`scaled_gray`.
    """
    fine = (size[0] * _SUPERSAMPLING, size[1] * _SUPERSAMPLING)
    plane = Image.fromarray(mask.astype(np.uint8) * 255)
    inside = plane.resize(fine, Image.Resampling.BILINEAR, box=box).point(lambda v: 255 if v >= 105 else 0)
    blur = line_px * _SUPERSAMPLING / 2
    edge = np.asarray(inside.filter(ImageFilter.GaussianBlur(blur)), dtype=np.float32) / 255
    line = np.clip(2.2 * (1 - np.abs(2 * edge - 1)) - 0.4, 0, 1)
    return (
        np.asarray(inside.reduce(_SUPERSAMPLING), dtype=np.float32) / 255,
        np.asarray(Image.fromarray((line * 255).astype(np.uint8)).reduce(_SUPERSAMPLING), dtype=np.float32) / 255,
    )


def blend(picture: np.ndarray, rgb: tuple[float, float, float], opacity: np.ndarray) -> None:
    """Paint ``rgb`` (0..1) over ``picture`` (float32 ``[height, width, 3]``, 0..255) in place."""
    picture += opacity[..., None] * (np.array(rgb, dtype=np.float32) * 255 - picture)


@cache
def font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    """The font that comes with Pillow: pictures look alike on every machine."""
    return ImageFont.load_default(size)


def write(
    draw: ImageDraw.ImageDraw, place: tuple[float, float], text: str, anchor: str, size: int = 15, color="white"
) -> None:
    """Letters with a dark rim, readable on any tissue. ``anchor`` as Pillow has it, e.g. ``mm`` for the middle."""
    draw.text(place, text, fill=color, font=font(size), anchor=anchor, stroke_width=2, stroke_fill="black")


def write_orientation(draw: ImageDraw.ImageDraw, size: tuple[int, int], left: str, right: str, top: str, bottom: str):
    """The patient directions at the four edges of a picture of ``size`` (width, height)."""
    width, height = size
    write(draw, (5, height / 2), left, "lm")
    write(draw, (width - 5, height / 2), right, "rm")
    write(draw, (width / 2, 3), top, "ma")
    write(draw, (width / 2, height - 4), bottom, "md")


def draw_scale_bar(draw: ImageDraw.ImageDraw, size: tuple[int, int], px_per_mm: float) -> None:
    """A bar of a round number of cm at the lower left, at most a third as long as the picture is wide."""
    longest = size[0] / 3 / px_per_mm
    mm = max((m for m in (5, 10, 20, 50, 100, 200) if m <= longest), default=5)
    x, y = 8, size[1] - 9
    end = x + mm * px_per_mm
    draw.rectangle([x - 1, y - 2, end + 1, y + 2], fill="black")
    draw.rectangle([x, y - 1, end, y + 1], fill="white")
    write(draw, (x, y - 4), f"{mm / 10:g} cm", "ld", 12)


def jpeg_data_uri(picture: np.ndarray | Image.Image, quality: int = 86) -> str:
    """A picture (``[height, width, 3]``, 0..255) as a ``data:`` URI; color at full resolution for crisp contours."""
    image = picture if isinstance(picture, Image.Image) else to_image(picture)
    return _data_uri(image, "jpeg", quality=quality, subsampling=0)


def png_data_uri(pixels: np.ndarray) -> str:
    """A small lossless picture (uint8 ``[height, width, 3 or 4]``) as a ``data:`` URI."""
    return _data_uri(Image.fromarray(pixels), "png")


def _data_uri(image: Image.Image, kind: str, **how) -> str:
    stream = io.BytesIO()
    image.save(stream, kind, optimize=True, **how)
    return f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"


def to_image(picture: np.ndarray) -> Image.Image:
    """A float picture 0..255 ``[height, width, 3]`` as an RGB image."""
    return Image.fromarray(np.clip(picture + 0.5, 0, 255).astype(np.uint8))
