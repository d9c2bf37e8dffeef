"""Needs ``slicer``. A case that was read from files, as nodes of the scene."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import slicer

from ..errors import InputError
from ..scores import CaseScore
from ..volume import CtVolume, Segmentation


def add_ct(ct: CtVolume):
    """A scalar volume node of the CT, in the file's voxel order."""
    voxels = np.ascontiguousarray(ct.frame.to_file(ct.hu))
    return slicer.util.addVolumeFromArray(voxels, ct.frame.file_ijk_to_ras, Path(ct.source).name or "CT")


def add_segmentation(segmentation: Segmentation, load: Callable[[str], Any]):
    """A segmentation node with the same ids, names, colors and tags.

    By way of a ``.seg.nrrd``: Slicer's own reader builds the layers, and what we write it reads.

    Args:
        load: Slicer's reader, as the application has it.

    Raises:
        InputError: Slicer cannot read it.
    """
    from ..report import write_scored_segmentation

    with tempfile.TemporaryDirectory(prefix="quality-sentinel-") as folder:
        path = write_scored_segmentation(Path(folder) / "segmentation.seg.nrrd", segmentation, CaseScore([], 0.0))
        node = load(str(path))
    if node is None:
        raise InputError(f"{segmentation.source}: Slicer cannot read it; save it as .seg.nrrd")
    if node.GetStorageNode() is not None:
        slicer.mrmlScene.RemoveNode(node.GetStorageNode())  # its file is gone
    node.SetName(Path(segmentation.source).name or "Segmentation")
    node.CreateDefaultDisplayNodes()
    return node
