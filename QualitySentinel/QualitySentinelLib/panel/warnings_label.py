"""Needs ``qt``. A few warnings in a label; the tooltip has the rest."""

from __future__ import annotations

from collections.abc import Sequence

import qt
from slicer.i18n import tr as _

MOST_LINES = 3


def show_warnings(label: qt.QLabel, warnings: Sequence[str]) -> None:
    """Show warnings, one line each, the same one once; the label hides when there is none."""
    warnings = list(dict.fromkeys(" ".join(w.split()) for w in warnings))
    label.visible = bool(warnings)
    lines = warnings[:MOST_LINES]
    if len(warnings) > MOST_LINES:
        lines.append(_("and {count} more").format(count=len(warnings) - MOST_LINES))
    label.text = "\n".join(f"\u26a0 {line}" for line in lines)
    label.toolTip = "\n".join(warnings)
