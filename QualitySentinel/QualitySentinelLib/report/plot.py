"""Predicted DSC along the slices of one segment: a plot as inline SVG, and a strip of colors."""

from __future__ import annotations

import itertools
import math

import numpy as np
from markupsafe import Markup
from PIL import Image

from ..colors import DEFAULT_SCALE
from ..scores import SegmentScore, SliceScore, dsc_color
from .drawing import MISSED_COLOR, data_uri
from .text import environment

WIDTH, HEIGHT = 620, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, WIDTH - 22, 12, HEIGHT - 62


def dsc_plot(segment: SegmentScore, label: str, threshold: float, mark_all: bool = True) -> Markup:
    """SVG with DSC (0..1) over patient position (mm) and slice number, inferior on the left.

    The line is the predicted DSC, the band around it its interval, the gray area the mask's own area (scaled to its
    largest). Slices below the threshold are triangles, the others dots; missed slices are columns with a cross at
    their predicted DSC. Each has a title that shows on hovering.

    Args:
        segment: with at least one scored slice.
        label: the segment's name, for who cannot see the plot.
        mark_all: also mark slices that are not flagged (left out in cases with very many).
    """
    slices = sorted(segment.slices, key=lambda s: s.position_mm)
    shown = sorted(segment.listed_slices, key=lambda s: s.position_mm)
    gaps = [b.position_mm - a.position_mm for a, b in itertools.pairwise(shown)]
    step = min((g for g in gaps if g > 0), default=1.0)
    low, high = shown[0].position_mm - step / 2, shown[-1].position_mm + step / 2
    svg = environment().get_template("plot.svg").render(
        label=label, threshold=threshold, step=step, width=WIDTH, height=HEIGHT,
        left=_LEFT, right=_RIGHT, top=_TOP, bottom=_BOTTOM,
        x=lambda mm: f"{_LEFT + (mm - low) / (high - low) * (_RIGHT - _LEFT):.1f}",
        y=lambda dsc: f"{_TOP + (1 - dsc) * (_BOTTOM - _TOP):.1f}",
        ticks=_ticks(shown, low, high),
        runs=_runs(slices, step, all_scored=segment.n_scored >= segment.n_slices),
        largest_area=max(s.area_mm2 for s in slices) or 1.0,
        marked=[s for s in slices if s.flagged or mark_all],
        missed=segment.missed_slices,
    )  # fmt: skip
    return Markup(svg)  # the template escapes what it is given


def _ticks(slices: list[SliceScore], low: float, high: float) -> list[tuple[int, int | None]]:
    """Round positions in mm, and the file's slice number there, which a single slice does not tell."""
    spacing = next((s for s in (1, 2, 5, 10, 20, 50, 100, 200, 500) if (high - low) / s <= 8), 1000)
    first, last = slices[0], slices[-1]
    ticks: list[tuple[int, int | None]] = []
    for mm in range(spacing * math.ceil(low / spacing), math.floor(high) + 1, spacing):
        number = None
        if first is not last:
            share = (mm - first.position_mm) / (last.position_mm - first.position_mm)
            number = round(first.slice_index + share * (last.slice_index - first.slice_index))
        ticks.append((mm, number))
    return ticks


def _runs(slices: list[SliceScore], step: float, all_scored: bool) -> list[list[SliceScore]]:
    """Slices parted where the mask is interrupted, so that no line runs over what does not exist."""
    runs = [[slices[0]]]
    for before, after in itertools.pairwise(slices):
        if all_scored and after.position_mm - before.position_mm > 1.5 * step:
            runs.append([])
        runs[-1].append(after)
    return runs


def dsc_strip(segment: SegmentScore, scale: str = DEFAULT_SCALE) -> str:
    """PNG ``data:`` URI, inferior on the left, one pixel wide per slice; slices that were not scored are transparent.

    Missed slices are violet, and in the lower half only: they can be told from low ones without color vision.
    ``segment`` has at least one scored slice.
    """
    missed = segment.missed_slices
    shown = [s.k for s in segment.listed_slices]
    first = min(shown)
    pixels = np.zeros((2 if missed else 1, max(shown) - first + 1, 4), dtype=np.uint8)
    for s in segment.slices:
        pixels[:, s.k - first] = _opaque(dsc_color(s.predicted_dsc, scale))
    for s in missed:
        pixels[1, s.k - first] = _opaque(MISSED_COLOR)
    return data_uri(Image.fromarray(pixels), "png")


def _opaque(rgb: tuple[float, float, float]) -> list[int]:
    return [*(round(255 * c) for c in rgb), 255]
