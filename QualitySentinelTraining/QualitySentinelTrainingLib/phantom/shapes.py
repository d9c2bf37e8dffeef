"""Implicit shapes: approximate signed distances in mm (negative inside) on arrays of coordinates."""

from __future__ import annotations

import numpy as np


def rotation(tilt: float, roll: float, turn: float) -> np.ndarray:
    """Rotation matrix for (x, y, z) columns, from angles in degrees about x, y and z."""
    a, b, c = np.radians([tilt, roll, turn])
    rx = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    ry = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    rz = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return rz @ ry @ rx


def ellipsoid(x, y, z, centre, radii, turned: np.ndarray | None = None, power: float = 2.0) -> np.ndarray:
    """Signed distance (mm) to an ellipsoid, or a box-like superellipsoid for ``power`` above 2.

    The radial approximation: exact in sign, right to first order at the surface for moderate radii.
    """
    dx, dy, dz = x - np.float32(centre[0]), y - np.float32(centre[1]), z - np.float32(centre[2])
    r = np.sqrt(dx * dx + dy * dy + dz * dz)
    if turned is not None:
        m = np.asarray(turned, dtype=np.float32).T
        dx, dy, dz = (m[n, 0] * dx + m[n, 1] * dy + m[n, 2] * dz for n in range(3))
    u, v, w = dx / np.float32(radii[0]), dy / np.float32(radii[1]), dz / np.float32(radii[2])
    if power == 2.0:
        q = np.sqrt(u * u + v * v + w * w)
    else:
        p = np.float32(power)
        q = (np.abs(u) ** p + np.abs(v) ** p + np.abs(w) ** p) ** (1 / p)
    q = np.maximum(q, np.float32(1e-3))
    return np.where(q > 1e-3, r * (1 - 1 / q), -np.float32(min(radii)))


def capsule(x, y, z, start, end, start_radius: float, end_radius: float, flat=(1.0, 1.0, 1.0)) -> np.ndarray:
    """Signed distance (mm) to a round-ended segment whose radius runs linearly from start to end.

    ``flat`` stretches distances along x, y and z: a factor above 1 makes the section thinner in that direction.
    """
    p = np.asarray(start, dtype=np.float32)
    d = np.asarray(end, dtype=np.float32) - p
    length = max(float(d @ d), 1e-6)
    dx, dy, dz = x - p[0], y - p[1], z - p[2]
    t = np.clip((dx * d[0] + dy * d[1] + dz * d[2]) / np.float32(length), 0, 1)
    dx, dy, dz = (
        (dx - t * d[0]) * np.float32(flat[0]),
        (dy - t * d[1]) * np.float32(flat[1]),
        (dz - t * d[2]) * np.float32(flat[2]),
    )
    return np.sqrt(dx * dx + dy * dy + dz * dz) - (start_radius + t * np.float32(end_radius - start_radius))


def smooth_union(a: np.ndarray, b: np.ndarray, blend: float) -> np.ndarray:
    """Union of two signed distances, rounded over ``blend`` mm (polynomial smooth minimum)."""
    h = np.clip(0.5 + 0.5 * (b - a) / np.float32(blend), 0, 1)
    return b + (a - b) * h - np.float32(blend) * h * (1 - h)


def smooth_path(points, per_leg: int = 3) -> np.ndarray:
    """Catmull-Rom curve through ``points`` ``[n, d]`` (any columns, e.g. x, y, z, radius): ``[m, d]``."""
    p = np.asarray(points, dtype=np.float64)
    padded = np.vstack([2 * p[0] - p[1], p, 2 * p[-1] - p[-2]])
    t = np.linspace(0, 1, per_leg, endpoint=False)[:, None]
    legs = []
    for a, b, c, d in zip(padded[:-3], padded[1:-2], padded[2:-1], padded[3:], strict=True):
        legs.append(0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3))
    return np.vstack([*legs, p[-1:]])
