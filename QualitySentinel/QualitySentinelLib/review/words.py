"""What a reader is told of a slice: the same words in Slicer's panel and on the web page."""

from __future__ import annotations

from collections.abc import Callable

from .edits import Edit, Effect
from .strip import StripPoint


def verdict(point: StripPoint, _: Callable[[str], str] = str) -> str:
    """DSC and state of a slice, on one line.

    Args:
        point: the slice.
        _: translates; in Slicer ``slicer.i18n.tr``.

    Example: ``DSC 0.78, likely 0.46 to 1.00, flagged, edited: worse than before (0.83)``
    """
    if point.missed:
        text = _("missed: the structure is expected here")
    elif point.low is None or point.high is None:
        text = _("DSC {dsc:.2f}").format(dsc=point.dsc)
    else:
        text = _("DSC {dsc:.2f}, likely {low:.2f} to {high:.2f}").format(dsc=point.dsc, low=point.low, high=point.high)
    states = [_("flagged")] * point.flagged + [_("accepted")] * point.accepted
    return ", ".join([text, *states, *([] if point.edit is None else [edited(point.edit, _)])])


def edited(edit: Edit, _: Callable[[str], str] = str) -> str:
    """What an edit did to the score."""
    texts = {
        Effect.BETTER: _("edited: better than before ({before:.2f})"),
        Effect.WORSE: _("edited: worse than before ({before:.2f})"),
        Effect.SAME: _("edited: same score as before"),
        Effect.UNKNOWN: _("edited"),
    }
    return texts[edit.effect].format(before=edit.dsc_before)
