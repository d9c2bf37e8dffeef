"""The skeleton: vertebrae with canal, ribs, sternum, shoulder girdle, sacrum, hips, femurs."""

from __future__ import annotations

import numpy as np

from .body import HALF_DEPTH, HALF_WIDTH, LEVELS, spine_y
from .canvas import Canvas, Region
from .shapes import ellipsoid, rotation, smooth_path
from .structures import VERTEBRAE

_SPINE_Z = (-27, 9, 45, 80, 114, 145, 174, 202, 228, 253, 277, 300, 322, 343, 363, 382, 400)
"""Height (mm) of each vertebral body's centre, in the order of VERTEBRAE (L5 to T1)."""


def _bone(canvas: Canvas, hu: dict, region: Region, distance: np.ndarray, name: str, shell: float = 1.8) -> None:
    """Paint bone: a dense shell about ``shell`` mm thick around spongy bone."""
    inside = np.clip(-distance, 0, 60)
    dense = np.exp(-((inside / np.float32(shell)) ** 2))
    spongy = hu["spongy bone"] + 28 * canvas.noise(region, 5.0)
    canvas.paint(region, distance, spongy + dense * (hu["cortical bone"] - hu["spongy bone"]) * 0.75, name)


def paint_spine(canvas: Canvas, hu: dict) -> None:
    """Paint L5 to T1 with discs between the bodies, the sacrum and the spinal canal through them all."""
    rng = canvas.rng
    curve = rng.normal(0, 5)
    levels = np.array(_SPINE_Z, dtype=float)
    lateral = curve * np.sin(levels / 120)
    centres = np.stack([lateral, spine_y(levels), levels], axis=1)
    scale = np.interp(levels, (-30, 110, 400), (1.0, 0.9, 0.62)) * rng.uniform(0.93, 1.07)
    disc = np.array([(*c[:2], c[2], 19 * s) for c, s in zip(centres, scale, strict=True)])
    canvas.paint_tube(disc, hu["muscle"] + 25, None, (0.95, 1.15, 1))  # discs and ligaments, bones come on top
    for n, name in enumerate(VERTEBRAE):
        centre, s = centres[n], scale[n]
        lower = levels[n - 1] if n else levels[0] - 34
        upper = levels[n + 1] if n + 1 < len(levels) else levels[n] + 17
        half = (upper - lower) / 4 * 0.86
        region = canvas.around(centre + (0, 22, -6), (62, 62, 44))
        if region is None:
            continue
        x, y, z = region.x, region.y, region.z
        waist = 1 - 0.10 * np.clip(1 - ((z - centre[2]) / half) ** 2, 0, 1)
        body = ellipsoid(x, y, z, centre, (24 * s, 17.5 * s, half), power=4.5) + (1 - waist) * 20
        body = np.maximum(body, -(centre[1] + 15.5 * s - y))  # flat towards the canal
        middle = centre + (0, 15.5 * s + 8.5, 0)
        ring = np.hypot((x - middle[0]) / 1.25, y - middle[1])
        arch = np.maximum(np.abs(ring - 11.5 * (0.75 + 0.25 * s)) - 3.2, np.abs(z - centre[2] + 2) - half * 0.9)
        arch = np.maximum(arch, centre[1] + 10 * s - y)
        bone = np.minimum(body, arch)
        droop = 6 if name.startswith("L") else 20
        tip = middle + (0, 34 * s + 2, -droop)
        made = canvas.tube(np.array([[*(middle + (0, 12, -3)), 4.0], [*tip, 3.6]]), (1.2, 1, 0.45), margin=5)
        parts = [(made[0], made[1])] if made else []
        for sign in (1, -1):
            start, end = middle + (sign * 13, -2, -1), middle + (sign * (26 + 14 * s), 6 if name[0] == "T" else -2, 3)
            made = canvas.tube(np.array([[*start, 4.5], [*end, 3.2]]), (1, 1, 0.7), margin=5)
            if made:
                parts.append(made)
            facet = middle + (sign * 17 * (0.5 + 0.5 * s), 6, -half * 1.0)
            bone = np.minimum(bone, ellipsoid(x, y, z, facet, (6.5, 6.5, 11)))
        bone = bone + 0.7 * canvas.noise(region, 9.0)
        hole = np.hypot((x - middle[0]) / 1.3, y - middle[1]) - 8.0 * (0.8 + 0.2 * s)
        bone = np.maximum(bone, -np.maximum(hole, centre[1] + 15 * s - y))
        for part, distance in parts:
            _bone(canvas, hu, part, distance, f"vertebra {name}")
        _bone(canvas, hu, region, bone, f"vertebra {name}")
    canal = np.array([(c[0], c[1] + 15.5 * s + 8.5, c[2], 7.4) for c, s in zip(centres, scale, strict=True)])
    canvas.paint_tube(canal, hu["marrow canal"], "spinal canal", (0.85, 1, 1))
    _paint_sacrum(canvas, hu)


def _paint_sacrum(canvas: Canvas, hu: dict) -> None:
    region = canvas.region((-75, 10, -165), (75, 125, 5))
    if region is None:
        return
    x, y, z = region.x, region.y, region.z
    t = np.clip((-35 - z) / 105, 0, 1)
    middle = 50 + 42 * np.sin(t * 2.0) - 26 * t * t
    half_width = 54 * (1 - t) ** 0.8 + 9
    q = np.sqrt((x / half_width) ** 2 + ((y - middle - 0.006 * x * x * -1) / (20 - 11 * t)) ** 2)
    bone = (q - 1) * (20 - 11 * t)
    bone = np.maximum(bone, np.maximum(z + 36, -142 - z)) + 1.2 * canvas.noise(region, 12.0)
    for sign in (1, -1):
        for level in (-55, -78, -100):
            hole = np.hypot(x - sign * 20, z - level) - 5
            bone = np.maximum(bone, -hole)
    _bone(canvas, hu, region, bone, "sacrum")


def paint_ribs(canvas: Canvas, hu: dict) -> None:
    """Paint twelve pairs of ribs with cartilage, the sternum, clavicles and scapulae."""
    rng = canvas.rng
    heights = dict(zip(VERTEBRAE, _SPINE_Z, strict=True))
    slope = rng.uniform(0.85, 1.15)
    for n in range(1, 13):
        z0 = heights[f"T{n}"] + 4
        reach = {11: 1.75, 12: 1.3}.get(n, 2.75 if n > 7 else 2.62)
        angles = np.linspace(0.28, reach, 12 if n < 11 else 7)
        drop = (15 + 6.5 * min(n, 8)) * slope * (1 - np.cos(np.clip(angles, 0, 2.5))) * 0.62
        z = z0 - drop + (8 * np.clip(angles - 2.2, 0, None) if n > 6 else 0)
        inset = 13.5 + np.clip(4 - n, 0, 4) * 9
        width = np.interp(z, LEVELS, HALF_WIDTH) - inset
        depth = np.interp(z, LEVELS, HALF_DEPTH) - inset + 1
        px = width * np.abs(np.sin(angles)) ** 0.85
        py = depth * np.sign(np.cos(angles)) * np.abs(np.cos(angles)) ** 0.85
        near = np.clip((0.75 - angles) / 0.5, 0, 1)  # the head leans to the vertebra
        px = px * (1 - near) + near * np.maximum(px, 24)
        py = py * (1 - near) + near * np.minimum(py, spine_y(z) + 24)
        for side, sign in (("left", 1), ("right", -1)):
            path = np.stack([sign * px, py, z, np.full_like(px, rng.uniform(5.0, 6.3))], axis=1)
            path[:, :3] += np.cumsum(rng.normal(0, 0.35, (len(path), 3)), axis=0)
            made = canvas.tube(path, (1.45, 1.45, 0.95), margin=4)
            if made is not None:
                _bone(canvas, hu, made[0], made[1], f"costa {n} {side}", shell=1.5)
            if n <= 9:
                end = path[-1]
                target = (
                    sign * 12,
                    np.interp(max(z0 - 40, 215), LEVELS, HALF_DEPTH) * -1 + 13,
                    max(end[2] + 14, 208 + (9 - n) * 12),
                )
                canvas.paint_tube(np.array([end, (*target, 5.0)]), hu["muscle"] + 55, None, (1.2, 1.2, 1))
    sternum = [
        (0, -np.interp(z, LEVELS, HALF_DEPTH) + 13, z, r)
        for z, r in ((205, 6), (240, 13), (300, 14), (345, 16), (362, 20))
    ]
    made = canvas.tube(np.array(sternum, dtype=float), (1, 2.2, 1), margin=5)
    if made is not None:
        _bone(canvas, hu, made[0], made[1] + 0.8 * canvas.noise(made[0], 10.0), "sternum")
    for side, sign in (("left", 1), ("right", -1)):
        points = [
            (sign * 22, -62, 366, 9),
            (sign * 60, -62, 382, 6.5),
            (sign * 110, -30, 400, 6.5),
            (sign * 140, -10, 404, 7),
        ]
        made = canvas.tube(smooth_path(points, 2), margin=5)
        if made is not None:
            _bone(canvas, hu, *made, f"clavicle {side}")
        centre = (sign * 98, 70, 335)
        region = canvas.around(centre, (62, 40, 85))
        if region is None:
            continue
        blade = ellipsoid(region.x, region.y, region.z, centre, (44, 5.5, 68), rotation(8, sign * -14, sign * -30))
        spine = ellipsoid(
            region.x, region.y, region.z, (sign * 105, 84, 365), (44, 8, 6), rotation(0, sign * -18, sign * -32)
        )
        _bone(canvas, hu, region, np.minimum(blade, spine) + canvas.noise(region, 14.0), f"scapula {side}", 1.4)


def paint_hips(canvas: Canvas, hu: dict) -> None:
    """Paint hip bones (wing, socket, pubis, ischium) and the upper femurs."""
    rng = canvas.rng
    for side, sign in (("left", 1), ("right", -1)):
        socket = np.array([sign * 88, -2, -142.0]) + rng.normal(0, 2, 3)
        region = canvas.region((min(0, sign * 165), -95, -235), (max(0, sign * 165), 115, 45))
        if region is None:
            continue
        x, y, z = region.x, region.y, region.z
        # the wing: a thin curved sheet from the sacroiliac joint outwards and forwards
        lift = np.clip((z + 140) / 150, 0, 1)
        sheet = sign * x - (66 + 52 * lift - ((y - 12) / 80) ** 2 * 16 * lift - np.clip(y - 30, 0, None) * 0.62 * lift)
        thick = 5.0 + 6 * np.clip(1 - np.abs(z - 8) / 22, 0, 1) + 9 * np.clip((-95 - z) / 40, 0, 1)
        wing = np.abs(sheet) * 0.85 - thick
        wing = np.maximum(wing, ((y - 18) / 74) ** 2 * 30 + ((z + 45) / 62) ** 2 * 30 - 30)
        cup = ellipsoid(x, y, z, socket + (-sign * 6, 0, 2), (30, 31, 31))
        pubis = canvas.tube(
            smooth_path([(sign * 66, -22, -138, 12), (sign * 34, -58, -150, 9), (sign * 7, -64, -158, 12)], 2), margin=5
        )
        ischium = canvas.tube(
            smooth_path(
                [
                    (sign * 70, 26, -150, 15),
                    (sign * 58, 40, -190, 15),
                    (sign * 42, 4, -204, 9),
                    (sign * 12, -50, -176, 8),
                ],
                2,
            ),
            margin=5,
        )
        for made in (pubis, ischium):
            if made is not None:
                _bone(canvas, hu, made[0], made[1] + canvas.noise(made[0], 12.0), f"hip {side}", 2.2)
        bone = np.minimum(wing, cup) + 1.2 * canvas.noise(region, 14.0)
        _bone(canvas, hu, region, bone, f"hip {side}", 2.2)
        ball = ellipsoid(x, y, z, socket, (27, 27, 27))
        canvas.paint(region, ball, 20, clear=True)  # the joint
        head = ellipsoid(x, y, z, socket, (23.5, 23.5, 23.5))
        made = canvas.tube(
            np.array([[*socket, 17], [sign * 118, 8, -168, 16], [sign * 128, 10, -178, 20], [sign * 120, 4, -260, 15]]),
            margin=6,
        )
        if made is not None:
            _bone(canvas, hu, *made, f"femur {side}", 3.5)
        _bone(canvas, hu, region, head, f"femur {side}", 2.0)
