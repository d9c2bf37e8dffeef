"""The scene saved and loaded, for the tests of this folder."""

from __future__ import annotations

import pytest


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
