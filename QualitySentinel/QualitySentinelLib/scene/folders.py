"""Needs ``slicer``. One folder of the subject hierarchy for all nodes that are made of a segmentation's scores."""

from __future__ import annotations

import slicer


def into_folder(segmentation_node: slicer.vtkMRMLSegmentationNode, *nodes) -> None:
    """Put nodes into the folder of a segmentation's results, beside the segmentation; it is made when there is none."""
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
    for node in nodes:
        tree.CreateItem(folder, node)  # moves the one that a node has
