"""The pages of an audit's report: templates, what they share with a case's report, and their links."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

import QualitySentinelLib.report
from QualitySentinelLib.report.text import dsc_text, position_text, printable, range_text
from QualitySentinelLib.scores import dsc_color
from QualitySentinelLib.scores.colors import css_color


@cache
def environment() -> Environment:
    """The templates of this room, and those of a case's report for its style."""
    folders = [Path(__file__).parent, Path(QualitySentinelLib.report.__file__).parent]
    env = Environment(
        loader=FileSystemLoader(folders), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    env.filters.update(
        printable=printable, breakable=breakable, position=position_text, css=css_color, color=dsc_color,
        dsc=dsc_text, signed=signed, p_value=p_value, number=number, percent=percent, count=count,
    )  # fmt: skip
    env.globals.update(range_text=range_text)
    return env


def render(template: str, **content) -> str:
    """One page as text."""
    return environment().get_template(template).render(**content)


def breakable(name: str) -> Markup:
    """A name that may be broken after its underscores and slashes."""
    return Markup(re.sub(r"([_/])", r"\1<wbr>", str(escape(printable(str(name))))))


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
