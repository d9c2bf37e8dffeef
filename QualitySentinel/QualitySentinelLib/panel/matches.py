"""Needs ``slicer``. Which segments of a segmentation were matched to structures, before anything is scored."""

from __future__ import annotations

from slicer.i18n import tr as _

from ..anatomy import match_structure
from ..scene import tags

MOST_NAMES = 20
"""Names in a tooltip; more would not fit on a screen."""


def unmatched_names(segmentation_node) -> tuple[int, list[str]]:
    """(how many segments there are, names of those that match no structure)."""
    segmentation = segmentation_node.GetSegmentation()
    ids = segmentation.GetSegmentIDs()
    unknown = []
    for segment_id in ids:
        segment = segmentation.GetSegment(segment_id)
        if match_structure(segment.GetName(), tags.read_tags(segment)) is None:
            unknown.append(segment.GetName())
    return len(ids), unknown


def matches_text(segmentation_node) -> tuple[str, str]:
    """(one line, a tooltip) on how many segments were matched to structures; two empty texts without segments."""
    if segmentation_node is None:
        return "", ""
    count, unknown = unmatched_names(segmentation_node)
    if not count:
        return _("The segmentation holds no segments"), ""
    if not unknown:
        return _("All {count} segments are matched to structures").format(count=count), ""
    text = _("{matched} of {count} segments are matched to structures").format(
        matched=count - len(unknown), count=count
    )
    names = [" ".join(name.split()) or _("(no name)") for name in unknown[:MOST_NAMES]]
    if len(unknown) > MOST_NAMES:
        names.append(_("and {count} more").format(count=len(unknown) - MOST_NAMES))
    tip = _("Not matched, so judged without knowing what they should show: {names}. Rename them in the Segment Editor.")
    return text, tip.format(names=", ".join(names))
