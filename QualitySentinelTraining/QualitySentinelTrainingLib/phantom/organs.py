"""Organs painted from a table: ``anatomy.toml`` says of which shapes each is made, of what tissue, and how it varies.

An organ has

- ``shapes``: ``ball`` (centre, with ``radii``, ``turn`` in degrees, ``power``) or ``tube`` (points x, y, z, radius,
  with ``flat``, ``legs`` between two points, ``ripple``), joined over ``blend`` mm; ``cut`` takes shapes out of them;
- how it varies: ``chance`` of being there, ``jitter`` and ``point_jitter`` (mm), ``size`` and ``width`` (of tubes;
  ranges of a factor), ``sway`` (degrees), ``rough`` (pairs of mm and cell of the noise);
- what bounds it: mm below the surface of the muscular ``wall``; ``below`` or ``above`` the diaphragm;
- ``layers``, painted one over the other: ``at`` mm inside the surface (or a range), ``hu`` (see :func:`_value`),
  ``texture`` (HU and cell of the noise; only downwards when negative), ``label``, ``clear``, and ``front``: only
  before a plane of that y; or ``bone``, the thickness of its cortex;
- ``part``: organs that move with it, painted inside of it by default; ``count`` of them, ``scatter`` mm apart.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from .canvas import Canvas, Region, ellipsoid, rotation, smooth_path, smooth_union

ORGANS = tomllib.loads(Path(__file__).with_name("anatomy.toml").read_text(encoding="utf-8"))["organ"]


@dataclass
class Place:
    """Where an organ of the table is put: turned, resized about ``centre``, moved, and mirrored for the right side."""

    centre: np.ndarray
    turn: np.ndarray
    size: float = 1.0
    shift: np.ndarray | float = 0.0
    sign: int = 1

    def __call__(self, points) -> np.ndarray:
        """Points ``[..., 3]`` of the table where they come to lie, before they are mirrored."""
        return self.centre + self.size * (np.asarray(points, float) - self.centre) @ self.turn.T + self.shift


def paint_organ(
    canvas: Canvas, hu: dict, organ: dict, sign: int = 1, side: str = "", whole: Place | None = None
) -> None:
    """Paint an organ of the table, or a part of the one that is put at ``whole`` and called ``organ["of"]``."""
    rng = canvas.rng
    if rng.random() >= organ.get("chance", 1.0):
        return
    for _ in range(rng.integers(organ["count"][0], organ["count"][1] + 1) if "count" in organ else 1):
        place = _place(rng, organ, sign, whole)
        name = f"{organ['name']} {side}".strip() if organ.get("name") else ""
        inside = organ["of"] if whole is not None and organ.get("inside", True) else ""
        made = _branches(canvas, organ["tree"], place) if "tree" in organ else [_shape(canvas, organ, place)]
        for region, distance in (one for one in made if one is not None):
            _paint_layers(canvas, hu, organ, region, distance, name or organ.get("of", ""), inside)
        for part in organ.get("part", ()):
            paint_organ(canvas, hu, {"of": name, **part}, sign, side, place)


def _place(rng: np.random.Generator, organ: dict, sign: int, whole: Place | None) -> Place:
    first = organ["shapes"][0] if "shapes" in organ else {"ball": organ["tree"]["start"]}
    centre = np.asarray(first.get("ball") or np.mean(first["tube"], axis=0)[:3], float)
    shift = rng.normal(0, 1, 3) * organ.get("jitter", 0) + rng.normal(0, 1, 3) * np.asarray(organ.get("scatter", 0))
    size = rng.uniform(*organ.get("size", (1, 1)))
    turn = rotation(rng.normal(0, 1, 3) * organ.get("sway", 0))
    if whole is None:
        return Place(centre, turn, size, shift, sign)
    if "size" in organ:  # one of several: of a size of its own
        return Place(centre, turn, size, shift + whole(centre) - centre, sign)
    return replace(whole, shift=whole.shift + shift)


def _shape(canvas: Canvas, organ: dict, place: Place) -> tuple[Region, np.ndarray] | None:
    """Region and signed distance of an organ's shapes, as they lie."""
    rng, width = canvas.rng, canvas.rng.uniform(*organ.get("width", (1, 1)))
    shapes, ends = [], []
    for shape in organ["shapes"]:
        if "tube" in shape:
            points = np.array(shape["tube"], float)
            points[:, :3] = place(points[:, :3] + rng.normal(0, 1, points[:, :3].shape) * organ.get("point_jitter", 0))
            points[:, 3] *= width * place.size
            path = smooth_path(points, shape.get("legs", 3))
            path[:, 3] *= 1 + shape.get("ripple", 0) * np.cos(np.arange(len(path)) * 1.9)
            reach = path[:, 3:].max() / min(*shape.get("flat", (1,)), 1.0)
            ends += [path[:, :3].min(axis=0) - reach, path[:, :3].max(axis=0) + reach]
            shapes.append((shape, path))
        else:
            centre, reach = place(shape["ball"]), max(shape["radii"]) * place.size
            ends += [centre - reach, centre + reach]
            shapes.append((shape, centre))
    low, high = np.min(ends, axis=0) - 12, np.max(ends, axis=0) + 12
    if place.sign < 0:
        low[0], high[0] = -high[0], -low[0]
    region = canvas.region(low, high)
    if region is None:
        return None
    distance = None
    for shape, where in shapes:
        one = _distance(canvas, region, shape, where, place)
        distance = one if distance is None else (
            smooth_union(distance, one, organ["blend"]) if "blend" in organ else np.minimum(distance, one)
        )  # fmt: skip
    for shape in organ.get("cut", ()):
        points = np.array(shape.get("tube", [[*shape.get("ball", (0, 0, 0)), 0]]), float)
        points[:, :3] = place(points[:, :3])
        distance = np.maximum(
            distance, -_distance(canvas, region, shape, points if "tube" in shape else points[0, :3], place)
        )
    distance = distance + _noise(canvas, region, organ) + organ.get("at", 0)
    if "wall" in organ:
        distance = np.maximum(distance, canvas.wall[region.box] + np.float32(organ["wall"]))
    if organ.get("below") or organ.get("above"):
        side = canvas.diaphragm(region)
        distance = np.maximum(distance, 3.0 - side if organ.get("below") else side - 1.0)
    return region, distance


def _distance(canvas: Canvas, region: Region, shape: dict, where: np.ndarray, place: Place) -> np.ndarray:
    """Of one shape, over a region that holds it."""
    if "tube" in shape:
        path = where * (place.sign, 1, 1, 1)
        distance = np.full(region.x.shape, np.float32(1e3))
        made = canvas.tube(path, shape.get("flat", (1, 1, 1)), margin=12)
        if made is not None:
            pairs = list(zip(made[0].box, region.box, strict=True))
            own = tuple(slice(max(a.start, b.start) - a.start, min(a.stop, b.stop) - a.start) for a, b in pairs)
            at = tuple(slice(max(a.start, b.start) - b.start, min(a.stop, b.stop) - b.start) for a, b in pairs)
            distance[at] = made[1][own]
        return distance
    seen = replace(region, x=region.x * np.float32(place.sign))
    turned = place.turn @ rotation(shape.get("turn", (0, 0, 0)))
    return ellipsoid(seen, where, np.array(shape["radii"]) * place.size, turned, shape.get("power", 2.0))


def _branches(canvas: Canvas, tree: dict, place: Place):
    """Regions and distances of the legs of random trees: vessels that divide and get thinner."""
    rng = canvas.rng
    for _ in range(tree["roots"]):
        start = place(np.array(tree["start"]) + rng.normal(0, 1, 3) * tree["spread"]) * (place.sign, 1, 1)
        ends = [
            (start, np.array(tree["way"]) * (place.sign, 1, 1) + rng.normal(0, 0.7, 3), rng.uniform(*tree["radius"]), 0)
        ]
        while ends:
            start, way, radius, depth = ends.pop()
            way = way / np.linalg.norm(way)
            end = start + way * tree["length"] * rng.uniform(0.7, 1.4) * 0.87**depth
            yield canvas.tube(np.array([[*start, radius], [*end, 0.7 * radius]]), margin=3)
            if depth + 1 < tree["depth"]:
                ends += [(end, way + rng.normal(0, 0.45, 3), 0.7 * radius, depth + 1) for _ in range(tree["forks"])]


def _paint_layers(
    canvas: Canvas, hu: dict, organ: dict, region: Region, distance: np.ndarray, name: str, inside: str
) -> None:
    if "bone" in organ:
        paint_bone(canvas, hu, region, distance, name, organ["bone"])
    for layer in organ.get("layers", ()):
        at = layer.get("at", 0.0)
        shown, rough = (
            distance + (canvas.rng.uniform(*at) if isinstance(at, list) else at),
            _noise(canvas, region, layer),
        )
        if "front" in layer:
            plane = (region.y - np.float32(canvas.rng.uniform(*layer["front"]))) * np.float32(0.6)
            shown = np.maximum(shown, plane + rough)
        else:
            shown = shown + rough
        value = _value(canvas.rng, hu, layer["hu"])
        if "texture" in layer:
            strength, cell = layer["texture"]
            noise = canvas.noise(region, cell)
            value = value + (strength * noise if strength > 0 else strength * np.clip(noise - 0.3, 0, 2))
        label = name if layer.get("label") else None
        canvas.paint(region, shown, value, label, layer.get("clear", False), inside)


def paint_bone(canvas: Canvas, hu: dict, region: Region, distance: np.ndarray, name: str, shell: float = 1.8) -> None:
    """Paint bone: a dense shell about ``shell`` mm thick around spongy bone."""
    dense = np.exp(-((np.clip(-distance, 0, 60) / np.float32(shell)) ** 2))
    spongy = hu["spongy bone"] + 28 * canvas.noise(region, 5.0)
    canvas.paint(region, distance, spongy + dense * (hu["cortical bone"] - hu["spongy bone"]) * 0.75, name)


def _noise(canvas: Canvas, region: Region, of: dict) -> np.ndarray | np.floating:
    return sum((np.float32(mm) * canvas.noise(region, cell) for mm, cell in of.get("rough", ())), np.float32(0.0))


def _value(rng: np.random.Generator, hu: dict, told) -> float:
    """HU: a number; a tissue, ``"fat+15"`` or ``"vein*0.9"``; ``[0, 14]``, a range; or one of a list."""
    if isinstance(told, list):
        between = len(told) == 2 and all(isinstance(one, int | float) for one in told)
        return float(rng.uniform(*told)) if between else _value(rng, hu, told[rng.integers(len(told))])
    if not isinstance(told, str):
        return float(told)
    tissue, sign, number = re.fullmatch(r"([a-z ]+)([+*-]?)([\d.]*)", told).groups()
    if sign == "*":
        return hu[tissue] * float(number)
    return hu[tissue] + float(sign + number if number else 0)
