"""Numbers and names as the report words them, and the templates of its pages."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from ..colors import css_color

_ANY_CT = re.compile(r"(?:ct|image|img|imaging|volume|scan|dicom)(?:_0000)?(?:\.[\w.]+)?", re.IGNORECASE)
"""Names that tell no case from another."""

MISSED_TEXT = "mask missing, structure expected"


@cache
def environment(*folders: Path) -> Environment:
    """The templates in ``folders`` and in this room, with escaping on, and what words numbers and names in them."""
    made = Environment(
        loader=FileSystemLoader([*folders, Path(__file__).parent]), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    made.filters.update(
        printable=printable, breakable=breakable, position=position_text, css=css_color, dsc=dsc_text,
        threshold=threshold_text, duration=duration_text, file_name=file_name,
    )  # fmt: skip
    made.globals.update(range_text=range_text, missed_text=MISSED_TEXT)
    return made


def dsc_text(dsc: float | None, threshold: float | None = None) -> str:
    """A DSC with two decimals; with more where rounding would put it on the wrong side of ``threshold``."""
    if dsc is None:
        return "–"
    for decimals in range(2, 7):
        text = f"{dsc:.{decimals}f}"
        if threshold is None or (float(text) < threshold) == (dsc < threshold):
            break
    return text


def threshold_text(threshold: float) -> str:
    """A threshold with the decimals it has, up to four: 0.805 must not read as 0.81."""
    return f"{threshold:.4f}".rstrip("0").ljust(3, "0")


def range_text(low: float | None, high: float | None) -> str:
    """The interval around a DSC, e.g. ``0.71–0.88``; empty where there is none."""
    return "" if low is None or high is None else f"{low:.2f}–{high:.2f}"


def position_text(position_mm: float, decimals: int = 1) -> str:
    """A patient S coordinate as a viewer shows it, e.g. ``S −123.5 mm``."""
    return f"S {round(position_mm, decimals) + 0.0:.{decimals}f} mm".replace("-", "−")


def file_name(source: str) -> str:
    """The last part of a path of any system: who reads a report need not know the folders of who made it."""
    return source.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1] or source


def case_title(source: str) -> str:
    """What to call the case of a CT: its file, or the folder around it when the file is called what any CT is.

    Example:
        >>> case_title("/data/patient 7/ct.nii.gz"), case_title("/data/patient 7.nii.gz")
        ('patient 7', 'patient 7.nii.gz')
    """
    name = file_name(source)
    if not _ANY_CT.fullmatch(name):
        return name
    path = Path(source.replace("\\", "/"))
    return (path.resolve() if path.exists() else path).parent.name or name


def printable(text: str) -> str:
    """``text`` for the page: one line, no control characters, no lone surrogates."""
    text = "".join(c if c.isprintable() or c.isspace() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return " ".join(text.split()).encode("utf-8", "replace").decode("utf-8")


def breakable(name: object) -> Markup:
    """A name that may be broken after its underscores and slashes."""
    return Markup(re.sub(r"([_/])", r"\1<wbr>", str(escape(printable(str(name))))))


def duration_text(seconds: float) -> str:
    """Seconds as ``8.4 s`` or ``3 min 05 s``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    return f"{whole // 60} min {whole % 60:02d} s"
