"""Stand-in for tests, no product logic: the Segment Editor, after SegmentEditor.py and qMRMLSegmentEditorWidget.

Edits go the way of Slicer's effects: saveStateForUndo, a modifier labelmap, and the real vtkSlicerSegmentEditorLogic's
ModifySegmentByLabelmap, whose events the segmentation sends. Two effects, Paint and Erase, with a round brush.
"""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from PySide6 import QtCore, QtWidgets
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleWidget
from slicer.util import VTKObservationMixin
from vtk.util.numpy_support import vtk_to_numpy

from .modules import Module
from .pythonqt import register_widget
from .qmrml_stand_in import qMRMLWidget
from .views import qMRMLSliceView

_Logic = slicer.vtkSlicerSegmentEditorLogic


class _Effect:
    """Paint or Erase: what the brush does while the mouse button is down."""

    def __init__(self, editor, name, mode):
        self._editor, self.name, self._mode = editor, name, mode
        self._stroke, self._parameters = [], {"BrushDiameterMm": 10.0}

    def setParameter(self, name, value):
        """Only ``BrushDiameterMm``, in mm; in Slicer ``BrushAbsoluteDiameter``."""
        self._parameters[name] = float(value)

    def __call__(self, view, ras, down):
        """A mouse event in a slice view: the stroke is applied when the button comes up."""
        self._stroke.append(ras)
        if not down:
            self.apply(self._stroke, view.mrmlSliceNode())
            self._stroke = []

    def apply(self, points, slice_node):
        """Paint discs in the slice's plane around RAS points, mm."""
        logic = self._editor._logic
        logic.SaveStateForUndo()
        logic.ResetModifierLabelmapToDefault()
        labelmap = logic.GetModifierLabelmap()
        voxels = vtk_to_numpy(labelmap.GetPointData().GetScalars()).reshape(labelmap.GetDimensions()[::-1])
        to_ras, to_ijk = vtk.vtkMatrix4x4(), vtk.vtkMatrix4x4()
        labelmap.GetImageToWorldMatrix(to_ras)
        vtk.vtkMatrix4x4.Invert(to_ras, to_ijk)
        matrix, inverse = slicer.util.arrayFromVTKMatrix(to_ras), slicer.util.arrayFromVTKMatrix(to_ijk)
        normal = slicer.util.arrayFromVTKMatrix(slice_node.GetSliceToRAS())[:3, 2]
        first, reach = np.array(labelmap.GetExtent()[::2]), self._parameters["BrushDiameterMm"] / 2
        spacing = np.linalg.norm(matrix[:3, :3], axis=0)
        across = abs(matrix[:3, :3].T @ normal).max() / 2
        for point in points:
            ijk = (inverse @ [*point, 1.0])[:3]
            low = np.maximum(np.floor(ijk - reach / spacing).astype(int) - first, 0)
            high = np.minimum(np.ceil(ijk + reach / spacing).astype(int) - first + 1, labelmap.GetDimensions())
            if (low >= high).any():
                continue
            grid = np.stack(np.meshgrid(*map(np.arange, low, high), indexing="ij"), -1) + first
            off = grid @ matrix[:3, :3].T + matrix[:3, 3] - point
            depth = off @ normal
            inside = (abs(depth) < across) & (np.linalg.norm(off - depth[..., None] * normal, axis=-1) <= reach)
            i, j, k = (grid[inside] - first).T
            voxels[k, j, i] = 1
        labelmap.Modified()
        self._editor.modify(labelmap, self._mode)


@register_widget
class qMRMLSegmentEditorWidget(qMRMLWidget):
    """The widget: the parameter set node says what is edited, the logic edits."""

    segmentationNodeChanged = QtCore.Signal(object)
    sourceVolumeNodeChanged = QtCore.Signal(object)
    currentSegmentIDChanged = QtCore.Signal(str)
    pythonQtSignals = {
        "segmentationNodeChanged(vtkMRMLSegmentationNode*)",
        "sourceVolumeNodeChanged(vtkMRMLVolumeNode*)",
        "currentSegmentIDChanged(QString)",
    }

    def __init__(self, parent=None):
        super().__init__(parent)
        self._logic, self._active, self._node = _Logic(), None, None
        self._label = QtWidgets.QLabel("Segment Editor (stand-in)", self)
        QtWidgets.QVBoxLayout(self).addWidget(self._label)
        self._effects = {
            "Paint": _Effect(self, "Paint", _Logic.ModificationModeAdd),
            "Erase": _Effect(self, "Erase", _Logic.ModificationModeRemove),
        }

    def setMRMLScene(self, scene):
        """Slot."""
        super().setMRMLScene(scene)
        self._logic.SetMRMLScene(scene)

    def setMRMLSegmentEditorNode(self, node):
        """Slot: the parameter set node."""
        self._node = node
        self._logic.SetSegmentEditorNode(node)

    def mrmlSegmentEditorNode(self):
        """The parameter set node."""
        return self._node

    def setSegmentationNode(self, node):
        """Slot: edit this segmentation; its first segment is selected, and its reference volume taken."""
        if self.segmentationNode() is node:
            return
        self._logic.SetSegmentationNode(node)
        self.setActiveEffect(None)
        if node is not None:
            role = slicer.vtkMRMLSegmentationNode.GetReferenceImageGeometryReferenceRole()
            if node.GetNodeReference(role) is not None:
                self.setSourceVolumeNode(node.GetNodeReference(role))
            if node.GetSegmentation().GetNumberOfSegments():
                self.setCurrentSegmentID(node.GetSegmentation().GetNthSegmentID(0))
        self.segmentationNodeChanged.emit(node)

    def segmentationNode(self):
        """What is edited."""
        return self._logic.GetSegmentationNode()

    def setSegmentationNodeID(self, node_id):
        """Slot."""
        self.setSegmentationNode(slicer.mrmlScene.GetNodeByID(node_id))

    def segmentationNodeID(self):
        """Its id, or an empty text."""
        node = self.segmentationNode()
        return node.GetID() if node is not None else ""

    def setSourceVolumeNode(self, node):
        """Slot: the volume that is segmented."""
        self._logic.SetSourceVolumeNode(node)
        self.sourceVolumeNodeChanged.emit(node)

    def sourceVolumeNode(self):
        """The volume that is segmented."""
        return self._logic.GetSourceVolumeNode()

    def setSourceVolumeNodeID(self, node_id):
        """Slot."""
        self.setSourceVolumeNode(slicer.mrmlScene.GetNodeByID(node_id or ""))

    def sourceVolumeNodeID(self):
        """Its id, or an empty text."""
        node = self.sourceVolumeNode()
        return node.GetID() if node is not None else ""

    def setCurrentSegmentID(self, segment_id):
        """Slot: the segment that effects change."""
        self._node.SetSelectedSegmentID(segment_id)
        self.currentSegmentIDChanged.emit(segment_id)

    def currentSegmentID(self):
        """The segment that effects change."""
        return self._logic.GetCurrentSegmentID()

    def availableEffectNames(self):
        """Names of the effects."""
        return tuple(self._effects)

    def effectByName(self, name):
        """An effect, or None."""
        return self._effects.get(name)

    def setActiveEffectByName(self, name):
        """Slot: take up a tool."""
        self.setActiveEffect(self._effects.get(name))

    def setActiveEffect(self, effect):
        """Slot: take up a tool, or lay it down."""
        if effect is not None:
            self._logic.SetSourceRepresentationToBinaryLabelMap()
        self._active = qMRMLSliceView.effect = effect

    def activeEffect(self):
        """The tool in use, or None."""
        return self._active

    def modify(self, labelmap, mode):
        """qSlicerSegmentEditorAbstractEffect::modifySelectedSegmentByLabelmap."""
        self._logic.ModifySegmentByLabelmap(
            self.segmentationNode(), self.currentSegmentID(), labelmap, mode, labelmap.GetExtent(), True, False
        )

    def undo(self):
        """Slot."""
        self._logic.Undo()

    def redo(self):
        """Slot."""
        self._logic.Redo()

    def saveStateForUndo(self):
        """Remember the segmentation."""
        self._logic.SaveStateForUndo()

    def setMaximumNumberOfUndoStates(self, number):
        """How many steps can be undone."""
        self._logic.SetMaximumNumberOfUndoStates(number)

    def updateWidgetFromMRML(self):
        """Slot: there is nothing to update."""

    installKeyboardShortcuts = uninstallKeyboardShortcuts = updateWidgetFromMRML
    setupViewObservations = removeViewObservations = updateWidgetFromMRML


class SegmentEditorWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The module's widget: what SegmentEditor.py does when it is set up, entered, left, and when the scene closes."""

    def __init__(self, parent):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.parameterSetNode = self.editor = None

    def setup(self):
        """Make the editor."""
        self.editor = qMRMLSegmentEditorWidget()
        self.editor.setMaximumNumberOfUndoStates(10)
        self.selectParameterNode()
        self.editor.setMRMLScene(slicer.mrmlScene)
        self.layout.addWidget(self.editor)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndImportEvent, self.onSceneEndClose)

    def selectParameterNode(self):
        """The scene's parameter set node, added when there is none."""
        node = slicer.mrmlScene.GetSingletonNode("SegmentEditor", "vtkMRMLSegmentEditorNode")
        if node is None:
            node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLSegmentEditorNode")
            node.UnRegister(None)
            node.SetSingletonTag("SegmentEditor")
            node = slicer.mrmlScene.AddNode(node)
        if self.parameterSetNode is not node:
            self.parameterSetNode = node
            self.editor.setMRMLSegmentEditorNode(node)

    def enter(self):
        """The module is opened: the first segmentation is chosen, when none is."""
        self.editor.installKeyboardShortcuts()
        self.selectParameterNode()
        self.editor.updateWidgetFromMRML()
        if not self.editor.segmentationNodeID():
            node = slicer.mrmlScene.GetFirstNode(None, "vtkMRMLSegmentationNode")
            if node is None:
                node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
            self.editor.setSegmentationNode(node)

    def exit(self):
        """Another module is opened."""
        self.editor.setActiveEffect(None)
        self.editor.uninstallKeyboardShortcuts()
        self.editor.removeViewObservations()

    def onSceneStartClose(self, caller, event):
        """The scene is about to be closed."""
        self.parameterSetNode = None
        self.editor.setSegmentationNode(None)

    def onSceneEndClose(self, caller, event):
        """The scene was closed or read."""
        if self.parent.isEntered:
            self.selectParameterNode()

    def cleanup(self):
        """The module goes."""
        self.removeObservers()


def module() -> Module:
    """The Segment Editor among ``slicer.modules``."""
    return Module("SegmentEditor", widget_class=SegmentEditorWidget)
