"""What a scanner adds: sharpness, correlated noise, streaks, beam hardening, a field without table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, gaussian_filter1d

from ..phantom.noise import smooth_noise

LEAST_HU, MOST_HU = -1024, 3071


@dataclass(frozen=True)
class Scanner:
    """How the new examination is reconstructed.

    Attributes:
        blur_mm: in-plane standard deviation of the kernel; negative sharpens by that much.
        slice_blur: through-plane standard deviation, slices.
        noise_hu: standard deviation of the noise in the middle of the body.
        grain_mm: in-plane standard deviation of the noise's correlation.
        starvation: 0..1, how much more noise, as horizontal streaks, rows with much bone and tissue get.
        metal_hu: strength of metal streaks; 0 for none.
        bias_hu: standard deviation of slow changes of HU over the body.
        tableless: everything outside the patient is air.
    """

    blur_mm: float
    slice_blur: float
    noise_hu: float
    grain_mm: float
    starvation: float
    metal_hu: float
    bias_hu: float
    tableless: bool


def draw_scanner(rng: np.random.Generator) -> Scanner:
    """Draw a scanner."""
    sharp = rng.random() < 0.3
    return Scanner(
        blur_mm=float(-rng.uniform(0.5, 1.2) if sharp else rng.uniform(0.3, 1.3)),
        slice_blur=float(rng.uniform(0.0, 0.6)),
        noise_hu=float(np.exp(rng.uniform(np.log(4), np.log(32)))),
        grain_mm=float(rng.uniform(0.4, 1.3)),
        starvation=float(rng.uniform(0, 1) if rng.random() < 0.5 else 0),
        metal_hu=float(rng.uniform(60, 400) if rng.random() < 0.15 else 0),
        bias_hu=float(rng.uniform(0, 7) if rng.random() < 0.5 else 0),
        tableless=bool(rng.random() < 0.3),
    )


def scan(
    rng: np.random.Generator, hu: np.ndarray, body: np.ndarray, spacing: tuple[float, float, float], scanner: Scanner
) -> np.ndarray:
    """Reconstruct ``hu`` as the ``scanner`` does.

    Args:
        rng: source of randomness.
        hu: float32 ``[k, j, i]``; overwritten.
        body: bool, the patient.
        spacing: mm (k, j, i).
        scanner: how.

    Returns:
        int16 ``[k, j, i]`` in -1024..3071.
    """
    if scanner.tableless:
        hu[~body] = -1000.0
    hu = _with_kernel(hu, spacing, scanner)
    if scanner.bias_hu:
        axes = [np.arange(n) * s for n, s in zip(hu.shape, spacing, strict=True)]
        hu += np.float32(scanner.bias_hu) * smooth_noise(rng, axes, float(rng.uniform(60, 140))) * body
    if scanner.metal_hu:
        add_metal_streaks(rng, hu, spacing, scanner.metal_hu)
    add_noise(rng, hu, spacing, scanner)
    return np.clip(np.rint(hu), LEAST_HU, MOST_HU).astype(np.int16)


def _with_kernel(hu, spacing, scanner: Scanner) -> np.ndarray:
    in_plane = [abs(scanner.blur_mm) / s for s in spacing[1:]]
    if scanner.blur_mm >= 0:
        return gaussian_filter(hu, (scanner.slice_blur, *in_plane), truncate=3.0)
    hu = gaussian_filter(hu, (scanner.slice_blur, 0, 0), truncate=3.0)
    soft = gaussian_filter(hu, (0, *(max(s, 0.7) for s in in_plane)), truncate=3.0)
    return hu + np.clip(0.6 * (hu - soft), -80, 80)


def add_noise(rng: np.random.Generator, hu: np.ndarray, spacing: tuple, scanner: Scanner) -> None:
    """Add noise to ``hu``: correlated in the slice, stronger behind much tissue, in streaks along starved rows."""
    noise = rng.standard_normal(hu.shape, dtype=np.float32)
    for axis in (1, 2):
        grain = scanner.grain_mm / spacing[axis]
        if grain > 0.25:
            noise = gaussian_filter1d(noise, grain, axis=axis, truncate=3.0)
    noise *= np.float32(scanner.noise_hu) / noise[:: max(1, len(noise) // 8)].std()
    attenuation = np.clip(hu + 1000, 0, 2500).sum(axis=2) * np.float32(spacing[2] / 1000)  # mm of water along the row
    dose = np.exp(np.clip((attenuation - 250) / 250, -1, 1.5) * 0.6).astype(np.float32)  # about 1 for 25 cm of water
    hu += noise * gaussian_filter1d(dose, 12 / spacing[1], axis=1)[..., None]
    if scanner.starvation:
        rows = rng.standard_normal(hu.shape, dtype=np.float32)
        rows = gaussian_filter1d(rows, 12 / spacing[2], axis=2, truncate=2.0)
        rows /= max(float(rows[:: max(1, len(rows) // 8)].std()), 1e-6)
        starved = np.clip((attenuation - 300) / 200, 0, 1.2) * np.float32(1.5 * scanner.noise_hu * scanner.starvation)
        hu += rows * starved[..., None]


def add_metal_streaks(rng: np.random.Generator, hu: np.ndarray, spacing: tuple, strength: float) -> None:
    """Add streaks to ``hu`` from one or two dense places (teeth, prostheses: where the CT is densest anyway)."""
    dense = np.argwhere(hu[:, ::2, ::2] > 900)
    if len(dense) == 0:
        return
    for k, j, i in dense[rng.integers(len(dense), size=rng.integers(1, 3))]:
        y = (np.arange(hu.shape[1], dtype=np.float32) - 2 * j) * np.float32(spacing[1])
        x = (np.arange(hu.shape[2], dtype=np.float32) - 2 * i) * np.float32(spacing[2])
        distance = np.hypot(y[:, None], x[None, :])
        angle = np.arctan2(y[:, None], x[None, :]) % np.pi  # a streak runs on both sides of the metal
        rays = rng.standard_normal(180) * (rng.random(180) < 0.25)
        rays = gaussian_filter1d(rays, rng.uniform(0.6, 1.5), mode="wrap")
        rays /= np.abs(rays).max() + 1e-6
        star = np.interp(angle, np.linspace(0, np.pi, 180), rays).astype(np.float32)
        star *= np.exp(-distance / np.float32(rng.uniform(40, 90))) * np.clip(distance / 8, 0.2, 1)
        reach = rng.uniform(2, 8)
        for plane in range(hu.shape[0]):
            fade = np.exp(-(((plane - k) * spacing[0] / reach) ** 2))
            if fade > 0.05:
                inside = np.clip((hu[plane] + 700) / 500, 0.1, 1)  # weak in air
                hu[plane] += np.float32(strength * fade) * star * inside
