"""A small classification data set: generated bodies with and without a lesion, as case folders with ``meta.csv``."""

from __future__ import annotations

import csv
import io
from functools import partial
from pathlib import Path

import numpy as np

from QualitySentinelLib.files import atomic_write

_SIDE, _MM = 24, 8.0
_BODY_HU, _ORGAN_HU, _LESION_HU, _NOISE_HU = 40.0, 110.0, 260.0, 25.0


def make_lesions(out: Path, cases: int, seed: int = 0) -> Path:
    """Write ``cases`` CTs of 24 x 24 x 24 voxels; every second one has a lesion, 40 mm wide at most.

    ``meta.csv`` has the columns ``case``, ``label`` (1: with a lesion), ``sex`` and ``age``.
    """
    import nibabel

    rng = np.random.default_rng(seed)
    rows = []
    affine = np.diag([-_MM, -_MM, _MM, 1.0])
    for number in range(cases):
        name, positive = f"body_{number:04d}", number % 2
        hu, body = _body(rng, bool(positive))
        # one structure that the anatomy knows, because layouts list cases with masks only
        for file, voxels in (("ct", hu.astype(np.int16)), ("segmentations/liver", body.astype(np.uint8))):
            path = out / name / f"{file}.nii.gz"
            atomic_write(path, partial(nibabel.save, nibabel.Nifti1Image(voxels.transpose(), affine)))
        rows.append([name, positive, "FM"[int(rng.integers(2))], int(rng.integers(20, 90))])
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([["case", "label", "sex", "age"], *rows])
    atomic_write(out / "meta.csv", text.getvalue())
    return out


def _body(rng: np.random.Generator, positive: bool) -> tuple[np.ndarray, np.ndarray]:
    """HU ``[k, j, i]``, and the mask of the body."""
    grid = np.stack(np.meshgrid(*(np.arange(_SIDE),) * 3, indexing="ij"), axis=-1) - (_SIDE - 1) / 2
    body = ((grid / rng.uniform(8.5, 11.0, 3)) ** 2).sum(-1) < 1
    hu = np.where(body, _BODY_HU, -1000.0)
    for _ in range(3):  # organs, in everybody
        hu[_ball(grid, rng.uniform(-4, 4, 3), rng.uniform(2.0, 3.5)) & body] = _ORGAN_HU
    lesion = _ball(grid, rng.uniform(-4.5, 4.5, 3), rng.uniform(1.5, 2.5)) & body & positive
    hu[lesion] = _LESION_HU
    return np.where(hu > -1000, hu + rng.normal(0, _NOISE_HU, hu.shape), hu), body


def _ball(grid: np.ndarray, middle: np.ndarray, radius: float) -> np.ndarray:
    return ((grid - middle) ** 2).sum(-1) < radius**2
