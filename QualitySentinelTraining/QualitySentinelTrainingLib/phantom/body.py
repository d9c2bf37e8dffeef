"""The body: outline with skin, subcutaneous fat, muscular wall, inner fat; the muscles beside the spine."""

from __future__ import annotations

import numpy as np

from .canvas import Canvas, Region
from .shapes import ellipsoid, smooth_path

LEVELS = (-240, -180, -120, -60, 0, 50, 110, 170, 240, 320, 370, 410, 440)
HALF_WIDTH = (158, 168, 165, 155, 142, 136, 138, 143, 148, 150, 150, 120, 65)
HALF_DEPTH = (92, 98, 100, 96, 92, 90, 94, 100, 104, 98, 86, 74, 62)
WALL_MM = 15.0
"""Thickness of the muscular wall."""


def spine_y(z):
    """Position (mm, posterior) of the vertebral bodies' centre: lumbar lordosis, thoracic kyphosis."""
    return np.interp(z, (-140, -90, -40, 20, 80, 150, 230, 320, 400, 440), (62, 66, 42, 26, 28, 36, 46, 48, 34, 26))


def whole(canvas: Canvas) -> Region:
    """The region that is the whole canvas."""
    return Region((slice(None),) * 3, canvas.x, canvas.y, canvas.z, canvas.axes)


def paint_body(canvas: Canvas, hu: dict, fat_mm: float) -> None:
    """Paint the table, the body's layers and set ``canvas.wall``."""
    rng, region = canvas.rng, whole(canvas)
    x, y, z = canvas.x, canvas.y, canvas.z
    ramp = np.arange(LEVELS[0], LEVELS[-1] + 1.0)  # looked up by index: much faster than np.interp per voxel
    index = np.clip(z - LEVELS[0], 0, ramp.size - 1).astype(np.int16)
    width = np.interp(ramp, LEVELS, HALF_WIDTH).astype(np.float32)[index]
    depth = np.interp(ramp, LEVELS, HALF_DEPTH).astype(np.float32)[index]
    u, v = np.abs(x / width), np.abs(y / depth)
    q = np.sqrt(np.sqrt(u * u * u * u * 0.5 + 0.5 * u * u * u + v * v * v * v * 0.3 + 0.7 * v * v))
    q = np.maximum(np.sqrt(u**2 + v**2) * 0.45 + q * 0.55, np.float32(1e-3))
    canvas.wall = np.hypot(x, y) * (1 - 1 / q)
    lateral = np.clip(np.abs(x) / 150, 0, 1)
    belly = np.where(y < 0, np.exp(-(((z - 20) / 120) ** 2)), 0) * rng.uniform(0, 0.8)
    back = np.where(y > 0, 0.35, 0) * np.exp(-(((z + 40) / 110) ** 2))
    fat = fat_mm * (0.55 + 0.45 * lateral + belly + back) * (1 + 0.15 * canvas.noise(region, 70.0))
    skin = canvas.wall - np.maximum(fat, 3)
    table = np.abs(y - np.float32(depth.mean() + 1.5 * fat_mm + 22) + (x / 24) ** 2 * 0.12) - 2.5
    canvas.paint(region, np.where(np.abs(x) < 210, table, 99), rng.uniform(-250, 50))
    canvas.paint(region, skin, hu["fat"] + 60 + rng.uniform(0, 60))
    canvas.paint(region, skin + 2.0, hu["fat"] + 5 * canvas.noise(region, 14.0))
    streaks = np.clip(canvas.noise(region, 7.0) + 0.6 * canvas.noise(region, 20.0) - 1.0, 0, 1.2)
    muscle = hu["muscle"] - streaks * rng.uniform(25, 110)
    canvas.paint(region, canvas.wall, muscle)
    septum = np.abs(canvas.wall + WALL_MM / 2 + 1.5 * canvas.noise(region, 30.0)) - 1.0  # fat between muscle layers
    canvas.paint(region, septum, hu["fat"] + 45)
    strands = 16 * np.clip(canvas.noise(region, 6.0), -0.3, 2.5) ** 2
    thickness = WALL_MM * (1 + 0.12 * canvas.noise(region, 60.0))
    canvas.paint(region, canvas.wall + thickness, hu["fat"] + strands)
    # below the iliac crest the wall is thick with muscle; within it the pelvis opens
    pelvis = np.maximum(canvas.wall + 30 + np.clip(-(z + 20) / 4, 0, 26), z + 30)
    ring = np.maximum(np.maximum(canvas.wall + WALL_MM, -(canvas.wall + 30 + np.clip(-(z + 20) / 4, 0, 26))), z + 20)
    canvas.paint(region, ring, muscle)
    canvas.paint(region, pelvis, hu["fat"] + strands)


def paint_muscles(canvas: Canvas, hu: dict) -> None:
    """Paint autochthonous back muscles, iliopsoas and gluteus maximus, both sides."""
    rng = canvas.rng
    tone = hu["muscle"] + rng.uniform(-4, 6)
    bulk = rng.uniform(0.8, 1.15)
    lean = rng.uniform(10, 90)

    def streaked(region):
        return tone - lean * np.clip(canvas.noise(region, 6.0) - 1.1, 0, 1.2)

    for side, sign in (("left", 1), ("right", -1)):
        levels = np.array([-110, -50, 20, 90, 160, 240, 320, 390.0])
        radius = np.array([12, 24, 27, 26, 23, 19, 15, 12.0]) * bulk
        offset = np.array([20, 30, 34, 33, 29, 25, 22, 18.0]) * sign
        path = np.stack([offset, spine_y(levels) + 42, levels, radius], axis=1)
        _soft_tube(canvas, path, streaked, f"autochthon {side}", (0.85, 1.1, 1), clear_fat=hu["fat"] + 15)
        psoas = np.array(
            [
                (26, 40, 125, 6),
                (36, 34, 80, 13),
                (45, 26, 30, 20),
                (56, 14, -25, 22),
                (76, -8, -80, 19),
                (92, -30, -135, 16),
                (92, -10, -185, 11),
            ],
            dtype=float,
        )
        psoas[:, 0] *= sign
        psoas[:, 3] *= bulk
        _soft_tube(canvas, psoas, streaked, f"iliopsoas {side}", (1, 1, 1), clear_fat=hu["fat"] + 15)
        centre = (sign * 80 + rng.normal(0, 4), 84, -115)
        region = canvas.around(centre, (95, 70, 110))
        if region is not None:
            shape = ellipsoid(region.x, region.y, region.z, centre, (66, 24 * bulk, 82)) + canvas.noise(region, 30) * 3
            shape = np.maximum(shape, canvas.wall[region.box] - 8)
            canvas.paint(region, shape, streaked(region), f"gluteus maximus {side}")


def _soft_tube(canvas, path, tone, name, flat, clear_fat):
    made = canvas.tube(smooth_path(path, 2), flat, margin=12)
    if made is None:
        return
    region, distance = made
    distance = distance + 2.2 * canvas.noise(region, 22.0)
    canvas.paint(region, distance - 2.0, clear_fat)  # a thin fat plane
    canvas.paint(region, distance, tone(region), name)
