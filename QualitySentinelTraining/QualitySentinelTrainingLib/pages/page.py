"""HTML pages of the reports on many cases: templates, their style, and how they write numbers."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path

from jinja2 import Environment
from markupsafe import Markup

from QualitySentinelLib.files import atomic_write
from QualitySentinelLib.report.text import environment as environment_of_a_case
from QualitySentinelLib.scores import dsc_color


@dataclass(frozen=True)
class Section:
    """A part of a report."""

    title: str  # its heading
    text: str = ""  # one paragraph above the rest
    chart: Markup | str = ""  # inline SVG, see ``charts.py``
    columns: Sequence[str] = ()  # heads of the table; those of numbers are told by their values
    rows: Iterable[Sequence] = ()  # of the table. Numbers have three decimals, missing ones a dash
    note: str = ""  # small print below


def write_report(path: str | os.PathLike, title: str, lead: str, sections: Sequence[Section]) -> Path:
    """Write one page that needs no network and no other file: a title, what it is about, and sections.

    Raises:
        InputError: the file cannot be written.
    """
    tables = [[[_cell(value) for value in row] for row in section.rows] for section in sections]
    created = datetime.now().astimezone()
    parts = list(zip(sections, tables, strict=True))
    return atomic_write(path, render("report.html", title=title, lead=lead, parts=parts, created=created))


def _cell(value: object) -> tuple[str, str]:
    """Text of a table's cell, and its class: numbers are set to the right."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "–"}[value], "num" if value is None else ""
    if isinstance(value, int):
        return number(value), "num"
    if isinstance(value, float):
        return "–" if value != value else f"{value:.3f}", "num"
    return str(value), "num" if str(value) == "–" or str(value).endswith("\N{NARROW NO-BREAK SPACE}%") else ""


@cache
def environment(*more: Path) -> Environment:
    """The templates of this room and of the folders ``more``, and those of a case's report for its style."""
    env = environment_of_a_case(*more, Path(__file__).parent)
    env.filters.update(
        color=dsc_color, signed=signed, p_value=p_value, number=number, percent=percent, count=count
    )
    return env


def render(template: str, *folders: Path, **content) -> str:
    """One page as text; its template lies in this room or in one of ``folders``."""
    return environment(*folders).get_template(template).render(**content)


def signed(value: float | None, decimals: int = 3) -> str:
    """A difference with its sign; a dash where there is none."""
    if value is None or value != value:
        return "–"
    return f"{value:+.{decimals}f}".replace("-", "−")


def p_value(p: float) -> str:
    """A p or q value as papers give it."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def number(n: float) -> str:
    """A count with thin spaces between thousands."""
    return f"{int(n):,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def percent(share: float | None) -> str:
    """A share of 1 as per cent."""
    if share is None or share != share:
        return "–"
    text = f"{100 * share:.0f}" if share >= 0.0995 else f"{100 * share:.1f}".removesuffix(".0")
    return f"{text}\N{NARROW NO-BREAK SPACE}%"


def count(n: int, what: str, many: str = "") -> str:
    """``1 case``, ``2 cases``."""
    return f"{number(n)} {what if n == 1 else many or what + 's'}"
