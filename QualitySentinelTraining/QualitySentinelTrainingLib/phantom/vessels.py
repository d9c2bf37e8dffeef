"""Great vessels: aorta with its arch and iliac arteries, inferior vena cava, portal and splenic vein."""

from __future__ import annotations

import numpy as np

from .body import spine_y
from .canvas import Canvas
from .shapes import smooth_path


def paint_vessels(canvas: Canvas, hu: dict) -> None:
    """Paint the great vessels; the aorta may be wide, tortuous or calcified."""
    rng = canvas.rng
    wide = rng.uniform(0.85, 1.2)
    sway = rng.normal(0, 3.5, 2)
    aorta = np.array(
        [(2, -30, 262, 14), (-16, -38, 292, 15), (-14, -26, 328, 14), (6, 0, 342, 13), (20, 26, 328, 12.5),
         (25, 33, 290, 12), (22, 26, 235, 11.5), (13, 11, 180, 11), (7, 1, 120, 9.5),
         (6, -3, 70, 8.5), (4, -3, 22, 8)], dtype=float,
    )  # fmt: skip
    aorta[5:, :2] += sway
    aorta[:, 3] *= wide
    path = smooth_path(aorta, 4)
    if rng.random() < 0.1:  # an aneurysm
        at = rng.uniform(40, 100)
        path[:, 3] *= 1 + rng.uniform(0.4, 1.2) * np.exp(-(((path[:, 2] - at) / 22) ** 2))
    vein = smooth_path(
        [
            (-20, 8, 20, 9),
            (-22, 4, 70, 10),
            (-23, 2, 120, 11),
            (-26, 2, 170, 12),
            (-27, -8, 215, 13),
            (-26, -18, 240, 12),
        ],
        3,
    )
    vein[:, 3] *= rng.uniform(0.75, 1.15)
    canvas.paint_tube(vein, hu["vein"] * rng.uniform(0.85, 1.0), "inferior vena cava", (0.9, 1.15, 1), rough=0.8)
    portal = smooth_path(
        [
            (-44, -14, 150, 5),
            (-26, -18, 132, 7),
            (-8, -20, 118, 6.5),
            (26, -12, 126, 5),
            (60, 8, 140, 4.5),
            (86, 22, 152, 4),
        ],
        3,
    )
    portal[:, :3] += rng.normal(0, 2.5, 3)
    canvas.paint_tube(portal, hu["vein"], "portal vein and splenic vein", rough=0.5)
    bow = rng.normal(0, 4)
    for side, sign in (("left", 1), ("right", -1)):
        points = [(4 + sign * 3, 0, 22, 6.5), (sign * 26, 14 + bow, -20, 6), (sign * 50, 22, -55, 5.5),
                  (sign * 72, -16, -100, 5), (sign * 82, -52, -150, 4.8), (sign * 84, -56, -210, 4.5)]  # fmt: skip
        veins = [(-18, 8, 22, 7.5), (sign * 24 - 4, 26, -20, 7), (sign * 44, 34, -58, 6.5), (sign * 64, -6, -104, 6),
                 (sign * 72, -44, -150, 6), (sign * 74, -46, -210, 5.5)]  # fmt: skip
        canvas.paint_tube(smooth_path(veins, 2), hu["vein"] * 0.9, f"iliac vein {side}", rough=0.5)
        canvas.paint_tube(smooth_path(points, 2), hu["aorta"] * 0.95, f"iliac artery {side}", rough=0.4)
    # keep a fat plane before the spine where there is room
    path[:, 1] = np.where((path[:, 2] < 300), np.minimum(path[:, 1], spine_y(path[:, 2]) - 4), path[:, 1])
    canvas.paint_tube(path, hu["aorta"] + rng.uniform(-4, 4), "aorta", rough=0.6)
    for _ in range(rng.integers(0, 14)):  # calcified plaques
        at = path[rng.integers(len(path))]
        way = rng.normal(0, 1, 3)
        spot = at[:3] + way / np.linalg.norm(way) * at[3] * 0.9
        piece = canvas.around(spot, 6)
        if piece is not None:
            radius = rng.uniform(1, 2.6)
            ball = (
                np.sqrt((piece.x - spot[0]) ** 2 + (piece.y - spot[1]) ** 2 + ((piece.z - spot[2]) / 2) ** 2) - radius
            )
            canvas.paint(piece, ball.astype(np.float32), rng.uniform(300, 900))
