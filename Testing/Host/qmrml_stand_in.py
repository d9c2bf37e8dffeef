"""Stand-in for tests, no product logic: the few qMRML widgets that the ``.ui`` file names, on the real scene."""

from __future__ import annotations

import slicer
import vtk
from PySide6 import QtCore, QtWidgets

from .pythonqt import in_pythonqt_style, register_widget

_Widget = in_pythonqt_style(QtWidgets.QWidget)


@register_widget
class qMRMLWidget(_Widget):
    """A widget that knows a scene and hands it on."""

    mrmlSceneChanged = QtCore.Signal(object)
    pythonQtSignals = {"mrmlSceneChanged(vtkMRMLScene*)"}
    isEntered = True

    def setMRMLScene(self, scene):
        """Slot."""
        self._scene = scene
        self.mrmlSceneChanged.emit(scene)

    def mrmlScene(self):
        """The scene."""
        return getattr(self, "_scene", None)


@register_widget
class qMRMLNodeComboBox(_Widget):
    """A combo box of the scene's nodes of some classes."""

    currentNodeChanged = QtCore.Signal(object)
    pythonQtSignals = {"currentNodeChanged(vtkMRMLNode*)"}

    def __init__(self, parent=None):
        super().__init__(parent)
        self._scene, self._node_id, self._options = None, None, {"nodeTypes": []}
        self._known = None
        self._combo_box = QtWidgets.QComboBox(self)  # shows the choice; nobody clicks here
        self._combo_box.setSizePolicy(QtWidgets.QSizePolicy.Policy.Ignored, QtWidgets.QSizePolicy.Policy.Fixed)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._combo_box)
        self.setSizePolicy(QtWidgets.QSizePolicy.Policy.Preferred, QtWidgets.QSizePolicy.Policy.Fixed)
        self.currentNodeChanged.connect(self._show)

    def setMRMLScene(self, scene):
        """Slot."""
        self._scene = scene
        scene.AddObserver(slicer.vtkMRMLScene.NodeAboutToBeRemovedEvent, self._on_removal, -10.0)
        scene.AddObserver(slicer.vtkMRMLScene.EndCloseEvent, lambda *_: self._forget_removed())
        scene.AddObserver(slicer.vtkMRMLScene.StartImportEvent, self._on_import)
        scene.AddObserver(slicer.vtkMRMLScene.EndImportEvent, self._on_imported)
        if self._node_id is None and not self.noneEnabled and self.nodeCount():
            self.setCurrentNode(self.nodeFromIndex(0))

    def sizeHint(self):
        """Called by Qt: as wide as the name; what there is no room for is elided, as in ctkComboBox."""
        text = self._combo_box.fontMetrics().horizontalAdvance(self._combo_box.currentText())
        return QtCore.QSize(text + 40, self._combo_box.sizeHint().height())

    def _show(self, node):
        self._combo_box.clear()
        self._combo_box.addItem(node.GetName() if node is not None else "None")
        self.updateGeometry()

    def nodes(self):
        """The nodes to choose from, in the scene's order."""
        if self._scene is None:
            return []
        nodes = [self._scene.GetNthNode(i) for i in range(self._scene.GetNumberOfNodes())]
        exact = not self.showChildNodeTypes
        return [
            n for n in nodes
            if not n.GetHideFromEditors()
            and any(n.GetClassName() == t if exact else n.IsA(t) for t in self.nodeTypes)
        ]  # fmt: skip

    def nodeCount(self):
        """Number of nodes to choose from."""
        return len(self.nodes())

    def nodeFromIndex(self, index):
        """The node at a place in the list."""
        return self.nodes()[index]

    def currentNode(self):
        """The node chosen, or None."""
        return self._scene.GetNodeByID(self._node_id) if self._scene and self._node_id else None

    def setCurrentNode(self, node):
        """Slot: a node, its id, or None."""
        node_id = node.GetID() if hasattr(node, "GetID") else node or None
        if self._known is not None and node_id not in self._known:
            node_id = None
        if node_id != self._node_id:
            self._node_id = node_id
            self.currentNodeChanged.emit(self.currentNode())

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _on_removal(self, _scene, _event, node):
        """The row goes before the node does, and its successor is chosen, or the last: qMRMLSceneModel, QComboBox."""
        if not self or node.GetID() != self._node_id or self._scene.IsClosing():
            return
        rows = [None] * self.noneEnabled + self.nodes()
        row = rows.index(node)
        rows.remove(node)
        self.setCurrentNode(rows[min(row, len(rows) - 1)] if rows else None)

    def _on_import(self, *_):
        """Nodes that come with a scene have no row before all of it is there."""
        if self:
            self._known = {node.GetID() for node in self.nodes()}

    def _on_imported(self, *_):
        """All rows go and come anew, so that none is chosen: qMRMLSceneModel::updateScene."""
        if self:
            self._known = None
            self.setCurrentNode(None)

    def _forget_removed(self):
        if self._node_id and self._scene.GetNodeByID(self._node_id) is None:
            self._node_id = None
            self.currentNodeChanged.emit(None)

    def _get(name, default):
        return lambda self: self._options.get(name, default)

    def _set(name):
        return lambda self, value: self._options.__setitem__(name, value)

    nodeTypes = QtCore.Property("QStringList", _get("nodeTypes", []), _set("nodeTypes"))
    showChildNodeTypes = QtCore.Property(bool, _get("showChildNodeTypes", True), _set("showChildNodeTypes"))
    noneEnabled = QtCore.Property(bool, _get("noneEnabled", False), _set("noneEnabled"))
    addEnabled = QtCore.Property(bool, _get("addEnabled", True), _set("addEnabled"))
    removeEnabled = QtCore.Property(bool, _get("removeEnabled", True), _set("removeEnabled"))
    noneDisplay = QtCore.Property(str, _get("noneDisplay", ""), _set("noneDisplay"))
    currentNodeID = QtCore.Property(str, lambda self: self._node_id or "", setCurrentNode)
