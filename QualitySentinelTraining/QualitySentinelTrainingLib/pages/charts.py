"""Charts as inline SVG, in the style of a case's plot (classes of ``style.css`` and ``page.css``)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape

from QualitySentinelLib.colors import css_color
from QualitySentinelLib.scores import dsc_color

from .page import number, percent, signed

BINS = 40
WIDTH, HEIGHT = 620, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 12, 44


def histogram(dsc: np.ndarray, threshold: float, what: str) -> Markup:
    """How many ``what`` (``segments``, ``slices``) have which predicted DSC, [N] in 0..1; the threshold is dashed."""
    counts, edges = np.histogram(dsc, BINS, (0.0, 1.0))
    top, steps = _scale(max(int(counts.max()), 4))
    base = HEIGHT - _BOTTOM
    parts = [_open(f"Histogram of the predicted DSC of {len(dsc)} {what}"), _levels(top, steps, number)]
    for n, low, high in zip(counts, edges, edges[1:], strict=False):
        if n:
            left, right, y = _x(low), _x(high), _y(n / top)
            parts.append(
                f'<path d="M{left + 0.5:.1f} {base}V{min(y, base - 1):.1f}H{right - 0.5:.1f}V{base}Z" class="bar-of" '
                f'fill="{css_color(dsc_color((low + high) / 2))}"><title>DSC {low:.3g} to {high:.3g}: '
                f"{number(n)} {what} ({percent(n / len(dsc))})</title></path>"
            )
    parts.append(f'<path class="threshold" d="M{_x(threshold):.1f} {_TOP}V{base}"/>')
    for tick in (0, 0.2, 0.4, 0.6, 0.8, 1):
        parts.append(_tick(_x(tick), f"{tick:g}"))
    parts.append(_axis(f"predicted DSC of {number(len(dsc))} {what}"))
    parts.append("</svg>")
    return Markup("".join(parts))  # numbers and words of ours


@dataclass(frozen=True)
class Line:
    """A line of a chart."""

    label: str  # for its title, and for the key unless the line has a CSS class of its own
    # x, y: [N]
    x: Sequence[float]
    y: Sequence[float]
    # low, high: [N], of a band around it; none without them
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    css: str = ""  # class that styles the line; by default it gets the next of our colors


_COLORS = ("#1f77b4", "#d9820b", "#2e8b57", "#b3120c", "#8a2cc4", "#7a6233", "#c2428b", "#5f6b7a", "#8f9a00", "#12a5a8")
"""Told apart on white and on black; more lines than that start again, dashed."""


def line_chart(
    lines: Sequence[Line], x_label: str, title: str, y_range: tuple[float, float] | None = None,
    marked: float | None = None,
) -> Markup:  # fmt: skip
    """Lines with their bands over one axis; empty when no line has a point.

    Args:
        lines: their points are drawn in the order given; not finite ones are left out.
        x_label: under the axis, which starts at 0.
        title: read aloud instead of the chart.
        y_range: ends of the axis; by default 0 and a round number above everything.
        marked: a place on the axis.
    """
    lines = [line for line in lines if len(line.x)]
    if not lines:
        return Markup("")
    highest = max((v for line in lines for v in (*line.y, *(line.high or ())) if np.isfinite(v)), default=1.0)
    top, steps = _scale(highest if highest > 0 else 1.0)
    bottom, top, steps = (*y_range, 4) if y_range else (0.0, top, steps)
    longest = max(max(line.x) for line in lines) or 1.0

    def point(x: float, y: float) -> str:
        across = _LEFT + x / longest * (WIDTH - _LEFT - _RIGHT)
        return f"{across:.1f} {_y(float(np.clip((y - bottom) / (top - bottom), 0, 1))):.1f}"

    def path(x: Sequence[float], y: Sequence[float]) -> str:
        return "L".join(point(a, b) for a, b in zip(x, y, strict=True) if np.isfinite(b))

    parts = [_open(title), _levels(top - bottom, steps, lambda v: f"{v + bottom:.6f}".rstrip("0").rstrip(".") or "0")]
    for place, line in enumerate(lines):
        color = _COLORS[place % len(_COLORS)]
        dashes = ' stroke-dasharray="6 3"' if place >= len(_COLORS) else ""
        drawn, dot = path(line.x, line.y), ""
        if drawn and "L" not in drawn:  # a point alone, as of an experiment's first round
            drawn, dot = f"{drawn}h0", "stroke-linecap:round;stroke-width:8;"
        style = f'class="line" style="{dot}stroke:{color}"{dashes}'
        if line.css:
            style = f'class="line {escape(line.css)}"' + (f' style="{dot}"' if dot else "")
        if line.low is not None and line.high is not None:
            band = path([*line.x, *reversed(line.x)], [*line.high, *reversed(line.low)])
            parts.append(f'<path class="band" style="fill:{color};stroke:none" d="M{band}Z"/>')
        parts.append(f'<path {style} d="M{drawn}"><title>{escape(line.label)}</title></path>')
    if marked is not None and marked <= longest:
        parts.append(f'<path class="threshold" d="M{point(marked, bottom)}L{point(marked, top)}"/>')
    step = max(_scale(longest / 6)[0], 1 if longest > 3 else 0)
    for n in range(int(longest / step + 1e-9) + 1):
        parts.append(_tick(_LEFT + n * step / longest * (WIDTH - _LEFT - _RIGHT), f"{n * step:g}"))
    parts.append(_axis(x_label))
    parts.append("</svg>")
    keyed = [(place, line) for place, line in enumerate(lines) if not line.css]
    if keyed:
        parts.append('<p class="key">')
        for place, line in keyed:
            look = "dashed" if place >= len(_COLORS) else "solid"
            parts.append(f'<span><i class="k-line" style="border-top:2px {look} {_COLORS[place % len(_COLORS)]}"></i> '
                         f"{escape(line.label)}</span> ")  # fmt: skip
        parts.append("</p>")
    return Markup("".join(parts))


def gain_curve(curves: Sequence[tuple[str, str, np.ndarray]], marked: int | None = None) -> Markup:
    """Expected gain of the mean DSC against the number of slices corrected; ``marked`` is one of these numbers.

    ``curves`` are (label, CSS class, gains after 1, 2, ... corrections); the labels are for the titles.
    """
    lines = []
    for label, css, gains in curves:
        k = np.unique(np.linspace(1, len(gains), min(len(gains), 200)).astype(int))
        lines += [Line(label, [0, *k], [0.0, *(max(float(gains[n - 1]), 0.0) for n in k)], css=css)] if len(k) else []
    title = "Expected gain of the mean DSC against the number of slices corrected"
    return line_chart(lines, "slices corrected", title, marked=marked)


def interval_bar(
    value: float | None, low: float | None, high: float | None, limit: float, width: int = 150, height: int = 18
) -> Markup:
    """A difference and its interval on a scale from ``-limit`` to ``limit`` with a line at nought."""
    if value is None or low is None or high is None or not np.isfinite([value, low, high]).all():
        return Markup("")

    def x(v: float) -> float:
        return width / 2 + float(np.clip(v / limit, -1, 1)) * (width / 2 - 4)

    side = "sure" if low > 0 or high < 0 else "unsure"
    return Markup(
        f'<svg class="interval {side}" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="{signed(value)}, {signed(low)} to {signed(high)}">'
        f'<path class="grid" d="M{width / 2} 1V{height - 1}"/>'
        f'<path class="span" d="M{x(low):.1f} {height / 2}H{x(high):.1f}"/>'
        f'<circle cx="{x(value):.1f}" cy="{height / 2}" r="3.6"/></svg>'
    )


def group_bars(groups: Sequence, low: float, high: float) -> Markup:
    """Means of groups with their intervals, one under the other, on a scale from ``low`` to ``high``."""
    width, row, left = 460, 24, 150
    height = row * len(groups) + 24
    parts = [f'<svg class="plot groups" viewBox="0 0 {width} {height}" role="img" aria-label="Means of the groups">']

    def x(v: float) -> float:
        return left + (float(np.clip(v, low, high)) - low) / (high - low) * (width - left - 54)

    for tick in np.linspace(low, high, 4):
        parts.append(f'<path class="grid" d="M{x(tick):.1f} 2V{height - 20}"/><text class="tick" x="{x(tick):.1f}" '
                     f'y="{height - 5}" text-anchor="middle">{tick:.3f}</text>')  # fmt: skip
    for place, g in enumerate(groups):
        y = row * place + row / 2 + 2
        name = g.name if len(g.name) <= 16 else g.name[:15] + "…"
        parts.append(
            f'<text class="tick" x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{escape(name)} ({number(g.n)})</text>'
            f'<path class="span" d="M{x(g.low):.1f} {y:.1f}H{x(g.high):.1f}"/>'
            f'<circle class="point" cx="{x(g.mean):.1f}" cy="{y:.1f}" r="4"><title>{escape(g.name)}: {g.mean:.3f} '
            f"({g.low:.3f} to {g.high:.3f}), {g.n} cases</title></circle>"
        )
    return Markup("".join([*(str(p) for p in parts), "</svg>"]))


def _open(label: str) -> str:
    return f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">'


def _x(share: float) -> float:
    return _LEFT + share * (WIDTH - _LEFT - _RIGHT)


def _y(share: float) -> float:
    return _TOP + (1 - share) * (HEIGHT - _TOP - _BOTTOM)


def _levels(top: float, steps: int, text: Callable[[float], str]) -> str:
    return "".join(
        f'<path class="grid" d="M{_LEFT} {_y(share):.1f}H{WIDTH - _RIGHT}"/>'
        f'<text class="tick" x="{_LEFT - 7}" y="{_y(share) + 4:.1f}" text-anchor="end">{text(top * share)}</text>'
        for share in (n / steps for n in range(steps + 1))
    )


def _tick(x: float, text: str) -> str:
    return f'<text class="tick" x="{x:.1f}" y="{HEIGHT - _BOTTOM + 18}" text-anchor="middle">{text}</text>'


def _axis(text: str) -> str:
    return (
        f'<text class="tick" x="{(_LEFT + WIDTH - _RIGHT) / 2:.1f}" y="{HEIGHT - 6}" text-anchor="middle">{text}</text>'
    )


def _scale(value: float) -> tuple[float, int]:
    """A round end for an axis that reaches ``value``, and into how many round steps it parts."""
    power = 10.0 ** np.floor(np.log10(value))
    ends = ((1, 5), (1.5, 3), (2, 4), (3, 3), (4, 4), (5, 5), (6, 3), (8, 4), (10, 5))
    end, steps = next((m, n) for m, n in ends if m * power >= value * (1 - 1e-9))
    return float(end * power), steps
