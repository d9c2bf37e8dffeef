"""The canvas anatomy is painted on, and implicit shapes: approximate signed distances in mm (negative inside)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.spatial.transform import Rotation

from .noise import smooth_noise

AIR_HU = -1000.0
_FAR = np.float32(1e3)


@dataclass
class Region:
    """The part of the canvas near one structure: index box and views of the coordinates (mm), all ``[k, j, i]``."""

    box: tuple[slice, ...]
    x: np.ndarray
    y: np.ndarray
    z: np.ndarray
    axes: tuple[np.ndarray, ...]


class Canvas:
    """Painter's algorithm: what is painted later lies in front. Every shape is painted inside its own box only.

    Reference anatomy has x to the patient's left, y to posterior, z to superior, in mm of a reference adult;
    z = 0 is the level of the iliac crest. A smooth displacement and a scale map voxels to it, so shapes stay
    simple formulas while no two phantoms are alike.

    All arrays are ``[k, j, i]``: ``hu`` float32, ``labels`` uint8. ``wall`` is the signed distance (mm) to the outer
    surface of the body's muscle layer, float32, filled by the body painter; ``domes`` are the heights (mm) of the right
    and left dome of the diaphragm.
    """

    def __init__(self, rng: np.random.Generator, axes: Iterable, bend: float, values: dict[str, int]):
        """``axes``: the (k, j, i) undeformed reference coordinates (mm) of the voxel centres; ``bend``: mm."""
        self.rng, self.values = rng, values
        axes = tuple(np.asarray(a, dtype=np.float32) for a in axes)
        straight = np.meshgrid(*axes, indexing="ij", sparse=True)[::-1]
        x, y, z = (
            c + np.float32(bend) * (smooth_noise(rng, axes, 120.0) + np.float32(0.35) * smooth_noise(rng, axes, 45.0))
            for c in straight
        )
        turn = np.float32(np.radians(rng.normal(0, 3)))
        x, y = x + turn * y, y - turn * x
        self._reach = max(float(np.abs(a - b).max()) for a, b in zip((x, y, z), straight, strict=True))
        self.whole = Region((slice(None),) * 3, x, y, z, axes)
        self.hu = np.full(x.shape, AIR_HU, dtype=np.float32)
        self.labels = np.zeros(x.shape, dtype=np.uint8)
        self.wall = np.full(x.shape, _FAR, dtype=np.float32)
        breath = 228 + rng.uniform(-14, 10) + rng.normal(0, 4)
        self.domes = (np.float32(breath), np.float32(breath - rng.uniform(4, 20)))
        self._pixel = float(abs(axes[2][1] - axes[2][0]))

    def region(self, low, high) -> Region | None:
        """Region holding reference box ``low``..``high`` (x, y, z in mm); ``None`` when outside the field of view."""
        ranges, whole = [], self.whole
        for axis, lo, hi in zip(whole.axes, reversed(low), reversed(high), strict=True):
            inside = np.flatnonzero((axis >= lo - self._reach) & (axis <= hi + self._reach))
            if inside.size < 2:
                return None
            ranges.append(slice(int(inside[0]), int(inside[-1]) + 1))
        box = tuple(ranges)
        axes = tuple(a[s] for a, s in zip(whole.axes, box, strict=True))
        return Region(box, whole.x[box], whole.y[box], whole.z[box], axes)

    def noise(self, region: Region, cell: float) -> np.ndarray:
        """Smooth noise of unit standard deviation over the region, ``cell`` mm between knots."""
        return smooth_noise(self.rng, region.axes, cell)

    def diaphragm(self, region: Region) -> np.ndarray:
        """Signed distance to the diaphragm, negative above: two domes that fall steeply to the wall."""
        x, y = region.x, region.y
        d2 = ((x - np.where(x < -5, np.float32(-68), np.float32(68))) / 78) ** 2 + ((y + 8) / 92) ** 2
        fall = np.where(y > 20, 88, 62) * np.minimum(d2, 1.6) ** 1.2
        return ((np.where(x < -5, *self.domes) - fall - region.z) * 0.72).astype(np.float32)

    def paint(
        self, region: Region, distance: np.ndarray, hu, name: str | None = None, clear: bool = False, inside: str = ""
    ) -> None:
        """Paint ``hu`` (number or array) where ``distance`` (mm) is negative; edges share the voxel (partial volume).

        Labels there become ``name``'s value; with ``clear`` background; else they stay. With ``inside`` only where that
        structure is.
        """
        if inside:
            distance = np.where(self.labels[region.box] == self.values[inside], distance, _FAR)
        under = self.hu[region.box]
        under += np.clip(np.float32(0.5) - distance / np.float32(self._pixel), 0, 1) * (
            np.asarray(hu, np.float32) - under
        )
        if name or clear:
            self.labels[region.box][distance < 0] = self.values[name] if name else 0

    def tube(self, path, flat=(1.0, 1.0, 1.0), margin: float = 8.0) -> tuple[Region, np.ndarray] | None:
        """Signed distance to a tube along ``path`` ``[n, 4]`` (x, y, z, radius in mm), each leg in its own box."""
        path = np.asarray(path, dtype=np.float64)
        reach = path[:, 3:].max() / min(*flat, 1.0) + margin
        region = self.region(path[:, :3].min(0) - reach, path[:, :3].max(0) + reach)
        if region is None:
            return None
        distance = np.full(region.x.shape, _FAR, dtype=np.float32)
        for a, b in pairwise(path):
            pad = max(a[3], b[3]) / min(*flat, 1.0) + margin
            leg = self.region(np.minimum(a, b)[:3] - pad, np.maximum(a, b)[:3] + pad)
            if leg is not None:
                at = tuple(slice(s.start - o.start, s.stop - o.start) for s, o in zip(leg.box, region.box, strict=True))
                np.minimum(distance[at], capsule(leg, a, b, flat), out=distance[at])
        return region, distance


def rotation(degrees) -> np.ndarray:
    """Rotation matrix for (x, y, z) columns, from angles in degrees about x, y and z."""
    return Rotation.from_euler("xyz", degrees, degrees=True).as_matrix()


def ellipsoid(region: Region, centre, radii, turned: np.ndarray | None = None, power: float = 2.0) -> np.ndarray:
    """Signed distance (mm) to an ellipsoid, or a box-like superellipsoid for ``power`` above 2.

    The radial approximation: exact in sign, right to first order at the surface for moderate radii.
    """
    d = [a - np.float32(c) for a, c in zip((region.x, region.y, region.z), centre, strict=True)]
    r = np.sqrt(sum(a * a for a in d))
    if turned is not None:
        d = [t[0] * d[0] + t[1] * d[1] + t[2] * d[2] for t in turned.T.astype(np.float32)]
    q = sum(np.abs(a / np.float32(s)) ** np.float32(power) for a, s in zip(d, radii, strict=True)) ** np.float32(
        1 / power
    )
    return np.where(q > 1e-3, r * (1 - 1 / np.maximum(q, np.float32(1e-3))), -np.float32(min(radii)))


def capsule(region: Region, start: np.ndarray, end: np.ndarray, flat=(1.0, 1.0, 1.0)) -> np.ndarray:
    """Signed distance (mm) to a round-ended segment between two (x, y, z, radius); the radius runs linearly.

    ``flat`` stretches distances along x, y and z: a factor above 1 makes the section thinner in that direction.
    """
    way = np.asarray(end[:3] - start[:3], np.float32)
    d = [a - np.float32(p) for a, p in zip((region.x, region.y, region.z), start, strict=False)]
    t = np.clip(sum(a * w for a, w in zip(d, way, strict=True)) / max(float(way @ way), 1e-6), 0, 1).astype(np.float32)
    squares = (((a - t * w) * np.float32(f)) ** 2 for a, w, f in zip(d, way, flat, strict=True))
    return np.sqrt(sum(squares)) - (np.float32(start[3]) + t * np.float32(end[3] - start[3]))


def smooth_union(a: np.ndarray, b: np.ndarray, blend: float) -> np.ndarray:
    """Union of two signed distances, rounded over ``blend`` mm (polynomial smooth minimum)."""
    h = np.clip(0.5 + 0.5 * (b - a) / np.float32(blend), 0, 1)
    return b + (a - b) * h - np.float32(blend) * h * (1 - h)


def smooth_path(points, per_leg: int = 3) -> np.ndarray:
    """Smooth curve through ``points`` ``[n, d]`` (any columns, e.g. x, y, z, radius): ``[m, d]``."""
    points = np.asarray(points, dtype=np.float64)
    last = len(points) - 1
    return CubicSpline(np.arange(last + 1), points, bc_type="natural")(np.linspace(0, last, last * per_leg + 1))
