"""A headless Slicer for the tests of this folder, and the synthetic torso as nodes of its scene."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture(scope="session")
def _headless_slicer():
    pytest.importorskip("trame_slicer")
    pytest.importorskip("PySide6")
    from Testing.Host.headless_slicer import start

    start()


@pytest.fixture
def slicer(_headless_slicer):
    """The ``slicer`` package of a running Slicer with an empty scene."""
    import slicer

    slicer.mrmlScene.Clear(0)
    yield slicer
    slicer.mrmlScene.Clear(0)


@pytest.fixture
def a_ct_node(slicer, a_torso):
    """The torso's CT as a scalar volume node."""
    return slicer.util.addVolumeFromArray(a_torso.hu, a_torso.ijk_to_ras, "CT")


@pytest.fixture
def segmentation_node_of(slicer):
    """A function ``(labels, names, ct_node)``: the segmentation node of a label map on a CT node's grid.

    There is one segment for each name, its id is the name; all share one layer.
    """

    def make(labels: np.ndarray, names: dict[int, str], ct_node):
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Segmentation")
        node.CreateDefaultDisplayNodes()
        node.SetReferenceImageGeometryParameterFromVolumeNode(ct_node)
        for value, name in names.items():
            segment_id = node.GetSegmentation().AddEmptySegment(name, name)
            mask = (labels == value).astype(np.uint8)
            slicer.util.updateSegmentBinaryLabelmapFromArray(mask, node, segment_id, ct_node)
        node.GetSegmentation().CollapseBinaryLabelmaps(False)
        return node

    return make


@pytest.fixture
def a_segmentation_node(a_torso, a_ct_node, segmentation_node_of):
    """The torso's segmentation: liver and spleen, ids ``liver`` and ``spleen``, in one shared layer."""
    return segmentation_node_of(a_torso.labels, a_torso.names, a_ct_node)


@pytest.fixture
def save_and_load(slicer, tmp_path):
    """A function that saves the scene with its data as Slicer does, clears it, and loads it again."""

    def run() -> None:
        for node in slicer.util.getNodesByClass("vtkMRMLStorableNode"):
            if node.GetSaveWithScene() and not node.GetSingletonTag() and node.AddDefaultStorageNode():
                storage = node.GetStorageNode()
                storage.SetFileName(str(tmp_path / f"{node.GetID()}.{storage.GetDefaultWriteFileExtension()}"))
                assert storage.WriteData(node)
        slicer.mrmlScene.SetURL(str(tmp_path / "scene.mrml"))
        assert slicer.mrmlScene.Commit()
        slicer.mrmlScene.Clear(0)
        assert slicer.mrmlScene.Connect()

    return run
