"""Needs ``slicer`` and ``vtk``. Where a node's voxels lie in the world: its own geometry and its parent transforms."""

from __future__ import annotations

import numpy as np
import slicer
import vtk

from ..errors import MismatchError


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
    """4x4 matrix from ``(i, j, k, 1)`` of a volume node's array to the world, parent transforms applied.

    Raises:
        MismatchError: a parent transform is not linear.
    """
    matrix = vtk.vtkMatrix4x4()
    volume_node.GetIJKToRASMatrix(matrix)
    return local_to_world(volume_node) @ slicer.util.arrayFromVTKMatrix(matrix)
