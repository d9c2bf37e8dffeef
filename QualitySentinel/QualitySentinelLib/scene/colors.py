"""Needs ``slicer``. Segments colored by predicted DSC, reversibly: only override colors, never the stored ones."""

from __future__ import annotations

import json

import slicer

from ..scores import CaseScore
from ..scores.colors import DEFAULT_SCALE, check_scale, dsc_color

BEFORE_ATTRIBUTE = "QualitySentinel.OverrideColorsBefore"
"""Attribute of the display node: override colors as they were, so that they come back in a reloaded scene too."""


def show_score_colors(
    segmentation_node, case_score: CaseScore, scale: str = DEFAULT_SCALE, k: int | None = None
) -> None:
    """Give every scored segment the color of its predicted DSC; segments without a score keep their own.

    With ``k``, a segment that has a score in this canonical slice gets the color of that instead.

    Raises:
        UsageError: there is no such scale; nothing has changed.
    """
    check_scale(scale)
    segmentation_node.CreateDefaultDisplayNodes()
    display = segmentation_node.GetDisplayNode()
    present = set(segmentation_node.GetSegmentation().GetSegmentIDs())
    before = _colors_before(display)
    with slicer.util.NodeModify(display):
        for score in case_score.segments:
            if score.segment_id not in present:
                continue
            if score.predicted_dsc is None:
                _set(display, score.segment_id, before.pop(score.segment_id, _override(display, score.segment_id)))
                continue
            before.setdefault(score.segment_id, _override(display, score.segment_id))
            dsc = next((s.predicted_dsc for s in score.slices if s.k == k), score.predicted_dsc)
            display.SetSegmentOverrideColor(score.segment_id, *dsc_color(dsc, scale))
        display.SetAttribute(BEFORE_ATTRIBUTE, json.dumps(before))


def restore_colors(segmentation_node: slicer.vtkMRMLSegmentationNode) -> None:
    """Make all segments look as before the first :func:`show_score_colors`; nothing happens if there was none."""
    display = segmentation_node.GetDisplayNode()
    if display is None or display.GetAttribute(BEFORE_ATTRIBUTE) is None:
        return
    present = set(segmentation_node.GetSegmentation().GetSegmentIDs())
    with slicer.util.NodeModify(display):
        for segment_id, color in _colors_before(display).items():
            if segment_id in present:
                _set(display, segment_id, color)
        display.RemoveAttribute(BEFORE_ATTRIBUTE)


def score_colors_shown(segmentation_node: slicer.vtkMRMLSegmentationNode) -> bool:
    """Whether segments are colored by their scores now."""
    display = segmentation_node.GetDisplayNode()
    return display is not None and display.GetAttribute(BEFORE_ATTRIBUTE) is not None


def _colors_before(display) -> dict[str, list[float] | None]:
    return json.loads(display.GetAttribute(BEFORE_ATTRIBUTE) or "{}")


def _override(display, segment_id: str) -> list[float] | None:
    """The segment's override color, ``None`` when it has none (negative components)."""
    color = [float(c) for c in display.GetSegmentOverrideColor(segment_id)]
    return color if min(color) >= 0 else None


def _set(display, segment_id: str, color: list[float] | None) -> None:
    if color is None:
        display.UnsetSegmentOverrideColor(segment_id)
    else:
        display.SetSegmentOverrideColor(segment_id, *color)
