"""Needs ``slicer`` and ``vtk``. What Slicer's nodes say: where they lie, whose they are, and how they looked before."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import slicer
import vtk

from ..errors import MismatchError
from ..scores import CaseScore, SegmentScore
from ..volume import AxialFrame

MAP_ROLE = "QualitySentinelQualityMap"
"""Node reference role from a segmentation node to its quality map."""


def local_to_world(node) -> np.ndarray:
    """4x4 matrix from a node's own coordinates to the world's (RAS mm): the product of its parent transforms.

    Raises:
        MismatchError: a parent transform is not linear, so that voxels do not stay on a grid.
    """
    transform = node.GetParentTransformNode()
    if transform is None:
        return np.eye(4)
    if not transform.IsTransformToWorldLinear():
        raise MismatchError(
            f"{node.GetName()}: its transform {transform.GetName()} is not linear; "
            "resample the node (Resample Image module) or take it out of the transform"
        )
    matrix = vtk.vtkMatrix4x4()
    transform.GetMatrixTransformToWorld(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def volume_to_world(volume_node: slicer.vtkMRMLScalarVolumeNode) -> np.ndarray:
    """4x4 matrix from ``(i, j, k, 1)`` of a volume node's array to the world; errors as :func:`local_to_world`."""
    matrix = vtk.vtkMatrix4x4()
    volume_node.GetIJKToRASMatrix(matrix)
    return local_to_world(volume_node) @ slicer.util.arrayFromVTKMatrix(matrix)


def frame_of(volume_node: slicer.vtkMRMLScalarVolumeNode) -> AxialFrame:
    """The canonical frame of a volume node in the world; errors as :func:`local_to_world`."""
    width, height, depth = volume_node.GetImageData().GetDimensions()
    return AxialFrame.from_affine(volume_to_world(volume_node), (depth, height, width))


def volume_state(volume_node: slicer.vtkMRMLScalarVolumeNode) -> tuple:
    """What tells whether a volume is still the same: which node, its voxels' modification time, and its place."""
    image = volume_node.GetImageData()
    return volume_node.GetID(), image.GetMTime() if image else 0, volume_to_world(volume_node).tobytes()


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


def file_of(node) -> Path | None:
    """The file that a node was read from or last saved to, absolute; ``None`` where there is no such file.

    A scene that comes as one file (``.mrb``) leaves names of files that were unpacked and are gone.
    """
    storage = node.GetStorageNode()
    name = storage.GetFullNameFromFileName() if storage else ""  # relative ones are meant beside the scene
    path = Path(name).absolute() if name else None
    return path if path is not None and path.exists() else None


def source_of(node) -> dict[str, str]:
    """``{"node": name, "path": file}``; no path for a node that was never a file.

    No fingerprint of the file: what was scored is the node, which may have been edited since it was loaded.
    """
    path = file_of(node)
    return {"node": node.GetName(), **({"path": str(path)} if path else {})}


def own_node(segmentation_node: slicer.vtkMRMLSegmentationNode, role: str, kind: str, name: str):
    """The node that the segmentation refers to in a role; a new one when there is none, or another one refers to it.

    Slicer copies references when it clones a segmentation: who writes next takes a node of its own. New nodes, of the
    class ``kind``, go into the folder of the segmentation's results, in the subject hierarchy beside the segmentation.
    """
    node = segmentation_node.GetNodeReference(role)
    if node is None or is_shared(segmentation_node, role):
        node = slicer.mrmlScene.AddNewNodeByClass(kind, name)
        segmentation_node.SetNodeReferenceID(role, node.GetID())
        into_folder(segmentation_node, node)
    return node


def is_shared(segmentation_node: slicer.vtkMRMLSegmentationNode, role: str) -> bool:
    """Whether another segmentation refers to the same node in this role."""
    node, others = segmentation_node.GetNodeReference(role), slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
    return any(o.GetNodeReference(role) == node and o != segmentation_node for o in others)


def into_folder(segmentation_node: slicer.vtkMRMLSegmentationNode, node) -> None:
    """Put a node into the folder of a segmentation's results."""
    tree = slicer.mrmlScene.GetSubjectHierarchyNode()
    if tree is None:
        return
    item = tree.GetItemByDataNode(segmentation_node)
    place = tree.GetItemParent(item) if item else tree.GetSceneItemID()
    name = f"{segmentation_node.GetName()} quality"
    folder = tree.GetItemChildWithName(place, name)
    if not folder:
        folder = tree.CreateFolderItem(place, name)
        tree.SetItemExpanded(folder, False)
    tree.CreateItem(folder, node)  # moves the one that a node has


def remove_referenced(segmentation_node: slicer.vtkMRMLSegmentationNode, role: str) -> None:
    """Remove the node that the segmentation refers to in a role, with its storage and display nodes."""
    node = segmentation_node.GetNodeReference(role)
    if node is not None:
        remove_node(node)
        segmentation_node.RemoveNodeReferenceIDs(role)


def remove_node(node) -> None:
    """Remove a node with its storage and display nodes."""
    shown = node.IsA("vtkMRMLDisplayableNode")
    displays = [node.GetNthDisplayNode(n) for n in range(node.GetNumberOfDisplayNodes())] if shown else []
    for each in (node.GetStorageNode() if node.IsA("vtkMRMLStorableNode") else None, *displays, node):
        if each is not None:
            slicer.mrmlScene.RemoveNode(each)


def remove_with_results(segmentation_node: slicer.vtkMRMLSegmentationNode) -> None:
    """Remove a segmentation, and all that we have made of it: maps, tables, charts, the review."""
    tree, folders = slicer.mrmlScene.GetSubjectHierarchyNode(), set()
    numbers = range(segmentation_node.GetNumberOfNodeReferenceRoles())
    for role in [segmentation_node.GetNthNodeReferenceRole(n) for n in numbers]:
        if role.startswith("QualitySentinel") and not is_shared(segmentation_node, role):
            if tree is not None and segmentation_node.GetNodeReference(role) is not None:
                folders.add(tree.GetItemParent(tree.GetItemByDataNode(segmentation_node.GetNodeReference(role))))
            remove_referenced(segmentation_node, role)
    remove_node(segmentation_node)
    for folder in folders:
        if folder != tree.GetSceneItemID() and not tree.GetNumberOfItemChildren(folder):
            tree.RemoveItem(folder)


def visible_segments(segmentation_node: slicer.vtkMRMLSegmentationNode, case: CaseScore) -> list[SegmentScore]:
    """The scores of the segments that are there and not hidden."""
    present, display = segmentation_node.GetSegmentation().GetSegmentIDs(), segmentation_node.GetDisplayNode()
    shown = {i for i in present if display is None or display.GetSegmentVisibility(i)}
    return [score for score in case.segments if score.segment_id in shown]


def remembered(node, attribute: str) -> Any:
    """How a node's display node was before we changed it, ``None`` when it was not changed.

    It is kept as JSON in an attribute of the display node, so that a reloaded scene has the way back, too.
    """
    display = node.GetDisplayNode()
    text = None if display is None else display.GetAttribute(attribute)
    return None if text is None else json.loads(text)


def remember(node, attribute: str, before: Any) -> None:
    """Keep what :func:`remembered` says; ``None``: it is as it was."""
    display = node.GetDisplayNode()
    if before is None:
        display.RemoveAttribute(attribute)
    else:
        display.SetAttribute(attribute, json.dumps(before))


@contextmanager
def changing(node, attribute: str) -> Iterator[tuple[Any, dict]]:
    """Change a node's display node, made when there is none, with one event in the end.

    Yields the display node, and how it was before the first change, for the block to add to.
    """
    node.CreateDefaultDisplayNodes()
    before = remembered(node, attribute) or {}
    with slicer.util.NodeModify(node.GetDisplayNode()):
        yield node.GetDisplayNode(), before
        remember(node, attribute, before)


def restore_segments(segmentation_node, attribute: str, restore: Callable[[Any, str, Any], object]) -> None:
    """Call ``restore(display node, segment id, before)`` for what is remembered of each segment that is still there."""
    before = remembered(segmentation_node, attribute)
    if before is None:
        return
    display = segmentation_node.GetDisplayNode()
    with slicer.util.NodeModify(display):
        for segment_id in before.keys() & set(segmentation_node.GetSegmentation().GetSegmentIDs()):
            restore(display, segment_id, before[segment_id])
        remember(segmentation_node, attribute, None)
