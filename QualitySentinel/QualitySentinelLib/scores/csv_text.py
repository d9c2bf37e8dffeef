"""How every table of ours is written as CSV, and which names need an apostrophe there.

RFC 4180: comma, CRLF, quotes doubled. Names come from other people's files: one that a spreadsheet would take for a
formula gets an apostrophe before it, which spreadsheets show as text, and which is taken off when it is read.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence

_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")  # spreadsheets in Japanese take the wide signs too


def escaped(text: str) -> str:
    """A name as a cell: no formula, and no lone surrogates (file names that are not UTF-8 have them)."""
    text = text.encode("utf-8", "replace").decode("utf-8")
    return "'" + text if _FORMULA.match(text) else text


def unescaped(cell: str) -> str:
    """The name in a cell.

    Example:
        >>> unescaped(escaped("=1+1"))
        '=1+1'
    """
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def writer_to(stream):
    """A writer of such tables to a text stream opened with ``newline=""``."""
    return csv.writer(stream, lineterminator="\r\n")


def csv_text(columns: Sequence[str], rows: Iterable[Sequence]) -> str:
    """A whole table as text; every cell is written as it is."""
    table = io.StringIO(newline="")
    writer = writer_to(table)
    writer.writerow(columns)
    writer.writerows(rows)
    return table.getvalue()
