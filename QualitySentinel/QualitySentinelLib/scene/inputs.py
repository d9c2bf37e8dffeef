"""Needs ``slicer``. Which volumes of the scene may be the CT of a segmentation."""

from __future__ import annotations

import slicer

from .quality_map import MAP_ROLE
from .world import volume_to_world


def source_volume(segmentation_node: slicer.vtkMRMLSegmentationNode):
    """The volume that a segmentation was made on, ``None`` where that is not known."""
    if segmentation_node is None:
        return None
    role = slicer.vtkMRMLSegmentationNode.GetReferenceImageGeometryReferenceRole()
    volume_node = segmentation_node.GetNodeReference(role)
    return volume_node if volume_node and volume_node.GetClassName() == "vtkMRMLScalarVolumeNode" else None


def possible_volumes() -> list:
    """The scene's scalar volumes that may be a CT: neither label maps nor our quality maps."""
    maps = {node.GetNodeReferenceID(MAP_ROLE) for node in slicer.util.getNodesByClass("vtkMRMLSegmentationNode")}
    return [
        node
        for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
        if node.GetClassName() == "vtkMRMLScalarVolumeNode" and node.GetID() not in maps
    ]


def volume_of(segmentation_node: slicer.vtkMRMLSegmentationNode):
    """The volume that a segmentation was made on, else the scene's first volume, ``None`` when it has none."""
    return source_volume(segmentation_node) or next(iter(possible_volumes()), None)


def volume_state(volume_node: slicer.vtkMRMLScalarVolumeNode) -> tuple:
    """What tells whether a volume is still the same: which node, its voxels' modification time, and its place.

    Raises:
        MismatchError: the volume is under a transform that is not linear.
    """
    image = volume_node.GetImageData()
    return volume_node.GetID(), image.GetMTime() if image else 0, volume_to_world(volume_node).tobytes()
