"""Needs ``slicer`` and ``vtk``. The surface of segments in 3D, in the colors of their slices' predicted DSC."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from ..colors import DEFAULT_SCALE, check_scale
from ..scores import CaseScore, SegmentScore
from .colors import remove_unused_scales, scale_node
from .nodes import (
    changing,
    frame_of,
    local_to_world,
    own_node,
    remove_referenced,
    restore_segments,
    visible_segments,
)

SURFACE_ROLE = "QualitySentinelQualitySurface"
"""Node reference role from the segmentation node to the model."""

BEFORE_ATTRIBUTE = "QualitySentinel.QualitySurfaceBefore"
"""Attribute of the segmentation's display node: which of the segments were visible in 3D before."""

SCALARS = "Predicted DSC"

_REACH = 1.5
"""How many slices a smoothed surface may reach beyond the slice that it is colored by."""


def show_quality_surface(segmentation_node, volume_node, case_score: CaseScore, scale: str = DEFAULT_SCALE) -> None:
    """Show the visible segments that have scores as a model colored along the slices; parts without one are gray.

    The segments' own surfaces are hidden in 3D meanwhile; :func:`hide_quality_surface` brings them back. Called again,
    it shows what is given now instead. Surfaces are made of the segments that have none.
    """
    check_scale(scale)
    segmentation_node.CreateDefaultDisplayNodes()
    _show_own_surfaces(segmentation_node)
    shown = [segment for segment in visible_segments(segmentation_node, case_score) if segment.slices]
    surface = vtk.vtkAppendPolyData()
    surface.AddInputData(vtk.vtkPolyData())
    to_ijk = np.linalg.inv(frame_of(volume_node).ijk_to_ras) @ local_to_world(segmentation_node)
    for segment in shown:
        part = vtk.vtkPolyData()
        logic = slicer.vtkSlicerSegmentationsModuleLogic
        if logic.GetSegmentClosedSurfaceRepresentation(segmentation_node, segment.segment_id, part, False):
            surface.AddInputData(_scored_surface(part, segment, to_ijk))
    surface.Update()
    name = f"{segmentation_node.GetName()} predicted DSC"
    model = own_node(segmentation_node, SURFACE_ROLE, "vtkMRMLModelNode", name)
    if model.GetDisplayNode() is None:
        model.CreateDefaultDisplayNodes()
    model.SetAndObserveTransformNodeID(segmentation_node.GetTransformNodeID())
    model.SetAndObservePolyData(surface.GetOutput())
    display = model.GetDisplayNode()
    with slicer.util.NodeModify(display):
        display.SetAndObserveColorNodeID(scale_node(scale).GetID())
        display.SetActiveScalar(SCALARS, vtk.vtkAssignAttribute.POINT_DATA)
        display.SetScalarRangeFlag(slicer.vtkMRMLDisplayNode.UseManualScalarRange)
        display.SetScalarRange(0.0, 1.0)
        display.ScalarVisibilityOn()
    _hide_own_surfaces(segmentation_node, shown)
    remove_unused_scales()


def hide_quality_surface(segmentation_node: slicer.vtkMRMLSegmentationNode) -> None:
    """Remove the model and show the segments in 3D as before; nothing happens if none is shown."""
    _show_own_surfaces(segmentation_node)
    if segmentation_node.GetNodeReference(SURFACE_ROLE) is not None:
        remove_referenced(segmentation_node, SURFACE_ROLE)
        remove_unused_scales()


def _scored_surface(surface: vtk.vtkPolyData, segment: SegmentScore, to_ijk: np.ndarray) -> vtk.vtkPolyData:
    """The surface with the predicted DSC of each point's slice as its only scalars; NaN where there is none."""
    scored = vtk.vtkPolyData()
    scored.CopyStructure(surface)
    if surface.GetPointData().GetNormals() is not None:
        scored.GetPointData().SetNormals(surface.GetPointData().GetNormals())
    if not surface.GetNumberOfPoints():
        return scored
    at = vtk_to_numpy(surface.GetPoints().GetData()).astype(float) @ to_ijk[2, :3] + to_ijk[2, 3]
    ks = np.array([s.k for s in segment.slices])
    nearer = np.searchsorted((ks[1:] + ks[:-1]) / 2, at)
    dsc = np.array([s.predicted_dsc for s in segment.slices])[nearer]
    dsc[np.abs(at - ks[nearer]) > _REACH] = np.nan
    scalars = numpy_to_vtk(dsc.astype(np.float32), deep=True)
    scalars.SetName(SCALARS)
    scored.GetPointData().SetScalars(scalars)
    return scored


def _hide_own_surfaces(segmentation_node: slicer.vtkMRMLSegmentationNode, shown: list[SegmentScore]) -> None:
    with changing(segmentation_node, BEFORE_ATTRIBUTE) as (display, before):
        for segment in shown:
            before[segment.segment_id] = bool(display.GetSegmentVisibility3D(segment.segment_id))
            display.SetSegmentVisibility3D(segment.segment_id, False)


def _show_own_surfaces(segmentation_node: slicer.vtkMRMLSegmentationNode) -> None:
    restore_segments(
        segmentation_node, BEFORE_ATTRIBUTE, lambda display, *shown: display.SetSegmentVisibility3D(*shown)
    )
