"""Colon with haustra, stool and gas; rectum; coils of small bowel."""

from __future__ import annotations

import numpy as np

from .abdomen import GAS_HU
from .canvas import Canvas
from .shapes import smooth_path

_COLON = [
    (-84, -22, -40, 24), (-92, -4, 0, 25), (-98, 6, 55, 23), (-92, -14, 96, 20), (-60, -62, 66, 20), (-10, -76, 48, 19),
    (48, -72, 70, 19), (92, -30, 122, 18), (108, 20, 128, 17), (110, 34, 70, 15), (106, 26, 5, 15), (82, 2, -50, 15),
    (28, -34, -66, 16), (-12, 2, -84, 15), (10, 36, -84, 15),
]  # fmt: skip
_RECTUM = [(10, 36, -84, 15), (0, 42, -110, 18), (0, 34, -140, 18), (0, 40, -175, 11)]


def paint_small_bowel(canvas: Canvas, hu: dict) -> None:
    """Paint coils of small bowel: random walks that stay inside the middle of the abdomen."""
    rng = canvas.rng
    made = canvas.region((-90, -90, -120), (95, 30, 95))
    if made is None:
        return
    for _ in range(rng.integers(7, 11)):
        at = np.array([rng.uniform(-60, 70), rng.uniform(-62, 0), rng.uniform(-85, 65)])
        way, points = rng.normal(0, 1, 3), []
        radius = rng.uniform(8, 14)
        for _ in range(9):
            points.append((*at, radius * rng.uniform(0.85, 1.15)))
            pull = (np.array([5, -35, -10]) - at) / (80, 40, 95)
            way = way / np.linalg.norm(way) + rng.normal(0, 0.7, 3) + pull * 0.9
            at = at + way / np.linalg.norm(way) * 19
        tube = canvas.tube(smooth_path(points, 2), margin=5)
        if tube is None:
            continue
        region, distance = tube
        distance = np.maximum(distance + 1.2 * canvas.noise(region, 9.0), canvas.wall[region.box] + 18)
        canvas.paint(region, distance - 1.2, hu["fat"] + 15)  # mesenteric fat parts the coils
        canvas.paint(region, distance, hu["gut wall"], "small bowel")
        inner = distance + rng.uniform(2.2, 4.5)
        canvas.paint(
            region, inner, rng.choice([hu["gut content"], hu["gut wall"] - 12, rng.uniform(60, 300)], p=[0.6, 0.3, 0.1])
        )
        if rng.random() < 0.35:
            canvas.paint(region, np.maximum(inner, region.y - np.float32(rng.uniform(-70, -35))), GAS_HU)


def paint_colon(canvas: Canvas, hu: dict) -> None:
    """Paint colon and rectum."""
    rng = canvas.rng
    width = rng.uniform(0.75, 1.15)
    for name, way in (("colon", _COLON), ("rectum", _RECTUM)):
        points = np.array(way, dtype=float)
        points[:, :3] += rng.normal(0, 6, (len(points), 3)) * (1 if name == "colon" else 0.3)
        points[:, 3] *= width * rng.uniform(0.8, 1.2, len(points))
        path = smooth_path(points, 5)
        path[:, 3] *= 1 + 0.16 * np.cos(np.arange(len(path)) * 1.9) * (name == "colon")  # haustra
        made = canvas.tube(path, margin=7)
        if made is None:
            continue
        region, tube = made
        tube = np.maximum(tube + 1.4 * canvas.noise(region, 11.0), canvas.wall[region.box] + 17)
        canvas.paint(region, tube - 1.0, hu["fat"] + 12)
        canvas.paint(region, tube, hu["gut wall"], name)
        stool = 25 + 40 * canvas.noise(region, 6.0) - 320 * np.clip(canvas.noise(region, 4.5) - 0.9, 0, 2)
        canvas.paint(region, tube + 2.8, stool)
        # gas collects in front, here and there along the bowel
        gas = region.y + 22 * canvas.noise(region, 40.0) - np.float32(rng.uniform(-55, 5))
        canvas.paint(region, np.maximum(tube + 2.8, gas * 0.6), GAS_HU)
