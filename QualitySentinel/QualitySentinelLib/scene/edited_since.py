"""Needs ``slicer`` and ``vtk``. Which segments are others than those that were scored, found without having watched.

A review that came with a scene was not there when its segments were edited. Its scores have a digest of every mask.
"""

from __future__ import annotations

from ..errors import InputError
from ..scores import CaseScore, SegmentScore, Status
from ..steps import Steps
from ..volume import Segment
from .segmentation_node import segmentation_steps


def edited_since_steps(volume_node, segmentation_node, case: CaseScore) -> Steps[set[str]]:
    """Look for edits, in steps of a few milliseconds. No model is needed.

    Args:
        volume_node: the CT of the scores.
        segmentation_node: a vtkMRMLSegmentationNode.
        case: the scores of its segments.

    Returns:
        ids of the segments whose scores are not of the masks, or of the structure, that they have now, and of those
        that the scores do not know. What was removed is not named: it has no mask to be scored.

    Raises:
        QualitySentinelError: the segmentation cannot be put on the grid of the CT.
    """
    try:
        segmentation = yield from segmentation_steps(segmentation_node, volume_node)
    except InputError:
        if segmentation_node.GetSegmentation().GetNumberOfSegments():
            raise
        return set()
    known = {score.segment_id: score for score in case.segments}
    edited = set()
    for segment in segmentation:
        if segment.id not in known or not (yield from _is_of(known[segment.id], segment)):
            edited.add(segment.id)
    return edited


def _is_of(score: SegmentScore, segment: Segment) -> Steps[bool]:
    """Whether what is said in a score still holds for the segment."""
    if score.status is Status.NOT_SCORED and not score.slices:
        return True  # nothing was said
    if score.structure != segment.structure or score.n_slices != len(segment.occupied_slices()):
        return False
    for s in score.slices:
        yield
        if segment.slice_digest(s.k) != s.digest:
            return False
    return True
