"""Needs ``slicer`` and ``vtk``. Errors of a segment in the slice views: what to remove and add, the expected contour.

The errors are a segmentation of their own. The expected contour is a model made of upright strips, one slice high, with
gaps between them: where a slice view cuts it, there is a dashed line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from ..errors import one_line
from ..review import ReviewSession
from ..review.suggesting import SuggestionPresenter
from ..suggestions import COLORS, EXPECTED_COLOR, ErrorMap, Kind
from ..volume import AxialFrame
from .nodes import frame_of, local_to_world, own_node, remove_referenced

ERRORS_ROLE, EXPECTED_ROLE = "QualitySentinelErrors", "QualitySentinelExpected"
"""Node reference roles from the segmentation node to what is shown of it."""

_VALUES = {Kind.REMOVE: 1, Kind.ADD: 2}
_BINARY_LABELMAP = "Binary labelmap"
_STEP_MM, _DASH, _PERIOD = 1.0, 3, 5
"""Length of a piece of the contour; pieces in a dash; pieces in a dash and the gap after it."""


def show_errors(segmentation_node, volume_node, name: str, maps: Sequence[ErrorMap]) -> None:
    """Show the errors of the segment called ``name`` in all slice views, in place of those shown before."""
    frame = frame_of(volume_node)
    with slicer.util.NodeModify(errors := _node(segmentation_node, ERRORS_ROLE, "vtkMRMLSegmentationNode")):
        errors.SetName(f"Errors of {name}")
        errors.SetAndObserveTransformNodeID(volume_node.GetTransformNodeID())
        _fill(errors, volume_node, frame, name, maps)
    expected = _node(segmentation_node, EXPECTED_ROLE, "vtkMRMLModelNode")
    expected.SetName(f"Expected contour of {name}")
    expected.SetAndObservePolyData(_strips(frame, maps))


def hide_errors(segmentation_node) -> None:
    """Take them out of the scene; nothing happens when none are shown."""
    for role in (ERRORS_ROLE, EXPECTED_ROLE):
        remove_referenced(segmentation_node, role)


def errors_shown(segmentation_node) -> bool:
    return segmentation_node.GetNodeReference(ERRORS_ROLE) is not None


class ErrorViews:
    """Shows the errors of the segment that is looked at, while the reader wants to see them.

    ``find`` is called with the id of a segment whose errors are not known: it is to be scored again for them.
    """

    def __init__(
        self, segmentation_node, volume_node, session: ReviewSession, suggestions: SuggestionPresenter,
        find: Callable[[str], object],
    ) -> None:  # fmt: skip
        self._node, self._volume_node, self._find = segmentation_node, volume_node, find
        self._session, self._suggestions = session, suggestions
        self._shown: tuple[str | None, list[ErrorMap]] = None, []
        self._asked: str | None = None

    def draw(self, scoring: bool = False) -> None:
        """Show them as they are now; while scoring, a segment is drawn once."""
        if not self._node.GetScene():
            return
        selected = self._session.selected if self._suggestions.shown and self._volume_node.GetScene() else None
        before, known = self._shown
        if selected is None:
            if errors_shown(self._node):  # also by a scene that was saved so
                hide_errors(self._node)
            self._shown = None, []
            return
        if self._suggestions.lacks_drawings and self._asked != selected and not scoring:
            self._asked = selected
            self._find(selected)
        maps = self._suggestions.maps()
        if selected != before or (maps is not known and not scoring):
            show_errors(self._node, self._volume_node, one_line(self._session.labels[selected]), maps)
            self._shown = selected, maps


def change_mask(segmentation_node, volume_node, segment_id: str, change: Mapping[Kind, np.ndarray]) -> None:
    """Remove voxels from a segment and add others; what else lies there keeps its voxels.

    ``change`` has their canonical ``(k, j, i)`` in the CT, int ``[n, 3]``.
    """
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    frame = frame_of(volume_node)
    to_own = np.linalg.inv(local_to_world(segmentation_node)) @ local_to_world(volume_node)
    for kind, voxels in change.items():
        corner = voxels.min(axis=0)
        mask = np.full(voxels.max(axis=0) + 1 - corner, kind is Kind.REMOVE, np.uint8)
        mask[tuple((voxels - corner).T)] = kind is Kind.ADD
        image = _image(volume_node, frame, corner, mask, to_own)
        how = logic.MODE_MERGE_MASK if kind is Kind.ADD else logic.MODE_MERGE_MIN  # MAX would take label 1
        logic.SetBinaryLabelmapToSegment(image, segmentation_node, segment_id, how, image.GetExtent())


def _node(segmentation_node, role: str, kind: str):
    """The node that is shown, made when there is none."""
    node = own_node(segmentation_node, role, kind, "Errors")
    if node.GetDisplayNode() is None:
        node.CreateDefaultDisplayNodes()
        display = node.GetDisplayNode()
        with slicer.util.NodeModify(display):
            display.SetVisibility3D(False)
            display.SetVisibility2D(True)
            if role == EXPECTED_ROLE:
                display.SetColor(*EXPECTED_COLOR)
                display.SetSliceIntersectionThickness(3)
            else:
                display.SetOpacity2DFill(0.55)
    return node


def _fill(errors, volume_node, frame: AxialFrame, name: str, maps: Sequence[ErrorMap]) -> None:
    """Give the errors' node its two segments, which share a label map."""
    segmentation = errors.GetSegmentation()
    segmentation.RemoveAllSegments()
    if not maps:
        return
    corner = np.min([(m.k, *m.corner) for m in maps], axis=0)
    stop = np.max([(m.k + 1, *np.add(m.corner, m.mask.shape)) for m in maps], axis=0)
    labels = np.zeros(stop - corner, np.uint8)
    for found in maps:
        j, i = np.subtract(found.corner, corner[1:])
        plane = labels[found.k - corner[0], j : j + found.mask.shape[0], i : i + found.mask.shape[1]]
        for kind, value in _VALUES.items():
            plane[found.suggested(kind)] = value
    image = _image(volume_node, frame, corner, labels)
    for kind, value in _VALUES.items():
        segment = slicer.vtkSegment()
        segment.SetName(f"{name}: {kind}")
        segment.SetColor(*COLORS[kind])
        segment.SetLabelValue(value)
        segment.AddRepresentation(_BINARY_LABELMAP, image)
        segmentation.AddSegment(segment, str(kind))


def _image(volume_node, frame: AxialFrame, corner: np.ndarray, voxels: np.ndarray, to_own: np.ndarray | None = None):
    """A label map ``[dk, dj, di]``, canonical, whose first voxel is ``corner`` of the CT: on the CT's grid, cropped.

    Its coordinates are the CT's own, or those that ``to_own`` (4x4) makes of them.
    """
    image = slicer.vtkOrientedImageData()
    file_shape, first = frame.file_box(corner, voxels.shape)
    ranges = zip(first[::-1], file_shape[::-1], strict=True)
    image.SetExtent([n for start, size in ranges for n in (start, start + size - 1)])
    image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    in_file_order = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(file_shape)
    frame.to_canonical(in_file_order)[...] = voxels
    matrix = vtk.vtkMatrix4x4()
    volume_node.GetIJKToRASMatrix(matrix)
    to_ras = slicer.util.arrayFromVTKMatrix(matrix)
    to_ras = to_ras if to_own is None else to_own @ to_ras
    image.SetGeometryFromImageToWorldMatrix(slicer.util.vtkMatrixFromArray(to_ras))
    return image


def _strips(frame: AxialFrame, maps: Sequence[ErrorMap]) -> vtk.vtkPolyData:
    """The dashes of the expected contours of all slices, upright, in the world."""
    corners = [np.zeros((0, 4, 4))]
    for found in maps:
        for line in _outlines(found.expected()):
            line = line + found.corner
            lengths = np.hypot(*(np.diff(line, axis=0) * frame.spacing[1:]).T)
            along = np.concatenate([[0.0], np.cumsum(lengths)])
            places = np.arange(0.0, along[-1], _STEP_MM)
            j, i = (np.interp(places, along, line[:, axis]) for axis in (0, 1))
            starts = np.arange(len(places) - 1)
            starts = starts[starts % _PERIOD < _DASH]
            ends = np.stack([starts, starts + 1, starts + 1, starts], axis=1)
            heights = np.broadcast_to(found.k + np.array([-0.5, -0.5, 0.5, 0.5]), ends.shape)
            corners.append(np.stack([i[ends], j[ends], heights, np.ones(ends.shape)], axis=2))
    homogeneous = np.concatenate(corners).reshape(-1, 4)
    mesh = vtk.vtkPolyData()
    world = vtk.vtkPoints()
    world.SetData(numpy_to_vtk(np.ascontiguousarray((homogeneous @ frame.ijk_to_ras.T)[:, :3]), deep=True))
    mesh.SetPoints(world)
    cells = vtk.vtkCellArray()
    cells.SetData(4, numpy_to_vtk(np.arange(len(homogeneous), dtype=np.int64), deep=True, array_type=vtk.VTK_ID_TYPE))
    mesh.SetPolys(cells)
    return mesh


def _outlines(mask: np.ndarray) -> list[np.ndarray]:
    """The closed outlines of a mask ``[rows, columns]``: (row, column) of their points ``[n, 2]``, in pixel centers."""
    image = vtk.vtkImageData()
    padded = np.pad(mask, 1).astype(np.uint8)
    image.SetDimensions(*padded.shape[::-1], 1)
    image.GetPointData().SetScalars(numpy_to_vtk(padded.ravel(), deep=True))
    edges = vtk.vtkFlyingEdges2D()
    edges.SetInputData(image)
    edges.SetValue(0, 0.5)
    joined = vtk.vtkStripper()
    joined.SetInputConnection(edges.GetOutputPort())
    joined.JoinContiguousSegmentsOn()
    joined.Update()
    lines, places = joined.GetOutput(), vtk.vtkIdList()
    if not lines.GetNumberOfPoints():
        return []
    points = vtk_to_numpy(lines.GetPoints().GetData())[:, 1::-1] - 1.0
    found = []
    lines.GetLines().InitTraversal()
    while lines.GetLines().GetNextCell(places):
        found.append(points[[places.GetId(n) for n in range(places.GetNumberOfIds())]])
    return found
