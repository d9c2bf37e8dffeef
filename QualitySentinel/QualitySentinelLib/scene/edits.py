"""Needs ``slicer`` and ``vtk``. Tells when segments are edited, whoever edits them: Segment Editor, a script, an undo.

Slicer says *that* something changed by many events, and *what* by few of them: a segment's tag, name and color share
one event, and painting over a neighbor names only the segment that was painted. So every event only makes us look:
each segment is compared with what it was. Our own tags, colors and visibility do not count.

A review that came with a scene was not there when its segments were edited. Its scores have a digest of every mask.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import slicer
from slicer.util import VTKObservationMixin

from ..errors import InputError
from ..scores import CaseScore, SegmentScore, Status
from ..steps import Steps
from ..volume import Segment
from .segmentation_node import segmentation_steps
from .tags import TERMINOLOGY_TAG, read_tags

_EVENTS = (
    slicer.vtkSegmentation.SourceRepresentationModified, slicer.vtkSegmentation.RepresentationModified,
    slicer.vtkSegmentation.SegmentAdded, slicer.vtkSegmentation.SegmentRemoved,
    slicer.vtkSegmentation.SegmentModified, slicer.vtkMRMLSegmentationNode.SegmentationChangedEvent,
)  # fmt: skip
"""Those of the vtkSegmentation, which its node passes on, and that it was exchanged for another."""


class SegmentationEdits(VTKObservationMixin):
    """Watches one segmentation until :meth:`remove`.

    Args:
        on_edit: called with the ids of the segments that were added, removed, renamed, given another terminology, or
            whose voxels may be others. Segments that share a labelmap are named together: scoring again compares
            their slices. Several calls may come for what the user takes for one edit; wait a little before scoring.
    """

    def __init__(self, segmentation_node: slicer.vtkMRMLSegmentationNode, on_edit: Callable[[set[str]], None]) -> None:
        super().__init__()
        self._node = segmentation_node
        self._on_edit = on_edit
        self._paused = 0
        self._segments = _states(segmentation_node)
        for event in _EVENTS:
            self.addObserver(segmentation_node, event, self._look)

    def remove(self) -> None:
        """Watch no longer. May be called more than once."""
        self.removeObservers()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """What happens inside the block is not told, neither then nor later: for changes that are our own."""
        self._paused += 1
        try:
            yield
        finally:
            self._paused -= 1
            if not self._paused:
                self._segments = _states(self._node)

    def _look(self, *_) -> None:
        if self._paused:
            return
        before, self._segments = self._segments, _states(self._node)
        edited = {i for i in before.keys() | self._segments.keys() if before.get(i) != self._segments.get(i)}
        if edited:
            self._on_edit(edited)


def _states(segmentation_node: slicer.vtkMRMLSegmentationNode) -> dict[str, tuple]:
    """By segment id what a score depends on: name, terminology, label value, and which voxels of what time."""
    segmentation = segmentation_node.GetSegmentation()
    if segmentation is None:
        return {}
    source = segmentation.GetSourceRepresentationName()
    states = {}
    for segment_id in segmentation.GetSegmentIDs():
        segment = segmentation.GetSegment(segment_id)
        voxels = segment.GetRepresentation(source)
        terminology = read_tags(segment, (TERMINOLOGY_TAG,))
        place = (None, 0) if voxels is None else (voxels.GetAddressAsString(""), voxels.GetMTime())
        states[segment_id] = (segment.GetName(), terminology, segment.GetLabelValue(), *place)
    return states


def edited_since_steps(volume_node, segmentation_node, case: CaseScore) -> Steps[set[str]]:
    """Look for edits since ``case`` was scored, in steps of a few milliseconds. No model is needed.

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
