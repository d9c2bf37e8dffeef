"""Needs ``slicer``. Which segments of a segmentation were matched to structures, before anything is scored."""

from __future__ import annotations

from collections.abc import Sequence

from slicer.i18n import tr as _

from ..anatomy import match_structure
from ..scene import tags

MOST_NAMES = 20
"""Names in a tooltip; more would not fit on a screen."""


def names_of(segmentation_node) -> tuple[tuple[str, tuple], ...]:
    """(name, tags that tell its structure) of each segment."""
    segmentation = segmentation_node.GetSegmentation()
    segments = map(segmentation.GetSegment, segmentation.GetSegmentIDs())
    return tuple((s.GetName(), tuple(tags.read_tags(s, tags.READ_TAGS).items())) for s in segments)


def matches_text(names: Sequence[tuple[str, tuple]] | None) -> tuple[str, str]:
    """(one line, a tooltip) on how many segments were matched to structures; empty texts without a segmentation.

    Args:
        names: what :func:`names_of` says of it.
    """
    if names is None:
        return "", ""
    if not names:
        return _("The segmentation has no segments"), ""
    unknown = [name for name, told in names if match_structure(name, dict(told)) is None]
    if not unknown:
        return _("All {count} segments are matched to structures").format(count=len(names)), ""
    text = _("{matched} of {count} segments are matched to structures").format(
        matched=len(names) - len(unknown), count=len(names)
    )
    listed = [" ".join(name.split()) or _("(no name)") for name in unknown[:MOST_NAMES]]
    if len(unknown) > MOST_NAMES:
        listed.append(_("and {count} more").format(count=len(unknown) - MOST_NAMES))
    tip = _("Not matched, so scored without knowing the structure: {names}. Rename them in the Segment Editor.")
    return text, tip.format(names=", ".join(listed))
