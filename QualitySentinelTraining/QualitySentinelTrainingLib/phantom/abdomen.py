"""The solid organs of the abdomen, stomach, gallbladder and the organs of the pelvis."""

from __future__ import annotations

import numpy as np

from .canvas import Canvas, Region
from .chest import diaphragm_z
from .shapes import ellipsoid, rotation, smooth_path, smooth_union
from .structures import VALUES

GAS_HU = -960.0


def _limits(canvas: Canvas, region: Region, wall_mm: float = 19.0) -> np.ndarray:
    """Signed distance to the abdominal cavity: inside the wall and below the diaphragm."""
    under = (region.z - diaphragm_z(canvas, region.x, region.y)) * np.float32(0.72) + 3.0
    return np.maximum(canvas.wall[region.box] + np.float32(wall_mm), under)


def _jitter(rng, centre, spread=5.0):
    return np.asarray(centre, dtype=float) + rng.normal(0, spread, 3)


def paint_liver(canvas: Canvas, hu: dict) -> None:
    """Paint the liver (two lobes), its vessels, sometimes a lesion, and the gallbladder."""
    rng = canvas.rng
    centre = _jitter(rng, (-72, -2, 158))
    region = canvas.region((-175, -135, 30), (130, 130, 260))
    if region is None:
        return
    x, y, z = region.x, region.y, region.z
    size = rng.uniform(0.9, 1.14)
    right = ellipsoid(x, y, z, centre, np.array([74, 88, 84]) * size * rng.uniform(0.93, 1.07, 3), power=2.3)
    left_centre = _jitter(rng, (2, -58, 172), 7)
    left = ellipsoid(
        x, y, z, left_centre, np.array([78, 34, 38]) * size * rng.uniform(0.75, 1.2, 3),
        rotation(rng.normal(-20, 6), rng.normal(-14, 6), rng.normal(14, 6)),
    )  # fmt: skip
    liver = smooth_union(right, left, 18.0)
    hollow = ellipsoid(x, y, z, (-28, 30, 112), (40, 52, 62), rotation(0, 25, 0))  # the visceral face
    liver = np.maximum(np.maximum(liver, -hollow), _limits(canvas, region))
    liver = liver + 3.0 * canvas.noise(region, 40.0) + 0.9 * canvas.noise(region, 13.0)
    fatty = rng.uniform(15, 50) if rng.random() < 0.15 else 0.0
    tone = hu["liver"] - fatty
    canvas.paint(region, liver, tone + 3.5 * canvas.noise(region, 22.0), "liver")
    vein = tone + (hu["vein"] - hu["liver"]) * rng.uniform(0.4, 1.0)
    for _ in range(22):
        start = np.array([rng.uniform(-45, -10), rng.uniform(-25, 15), rng.uniform(130, 190)])
        way = rng.normal(0, 1, 3) * (1.4, 1, 0.8) + (-0.9, 0, 0)
        points = [(*start, rng.uniform(2.2, 4.5))]
        for _ in range(3):
            way = way / np.linalg.norm(way) + rng.normal(0, 0.3, 3)
            points.append((*(np.array(points[-1][:3]) + way * 22), points[-1][3] * 0.72))
        made = canvas.tube(np.array(points), margin=4)
        if made is not None:
            piece, distance = made
            inside = canvas.labels[piece.box] == VALUES["liver"]
            canvas.paint(piece, np.where(inside, distance, 9), vein)
    if rng.random() < 0.35:
        for _ in range(rng.integers(1, 5)):
            spot, radius = _jitter(rng, centre, 32), rng.uniform(4, 22)
            piece = canvas.around(spot, radius + 8)
            if piece is not None:
                ball = ellipsoid(piece.x, piece.y, piece.z, spot, (radius,) * 3) + canvas.noise(piece, radius) * 1.5
                inside = canvas.labels[piece.box] == VALUES["liver"]
                canvas.paint(piece, np.where(inside, ball, 9), rng.choice([8.0, tone - 30, tone + 25]))
    spot = _jitter(rng, (-46, -48, 98), 5)
    piece = canvas.around(spot, 50)
    if piece is not None and rng.random() < 0.9:
        radii = np.array([15, 15, 29]) * rng.uniform(0.65, 1.2)
        sac = ellipsoid(piece.x, piece.y, piece.z, spot, radii, rotation(rng.normal(-25, 10), rng.normal(15, 10), 0))
        sac = sac + 1.3 * canvas.noise(piece, 12.0)
        canvas.paint(piece, sac - 1.5, 45)
        canvas.paint(piece, sac, hu["bile"], "gallbladder")


def paint_spleen(canvas: Canvas, hu: dict) -> None:
    """Paint the spleen: a curved wedge against the left wall; mottled in the arterial phase."""
    rng = canvas.rng
    centre = _jitter(rng, (106, 34, 166), 6)
    size = rng.uniform(0.75, 1.25)
    region = canvas.around(centre, 90)
    if region is None:
        return
    x, y, z = region.x, region.y, region.z
    turned = rotation(rng.normal(20, 8), rng.normal(8, 6), rng.normal(-22, 8))
    spleen = ellipsoid(x, y, z, centre, np.array([27, 48, 52]) * size, turned)
    hollow = ellipsoid(x, y, z, centre + (-34 * size, -14, 2), np.array([27, 40, 60]) * size, turned)
    spleen = np.maximum(np.maximum(spleen, -hollow), _limits(canvas, region))
    spleen = spleen + 1.8 * canvas.noise(region, 22.0)
    mottle = 22 if hu["spleen"] < hu["aorta"] - 110 else 3
    canvas.paint(region, spleen, hu["spleen"] + mottle * canvas.noise(region, 11.0), "spleen")


def paint_kidneys(canvas: Canvas, hu: dict) -> None:
    """Paint kidneys (cortex, medulla, pelvis, sometimes a cyst) in their fat, and the adrenal glands above."""
    rng = canvas.rng
    size = rng.uniform(0.85, 1.12)
    rim = rng.uniform(0.5, 8)
    for side, sign, level in (("left", 1, 108), ("right", -1, 94)):
        centre = _jitter(rng, (sign * 64, 42, level), 5)
        region = canvas.around(centre, 95)
        if region is None:
            continue
        x, y, z = region.x, region.y, region.z
        turned = rotation(rng.normal(-8, 5), sign * rng.normal(10, 5), sign * rng.normal(30, 9))
        own = size * rng.uniform(0.92, 1.08)
        kidney = ellipsoid(x, y, z, centre, np.array([28, 25, 55]) * own, turned)
        inner = centre - turned @ np.array([sign * 24, 0, 0]) * own
        sinus = ellipsoid(x, y, z, inner, np.array([18, 9, 19]) * own, turned)
        kidney = kidney + 1.4 * canvas.noise(region, 16.0)
        whole = np.maximum(np.maximum(kidney, -sinus), canvas.wall[region.box] + 10)
        canvas.paint(region, np.minimum(kidney, sinus) - rim, hu["fat"] + 8, clear=True)
        cortex = hu["kidney"] + 3 * canvas.noise(region, 14.0)
        pyramids = np.clip((-whole - 6 + 3.5 * canvas.noise(region, 6.5)) / 3, 0, 1)
        canvas.paint(region, whole, cortex + pyramids * (hu["medulla"] - hu["kidney"]), f"kidney {side}")
        calyx = ellipsoid(x, y, z, inner + turned @ np.array([sign * 8, 0, 0]), np.array([11, 4, 11]) * own, turned)
        canvas.paint(region, calyx, hu["urine"])
        if rng.random() < 0.25:
            spot, radius = centre + turned @ (np.array([sign * 20, 8, rng.uniform(-35, 35)])), rng.uniform(4, 15)
            cyst = np.maximum(ellipsoid(x, y, z, spot, (radius,) * 3), -99)
            canvas.paint(region, cyst, rng.uniform(0, 14), f"kidney {side}")
        top = centre + (-sign * 20, -8, 55 * own + 6)
        thick = rng.uniform(2.6, 4.5)
        for path in (
            [(*top, thick), (*(top + (-sign * 6, 8, 8)), thick), (*(top + (-sign * 12, 22, 2)), thick * 0.7)],
            [(*(top + (-sign * 6, 8, 8)), thick), (*(top + (sign * 4, 24, 0)), thick * 0.7)],
        ):
            canvas.paint_tube(np.array(path), hu["adrenal"], f"adrenal gland {side}", (1, 1, 0.5), rough=0.5, cell=8)


def paint_stomach(canvas: Canvas, hu: dict) -> None:
    """Paint the stomach: wall, content, a gas bubble in front with a level; and the duodenum."""
    rng = canvas.rng
    full = rng.uniform(0.6, 1.2)
    points = np.array(
        [(58, 14, 196, 24), (74, -8, 180, 38), (72, -36, 148, 34), (52, -56, 118, 26), (18, -62, 104, 19),
         (-10, -56, 106, 12)],
        dtype=float,
    )  # fmt: skip
    points[:, :3] += rng.normal(0, 5, 3) + rng.normal(0, 4, (len(points), 3))
    points[:, 3] *= full
    made = canvas.tube(smooth_path(points, 3), margin=10)
    if made is not None:
        region, stomach = made
        stomach = stomach + 2.5 * canvas.noise(region, 24.0)
        stomach = np.maximum(stomach, _limits(canvas, region, 18))
        fold = rng.uniform(2.5, 6) + 1.2 * canvas.noise(region, 7.0)
        canvas.paint(region, stomach, hu["gut wall"], "stomach")
        content = rng.choice([hu["gut content"], hu["gut content"], rng.uniform(120, 400), 10.0])
        mottled = content + rng.uniform(0, 30) * canvas.noise(region, 6.0)
        canvas.paint(region, stomach + fold, mottled)
        level = points[:, 1].min() + rng.uniform(-25, 30)
        canvas.paint(region, np.maximum(stomach + fold, region.y - level), GAS_HU)
    points = np.array(
        [
            (-12, -54, 106, 12),
            (-42, -40, 104, 13),
            (-54, -14, 84, 13),
            (-44, 0, 52, 12),
            (0, 0, 46, 10),
            (24, -14, 66, 10),
        ]
    )
    points = points + rng.normal(0, 3, points.shape) * (1, 1, 1, 0.3)
    made = canvas.tube(smooth_path(points, 3), margin=6)
    if made is not None:
        region, tube = made
        tube = tube + 1.2 * canvas.noise(region, 10.0)
        canvas.paint(region, tube, hu["gut wall"], "duodenum")
        canvas.paint(
            region, tube + 3.5, rng.choice([hu["gut content"], hu["gut wall"] - 10, GAS_HU], p=[0.5, 0.4, 0.1])
        )


def paint_pancreas(canvas: Canvas, hu: dict) -> None:
    """Paint the pancreas: lobulated, thinner with age, from the duodenum to the splenic hilum."""
    rng = canvas.rng
    points = np.array(
        [
            (-36, -16, 78, 11),
            (-30, -22, 98, 14),
            (-8, -28, 108, 10),
            (20, -24, 118, 10),
            (50, -2, 128, 10),
            (80, 16, 142, 9),
        ],
        dtype=float,
    )
    points[:, :3] += rng.normal(0, 3.5, (len(points), 3)) + rng.normal(0, 4, 3)
    points[:, 3] *= rng.uniform(0.7, 1.15)
    made = canvas.tube(smooth_path(points, 3), (1, 1, 0.85), margin=6)
    if made is None:
        return
    region, gland = made
    gland = gland + rng.uniform(0.8, 2.0) * canvas.noise(region, 6.0) + 1.5 * canvas.noise(region, 18.0)
    lobules = rng.uniform(3, 22) * np.clip(canvas.noise(region, 4.5), 0, 2)
    canvas.paint(region, gland, hu["pancreas"] - lobules, "pancreas")


def paint_pelvis(canvas: Canvas, hu: dict) -> None:
    """Paint bladder (filled or not) and prostate."""
    rng = canvas.rng
    filling = rng.uniform(0.45, 1.15)
    centre = _jitter(rng, (0, -38, -122 + 14 * filling), 4)
    region = canvas.around(centre, 95)
    if region is None:
        return
    x, y, z = region.x, region.y, region.z
    if rng.random() < 0.6:
        at = (0, -14, -158)
        gland = ellipsoid(x, y, z, at, np.array([24, 18, 19]) * rng.uniform(0.8, 1.3)) + canvas.noise(region, 14.0)
        canvas.paint(region, gland, hu["prostate"] + 4 * canvas.noise(region, 9.0), "prostate")
    bladder = ellipsoid(x, y, z, centre, np.array([48, 36, 38]) * filling, power=2.2) + 2.5 * canvas.noise(region, 30.0)
    canvas.paint(region, bladder, 38, "bladder")
    canvas.paint(region, bladder + rng.uniform(1.5, 5), hu["urine"])
    if hu["urine"] > 30:  # excreted contrast settles
        settled = np.maximum(bladder + 4, centre[1] + 8 - y)
        canvas.paint(region, settled, 350)
