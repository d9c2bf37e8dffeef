"""Stand-in for tests, no product logic: ``slicer.app.coreIOManager()``, after qSlicerSceneWriter and -Reader.

Scenes are written and read by the real vtkMRMLScene; volumes and segmentations by the real storage nodes, which
trame-slicer's readers set up.
"""

from __future__ import annotations

from pathlib import Path


class CoreIOManager:
    """Reads and writes files."""

    def __init__(self, core):
        self._core = core

    def saveNodes(self, file_type, properties, messages=None):
        """Write a scene, as .mrb, as .mrml without data, or as a folder; or one node."""
        path = Path(properties["fileName"]).absolute()
        scene, logic = self._core.scene, self._core.app_logic
        if file_type != "SceneFile":
            node = scene.GetNodeByID(properties["nodeID"])
            node.AddDefaultStorageNode()
            node.GetStorageNode().SetFileName(str(path))
            return bool(node.GetStorageNode().WriteData(node))
        if path.suffix not in (".mrb", ".mrml"):
            path.mkdir(exist_ok=True)
            return logic.SaveSceneToSlicerDataBundleDirectory(str(path), None)
        scene.SetURL(str(path))
        scene.SetRootDirectory(str(path.parent))
        if path.suffix == ".mrml":
            return bool(scene.Commit())
        written = scene.WriteToMRB(str(path), None, messages)
        if written:
            scene.SetStorableNodesModifiedSinceRead()
        return written

    def loadNodes(self, file_type, properties, nodes=None, messages=None):
        """Read a scene, a volume or a segmentation into the scene."""
        path = Path(properties["fileName"]).absolute()
        scene = self._core.scene
        if file_type == "SceneFile" and path.suffix == ".mrml":
            scene.SetURL(str(path))
            return bool(scene.Connect(messages) if properties.get("clear") else scene.Import(messages))
        if file_type == "SceneFile":
            return scene.ReadFromMRB(str(path), properties.get("clear", False), messages)
        if file_type == "VolumeFile":
            loaded = self._core.io_manager.load_volumes([str(path)])[0]
        elif file_type == "SegmentationFile":
            given = properties["fileName"]  # its storage node takes a relative one as beside the scene
            path = Path(scene.GetRootDirectory() or ".", given).absolute()
            if not path.is_file():
                return False
            loaded = self._core.io_manager.load_segmentation(str(path))
        else:
            return False
        if loaded is not None and nodes is not None:
            nodes.AddItem(loaded)
        return loaded is not None

    def fileWriterFileType(self, node):
        """The type that :meth:`saveNodes` is given for a node."""
        return f"{node.GetClassName()}File"

    def saveScene(self, path, screenshot=None):
        """Slot: write the scene."""
        return self.saveNodes("SceneFile", {"fileName": str(path)})

    def loadScene(self, path, clear=True):
        """Slot: read a scene, by default in place of the present one."""
        return self.loadNodes("SceneFile", {"fileName": str(path), "clear": clear})
