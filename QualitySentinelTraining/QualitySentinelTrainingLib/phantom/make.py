"""Putting a phantom together: draw the patient and the examination, paint from back to front, reconstruct."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, gaussian_filter1d

from .body import SPECIAL, VERTEBRAE, paint_body
from .canvas import Canvas
from .organs import ORGANS, paint_organ
from .scan import Scan, draw_scan, draw_tissues

_SIDES = {"left": 1, "right": -1}
STRUCTURES: tuple[str, ...] = (
    *(
        f"{part['name']} {side}".strip() for organ in ORGANS for part in (organ, *organ.get("part", ()))
        if part.get("name") not in (None, "", "body", "costa", "vertebra")
        for side in (_SIDES if organ.get("sides") else ("",))
    ),
    "spinal canal", *(f"vertebra {name}" for name in VERTEBRAE),
    *(f"costa {n} {side}" for n in range(1, 13) for side in _SIDES),
)  # fmt: skip
"""What a phantom can hold; name of label value ``v`` is ``STRUCTURES[v - 1]``, the same in every phantom."""
FIRST_UNSEEN_SEED = 1_000_000
"""Seeds from here on are kept out of all training."""

_FEWEST_VOXELS = 8
"""A structure with fewer voxels at the edge of the field of view is not labelled."""


@dataclass(frozen=True)
class Phantom:
    """A phantom CT with its reference segmentation, in the canonical axial frame (see ``volume``)."""

    hu: np.ndarray  # int16 ``[k, j, i]``, Hounsfield units
    labels: np.ndarray  # uint8 ``[k, j, i]``, 0 is background
    names: dict[int, str]  # structure name of each label value present
    ijk_to_ras: np.ndarray  # 4x4 affine, ``(i, j, k, 1)`` to RAS mm
    spacing: tuple[float, ...]  # mm ``(k, j, i)``
    scan: Scan  # how it was made


def make_phantom(seed: int, spacing: tuple | None = None, region: tuple | None = None) -> Phantom:
    """Make the phantom of ``seed``: the same arguments always give the same voxels. What is ``None`` is drawn.

    Args:
        seed: non-negative; training uses seeds below :data:`FIRST_UNSEEN_SEED`.
        spacing: mm ``(k, j, i)``; drawn are 1.5 to 5 mm between slices, 0.8 to 3 mm in the slice.
        region: lowest and highest level in mm of the reference adult (-220 femurs, 0 iliac crest, 225 diaphragm,
            420 neck).
    """
    rng = np.random.default_rng(seed)
    scan = draw_scan(rng, spacing, region)
    axes = [
        ((np.arange(n) - (n - 1) / 2) * step / scan.size + middle)
        for n, step, middle in zip(scan.shape, scan.spacing, scan.centre, strict=True)
    ]
    canvas = Canvas(rng, axes, rng.uniform(2, 6), {name: value for value, name in enumerate(STRUCTURES, start=1)})
    hu = draw_tissues(rng, scan.phase)
    for organ in ORGANS:
        if organ["name"] == "body":
            paint_body(canvas, hu, scan.fat_mm)
        elif organ["name"] in SPECIAL:
            SPECIAL[organ["name"]](canvas, hu, organ)
        else:
            for side, sign in _SIDES.items() if organ.get("sides") else (("", 1),):
                paint_organ(canvas, hu, organ, sign, side)
    image = _reconstruct(canvas.hu, scan, rng)
    counts = np.bincount(canvas.labels.ravel(), minlength=len(STRUCTURES) + 1)
    keep = counts >= _FEWEST_VOXELS
    keep[0] = False
    labels = np.where(keep[canvas.labels], canvas.labels, 0).astype(np.uint8)
    names = {int(v): STRUCTURES[v - 1] for v in np.flatnonzero(keep)}
    ijk_to_ras = np.diag([-scan.spacing[2], -scan.spacing[1], scan.spacing[0], 1.0])
    origin = [scan.size * a[0] for a in (axes[2], axes[1], axes[0])]
    ijk_to_ras[:3, 3] = (-origin[0], -origin[1], origin[2])
    return Phantom(image, labels, names, ijk_to_ras, scan.spacing, scan)


def _reconstruct(hu: np.ndarray, scan: Scan, rng: np.random.Generator) -> np.ndarray:
    """The scanner's part: blur in the slice and across slices, correlated noise, rounding. int16 ``[k, j, i]``."""
    image = gaussian_filter(hu, (scan.slice_blur, scan.blur, scan.blur), truncate=3.0)
    noise = rng.standard_normal(hu.shape, dtype=np.float32)
    for axis in (1, 2):
        noise = gaussian_filter1d(noise, scan.noise_grain, axis=axis, truncate=3.0)
    noise *= scan.noise_hu / noise.std()
    middle = np.float32(1.0) - 0.4 * np.hypot(
        np.linspace(-1, 1, hu.shape[1], dtype=np.float32)[:, None], np.linspace(-1, 1, hu.shape[2], dtype=np.float32)
    ).clip(0, 1)  # more noise in the middle of the body
    image += noise * middle
    return np.clip(np.rint(image), -1024, 3071).astype(np.int16)
