"""Predicted DSC along the slices of one segment: a plot as inline SVG, and a strip of colors."""

from __future__ import annotations

import itertools
import math

import numpy as np
from markupsafe import Markup, escape

from ..scores import SegmentScore, SliceScore, dsc_color
from ..scores.colors import DEFAULT_SCALE
from .drawing import MISSED_COLOR, png_data_uri
from .text import MISSED_TEXT, dsc_text, position_text, range_text

WIDTH, HEIGHT = 620, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 22, 12, 62


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
    missed = segment.missed_slices
    shown = sorted(segment.listed_slices, key=lambda s: s.position_mm)
    step = _step(shown)
    low, high = shown[0].position_mm - step / 2, shown[-1].position_mm + step / 2

    def x(mm: float) -> float:
        return _LEFT + (mm - low) / (high - low) * (WIDTH - _LEFT - _RIGHT)

    def y(dsc: float) -> float:
        return _TOP + (1 - dsc) * (HEIGHT - _TOP - _BOTTOM)

    parts = [
        f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="',
        escape(f"Predicted DSC along the slices of {label}"),
        '">',
    ]
    for tenth in range(0, 11, 2):
        parts.append(
            f'<path class="grid" d="M{_LEFT} {y(tenth / 10):.1f}H{WIDTH - _RIGHT}"/>'
            f'<text class="tick" x="{_LEFT - 7}" y="{y(tenth / 10) + 4:.1f}" text-anchor="end">{tenth / 10:.1f}</text>'
        )
    parts.append(_ticks(shown, low, high, x, y(0)))
    for s in missed:
        left, right = x(s.position_mm - step / 2), x(s.position_mm + step / 2)
        parts.append(f'<path class="missed-column" d="M{left:.1f} {_TOP}H{right:.1f}V{y(0):.1f}H{left:.1f}Z"/>')
    runs = _runs(slices, step, all_scored=segment.n_scored >= segment.n_slices)
    largest = max(s.area_mm2 for s in slices) or 1.0
    for run in runs:
        top = "".join(f"L{x(s.position_mm):.1f} {y(s.area_mm2 / largest):.1f}" for s in run)
        start, end = x(run[0].position_mm), x(run[-1].position_mm)
        parts.append(f'<path class="area" d="M{start:.1f} {y(0):.1f}{top}L{end:.1f} {y(0):.1f}Z"/>')
    for run in runs:
        if all(s.dsc_low is not None for s in run):
            bounds = [(s.position_mm, s.dsc_high) for s in run] + [(s.position_mm, s.dsc_low) for s in reversed(run)]
            outline = "L".join(f"{x(mm):.1f} {y(dsc):.1f}" for mm, dsc in bounds)
            parts.append(f'<path class="band" d="M{outline}Z"/>')
    parts.append(f'<path class="threshold" d="M{_LEFT} {y(threshold):.1f}H{WIDTH - _RIGHT}"/>')
    for run in runs:
        line = "L".join(f"{x(s.position_mm):.1f} {y(s.predicted_dsc):.1f}" for s in run)
        parts.append(f'<path class="line" d="M{line}"/>')
    for one in slices:
        if one.flagged or mark_all:
            parts.append(_point(one, x(one.position_mm), y(one.predicted_dsc), threshold))
    for empty in missed:
        parts.append(_cross(empty, x(empty.position_mm), y(empty.predicted_dsc)))
    parts.append("</svg>")
    return Markup("".join(str(p) for p in parts))  # numbers of ours, and text escaped above


def _point(s: SliceScore, x: float, y: float, threshold: float) -> str:
    between = f" ({range_text(s.dsc_low, s.dsc_high)})" if s.dsc_low is not None else ""
    title = (
        f"<title>slice {s.slice_index}, {position_text(s.position_mm)}: "
        f"DSC {dsc_text(s.predicted_dsc, threshold)}{between}{', below the threshold' if s.flagged else ''}</title>"
    )
    if s.flagged:
        return f'<path class="flagged" d="M{x - 4.5:.1f} {y - 4:.1f}h9l-4.5 8z">{title}</path>'
    return f'<circle class="point" cx="{x:.1f}" cy="{y:.1f}" r="2.6">{title}</circle>'


def _cross(s: SliceScore, x: float, y: float) -> str:
    return (
        f'<path class="missed" d="M{x - 4:.1f} {y - 4:.1f}l8 8m0 -8l-8 8">'
        f"<title>slice {s.slice_index}, {position_text(s.position_mm)}: {MISSED_TEXT}, "
        f"predicted DSC {dsc_text(s.predicted_dsc)}</title></path>"
    )


def _ticks(slices: list[SliceScore], low: float, high: float, x, base: float) -> str:
    """The marks below: millimeters at round values, and the file's slice numbers under them."""
    span = high - low
    spacing = next((s for s in (1, 2, 5, 10, 20, 50, 100, 200, 500) if span / s <= 8), 1000)
    first, last = slices[0], slices[-1]
    parts = []
    for n in range(math.ceil(low / spacing), math.floor(high / spacing) + 1):
        mm = n * spacing
        place = x(mm)
        parts.append(
            f'<path class="grid" d="M{place:.1f} {base:.1f}v5"/>'
            f'<text class="tick" x="{place:.1f}" y="{base + 18:.1f}" text-anchor="middle">'
            f"{str(mm).replace('-', '−')}</text>"
        )
        if first is not last:
            share = (mm - first.position_mm) / (last.position_mm - first.position_mm)
            number = round(first.slice_index + share * (last.slice_index - first.slice_index))
            parts.append(
                f'<text class="tick soft" x="{place:.1f}" y="{base + 33:.1f}" text-anchor="middle">{number}</text>'
            )
    parts.append(
        f'<text class="tick" x="{(_LEFT + WIDTH - _RIGHT) / 2:.1f}" y="{base + 52:.1f}" text-anchor="middle">'
        "position S in mm, slice number</text>"
        f'<text class="tick" x="{_LEFT}" y="{base + 52:.1f}">◀ inferior</text>'
        f'<text class="tick" x="{WIDTH - _RIGHT}" y="{base + 52:.1f}" text-anchor="end">superior ▶</text>'
    )
    return "".join(parts)


def _step(slices: list[SliceScore]) -> float:
    """The least distance of two neighbours, mm; 1 for a single slice."""
    gaps = [b.position_mm - a.position_mm for a, b in itertools.pairwise(slices)]
    return min((g for g in gaps if g > 0), default=1.0)


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
    return png_data_uri(pixels)


def _opaque(rgb: tuple[float, float, float]) -> list[int]:
    return [*(round(255 * c) for c in rgb), 255]
