"""The examination: patient size, contrast phase, field of view and how the scanner reconstructs. All drawn by seed.

Hounsfield units of the tissues by contrast phase are those of ``tissues.toml``.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

MOST_VOXELS = 2_500_000
PHASES = ("none", "arterial", "venous")
_RANGES = tomllib.loads(Path(__file__).with_name("tissues.toml").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Scan:
    """What differs from examination to examination."""

    shape: tuple[int, ...]  # voxels ``(k, j, i)``
    spacing: tuple[float, ...]  # mm ``(k, j, i)``
    centre: tuple[float, ...]  # reference anatomy (z, y, x) in mm at the volume's centre
    size: float  # patient's size over that of the reference adult
    phase: str  # ``none``, ``arterial`` or ``venous`` contrast
    noise_hu: float  # standard deviation of the noise
    noise_grain: float  # in-plane correlation (standard deviation of the filter, voxels) of the noise
    blur: float  # in-plane reconstruction blur (standard deviation, voxels)
    slice_blur: float  # through-plane blur (standard deviation, slices)
    fat_mm: float  # thickness of the subcutaneous fat


def draw_scan(rng: np.random.Generator, spacing: tuple | None = None, region: tuple | None = None) -> Scan:
    """Draw an examination. ``spacing`` (k, j, i) and ``region`` (z range in mm) are kept where given."""
    size = float(np.clip(rng.normal(1.0, 0.08), 0.8, 1.2))
    fat = float(np.clip(rng.gamma(3.0, 6.0), 4, 45))
    close_up = rng.random() < 0.15  # a field of view smaller than the body
    wanted = rng.uniform(200, 300) if close_up else size * (330 + 2 * fat) * rng.uniform(1.03, 1.2)
    given = spacing is not None
    if not given:
        pixel = float(
            np.exp(rng.uniform(np.log(0.8), np.log(1.6)) if close_up else rng.uniform(np.log(1.2), np.log(3)))
        )
        spacing = (float(rng.choice([1.5, 2.0, 2.5, 3.0, 3.0, 4.0, 5.0, 5.0])), pixel, pixel)
    bottom, top = region or sorted(rng.uniform(-200, 400, 2))
    if region is None and top - bottom < 150:
        middle = np.clip((top + bottom) / 2, -120, 330)
        bottom, top = middle - 90, middle + 90
    slices = max((top - bottom) * size / spacing[0], 24)
    fewest = wanted * np.sqrt(0.85 * slices * rng.uniform(0.5, 1.0) / MOST_VOXELS)  # keep most of the range in z
    if spacing[2] < fewest <= 3.0 and not given:
        spacing = (spacing[0], float(fewest), float(fewest))
    across = int(round(wanted / spacing[2] / 8) * 8)
    along = int(np.clip((top - bottom) * size / spacing[0], 24, MOST_VOXELS / across**2))
    shape = max(along, 24), int(round(wanted * (1.0 if close_up else 0.85) / spacing[1] / 8) * 8), across
    offset = (rng.uniform(-45, 45), rng.uniform(-45, 45)) if close_up else tuple(rng.normal(0, 8, 2))
    return Scan(
        shape=shape,
        spacing=tuple(float(s) for s in spacing),
        centre=((bottom + top) / 2, *(float(o) for o in offset)),
        size=size,
        phase=str(rng.choice(["none", "arterial", "venous", "venous"])),
        noise_hu=float(np.exp(rng.uniform(np.log(5), np.log(32)))),
        noise_grain=float(rng.uniform(0.3, 1.1)),
        blur=float(rng.uniform(0.25, 0.8)),
        slice_blur=float(rng.uniform(0.25, 0.6)),
        fat_mm=fat,
    )


def draw_tissues(rng: np.random.Generator, phase: str) -> dict[str, float]:
    """HU of each tissue in this patient and contrast ``phase``."""
    return {name: float(rng.uniform(*ranges[PHASES.index(phase)])) for name, ranges in _RANGES.items()}
