"""A CT painted from labels and tissue classes, so that no gray value is the source's own."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from ..phantom.noise import smooth_noise
from .contrast import softness
from .tissues import PHASES, draw_soft_tissues

CLASSES = ("air", "lung", "edge", "fat", "soft", "spongy bone", "cortical bone")
_LIMITS = np.array([-930, -500, -250, -25, 130, 420])
"""HU between one class and the next. ``edge`` is where fat or skin meets gas within a voxel."""

_CENTRES = np.array([-1000, -830, -375, -100, 45, 250, 900], np.float32)

_COMMON = {"air": (-1005, -990), "lung": (-890, -780), "fat": (-115, -85), "soft": (40, 65),
           "spongy bone": (150, 300), "cortical bone": (650, 1200)}  # fmt: skip
_WIDE = {"air": (-1015, -980), "lung": (-940, -650), "fat": (-150, -50), "soft": (15, 110),
         "spongy bone": (140, 420), "cortical bone": (450, 1600)}  # fmt: skip

_LEAST_DIFFERENCE_HU = 8.0


def draw_levels(rng: np.random.Generator, wide: bool) -> np.ndarray:
    """Mean HU of each of the :data:`CLASSES`, about their anatomical ranges or in ``wide`` ones; increasing."""
    levels = {name: rng.uniform(*limits) for name, limits in (_WIDE if wide else _COMMON).items()}
    levels["edge"] = levels["lung"] + (levels["fat"] - levels["lung"]) * rng.uniform(0.5, 0.7)
    return np.array([levels[name] for name in CLASSES], np.float32)


def draw_structure_levels(
    rng: np.random.Generator, structures: dict[int, str], soft: float, wide: bool
) -> dict[int, float]:
    """HU of the soft structures by label value; most differ visibly from the tissue around them, ``soft`` HU."""
    levels = draw_soft_tissues(rng, structures, PHASES[rng.integers(len(PHASES))])
    for value, level in levels.items():
        if wide:
            level = soft + rng.normal(0, 30)
        if abs(level - soft) < _LEAST_DIFFERENCE_HU and rng.random() < 0.8:
            level = soft + rng.choice([-1, 1]) * rng.uniform(_LEAST_DIFFERENCE_HU, 2 * _LEAST_DIFFERENCE_HU)
        levels[value] = float(level)
    return levels


def paint(
    rng: np.random.Generator,
    hu: np.ndarray,
    labels: np.ndarray,
    structures: dict[int, str],
    spacing: tuple[float, float, float],
) -> np.ndarray:
    """Paint a CT: random levels for tissue classes and structures, texture, and some of the source's fine detail.

    Args:
        rng: source of randomness.
        hu: the source's CT on the new grid, float32 ``[k, j, i]``.
        labels: label map of the same shape.
        structures: label value to name.
        spacing: mm (k, j, i).

    Returns:
        float32 ``[k, j, i]``; the scanner's blur and noise are not in it.
    """
    wide = rng.random() < 0.5
    smooth = gaussian_filter(hu, [1.2 / s for s in spacing], truncate=2.5)
    classes = np.searchsorted(_LIMITS, smooth).astype(np.uint8)
    levels = draw_levels(rng, wide)
    # within a class the source's differences remain, more or less: fluid darker than muscle, cortex denser than marrow
    slopes = np.array([1, *rng.uniform(0.3, 1, 2), *rng.uniform(0.1, 1, 2), *rng.uniform(0.4, 1, 2)], np.float32)
    image = (levels - slopes * _CENTRES)[classes] + slopes[classes] * smooth
    means = draw_structure_levels(rng, structures, float(levels[CLASSES.index("soft")]), wide)
    size = int(max(structures, default=0)) + 1
    target, known = np.zeros(size, np.float32), np.zeros(size, np.float32)
    for value, level in means.items():
        inside = smooth[labels == value]
        inside = inside[(inside > -25) & (inside < 130)]
        if inside.size:
            target[value], known[value] = level - slopes[4] * np.median(inside), 1
    share = known[labels] * softness(smooth)
    image += share * (target[labels] + slopes[4] * smooth - image)
    axes = [np.arange(n) * s for n, s in zip(hu.shape, spacing, strict=True)]
    tissue = np.clip((smooth + 300) / 200, 0, 1)  # no texture in gas
    for cell, most in ((rng.uniform(4, 9), 5), (rng.uniform(14, 40), 6)):
        image += np.float32(rng.uniform(0, most)) * tissue * smooth_noise(rng, axes, cell)
    return image + np.float32(rng.uniform(0, 0.8)) * (hu - smooth)
