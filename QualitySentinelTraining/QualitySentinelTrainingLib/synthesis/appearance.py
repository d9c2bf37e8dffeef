"""Another look of the same anatomy: contrast phase, tissues painted anew, and what a scanner adds."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter, gaussian_filter1d

from ..phantom.noise import smooth_noise
from .names import draw_soft_tissues

CLASSES = {  # (highest HU, middle, usual levels, unusual ones); the edge is where fat or skin meets gas within a voxel
    "air": (-930, -1000, (-1005, -990), (-1015, -980)), "lung": (-500, -830, (-890, -780), (-940, -650)),
    "edge": (-250, -375, (-500, -350), (-550, -300)), "fat": (-25, -100, (-115, -85), (-150, -50)),
    "soft": (130, 45, (40, 65), (15, 110)), "spongy bone": (420, 250, (150, 300), (140, 420)),
    "cortical bone": (np.inf, 900, (650, 1200), (450, 1600)),
}  # fmt: skip
"""Tissue classes by the HU of the source."""
_LEAST_VOXELS = 20
_LEAST_DIFFERENCE_HU = 8.0


def softness(hu: np.ndarray) -> np.ndarray:
    """Share 0..1 of soft tissue by HU: 1 from 0 to 200, none in fat, gas or dense bone. float32."""
    hu = hu.astype(np.float32, copy=False)
    return np.clip((hu + 60) / 60, 0, 1) * np.clip((350 - hu) / 150, 0, 1)


def with_other_phase(
    rng: np.random.Generator, hu: np.ndarray, labels: np.ndarray, structures: dict[int, str]
) -> np.ndarray:
    """Another contrast phase: the soft part of each labelled structure is moved towards a level drawn for it.

    Four times in ten the phase stays and structures move by a few HU only. Gas, fat, bone and calcifications in a
    structure stay what they are. All tissue classes are moved by a random increasing curve before. All float32
    ``[k, j, i]``.
    """
    bone, soft = rng.uniform(0.85, 1.2), rng.uniform(-6, 8)
    to = [-1024, -850 + rng.uniform(-25, 25), -100 + rng.uniform(-12, 12), rng.uniform(-5, 5), 50 + soft]
    to += [50 + soft + above * bone for above in (150, 950, 3021)]
    hu = np.interp(hu, [-1024, -850, -100, 0, 50, 200, 1000, 3071], to).astype(np.float32)
    offsets = np.zeros(int(max(structures, default=0)) + 1, np.float32)
    same, towards = rng.random() < 0.4, rng.uniform(0.5, 1.0)
    for value, target in draw_soft_tissues(rng, structures).items():
        inside = hu[labels == value]
        inside = inside[(inside > -20) & (inside < 300)]
        if inside.size >= _LEAST_VOXELS:
            away = towards * (target - float(np.median(inside)))
            offsets[value] = rng.normal(0, 5) if same else np.clip(away, -50, 260)
    return hu + gaussian_filter(offsets[labels], 0.6, truncate=2.5) * softness(hu)


def draw_levels(rng: np.random.Generator, structures: dict[int, str], soft: float, wide: bool) -> dict[int, float]:
    """HU of the soft structures by label value; most differ visibly from the tissue around them, ``soft`` HU."""
    levels = draw_soft_tissues(rng, structures)
    for value, level in levels.items():
        level = soft + rng.normal(0, 30) if wide else level
        if abs(level - soft) < _LEAST_DIFFERENCE_HU and rng.random() < 0.8:
            level = soft + rng.choice([-1, 1]) * rng.uniform(_LEAST_DIFFERENCE_HU, 2 * _LEAST_DIFFERENCE_HU)
        levels[value] = float(level)
    return levels


def paint(
    rng: np.random.Generator, hu: np.ndarray, labels: np.ndarray, structures: dict[int, str], spacing: tuple
) -> np.ndarray:
    """A CT painted from labels and tissue classes, so that no gray value is the source's own; float32 ``[k, j, i]``.

    Random levels for classes and structures, texture, and some of the source's fine detail; no blur, no noise. ``hu``
    is the source's CT on the new grid.
    """
    wide = rng.random() < 0.5
    smooth = gaussian_filter(hu, [1.2 / s for s in spacing], truncate=2.5)
    limits, middles, *ranges = zip(*CLASSES.values(), strict=True)
    classes = np.searchsorted(limits[:-1], smooth).astype(np.uint8)
    levels = np.array([rng.uniform(*ends) for ends in ranges[wide]], np.float32)
    # within a class the source's differences remain, more or less: fluid darker than muscle, cortex denser than marrow
    slopes = np.array([1, *rng.uniform(0.3, 1, 2), *rng.uniform(0.1, 1, 2), *rng.uniform(0.4, 1, 2)], np.float32)
    image = (levels - slopes * np.array(middles, np.float32))[classes] + slopes[classes] * smooth
    soft = list(CLASSES).index("soft")
    target, known = np.zeros((2, int(max(structures, default=0)) + 1), np.float32)
    for value, level in draw_levels(rng, structures, float(levels[soft]), wide).items():
        inside = smooth[labels == value]
        inside = inside[(inside > -25) & (inside < 130)]
        if inside.size:
            target[value], known[value] = level - slopes[soft] * np.median(inside), 1
    image += known[labels] * softness(smooth) * (target[labels] + slopes[soft] * smooth - image)
    tissue = np.clip((smooth + 300) / 200, 0, 1)  # no texture in gas
    for cell, most in ((rng.uniform(4, 9), 5), (rng.uniform(14, 40), 6)):
        image += np.float32(rng.uniform(0, most)) * tissue * smooth_noise(rng, _axes(hu, spacing), cell)
    return image + np.float32(rng.uniform(0, 0.8)) * (hu - smooth)


def scan(rng: np.random.Generator, hu: np.ndarray, body: np.ndarray, spacing: tuple) -> np.ndarray:
    """What a scanner that is drawn at random makes of ``hu``: sharpness, correlated noise, streaks, beam hardening.

    Three times in ten everything outside the patient, ``body``, is air. ``hu``, float32 ``[k, j, i]``, is overwritten;
    the result is int16 in -1024..3071.
    """
    if rng.random() < 0.3:
        hu[~body] = -1000.0
    hu = gaussian_filter1d(hu, rng.uniform(0.0, 0.6), axis=0, truncate=3.0)
    sharp, blur = rng.random() < 0.3, rng.uniform(0.4, 1.3)
    soft = gaussian_filter(hu, (0, *(max(blur / s, 0.7 * sharp) for s in spacing[1:])), truncate=3.0)
    hu = hu + np.clip(0.6 * (hu - soft), -80, 80) if sharp else soft
    if rng.random() < 0.5:  # slow changes over the body
        hu += np.float32(rng.uniform(0, 7)) * smooth_noise(rng, _axes(hu, spacing), float(rng.uniform(60, 140))) * body
    if rng.random() < 0.15:
        _add_metal_streaks(rng, hu, spacing, rng.uniform(60, 400))
    _add_noise(rng, hu, spacing, np.exp(rng.uniform(np.log(4), np.log(32))))
    return np.clip(np.rint(hu), -1024, 3071).astype(np.int16)


def _add_noise(rng: np.random.Generator, hu: np.ndarray, spacing: tuple, noise_hu: float) -> None:
    """Noise, correlated in the slice, stronger behind much tissue; half of the time also streaks along starved rows."""

    def noise(*grain_mm: float) -> np.ndarray:
        field = rng.standard_normal(hu.shape, dtype=np.float32)
        grain = (mm / s for mm, s in zip(grain_mm, spacing[1:], strict=True))
        field = gaussian_filter(field, (0, *grain), truncate=3.0)
        return field * (np.float32(noise_hu) / field[:: max(1, len(field) // 8)].std())

    grain = rng.uniform(0.4, 1.3)
    attenuation = np.clip(hu + 1000, 0, 2500).sum(axis=2) * np.float32(spacing[2] / 1000)  # mm of water along the row
    dose = np.exp(np.clip((attenuation - 250) / 250, -1, 1.5) * 0.6).astype(np.float32)  # about 1 for 25 cm of water
    hu += noise(grain, grain) * gaussian_filter1d(dose, 12 / spacing[1], axis=1)[..., None]
    if rng.random() < 0.5:
        hu += noise(0, 12) * (np.clip((attenuation - 300) / 200, 0, 1.2) * np.float32(rng.uniform(0, 1.5)))[..., None]


def _add_metal_streaks(rng: np.random.Generator, hu: np.ndarray, spacing: tuple, strength: float) -> None:
    """Streaks from one or two dense places (teeth, prostheses: where the CT is densest anyway), weak in air."""
    dense = np.argwhere(hu[:, ::2, ::2] > 900)
    z, y, x = _axes(hu, spacing)
    for k, j, i in dense[rng.integers(len(dense), size=rng.integers(1, 3))] if len(dense) else ():
        away = (y - y[2 * j])[:, None], (x - x[2 * i])[None, :]
        distance, angle = np.hypot(*away), np.arctan2(*away) % np.pi  # a streak runs on both sides of the metal
        rays = gaussian_filter1d(rng.standard_normal(180) * (rng.random(180) < 0.25), 1.0, mode="wrap")
        star = np.interp(angle, np.linspace(0, np.pi, 180), rays / (np.abs(rays).max() + 1e-6))
        star *= np.exp(-distance / rng.uniform(40, 90)) * np.clip(distance / 8, 0.2, 1) * strength
        for plane in np.flatnonzero(np.abs(z - z[k]) < 15):
            hu[plane] += (np.exp(-(((z[plane] - z[k]) / 6) ** 2)) * star * np.clip((hu[plane] + 700) / 500, 0.1, 1))


def _axes(volume: np.ndarray, spacing: tuple) -> list[np.ndarray]:
    return [np.arange(n) * s for n, s in zip(volume.shape, spacing, strict=True)]
