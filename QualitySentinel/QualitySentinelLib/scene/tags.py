"""Needs ``slicer``, ``vtk``. Scores as segment tags: they stay with the segment, in the scene and in ``.seg.nrrd``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import slicer
import vtk

from ..scores import CaseScore
from ..scores.tags import TAG_NAMES, score_tags

if TYPE_CHECKING:
    from ..review import ReviewSession

TERMINOLOGY_TAG = "TerminologyEntry"
"""What ``vtkSegment.GetTerminologyEntryTagName()`` says."""
READ_TAGS = (TERMINOLOGY_TAG, "DICOM.SegmentAlgorithmName", "DICOM.SegmentAlgorithmType")
"""Other programs' tags that are worth asking for: Slicer's Python cannot list a segment's tags."""


def write_score_tags(segmentation_node, case_score: CaseScore, session: ReviewSession | None = None) -> None:
    """Write every segment's score into its tags; tags of an earlier score do not outlive it.

    One event tells of all of them, and none when all are as they were: every event makes every view update every
    segment. With a review of the scores, the number of accepted slices becomes a tag.
    """
    accepted = None if session is None else session.accepted_counts()
    segmentation = segmentation_node.GetSegmentation()
    with slicer.util.NodeModify(segmentation_node):
        for score in case_score.segments:
            segment = segmentation.GetSegment(score.segment_id)
            if segment is None:  # removed since it was scored
                continue
            tags = score_tags(score, case_score, accepted)
            before = read_tags(segment, TAG_NAMES)
            for tag in TAG_NAMES:
                if tag in tags:
                    if tags[tag] != before.get(tag):
                        segment.SetTag(tag, tags[tag])
                elif segment.HasTag(tag):
                    segment.RemoveTag(tag)


def read_tags(segment, names: Iterable[str] = (*READ_TAGS, *TAG_NAMES)) -> dict[str, str]:
    """The tags of a vtkSegment that matter to us, by name: its terminology, and scores it has been given."""
    tags = {}
    for tag in names:
        value = vtk.reference("")
        if segment.GetTag(tag, value):
            tags[tag] = str(value)
    return tags
