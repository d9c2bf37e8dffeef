"""Needs ``vtk``. Scores as segment tags: they stay with the segment, in the scene and in a ``.seg.nrrd`` file."""

from __future__ import annotations

import vtk

from ..reading.scored_segmentation import TAG_PREFIX, score_tags
from ..scores import CaseScore

MODEL = TAG_PREFIX + "Model"
SCORE_TAGS = (
    *(TAG_PREFIX + name for name in ("PredictedDSC", "DSCLow", "DSCHigh", "Status", "Structure", "ScoredSlices")),
    *(TAG_PREFIX + name for name in ("FlaggedSlices", "Threshold")),
    MODEL,
)
"""All of our tags. Slicer's Python cannot list a segment's tags, only ask for one by name."""

READ_TAGS = ("TerminologyEntry", "DICOM.SegmentAlgorithmName", "DICOM.SegmentAlgorithmType")
"""Other programs' tags that are worth asking for; the first is ``vtkSegment.GetTerminologyEntryTagName()``."""


def write_score_tags(segmentation_node, case_score: CaseScore) -> None:
    """Write every segment's score into its tags; tags of an earlier score do not outlive it."""
    segmentation = segmentation_node.GetSegmentation()
    for score in case_score.segments:
        segment = segmentation.GetSegment(score.segment_id)
        if segment is None:  # removed since it was scored
            continue
        tags = score_tags(score, case_score.threshold)
        if case_score.model:
            tags[MODEL] = " ".join(str(case_score.model.get(key, "")) for key in ("name", "sha256")).strip()
        for tag in SCORE_TAGS:
            if tag in tags:
                segment.SetTag(tag, tags[tag])
            elif segment.HasTag(tag):
                segment.RemoveTag(tag)


def remove_score_tags(segmentation_node) -> None:
    """Take all of our tags off all segments."""
    segmentation = segmentation_node.GetSegmentation()
    for segment_id in segmentation.GetSegmentIDs():
        segment = segmentation.GetSegment(segment_id)
        for tag in SCORE_TAGS:
            if segment.HasTag(tag):
                segment.RemoveTag(tag)


def read_tags(segment) -> dict[str, str]:
    """The tags of a vtkSegment that matter to us, by name: its terminology, and scores it has been given."""
    tags = {}
    for tag in (*READ_TAGS, *SCORE_TAGS):
        value = vtk.reference("")
        if segment.GetTag(tag, value):
            tags[tag] = str(value)
    return tags
