"""The chest: mediastinum, lungs with their vessels, heart with its chambers, airways, oesophagus."""

from __future__ import annotations

import numpy as np

from .canvas import Canvas
from .shapes import ellipsoid, rotation, smooth_path
from .structures import VALUES


def diaphragm_z(canvas: Canvas, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Height (mm) of the diaphragm above each (x, y): two domes that fall steeply to the wall."""
    right, left = canvas.domes
    dome = np.where(x < -5, right, left)
    centre = np.where(x < -5, np.float32(-68), np.float32(68))
    d2 = ((x - centre) / 78) ** 2 + ((y + 8) / 92) ** 2
    fall = np.where(y > 20, 88, 62)
    return (dome - fall * np.minimum(d2, 1.6) ** 1.2).astype(np.float32)


def paint_chest_space(canvas: Canvas, hu: dict) -> None:
    """Paint the mediastinum and both lungs with vessels."""
    rng = canvas.rng
    region = canvas.region((-175, -125, 110), (175, 125, 440))
    if region is None:
        return
    x, y, z = region.x, region.y, region.z
    wall = canvas.wall[region.box]
    bumps = 2.0 * canvas.noise(region, 35.0)
    above = (diaphragm_z(canvas, x, y) - z) * np.float32(0.72) + 2.5 * canvas.noise(region, 50.0)
    inside = wall + 24 + np.clip(z - 330, 0, None) * 0.28  # ribs and intercostal muscles; the apex narrows
    chest = np.maximum(inside, above)
    fat = hu["fat"] + 12 * np.clip(canvas.noise(region, 8.0), -0.5, 3) ** 2
    canvas.paint(region, np.maximum(wall + 20, z * -1 + 300), hu["muscle"])
    canvas.paint(region, chest, fat)
    width = 24 + 9 * np.cos((y - 10) / 34) + np.clip((330 - z) / 90, 0, 1) * np.exp(-(((y + 30) / 45) ** 2)) * 12
    for side, sign in (("left", 1), ("right", -1)):
        lung = np.maximum(chest + 1.0, width - sign * x + bumps)
        lung = np.maximum(lung, z - rng.uniform(392, 408))
        texture = hu["lung"] + 25 * canvas.noise(region, 7.0) + (y + 20) * rng.uniform(0.1, 0.7)  # dependent density
        canvas.paint(region, lung, texture, f"lung {side}")
        _paint_lung_vessels(canvas, hu, sign, region, lung)


def _paint_lung_vessels(canvas: Canvas, hu: dict, sign: int, region, lung: np.ndarray) -> None:
    rng = canvas.rng
    hilum = np.array([sign * 34, 8, 292.0])
    open_ends = [(hilum + rng.normal(0, 10, 3), _direction(rng, sign), rng.uniform(3.5, 6), 0) for _ in range(9)]
    tone = 0.55 * hu["blood"] + 0.45 * 45
    while open_ends:
        start, way, radius, depth = open_ends.pop()
        end = start + way * rng.uniform(18, 40) * (1.0, 0.95, 0.8, 0.65)[depth]
        local = canvas.region(np.minimum(start, end) - 8, np.maximum(start, end) + 8)
        if local is not None:
            made = canvas.tube(np.array([[*start, radius], [*end, radius * 0.7]]), margin=3)
            if made is not None:
                piece, distance = made
                labels = canvas.labels[piece.box]
                inside = (labels == VALUES["lung left"]) | (labels == VALUES["lung right"])
                canvas.paint(piece, np.where(inside, distance, 9), tone)
        if depth < 3:
            for _ in range(2):
                turned = way + rng.normal(0, 0.45, 3)
                open_ends.append((end, turned / np.linalg.norm(turned), radius * 0.68, depth + 1))


def _direction(rng, sign):
    way = np.array([sign * rng.uniform(0.2, 1), rng.uniform(-0.9, 0.9), rng.uniform(-1.3, 1.0)])
    return way / np.linalg.norm(way)


def paint_heart(canvas: Canvas, hu: dict) -> None:
    """Paint pericardial fat, heart, its chambers, the pulmonary artery and the superior vena cava."""
    rng = canvas.rng
    centre = np.array([24, -36, 246.0]) + rng.normal(0, 5, 3)
    radii = np.array([60, 44, 52]) * rng.uniform(0.88, 1.12) * rng.uniform(0.94, 1.06, 3)
    turned = rotation(rng.normal(0, 6), rng.normal(25, 6), rng.normal(-28, 8))
    region = canvas.around(centre, 85)
    if region is None:
        return
    x, y, z = region.x, region.y, region.z
    heart = ellipsoid(x, y, z, centre, radii, turned) + 2.5 * canvas.noise(region, 28.0)
    limit = np.maximum(canvas.wall[region.box] + 26, (diaphragm_z(canvas, x, y) - z) * 0.72 - 1)
    heart = np.maximum(heart, limit)
    rim = rng.uniform(1, 9) + 3 * canvas.noise(region, 25.0)
    canvas.paint(region, np.maximum(heart - np.maximum(rim, 0), limit), hu["fat"] + 20, clear=True)
    canvas.paint(region, heart, hu["heart"] + 5 * canvas.noise(region, 20.0), "heart")

    def at(a, b, c):
        return centre + turned @ (np.array([a, b, c]) * radii)

    chambers = ((0.38, 0.1, -0.05, (26, 17, 19)), (-0.1, -0.45, -0.25, (27, 14, 22)), (-0.55, -0.15, 0.1, (18, 20, 25)),
                (-0.15, 0.55, 0.35, (26, 16, 17)))  # fmt: skip
    for a, b, c, size in chambers:
        blood = ellipsoid(x, y, z, at(a, b, c), np.array(size) * rng.uniform(0.85, 1.15), turned)
        blood = np.maximum(blood + 2.0 * canvas.noise(region, 16.0), heart + 4)
        canvas.paint(region, blood, hu["blood"] * rng.uniform(0.85, 1.05))
    for name, points in (
        ("pulmonary artery", [(14, -48, 268, 13), (18, -30, 296, 13), (10, -8, 306, 11), (-30, 4, 304, 9)]),
        ("pulmonary artery", [(18, -30, 298, 12), (30, -4, 304, 10), (42, 12, 298, 8)]),
        (None, [(-26, -22, 250, 10), (-27, -22, 310, 10), (-24, -26, 365, 8), (-30, -22, 400, 7)]),
    ):
        canvas.paint_tube(smooth_path(points, 2), hu["blood"] * rng.uniform(0.8, 1.1), name, rough=0.8)


def paint_airways(canvas: Canvas, hu: dict) -> None:
    """Paint the trachea, the main bronchi and the oesophagus."""
    rng = canvas.rng
    radius = rng.uniform(7, 10)
    shift = rng.normal(0, 3, 2)
    carina = (shift[0], 12 + shift[1], 318)
    trunk = [(0, 4 + shift[1], 440, radius), (shift[0] / 2, 8 + shift[1], 380, radius), (*carina, radius)]
    for path in (trunk, [(*carina, radius * 0.8), (42, 18, 290, 5)], [(*carina, radius * 0.8), (-40, 18, 294, 6)]):
        canvas.paint_tube(np.array([(p[0], p[1], p[2], p[3] + 1.5) for p in path], dtype=float), 30)
        canvas.paint_tube(np.array(path, dtype=float), -990, "trachea" if path is trunk else None)
    gullet = [(3, 20 + shift[1], 440, 6.5), (4, 26, 350, 7), (6, 24, 290, 7.5), (14, 18, 235, 8), (26, 6, 204, 9)]
    line = smooth_path(gullet, 3)
    line[:, :2] += rng.normal(0, 2, 2)
    canvas.paint_tube(line, hu["muscle"] - 8 + rng.uniform(-8, 12), "esophagus", rough=0.9)
    if rng.random() < 0.5:  # swallowed gas
        at = line[rng.integers(len(line) - 2)]
        canvas.paint_tube(np.array([(*at[:3], 3.5), (at[0], at[1], at[2] - 18, 2.5)]), -850)
    for side, sign in (("left", 1), ("right", -1)):
        lobe = [(sign * 17, -4, 405, 6), (sign * 19, -6, 425, 10), (sign * 17, -4, 448, 6)]
        canvas.paint_tube(smooth_path(lobe, 2), hu["thyroid"], f"thyroid {side}", rough=0.8)


def prepare_chest(canvas: Canvas) -> None:
    """Draw the heights of the two diaphragm domes, which chest and abdomen share."""
    breath = canvas.rng.uniform(-14, 10)
    right = 228 + breath + canvas.rng.normal(0, 4)
    canvas.domes = (np.float32(right), np.float32(right - canvas.rng.uniform(4, 20)))
