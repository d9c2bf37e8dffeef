"""Needs ``slicer`` and ``vtk``. Tells when segments are edited, whoever edits them: Segment Editor, a script, an undo.

Slicer says *that* something changed by many events, and *what* by few of them: a segment's tag, name and color share
one event, and painting over a neighbour names only the segment that was painted. So every event only makes us look:
each segment is compared with what it was. Our own tags, colors and visibility do not count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import slicer
import vtk

from .tags import TERMINOLOGY_TAG


class SegmentationEdits:
    """Watches one segmentation until :meth:`remove`.

    Args:
        segmentation_node: a vtkMRMLSegmentationNode of the scene.
        on_edit: called with the ids of the segments that were added, removed, renamed, given another terminology, or
            whose voxels may be others. Segments that share a labelmap are named together: scoring again compares
            their slices. Several calls may come for what the user takes for one edit; wait a little before scoring.

    Example::

        edits = SegmentationEdits(node, lambda ids: print("edited:", ids))
        ...
        edits.remove()
    """

    def __init__(self, segmentation_node: slicer.vtkMRMLSegmentationNode, on_edit: Callable[[set[str]], None]) -> None:
        self._node = segmentation_node
        self._on_edit = on_edit
        self._paused = 0
        self._segments = _states(segmentation_node)
        self._tags = [segmentation_node.AddObserver(event, self._look) for event in _events()]

    def remove(self) -> None:
        """Watch no longer. May be called more than once."""
        tags, self._tags = self._tags, []
        for tag in tags:
            self._node.RemoveObserver(tag)

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
        if self._paused or not self._tags:
            return
        before, self._segments = self._segments, _states(self._node)
        edited = {i for i in before.keys() | self._segments.keys() if before.get(i) != self._segments.get(i)}
        if edited:
            self._on_edit(edited)


def _events() -> tuple[int, ...]:
    """Those of the vtkSegmentation, which its node passes on, and that it was exchanged for another."""
    kind = slicer.vtkSegmentation
    return (
        kind.SourceRepresentationModified,
        kind.RepresentationModified,
        kind.SegmentAdded,
        kind.SegmentRemoved,
        kind.SegmentModified,
        slicer.vtkMRMLSegmentationNode.SegmentationChangedEvent,
    )


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
        terminology = vtk.reference("")
        segment.GetTag(TERMINOLOGY_TAG, terminology)
        place = (None, 0) if voxels is None else (voxels.GetAddressAsString(""), voxels.GetMTime())
        states[segment_id] = (segment.GetName(), str(terminology), segment.GetLabelValue(), *place)
    return states
