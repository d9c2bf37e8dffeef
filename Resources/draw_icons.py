"""Draw the extension's and the modules' icons: an axial CT slice with a contour that runs from red to green.

    python Resources/draw_icons.py

The pictures are drawn large and reduced, so that edges are smooth at every size. No patient data is in them.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

ROOT = Path(__file__).resolve().parent.parent
SIZE = 1024  # pixels of the large drawing

# Red, amber, green: the colors by which the extension shows a low, a middling and a high predicted DSC.
RED, AMBER, GREEN = (226, 56, 48), (247, 186, 44), (62, 190, 96)


def smooth_outline(points: list[tuple[float, float]], samples: int = 720) -> np.ndarray:
    """A closed smooth curve through ``points`` (fractions of the picture), as ``[samples, 2]`` pixel coordinates.

    The points are taken as equally spaced in parameter and interpolated by their Fourier series.
    """
    values = np.array([complex(x, y) for x, y in points])
    coefficients = np.fft.fft(values) / len(values)
    frequencies = np.fft.fftfreq(len(values), 1 / len(values))
    parameter = np.linspace(0, 1, samples, endpoint=False)
    curve = (coefficients[None] * np.exp(2j * np.pi * parameter[:, None] * frequencies[None])).sum(axis=1)
    # A touch taller than a real abdomen, so that the body fills the square.
    return np.stack([curve.real, 0.5 + (curve.imag - 0.515) * 1.14], axis=1) * SIZE


def ellipse(x: float, y: float, rx: float, ry: float) -> list[tuple[float, float]]:
    """Twelve points around an ellipse, in fractions of the picture."""
    angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    return [(x + rx * float(np.cos(a)), y + ry * float(np.sin(a))) for a in angles]


BODY = [
    (0.945, 0.52), (0.90, 0.70), (0.78, 0.835), (0.62, 0.875), (0.50, 0.862), (0.38, 0.875),
    (0.22, 0.835), (0.10, 0.70), (0.055, 0.52), (0.10, 0.34), (0.24, 0.205), (0.40, 0.160),
    (0.50, 0.165), (0.60, 0.160), (0.76, 0.205), (0.90, 0.34),
]  # fmt: skip
LIVER = [
    (0.150, 0.500), (0.175, 0.375), (0.255, 0.278), (0.375, 0.242), (0.490, 0.262), (0.585, 0.305),
    (0.560, 0.375), (0.478, 0.430), (0.420, 0.505), (0.385, 0.600), (0.310, 0.690), (0.205, 0.660),
]  # fmt: skip


def draw_slice() -> Image.Image:
    """The CT slice: body, fat, liver, stomach, spleen, kidneys, aorta and vertebra in shades of gray, on black."""
    picture = Image.new("RGBA", (SIZE, SIZE), (0, 0, 0, 0))
    draw = ImageDraw.Draw(picture)
    draw.rectangle([0, 0, SIZE, SIZE], fill=(14, 19, 27, 255))

    def organ(points: list[tuple[float, float]], gray: int) -> None:
        draw.polygon([tuple(p) for p in smooth_outline(points)], fill=(gray, gray, gray + 3, 255))

    organ(BODY, 96)  # skin and muscle
    center = np.array([0.5, 0.52])
    organ([tuple(center + (np.array(p) - center) * 0.955) for p in BODY], 62)  # fat
    organ([tuple(center + (np.array(p) - center) * 0.86) for p in BODY], 108)  # the wall's muscle
    organ([tuple(center + (np.array(p) - center) * 0.81) for p in BODY], 70)  # fat inside
    organ(ellipse(0.66, 0.385, 0.125, 0.095), 118)  # stomach
    organ(ellipse(0.655, 0.345, 0.075, 0.034), 30)  # the gas in it
    organ(ellipse(0.805, 0.545, 0.062, 0.135), 150)  # spleen
    organ(ellipse(0.335, 0.735, 0.066, 0.058), 158)  # kidneys
    organ(ellipse(0.668, 0.735, 0.066, 0.058), 158)
    organ(ellipse(0.505, 0.765, 0.046, 0.075), 176)  # vertebra: spinous process, body, canal
    organ(ellipse(0.505, 0.672, 0.088, 0.070), 226)
    organ(ellipse(0.505, 0.672, 0.068, 0.052), 190)
    organ(ellipse(0.505, 0.752, 0.028, 0.022), 92)
    organ(ellipse(0.560, 0.560, 0.036, 0.036), 172)  # aorta and vena cava
    organ(ellipse(0.452, 0.572, 0.034, 0.027), 160)
    organ(LIVER, 142)

    picture = picture.filter(ImageFilter.GaussianBlur(SIZE * 0.003))
    # A little noise, as a CT has it: the same every time, so that the picture is reproducible.
    noise = np.random.default_rng(2406).normal(0, 9, (SIZE // 8, SIZE // 8, 1)).repeat(3, axis=2)
    pixels = np.asarray(picture).astype(float)
    grain = np.asarray(
        Image.fromarray(np.uint8(np.clip(noise + 128, 0, 255))).resize((SIZE, SIZE), Image.Resampling.BICUBIC)
    )
    inside = np.asarray(_mask(smooth_outline(BODY)))[..., None] / 255.0
    pixels[..., :3] = np.clip(pixels[..., :3] + (grain.astype(float) - 128) * inside, 0, 255)
    return Image.fromarray(np.uint8(pixels), "RGBA")


def draw_contour(picture: Image.Image, width: float) -> None:
    """Draw the liver's contour of ``width`` (fraction of the picture): green where it fits, red where it strays.

    The contour follows the organ on the left of the picture and leaks out of it at the upper right.
    """
    outline = smooth_outline(LIVER)
    middle = outline.mean(axis=0)
    direction = (outline - middle) / np.linalg.norm(outline - middle, axis=1, keepdims=True)
    angle = np.degrees(np.arctan2(direction[:, 1], direction[:, 0]))
    strays = np.exp(-(((angle - -22 + 180) % 360 - 180) ** 2) / (2 * 26.0**2))  # 1 where the contour is most wrong
    contour = outline + direction * (0.075 * SIZE * strays[:, None])

    tint = _mask(contour).point(lambda value: value * 0.20)
    picture.alpha_composite(Image.merge("RGBA", (*_flat(GREEN, picture.size), tint)))
    leak = ImageChops.subtract(_mask(contour), _mask(outline)).point(lambda value: value * 0.45)
    picture.alpha_composite(Image.merge("RGBA", (*_flat(RED, picture.size), leak)))

    draw = ImageDraw.Draw(picture)
    radius = width * SIZE / 2
    for grow, shade in ((1.5, True), (1.0, False)):  # a dark rim first: the contour stands out on bright tissue too
        for (x, y), error in zip(contour, strays, strict=True):
            color = (10, 14, 20, 255) if shade else (*quality_color(1 - error), 255)
            r = radius * grow
            draw.ellipse([x - r, y - r, x + r, y + r], fill=color)


def quality_color(quality: float) -> tuple[int, int, int]:
    """Red at 0, amber at 0.5, green at 1."""
    low, high, part = (RED, AMBER, quality * 2) if quality < 0.5 else (AMBER, GREEN, quality * 2 - 1)
    return tuple(round(a + (b - a) * part) for a, b in zip(low, high, strict=True))


def rounded(picture: Image.Image, part: tuple[float, float, float] = (0.0, 0.0, 1.0)) -> Image.Image:
    """A square part ``(left, top, side)`` of the picture, in fractions of it, with round corners."""
    left, top, side = part
    box = tuple(round(value * SIZE) for value in (left, top, left + side, top + side))
    picture = picture.crop(box).resize((SIZE, SIZE), Image.Resampling.LANCZOS)
    corners = Image.new("L", picture.size, 0)
    ImageDraw.Draw(corners).rounded_rectangle([8, 8, SIZE - 9, SIZE - 9], 0.17 * SIZE, fill=255)
    picture.putalpha(corners)
    return picture


def thumbnail(picture: Image.Image) -> Image.Image:
    """The picture as the Sample Data module shows one: 260 x 280, the slice in the middle, square corners."""
    page = Image.new("RGB", (260, 280), (14, 19, 27))
    small = picture.resize((260, 260), Image.Resampling.LANCZOS)
    page.paste(small, (0, 10), small)
    return page


def draw_training_mark(picture: Image.Image) -> None:
    """Three rising bars in the lower right corner: the companion that learns and measures."""
    draw = ImageDraw.Draw(picture)
    draw.rounded_rectangle([0.56 * SIZE, 0.56 * SIZE, 0.985 * SIZE, 0.985 * SIZE], 0.09 * SIZE, fill=(14, 19, 27, 255))
    for index, (color, height) in enumerate(((RED, 0.12), (AMBER, 0.21), (GREEN, 0.31))):
        left = (0.615 + 0.115 * index) * SIZE
        top = (0.93 - height) * SIZE
        draw.rounded_rectangle([left, top, left + 0.085 * SIZE, 0.93 * SIZE], 0.02 * SIZE, fill=(*color, 255))


def _mask(outline: np.ndarray) -> Image.Image:
    mask = Image.new("L", (SIZE, SIZE), 0)
    ImageDraw.Draw(mask).polygon([tuple(p) for p in outline], fill=255)
    return mask


def _flat(color: tuple[int, int, int], size: tuple[int, int]) -> list[Image.Image]:
    return [Image.new("L", size, channel) for channel in color]


def main() -> None:
    """Write the three icons and the thumbnail of the sample data."""
    sys.path.insert(0, str(ROOT / "QualitySentinel"))
    from QualitySentinelLib.files import atomic_write

    def save(picture: Image.Image, size: int, path: str) -> None:
        small = picture.resize((size, size), Image.Resampling.LANCZOS)
        atomic_write(ROOT / path, lambda target: small.save(target, format="PNG", optimize=True))

    large, small = draw_slice(), draw_slice()
    draw_contour(large, width=0.030)
    save(rounded(large), 128, "QualitySentinel.png")

    page = thumbnail(large).quantize(128, Image.Quantize.MAXCOVERAGE)  # keeps the few colored pixels among the gray
    path = ROOT / "QualitySentinel/Resources/Icons/CTLiverSegmented.png"
    atomic_write(path, lambda target: page.save(target, format="PNG", optimize=True))

    # Thicker, and closer to the organ: a toolbar shows it at 24 pixels.
    draw_contour(small, width=0.048)
    module = rounded(small, part=(0.04, 0.06, 0.78))
    save(module, 64, "QualitySentinel/Resources/Icons/QualitySentinel.png")
    draw_training_mark(module)
    save(module, 64, "QualitySentinelTraining/Resources/Icons/QualitySentinelTraining.png")


if __name__ == "__main__":
    main()
