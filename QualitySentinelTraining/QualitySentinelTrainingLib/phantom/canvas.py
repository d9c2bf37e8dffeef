"""The canvas anatomy is painted on: voxel positions in reference anatomy, Hounsfield units and labels so far."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from .noise import smooth_noise
from .shapes import capsule
from .structures import VALUES

AIR_HU = -1000.0
_FAR = np.float32(1e3)


@dataclass
class Region:
    """The part of the canvas near one structure: index box and views of the coordinates (mm), all ``[k, j, i]``."""

    box: tuple[slice, slice, slice]
    x: np.ndarray
    y: np.ndarray
    z: np.ndarray
    axes: tuple[np.ndarray, np.ndarray, np.ndarray]


class Canvas:
    """Painter's algorithm: what is painted later lies in front. Every shape is painted inside its own box only.

    Reference anatomy has x to the patient's left, y to posterior, z to superior, in mm of a reference adult;
    z = 0 is the level of the iliac crest. A smooth displacement and a scale map voxels to it, so shapes stay
    simple formulas while no two phantoms are alike.

    Attributes:
        hu: float32 ``[k, j, i]``.
        labels: uint8 ``[k, j, i]``, values of :data:`.structures.VALUES`.
        x, y, z: float32 ``[k, j, i]``, reference coordinates in mm of each voxel's centre.
        wall: float32 ``[k, j, i]``, signed distance (mm) to the outer surface of the body's muscle layer;
            filled by the body painter.
        domes: height (mm) of the right and left dome of the diaphragm, which chest and abdomen share.
        rng: source of randomness of all painters.
    """

    def __init__(self, rng: np.random.Generator, axes: tuple, bend: float):
        """``axes``: the (k, j, i) undeformed reference coordinates (mm) of the voxel centres; ``bend``: mm."""
        self.rng = rng
        self.axes = tuple(np.asarray(a, dtype=np.float32) for a in axes)
        zz, yy, xx = np.meshgrid(*self.axes, indexing="ij", sparse=True)
        moved = []
        for coordinate in (xx, yy, zz):
            field = smooth_noise(rng, self.axes, 120.0) * np.float32(bend)
            field += smooth_noise(rng, self.axes, 45.0) * np.float32(0.35 * bend)
            moved.append(np.ascontiguousarray(coordinate + field))
        self.x, self.y, self.z = moved
        turn = np.float32(np.radians(rng.normal(0, 3)))
        self.x, self.y = self.x + turn * self.y, self.y - turn * self.x
        self.reach = max(
            float(np.abs(a - b).max()) for a, b in ((self.x, xx), (self.y, yy), (self.z, zz))
        )  # how far a box must be widened to be sure to hold its shape
        shape = self.x.shape
        self.hu = np.full(shape, AIR_HU, dtype=np.float32)
        self.labels = np.zeros(shape, dtype=np.uint8)
        self.wall = np.full(shape, _FAR, dtype=np.float32)
        self.domes = (0.0, 0.0)
        self.pixel = float(abs(self.axes[2][1] - self.axes[2][0]))

    def region(self, low, high) -> Region | None:
        """Region holding reference box ``low``..``high`` (x, y, z in mm); ``None`` when outside the field of view."""
        box = []
        for axis, lo, hi in zip(self.axes, reversed(low), reversed(high), strict=True):
            inside = np.flatnonzero((axis >= lo - self.reach) & (axis <= hi + self.reach))
            if inside.size < 2:
                return None
            box.append(slice(int(inside[0]), int(inside[-1]) + 1))
        box = tuple(box)
        axes = tuple(a[s] for a, s in zip(self.axes, box, strict=True))
        return Region(box, self.x[box], self.y[box], self.z[box], axes)

    def around(self, centre, reach) -> Region | None:
        """Region of half-size ``reach`` mm (a number, or one for each of x, y, z) about ``centre``."""
        centre, reach = np.asarray(centre, dtype=float), np.broadcast_to(np.asarray(reach, dtype=float), 3)
        return self.region(centre - reach, centre + reach)

    def noise(self, region: Region, cell: float) -> np.ndarray:
        """Smooth noise of unit standard deviation over the region, ``cell`` mm between knots."""
        return smooth_noise(self.rng, region.axes, cell)

    def paint(self, region: Region, distance: np.ndarray, hu, name: str | None = None, clear: bool = False) -> None:
        """Paint ``hu`` (number or array) where ``distance`` (mm) is negative; edges share the voxel (partial volume).

        Inside, labels become ``name``'s value; with ``clear`` background; else they stay.
        """
        share = np.clip(np.float32(0.5) - distance / np.float32(self.pixel), 0, 1)
        under = self.hu[region.box]
        under += share * (np.asarray(hu, dtype=np.float32) - under)
        if name is not None or clear:
            self.labels[region.box][distance < 0] = VALUES[name] if name is not None else 0

    def tube(self, path: np.ndarray, flat=(1.0, 1.0, 1.0), margin: float = 8.0) -> tuple[Region, np.ndarray] | None:
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
            if leg is None:
                continue
            local = tuple(slice(s.start - o.start, s.stop - o.start) for s, o in zip(leg.box, region.box, strict=True))
            np.minimum(
                distance[local], capsule(leg.x, leg.y, leg.z, a[:3], b[:3], a[3], b[3], flat), out=distance[local]
            )
        return region, distance

    def paint_tube(self, path, hu, name: str | None = None, flat=(1.0, 1.0, 1.0), rough: float = 0.0, cell=12.0):
        """Paint a tube along ``path`` ``[n, 4]`` (x, y, z, radius in mm); ``rough`` mm of surface noise."""
        made = self.tube(path, flat, margin=6.0 + 3 * rough)
        if made is None:
            return
        region, distance = made
        if rough:
            distance = distance + np.float32(rough) * self.noise(region, cell)
        self.paint(region, distance, hu, name)
