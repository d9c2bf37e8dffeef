"""Needs ``vtk``. Scores as segment tags: they stay with the segment, in the scene and in a ``.seg.nrrd`` file."""

from __future__ import annotations

import vtk

from ..scores import CaseScore, SegmentScore

PREFIX = "QualitySentinel."
PREDICTED_DSC = PREFIX + "PredictedDSC"
DSC_LOW = PREFIX + "Low"
DSC_HIGH = PREFIX + "High"
FLAGGED_SLICES = PREFIX + "FlaggedSlices"
STATUS = PREFIX + "Status"
MODEL = PREFIX + "Model"
SCORE_TAGS = (PREDICTED_DSC, DSC_LOW, DSC_HIGH, FLAGGED_SLICES, STATUS, MODEL)

TERMINOLOGY = "TerminologyEntry"
"""What ``vtkSegment.GetTerminologyEntryTagName()`` says."""

READ_TAGS = (TERMINOLOGY, "Segmentation.Status", "DICOM.SegmentAlgorithmName", "DICOM.SegmentAlgorithmType")
"""Slicer's Python cannot list a segment's tags, only ask for one by name: these are worth asking for."""


def score_tags(score: SegmentScore, case_score: CaseScore) -> dict[str, str]:
    """The tags of one segment's score; values that are missing make no tag. DSC with four decimals.

    ``FlaggedSlices`` lists the file's own slice numbers, separated by commas, in ascending order.
    """
    values = {
        PREDICTED_DSC: _number(score.predicted_dsc),
        DSC_LOW: _number(score.dsc_low),
        DSC_HIGH: _number(score.dsc_high),
        FLAGGED_SLICES: ",".join(str(n) for n in sorted(s.slice_index for s in score.slices if s.flagged)),
        STATUS: str(score.status),
        MODEL: " ".join(str(case_score.model.get(key, "")) for key in ("name", "sha256")).strip(),
    }
    if not score.slices:
        values[FLAGGED_SLICES] = None  # nothing was scored: not the same as nothing flagged
    return {tag: value for tag, value in values.items() if value is not None}


def write_score_tags(segmentation_node, case_score: CaseScore) -> None:
    """Write every segment's score into its tags; tags of an earlier score do not outlive it."""
    segmentation = segmentation_node.GetSegmentation()
    for score in case_score.segments:
        segment = segmentation.GetSegment(score.segment_id)
        if segment is None:  # removed since it was scored
            continue
        tags = score_tags(score, case_score)
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


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.4f}"
