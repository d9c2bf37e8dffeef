import importlib.util
import logging
import os
from typing import Annotated

import qt
import slicer
import vtk
from slicer import vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import Choice, WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import *
from slicer.util import VTKObservationMixin

from QualitySentinelLib.errors import CancelledError, ModelError
from QualitySentinelLib.scores import dsc_color, flag

# Other parts of the library are imported where they are used: they bring packages (PyTorch, SciPy) that Slicer does
# not have or that would slow down its start.

TORCH_VERSION = ">=2.2"

#
# QualitySentinel
#


class QualitySentinel(ScriptedLoadableModule):
    """Predicts how good a CT segmentation is, slice by slice, without a ground truth.

    Uses ScriptedLoadableModule base class, available at:
    https://github.com/Slicer/Slicer/blob/main/Base/Python/slicer/ScriptedLoadableModule.py
    """

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("Quality Sentinel")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        # PyTorch is a dependency of the extension, not of the module: without it the module still loads and says so.
        self.parent.dependencies = ["Segmentations", "Volumes"]
        self.parent.contributors = ["Quality Sentinel contributors"]
        self.parent.helpText = _("""
Predicts the Dice similarity coefficient (DSC) of every slice of every segment of a CT segmentation, without a ground
truth. Segments are colored by their predicted quality, slices below a threshold are flagged for review.
It requires the PyTorch extension. Images and results never leave this computer.
See more information in <a href="https://github.com/QualitySentinel/SlicerQualitySentinel">module documentation</a>.
""")
        self.parent.acknowledgementText = _("""
The method follows Yixiong Chen, Zongwei Zhou, Alan Yuille: Quality Sentinel: Estimating Label Quality and Errors in
Medical Segmentation Datasets, <a href="https://arxiv.org/abs/2406.00327">arXiv 2406.00327</a>.
The software is for research. It makes no claim for a specific clinical purpose.
""")


#
# QualitySentinelParameterNode
#


@parameterNodeWrapper
class QualitySentinelParameterNode:
    """
    The parameters needed by module.

    inputVolume - The CT that was segmented.
    inputSegmentation - The segmentation to check.
    threshold - Slices with a predicted DSC below it are flagged.
    slicesPerSegment - How many slices of each segment to score, spread over its extent; 0 scores all.
    device - Where to compute.
    """

    inputVolume: vtkMRMLScalarVolumeNode
    inputSegmentation: vtkMRMLSegmentationNode
    threshold: Annotated[float, WithinRange(0, 1)] = 0.8
    slicesPerSegment: Annotated[int, WithinRange(0, 10000)] = 0
    device: Annotated[str, Choice(["auto", "cpu", "cuda", "mps"])] = "auto"


#
# QualitySentinelWidget
#


class QualitySentinelWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """Uses ScriptedLoadableModuleWidget base class, available at:
    https://github.com/Slicer/Slicer/blob/main/Base/Python/slicer/ScriptedLoadableModule.py
    """

    def __init__(self, parent=None) -> None:
        """Called when the user opens the module the first time and the widget is initialized."""
        # The module's own state first: without a parent, the base class calls setup() from its constructor.
        VTKObservationMixin.__init__(self)  # needed for parameter node observation
        self.logic = None
        self._parameterNode = None
        self._parameterNodeGuiTag = None
        self._steps = None
        self._stepTimer = None
        self._cancelRequested = False
        self._segmentationBeingScored = None
        self._volumeStateBeingScored = None
        self._scoredSegmentation = None
        self._scoredVolumeState = None
        self._caseScore = None
        ScriptedLoadableModuleWidget.__init__(self, parent)

    def setup(self) -> None:
        """Called when the user opens the module the first time and the widget is initialized."""
        ScriptedLoadableModuleWidget.setup(self)

        # Load widget from .ui file (created by Qt Designer).
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/QualitySentinel.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)

        # Set scene in MRML widgets. In the .ui file the top-level qMRMLWidget's
        # "mrmlSceneChanged(vtkMRMLScene*)" signal is connected to each MRML widget's
        # "setMRMLScene(vtkMRMLScene*)" slot.
        uiWidget.setMRMLScene(slicer.mrmlScene)

        # Create logic class. Logic implements all computations that should be possible to run
        # in batch mode, without a graphical user interface.
        self.logic = QualitySentinelLogic()

        # Scoring runs in small steps from the event loop, so that the application stays alive.
        self._stepTimer = qt.QTimer()
        self._stepTimer.setSingleShot(True)
        self._stepTimer.setInterval(0)
        self._stepTimer.connect("timeout()", self.onStep)

        # Connections

        # These connections ensure that we update parameter node when scene is closed
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)

        # Buttons
        self.ui.applyButton.connect("clicked(bool)", self.onApplyButton)
        self.ui.cancelButton.connect("clicked(bool)", self.onCancelButton)
        self.ui.restoreColorsButton.connect("clicked(bool)", self.onRestoreColorsButton)

        header = self.ui.resultsTable.horizontalHeader()
        header.setSectionResizeMode(qt.QHeaderView.ResizeToContents)
        header.setSectionResizeMode(0, qt.QHeaderView.Stretch)
        header.setSectionResizeMode(1, qt.QHeaderView.Stretch)

        # Make sure parameter node is initialized (needed for module reload)
        self.initializeParameterNode()
        self._updateRunState()

    def cleanup(self) -> None:
        """Called when the application closes and the module widget is destroyed."""
        if self._stepTimer:  # otherwise setup() did not get that far
            self._stopScoring()
        self.setParameterNode(None)
        self.removeObservers()

    def enter(self) -> None:
        """Called each time the user opens this module."""
        # Make sure parameter node exists and observed
        self.initializeParameterNode()

    def exit(self) -> None:
        """Called each time the user opens a different module."""
        # Do not react to parameter node changes (GUI will be updated when the user enters into the module).
        # Scoring goes on: its results belong to the scene.
        self.setParameterNode(None)

    def onSceneStartClose(self, caller, event) -> None:
        """Called just before the scene is closed."""
        # Parameter node will be reset and the scored nodes will be gone, do not use them anymore
        self._stopScoring()
        self._showResults(None, None)
        self.setParameterNode(None)

    def onSceneEndClose(self, caller, event) -> None:
        """Called just after the scene is closed."""
        # If this module is shown while the scene is closed then recreate a new parameter node immediately
        if self.parent.isEntered:
            self.initializeParameterNode()

    def initializeParameterNode(self) -> None:
        """Ensure parameter node exists and observed."""
        # Parameter node stores all user choices in parameter values, node selections, etc.
        # so that when the scene is saved and reloaded, these settings are restored.

        self.setParameterNode(self.logic.getParameterNode())

        # Select default input nodes if nothing is selected yet to save a few clicks for the user
        if not self._parameterNode.inputSegmentation:
            firstSegmentation = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSegmentationNode")
            if firstSegmentation:
                self._parameterNode.inputSegmentation = firstSegmentation
        if not self._parameterNode.inputVolume:
            volume = self.logic.volumeOfSegmentation(self._parameterNode.inputSegmentation)
            if volume:
                self._parameterNode.inputVolume = volume

    def setParameterNode(self, inputParameterNode: QualitySentinelParameterNode | None) -> None:
        """
        Set and observe parameter node.
        Observation is needed because when the parameter node is changed then the GUI must be updated immediately.
        """

        if self._parameterNode:
            self._parameterNode.disconnectGui(self._parameterNodeGuiTag)
            self._parameterNodeGuiTag = None
            self.removeObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self._onParametersModified)
        self._parameterNode = inputParameterNode
        if self._parameterNode:
            # Note: in the .ui file, a Qt dynamic property called "SlicerParameterName" is set on each
            # ui element that needs connection.
            self._parameterNodeGuiTag = self._parameterNode.connectGui(self.ui)
            self.addObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self._onParametersModified)
            self._onParametersModified()

    def _onParametersModified(self, caller=None, event=None) -> None:
        self._checkCanApply()
        # A new threshold only flags anew: nothing is scored again.
        changed = self._caseScore is not None and self._caseScore.threshold != self._parameterNode.threshold
        if changed and self._scoredSegmentation.GetScene():
            flag(self._caseScore, self._parameterNode.threshold)
            # Colors do not depend on the threshold, and the user may have taken them back.
            self.logic.applyScores(self._scoredSegmentation, self._caseScore, colors=False)
            self._showResults(self._scoredSegmentation, self._caseScore)

    def _checkCanApply(self) -> None:
        if self._steps is not None:
            self.ui.applyButton.toolTip = _("Scoring is running")
            self.ui.applyButton.enabled = False
        elif self._parameterNode and self._parameterNode.inputVolume and self._parameterNode.inputSegmentation:
            self.ui.applyButton.toolTip = _("Predict the quality of every slice of every segment")
            self.ui.applyButton.enabled = True
        else:
            self.ui.applyButton.toolTip = _("Select a CT volume and a segmentation")
            self.ui.applyButton.enabled = False

    def onApplyButton(self) -> None:
        """Start scoring when user clicks "Apply" button."""
        if self._steps is not None:
            return
        with slicer.util.tryWithErrorDisplay(_("Failed to start scoring.")):
            self.logic.setupPythonRequirements()
            parameters = self._parameterNode
            self._cancelRequested = False
            self._segmentationBeingScored = parameters.inputSegmentation
            self._volumeStateBeingScored = self.logic.volumeState(parameters.inputVolume)
            unchanged = (
                self._scoredSegmentation == self._segmentationBeingScored
                and self._scoredVolumeState == self._volumeStateBeingScored
            )
            self._steps = self.logic.scoreSteps(
                parameters.inputVolume,
                parameters.inputSegmentation,
                threshold=parameters.threshold,
                device=parameters.device,
                slices=parameters.slicesPerSegment or "all",
                previous=self._caseScore if unchanged else None,  # slices edited since are scored, others keep theirs
                cancelled=lambda: self._cancelRequested,
            )
            self._updateRunState()
            self._stepTimer.start()

    def onCancelButton(self) -> None:
        """Stop scoring; segments that are finished keep their scores."""
        self._cancelRequested = True

    def onRestoreColorsButton(self) -> None:
        """Show the selected segmentation as it was before it was colored by quality."""
        if self._parameterNode and self._parameterNode.inputSegmentation:
            self.logic.restoreColors(self._parameterNode.inputSegmentation)

    def onStep(self) -> None:
        """Run one step of scoring, called from the event loop."""
        if self._steps is None:
            return
        unfinished = False
        try:
            with slicer.util.tryWithErrorDisplay(_("Failed to score the segmentation.")):
                progress = next(self._steps)
                self.ui.progressBar.maximum = max(progress.total, 1)
                self.ui.progressBar.value = progress.done
                unfinished = progress.done < progress.total and not progress.cancelled
                if not unfinished:
                    self._finishScoring(self._segmentationBeingScored, progress.score)
        finally:  # an error ends the run too
            if unfinished:
                self._stepTimer.start()
            else:
                self._stopScoring()

    def _finishScoring(self, segmentationNode, caseScore) -> None:
        if not segmentationNode.GetScene():  # it was removed from the scene meanwhile
            return
        flag(caseScore, self.logic.getParameterNode().threshold)  # it may have been changed meanwhile
        self.logic.applyScores(segmentationNode, caseScore)
        self._showResults(segmentationNode, caseScore)
        self._scoredVolumeState = self._volumeStateBeingScored
        for warning in caseScore.warnings:
            logging.warning(warning)

    def _stopScoring(self) -> None:
        """Drop what is left to score, if anything."""
        self._stepTimer.stop()
        if self._steps is not None:
            self._steps.close()
            self._steps = None
        self._segmentationBeingScored = None
        self._updateRunState()

    def _updateRunState(self) -> None:
        running = self._steps is not None
        self.ui.cancelButton.enabled = running
        self.ui.progressBar.visible = running
        if running:
            self.ui.progressBar.maximum = 0  # busy, until the number of slices is known
            self.ui.progressBar.value = 0
        self._checkCanApply()

    def _showResults(self, segmentationNode, caseScore) -> None:
        """List the segments, worst first; an empty list for None."""
        self._scoredSegmentation = segmentationNode
        self._caseScore = caseScore
        table = self.ui.resultsTable
        segments = caseScore.worst_first() if caseScore else []
        table.setRowCount(len(segments))
        for row, segment in enumerate(segments):
            dsc = "" if segment.predicted_dsc is None else f"{segment.predicted_dsc:.2f}"
            flagged = f"{segment.n_flagged} / {segment.n_scored}" if segment.n_scored else ""
            if segment.n_missed:
                flagged += _(" + {count} missed").format(count=segment.n_missed)
            status = segment.structure or str(segment.status)
            for column, text in enumerate((segment.name, status, dsc, flagged)):
                item = qt.QTableWidgetItem(text)
                item.setToolTip(text)
                if column == 2 and dsc:
                    color = (round(255 * c) for c in dsc_color(segment.predicted_dsc))
                    item.setData(qt.Qt.DecorationRole, qt.QColor(*color))
                table.setItem(row, column, item)


#
# QualitySentinelLogic
#


class QualitySentinelLogic(ScriptedLoadableModuleLogic):
    """Scores segmentations of the scene. Needs no main window and no widget.

    Uses ScriptedLoadableModuleLogic base class, available at:
    https://github.com/Slicer/Slicer/blob/main/Base/Python/slicer/ScriptedLoadableModule.py

    Example::

        logic = QualitySentinelLogic()
        caseScore = logic.score(getNode("CT"), getNode("Segmentation"))
        logic.applyScores(getNode("Segmentation"), caseScore)
        print(caseScore.worst_first()[0].name)
    """

    def __init__(self) -> None:
        """Called when the logic class is instantiated. Can be used for initializing member variables."""
        ScriptedLoadableModuleLogic.__init__(self)
        self._model = None
        self._modelSource = None

    def getParameterNode(self):
        return QualitySentinelParameterNode(super().getParameterNode())

    @staticmethod
    def volumeOfSegmentation(segmentationNode):
        """The volume that a segmentation was made on, else the scene's first volume.

        :return: a scalar volume node, or None when the scene has none
        """
        if segmentationNode:
            role = vtkMRMLSegmentationNode.GetReferenceImageGeometryReferenceRole()
            volumeNode = segmentationNode.GetNodeReference(role)
            if volumeNode and volumeNode.GetClassName() == "vtkMRMLScalarVolumeNode":
                return volumeNode
        return slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")

    @staticmethod
    def volumeState(volumeNode) -> tuple:
        """What tells whether a volume is still the same: which node, its voxels' modification time, and its place.

        :raises MismatchError: the volume is under a transform that is not linear
        """
        from QualitySentinelLib.scene import volume_to_world

        image = volumeNode.GetImageData()
        return volumeNode.GetID(), image.GetMTime() if image else 0, volume_to_world(volumeNode).tobytes()

    @staticmethod
    def setupPythonRequirements() -> None:
        """Install what is missing, after asking the user: PyTorch by its extension, other packages by Slicer.

        Must be called on the main thread.

        :raises ModelError: PyTorch is not there, or too old, and was not installed
        :raises RuntimeError: the user declined the other packages
        """
        import slicer.packaging

        if importlib.util.find_spec("torch") is None:
            try:
                import PyTorchUtils
            except ModuleNotFoundError as error:
                raise ModelError(
                    _("PyTorch extension is missing: install it in the Extensions Manager and restart Slicer")
                ) from error
            if slicer.app.testingEnabled():  # PyTorchUtils would install without asking
                raise ModelError(_("PyTorch is not installed, and testing mode installs nothing"))
            torchLogic = PyTorchUtils.PyTorchUtilsLogic()
            if torchLogic.installTorch(askConfirmation=True, torchVersionRequirement=TORCH_VERSION) is None:
                raise ModelError(_("PyTorch was not installed; scoring needs it"))
        elif not slicer.packaging.pip_check(f"torch{TORCH_VERSION}"):
            raise ModelError(
                _("PyTorch is older than needed ({version}): update it in the module PyTorch Utils").format(
                    version=TORCH_VERSION
                )
            )

        requirements = os.path.join(os.path.dirname(__file__), "Resources", "requirements.txt")
        slicer.packaging.pip_ensure(slicer.packaging.load_requirements(requirements), requester="Quality Sentinel")

    def model(self, source="bundled"):
        """The model at a path or the bundled one; the last one used stays in memory.

        :param source: "bundled", a path, or a QualityModel, which is returned as it is
        """
        if not isinstance(source, (str, os.PathLike)):
            return source
        if self._model is None or self._modelSource != source:
            from QualitySentinelLib.checkpoint import load_model

            self._model = load_model(source)
            self._modelSource = source
        return self._model

    def scoreSteps(
        self,
        volumeNode,
        segmentationNode,
        threshold=0.8,
        device="auto",
        slices="all",
        segments=None,
        model="bundled",
        previous=None,
        cancelled=lambda: False,
    ):
        """Score a segmentation step by step: a generator to be driven from the event loop.

        Nothing in the scene is changed; call :meth:`applyScores` with the score of the last step.

        :param volumeNode: the CT, a vtkMRMLScalarVolumeNode in Hounsfield units
        :param segmentationNode: vtkMRMLSegmentationNode
        :param threshold: slices with a predicted DSC below it are flagged, 0..1
        :param device: "auto", "cpu", "cuda", "cuda:N" or "mps"
        :param slices: "all", or how many of each segment
        :param segments: ids, names or structures of the segments to score, by default all
        :param model: "bundled", a path to a model file, or a QualityModel
        :param previous: an earlier score: slices that have not changed since keep theirs
        :param cancelled: function that is asked between steps whether to stop
        :return: iterator of QualitySentinelLib.scorer.Progress; the last one has the complete score, unless cancelled
        :raises QualitySentinelError: what is wrong with the inputs or the model, in one line
        """
        from QualitySentinelLib.scene import ct_from_node, segmentation_from_node
        from QualitySentinelLib.scorer import Scorer

        scorer = Scorer(self.model(model), device, threshold=threshold)
        ct = ct_from_node(volumeNode)
        segmentation = segmentation_from_node(segmentationNode, volumeNode)
        yield from scorer.run(ct, segmentation, slices, segments, previous, cancelled)

    def score(self, volumeNode, segmentationNode, **options):
        """Score a segmentation to the end; parameters as in :meth:`scoreSteps`.

        :return: QualitySentinelLib.scores.CaseScore
        :raises CancelledError: the cancelled option said so
        """
        for progress in self.scoreSteps(volumeNode, segmentationNode, **options):
            if progress.cancelled:
                raise CancelledError(_("scoring was cancelled"))
        return progress.score

    def applyScores(self, segmentationNode, caseScore, colors=True):
        """Show scores in the scene: segment tags, two tables, and, reversibly, segments colored by quality.

        :return: table nodes of segments and of slices; those of an earlier score are filled anew
        """
        from QualitySentinelLib.scene import show_score_colors, update_tables, write_score_tags

        write_score_tags(segmentationNode, caseScore)
        if colors:
            show_score_colors(segmentationNode, caseScore)
        return update_tables(segmentationNode, caseScore)

    def restoreColors(self, segmentationNode) -> None:
        """Show segments in the colors they had before they were colored by quality."""
        from QualitySentinelLib.scene import restore_colors

        restore_colors(segmentationNode)

    def exportResults(self, volumeNode, segmentationNode, caseScore, outputFolder) -> None:
        """Write the files that the command line writes: two tables, a report as HTML and JSON, scored.seg.nrrd.

        :raises InputError: the folder cannot be written; nothing half-written is left behind
        """
        from QualitySentinelLib.report import write_results
        from QualitySentinelLib.scene import ct_from_node, segmentation_from_node, source_of

        ct = ct_from_node(volumeNode)
        segmentation = segmentation_from_node(segmentationNode, volumeNode)
        inputs = {"ct": source_of(volumeNode), "seg": source_of(segmentationNode)}
        write_results(outputFolder, caseScore, ct, segmentation, inputs)


#
# QualitySentinelTest
#


class QualitySentinelTest(ScriptedLoadableModuleTest):
    """
    Tests that run inside Slicer. What needs no Slicer is tested in Testing/Python.
    Uses ScriptedLoadableModuleTest base class, available at:
    https://github.com/Slicer/Slicer/blob/main/Base/Python/slicer/ScriptedLoadableModule.py
    """

    def setUp(self):
        """Do whatever is needed to reset the state - typically a scene clear will be enough."""
        slicer.mrmlScene.Clear()

    def runTest(self):
        """Run as few or as many tests as needed here."""
        self.setUp()
        self.test_NodesAreRead()
        self.setUp()
        self.test_ScoresAreShownAndTakenBack()
        self.setUp()
        self.test_SegmentationIsScored()

    def createCase(self):
        """A block of tissue in air, and a segmentation with a liver in it."""
        import numpy as np

        voxels = np.full((12, 40, 40), -1000, dtype=np.int16)
        voxels[:, 5:35, 5:35] = 40
        mask = np.zeros(voxels.shape, dtype=np.uint8)
        mask[3:9, 10:25, 10:25] = 1
        voxels[mask > 0] = 65
        volumeNode = slicer.util.addVolumeFromArray(voxels, np.diag([-3.0, -3.0, 5.0, 1.0]), "CT")
        segmentationNode = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Segmentation")
        segmentationNode.CreateDefaultDisplayNodes()
        segmentationNode.SetReferenceImageGeometryParameterFromVolumeNode(volumeNode)
        segmentId = segmentationNode.GetSegmentation().AddEmptySegment("", "liver")
        slicer.util.updateSegmentBinaryLabelmapFromArray(mask, segmentationNode, segmentId, volumeNode)
        return volumeNode, segmentationNode, segmentId

    def test_NodesAreRead(self):
        """The nodes of the scene reach the library with their voxels, places and structures."""
        from QualitySentinelLib.scene import ct_from_node, segmentation_from_node

        volumeNode, segmentationNode, segmentId = self.createCase()
        ct = ct_from_node(volumeNode)
        segment = segmentation_from_node(segmentationNode, volumeNode)[segmentId]
        self.assertEqual(ct.hu.shape, (12, 40, 40))
        self.assertEqual(segment.structure, "liver")
        self.assertEqual(int(segment.areas.sum()), 6 * 15 * 15)
        self.assertEqual(QualitySentinelLogic().volumeOfSegmentation(segmentationNode), volumeNode)
        self.delayDisplay("Nodes are read")

    def test_ScoresAreShownAndTakenBack(self):
        """Tags, tables and colors follow a score, and the colors come back."""
        from QualitySentinelLib.scores import CaseScore, SegmentScore, Status

        _volumeNode, segmentationNode, segmentId = self.createCase()
        score = SegmentScore(segmentId, "liver", "liver", Status.SCORED, n_slices=6, predicted_dsc=0.4)
        logic = QualitySentinelLogic()
        segmentsTable, slicesTable = logic.applyScores(segmentationNode, CaseScore([score], threshold=0.8))
        displayNode = segmentationNode.GetDisplayNode()
        self.assertTrue(segmentationNode.GetSegmentation().GetSegment(segmentId).HasTag("QualitySentinel.PredictedDSC"))
        self.assertEqual(segmentsTable.GetNumberOfRows(), 1)
        self.assertEqual(slicesTable.GetNumberOfRows(), 0)
        self.assertGreater(displayNode.GetSegmentOverrideColor(segmentId)[0], 0)
        logic.restoreColors(segmentationNode)
        self.assertLess(displayNode.GetSegmentOverrideColor(segmentId)[0], 0)
        self.delayDisplay("Scores are shown and taken back")

    def test_SegmentationIsScored(self):
        """The bundled model scores every slice. Passed over where packages are missing: testing installs none."""
        missing = [name for name in ("torch", "safetensors") if importlib.util.find_spec(name) is None]
        if missing:
            self.delayDisplay(f"{', '.join(missing)} not installed: scoring is not tested")
            return
        volumeNode, segmentationNode, segmentId = self.createCase()
        caseScore = QualitySentinelLogic().score(volumeNode, segmentationNode, device="cpu")
        self.assertEqual([s.slice_index for s in caseScore[segmentId].slices], list(range(3, 9)))
        self.assertTrue(0 <= caseScore[segmentId].predicted_dsc <= 1)
        self.delayDisplay("Segmentation is scored")
