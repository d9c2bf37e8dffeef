"""What no table of organs says: the layers of the body, lungs, small bowel, ribs and vertebrae."""

from __future__ import annotations

import numpy as np

from .canvas import Canvas, Region, ellipsoid
from .organs import paint_bone, paint_organ

LEVELS = (-240, -180, -120, -60, 0, 50, 110, 170, 240, 320, 370, 410, 440)
HALF_WIDTH = (158, 168, 165, 155, 142, 136, 138, 143, 148, 150, 150, 120, 65)
HALF_DEPTH = (92, 98, 100, 96, 92, 90, 94, 100, 104, 98, 86, 74, 62)
WALL_MM = 15.0
"""Thickness of the muscular wall."""
VERTEBRAE = (*(f"L{n}" for n in range(5, 0, -1)), *(f"T{n}" for n in range(12, 0, -1)))
"""From inferior to superior."""
_SPINE_Z = (-27, 9, 45, 80, 114, 145, 174, 202, 228, 253, 277, 300, 322, 343, 363, 382, 400)
"""Height (mm) of each vertebral body's centre, in the order of VERTEBRAE (L5 to T1)."""


def spine_y(z):
    """Position (mm, posterior) of the vertebral bodies' centre: lumbar lordosis, thoracic kyphosis."""
    return np.interp(z, (-140, -90, -40, 20, 80, 150, 230, 320, 400, 440), (62, 66, 42, 26, 28, 36, 46, 48, 34, 26))


def paint_body(canvas: Canvas, hu: dict, fat_mm: float) -> None:
    """Paint the table, the body's layers and set ``canvas.wall``."""
    rng, region = canvas.rng, canvas.whole
    x, y, z = region.x, region.y, region.z
    ramp = np.arange(LEVELS[0], LEVELS[-1] + 1.0)  # looked up by index: much faster than np.interp per voxel
    index = np.clip(z - LEVELS[0], 0, ramp.size - 1).astype(np.int16)
    width, depth = (np.interp(ramp, LEVELS, half).astype(np.float32)[index] for half in (HALF_WIDTH, HALF_DEPTH))
    u, v = np.abs(x / width), np.abs(y / depth)
    q = np.sqrt(np.sqrt(u * u * u * u * 0.5 + 0.5 * u * u * u + v * v * v * v * 0.3 + 0.7 * v * v))
    q = np.maximum(np.sqrt(u**2 + v**2) * 0.45 + q * 0.55, np.float32(1e-3))
    wall = canvas.wall = np.hypot(x, y) * (1 - 1 / q)
    belly = np.where(y < 0, np.exp(-(((z - 20) / 120) ** 2)), 0) * rng.uniform(0, 0.8)
    back = np.where(y > 0, 0.35, 0) * np.exp(-(((z + 40) / 110) ** 2))
    fat = 0.55 + 0.45 * np.clip(np.abs(x) / 150, 0, 1) + belly + back
    skin = wall - np.maximum(fat_mm * fat * (1 + 0.15 * canvas.noise(region, 70.0)), 3)
    table = np.abs(y - np.float32(depth.mean() + 1.5 * fat_mm + 22) + (x / 24) ** 2 * 0.12) - 2.5
    canvas.paint(region, np.where(np.abs(x) < 210, table, 99), rng.uniform(-250, 50))
    canvas.paint(region, skin, hu["fat"] + 60 + rng.uniform(0, 60))
    canvas.paint(region, skin + 2.0, hu["fat"] + 5 * canvas.noise(region, 14.0))
    streaks = np.clip(canvas.noise(region, 7.0) + 0.6 * canvas.noise(region, 20.0) - 1.0, 0, 1.2)
    muscle = hu["muscle"] - streaks * rng.uniform(25, 110)
    canvas.paint(region, wall, muscle)
    septum = np.abs(wall + WALL_MM / 2 + 1.5 * canvas.noise(region, 30.0)) - 1.0  # fat between muscle layers
    canvas.paint(region, septum, hu["fat"] + 45)
    strands = 16 * np.clip(canvas.noise(region, 6.0), -0.3, 2.5) ** 2
    canvas.paint(region, wall + WALL_MM * (1 + 0.12 * canvas.noise(region, 60.0)), hu["fat"] + strands)
    # below the iliac crest the wall is thick with muscle; within it the pelvis opens
    inner = wall + 30 + np.clip(-(z + 20) / 4, 0, 26)
    canvas.paint(region, np.maximum(np.maximum(wall + WALL_MM, -inner), z + 20), muscle)
    canvas.paint(region, np.maximum(inner, z + 30), hu["fat"] + strands)


def paint_lungs(canvas: Canvas, hu: dict, organ: dict) -> None:
    """Paint the mediastinum and both lungs with vessels."""
    rng, region = canvas.rng, canvas.region((-175, -125, 110), (175, 125, 440))
    if region is None:
        return
    x, y, z = region.x, region.y, region.z
    wall = canvas.wall[region.box]
    inside = wall + 24 + np.clip(z - 330, 0, None) * 0.28  # ribs and intercostal muscles; the apex narrows
    chest = np.maximum(inside, canvas.diaphragm(region) + 2.5 * canvas.noise(region, 50.0))
    canvas.paint(region, np.maximum(wall + 20, z * -1 + 300), hu["muscle"])
    canvas.paint(region, chest, hu["fat"] + 12 * np.clip(canvas.noise(region, 8.0), -0.5, 3) ** 2)
    width = 24 + 9 * np.cos((y - 10) / 34) + np.clip((330 - z) / 90, 0, 1) * np.exp(-(((y + 30) / 45) ** 2)) * 12
    for side, sign in (("left", 1), ("right", -1)):
        lung = np.maximum(chest + 1.0, width - sign * x + 2.0 * canvas.noise(region, 35.0))
        lung = np.maximum(lung, z - rng.uniform(392, 408))
        texture = hu["lung"] + 25 * canvas.noise(region, 7.0) + (y + 20) * rng.uniform(0.1, 0.7)  # dependent density
        canvas.paint(region, lung, texture, f"lung {side}")
        if (canvas.labels[region.box] == canvas.values[f"lung {side}"]).any():
            paint_organ(canvas, hu, {**organ, "name": f"lung {side}"}, sign)  # vessels


def paint_small_bowel(canvas: Canvas, hu: dict, organ: dict) -> None:
    """Paint coils of small bowel: random walks that stay inside the middle of the abdomen."""
    rng = canvas.rng
    for _ in range(rng.integers(7, 11)):
        at = np.array([rng.uniform(-60, 70), rng.uniform(-62, 0), rng.uniform(-85, 65)])
        way, points, radius = rng.normal(0, 1, 3), [], rng.uniform(8, 14)
        for _ in range(9):
            points.append([*at.tolist(), radius * rng.uniform(0.85, 1.15)])
            way = way / np.linalg.norm(way) + rng.normal(0, 0.7, 3) + (np.array([5, -35, -10]) - at) / (88, 44, 105)
            at = at + way / np.linalg.norm(way) * 19
        filled = ["gut content", "gut content", "gut wall-12", [60, 300]] if rng.random() < 0.65 else ["gas"]
        layers = [{"at": -1.2, "hu": "fat+15"}, {"hu": "gut wall", "label": True}, {"at": [2.2, 4.5], "hu": filled}]
        paint_organ(canvas, hu, {
            **organ, "shapes": [{"tube": points, "legs": 2}], "rough": [[1.2, 9]], "wall": 18, "layers": layers
        })  # fmt: skip


def paint_ribs(canvas: Canvas, hu: dict, organ: dict) -> None:
    """Paint twelve pairs of ribs with cartilage."""
    rng, heights = canvas.rng, dict(zip(VERTEBRAE, _SPINE_Z, strict=True))
    slope = rng.uniform(0.85, 1.15)
    for n in range(1, 13):
        z0 = heights[f"T{n}"] + 4
        angles = np.linspace(0.28, {11: 1.75, 12: 1.3}.get(n, 2.75 if n > 7 else 2.62), 12 if n < 11 else 7)
        drop = (15 + 6.5 * min(n, 8)) * slope * (1 - np.cos(np.clip(angles, 0, 2.5))) * 0.62
        z = z0 - drop + (8 * np.clip(angles - 2.2, 0, None) if n > 6 else 0)
        inset = 13.5 + np.clip(4 - n, 0, 4) * 9
        px = (np.interp(z, LEVELS, HALF_WIDTH) - inset) * np.abs(np.sin(angles)) ** 0.85
        py = (np.interp(z, LEVELS, HALF_DEPTH) - inset + 1) * np.sign(np.cos(angles)) * np.abs(np.cos(angles)) ** 0.85
        near = np.clip((0.75 - angles) / 0.5, 0, 1)  # the head leans to the vertebra
        px = px * (1 - near) + near * np.maximum(px, 24)
        py = py * (1 - near) + near * np.minimum(py, spine_y(z) + 24)
        for side, sign in (("left", 1), ("right", -1)):
            path = np.stack([sign * px, py, z, np.full_like(px, rng.uniform(5.0, 6.3))], axis=1)
            path[:, :3] += np.cumsum(rng.normal(0, 0.35, (len(path), 3)), axis=0)
            if made := canvas.tube(path, (1.45, 1.45, 0.95), margin=4):
                paint_bone(canvas, hu, *made, f"costa {n} {side}", 1.5)
            front = -np.interp(max(z0 - 40, 215), LEVELS, HALF_DEPTH) + 13, max(path[-1, 2] + 14, 208 + (9 - n) * 12)
            if n <= 9 and (made := canvas.tube([path[-1], (sign * 12, *front, 5.0)], (1.2, 1.2, 1), margin=6)):
                canvas.paint(*made, hu["muscle"] + 55)


def paint_spine(canvas: Canvas, hu: dict, organ: dict) -> None:
    """Paint L5 to T1 with discs between the bodies, and the spinal canal through them all."""
    rng, levels = canvas.rng, np.array(_SPINE_Z, dtype=float)
    centres = np.stack([rng.normal(0, 5) * np.sin(levels / 120), spine_y(levels), levels], axis=1)
    scale = np.interp(levels, (-30, 110, 400), (1.0, 0.9, 0.62)) * rng.uniform(0.93, 1.07)
    if made := canvas.tube(np.c_[centres, 19 * scale], (0.95, 1.15, 1), margin=6):
        canvas.paint(*made, hu["muscle"] + 25)  # discs and ligaments, bones come on top
    gaps = np.gradient(levels)
    for name, centre, s, gap in zip(VERTEBRAE, centres, scale, gaps, strict=True):
        half, middle = gap / 2 * 0.86, centre + (0, 15.5 * s + 8.5, 0)
        region = canvas.region(centre + (-62, -40, -50), centre + (62, 84, 38))
        if region is None:
            continue
        back = -6 if name[0] == "L" else -20
        legs = [((0, 12, -3, 4.0), (0, 34 * s + 2, back, 3.6))]  # the spinous process, then the transverse ones
        legs += [((n * 13, -2, -1, 4.5), (n * (26 + 14 * s), 6 if back < -6 else -2, 3, 3.2)) for n in (1, -1)]
        for path in np.array(legs) + (*middle, 0):
            if made := canvas.tube(path, (1, 1, 0.6), margin=5):
                paint_bone(canvas, hu, *made, f"vertebra {name}")
        paint_bone(canvas, hu, region, _vertebra(canvas, region, centre, middle, s, half), f"vertebra {name}")
    if made := canvas.tube(
        np.c_[centres + np.c_[0 * scale, 15.5 * scale + 8.5, 0 * scale], 7.4 + 0 * scale], (0.85, 1, 1)
    ):
        canvas.paint(*made, hu["marrow canal"], "spinal canal")


def _vertebra(canvas: Canvas, region: Region, centre, middle, s: float, half: float) -> np.ndarray:
    """Signed distance to a vertebral body, ``half`` mm high either way, with its arch and facets around the canal."""
    x, y, z = region.x, region.y, region.z
    waist = 2 * np.clip(1 - ((z - centre[2]) / half) ** 2, 0, 1)
    body = ellipsoid(region, centre, (24 * s, 17.5 * s, half), power=4.5) - waist
    body = np.maximum(body, y - centre[1] - 15.5 * s)  # flat towards the canal
    ring = np.hypot((x - middle[0]) / 1.25, y - middle[1])
    arch = np.maximum(np.abs(ring - 11.5 * (0.75 + 0.25 * s)) - 3.2, np.abs(z - centre[2] + 2) - half * 0.9)
    bone = np.minimum(body, np.maximum(arch, centre[1] + 10 * s - y))
    for sign in (1, -1):
        facet = middle + (sign * 17 * (0.5 + 0.5 * s), 6, -half)
        bone = np.minimum(bone, ellipsoid(region, facet, (6.5, 6.5, 11)))
    hole = np.hypot((x - middle[0]) / 1.3, y - middle[1]) - 8.0 * (0.8 + 0.2 * s)
    return np.maximum(bone + 0.7 * canvas.noise(region, 9.0), -np.maximum(hole, centre[1] + 15 * s - y))


SPECIAL = {"lung": paint_lungs, "small bowel": paint_small_bowel, "costa": paint_ribs, "vertebra": paint_spine}
"""Painters of what is more than shapes, by the name in the table."""
