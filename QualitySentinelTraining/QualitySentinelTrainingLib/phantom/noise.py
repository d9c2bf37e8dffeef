"""Smooth random fields: cubic B-splines over a random coarse grid, evaluated axis by axis (a few matrix products)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy.interpolate import BSpline

_RMS = 0.479**1.5
"""Root mean square of a 3D cubic B-spline with unit normal coefficients (0.479: mean of the squared 1D weights)."""


def smooth_noise(rng: np.random.Generator, axes: Iterable, cell: float) -> np.ndarray:
    """Random field of about unit standard deviation, float32 ``[k, j, i]``.

    ``axes`` are the (k, j, i) coordinate vectors in mm. The knots are ``cell`` mm apart; features are about twice as
    wide.
    """
    wk, wj, wi = (_weights(np.asarray(a, dtype=np.float32), cell) for a in axes)
    coarse = rng.standard_normal((wk.shape[1], wj.shape[1], wi.shape[1]), dtype=np.float32)
    field = np.matmul(wj[None], np.tensordot(wk, coarse, axes=(1, 0)))
    return np.matmul(field, wi.T) / np.float32(_RMS)


def _weights(positions: np.ndarray, cell: float) -> np.ndarray:
    """Cubic B-spline weights ``[n, knots]`` of the ``positions`` (mm) for knots ``cell`` mm apart."""
    t = (positions - positions.min()) / cell
    knots = np.arange(-3.0, np.ceil(t.max()) + 5)
    return BSpline.design_matrix(t, knots, 3).toarray().astype(np.float32)
