"""Needs ``qt``. A few warnings in a label; the tooltip has the rest."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import qt
from slicer.i18n import tr as _

from .open_review import OpenReview

MOST_LINES = 3
MOST_NAMES = 4


def show_warnings(label: qt.QLabel, warnings: Sequence[str]) -> None:
    """Show warnings, one line each, the same one once; the label hides when there is none."""
    warnings = list(dict.fromkeys(" ".join(w.split()) for w in warnings if w))
    label.visible = bool(warnings)
    lines = warnings[:MOST_LINES]
    if len(warnings) > MOST_LINES:
        lines.append(_("and {count} more").format(count=len(warnings) - MOST_LINES))
    label.text = "\n".join(f"\u26a0 {line}" for line in lines)
    if warnings:
        label.toolTip = "\n".join(warnings)


def outdated_text(review: OpenReview, segment_ids: Collection[str]) -> str:
    """What is said of segments that were edited and not scored again, one line; empty without any."""
    segmentation = review.segmentation_node.GetSegmentation()
    labels = review.session.labels
    names = [labels.get(i) or segmentation.GetSegment(i).GetName() for i in sorted(segment_ids) if _is_known(review, i)]
    if not names:  # added and removed
        return ""
    shown = ", ".join(names[:MOST_NAMES])
    if len(names) > MOST_NAMES:
        shown = _("{names} and {count} more").format(names=shown, count=len(names) - MOST_NAMES)
    return _("Edited since the last scoring: {names}. Press Apply to rescore the changes").format(names=shown)


def _is_known(review: OpenReview, segment_id: str) -> bool:
    there = review.segmentation_node.GetSegmentation().GetSegment(segment_id) is not None
    return there or segment_id in review.session.labels
