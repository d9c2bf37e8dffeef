import os
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import slicer
import vtk
from slicer import vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import Choice, WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import *
from slicer.util import VTKObservationMixin

from QualitySentinelLib.colors import DEFAULT_SCALE, SCALES
from QualitySentinelLib.errors import CancelledError, ModelError
from QualitySentinelLib.options import DEFAULT_THRESHOLD, ScoringOptions

if TYPE_CHECKING:
    from QualitySentinelLib.checkpoint import QualityModel
    from QualitySentinelLib.panel.panel import Panel

# Other parts of the library are imported where they are used: they bring packages (PyTorch, SciPy) that Slicer does
# not have or that would slow down its start.


class QualitySentinel(ScriptedLoadableModule):
    """Predicts how good a CT segmentation is, slice by slice, without a ground truth."""

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
        slicer.app.connect("startupCompleted()", onStartupCompleted)


def onStartupCompleted() -> None:
    """Add a CT and its segmentation to the Sample Data module, and show all segments of scenes that are loaded."""
    from QualitySentinelLib.setup import LoadedScenes, register_sample_data

    register_sample_data()
    LoadedScenes(slicer.mrmlScene)  # it goes on whether it is held or not


@parameterNodeWrapper
class QualitySentinelParameterNode:
    """The parameters needed by module."""

    inputVolume: vtkMRMLScalarVolumeNode  # the CT that was segmented
    inputSegmentation: vtkMRMLSegmentationNode  # the segmentation to check
    threshold: Annotated[float, WithinRange(0, 1)] = DEFAULT_THRESHOLD  # slices predicted below it are flagged
    ownThresholds: bool = False  # structures that have their own threshold are flagged below that
    slicesPerSegment: Annotated[int, WithinRange(0, 10000)] = 0  # to score, spread over its extent; 0 scores all
    device: Annotated[str, Choice(["auto", "cpu", "cuda", "mps"])] = "auto"  # where to compute
    forceCpu: bool = False  # compute on the CPU, whatever the device says
    model: str = "bundled"  # or the path of an imported model
    autoRescore: bool = True  # score slices again after they were edited
    showOnlySelected: bool = True  # hide all segments but the selected one
    fitWindow: bool = True  # the CT in the window of the selected segment's structure
    zoomToSelected: bool = True  # slice views zoomed to the selected segment
    showColors: bool = True  # segments in the color of their predicted DSC
    showQualityMap: bool = False  # in slice views, voxels in the color of their slice's predicted DSC
    showQualitySurface: bool = False  # in 3D views, surfaces in these colors
    showLegend: bool = False  # the color scale in the views
    showFlagMarks: bool = True  # slice views say that the slice shown is flagged
    colorScale: Annotated[str, Choice(list(SCALES))] = DEFAULT_SCALE  # of all that shows a predicted DSC


class QualitySentinelWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """Passes on to QualitySentinelLib.panel what Slicer tells its module widgets."""

    def __init__(self, parent=None) -> None:
        # The module's own state first: without a parent, the base class calls setup() from its constructor.
        VTKObservationMixin.__init__(self)  # needed for parameter node observation
        self.logic: QualitySentinelLogic | None = None
        self.panel: Panel | None = None
        self._parameterNode: Any = None
        self._parameterNodeGuiTag = None
        self._layoutManager: slicer.qSlicerLayoutManager | None = None
        self._moduleSelector: slicer.qSlicerModuleSelectorToolBar | None = None
        ScriptedLoadableModuleWidget.__init__(self, parent)

    def setup(self) -> None:
        ScriptedLoadableModuleWidget.setup(self)
        from QualitySentinelLib.panel.panel import Panel

        uiWidget = slicer.util.loadUI(self.resourcePath("UI/QualitySentinel.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)  # the .ui file passes it on to all MRML widgets
        self.logic = QualitySentinelLogic()
        self.panel = Panel(self.ui, self.parent, self.logic)  # type: ignore[arg-type]  # a SimpleNamespace has any name
        self.reviews = self.panel.reviews  # QualitySentinelLib.panel.open_review.OpenReviews
        if slicer.util.mainWindow():
            self._layoutManager = slicer.app.layoutManager()
            self._moduleSelector = slicer.util.mainWindow().moduleSelector()
            self._layoutManager.connect("layoutChanged(int)", self.panel.show_in_new_views)
            self._moduleSelector.connect("moduleSelected(QString)", self.panel.module_selected)
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(scene, scene.EndCloseEvent, self.onSceneChanged)
        self.addObserver(scene, scene.StartImportEvent, self.onSceneStartImport)
        self.addObserver(scene, scene.EndImportEvent, self.onSceneChanged)
        self.addObserver(scene, scene.NodeAddedEvent, self.panel.node_added)
        self.addObserver(scene, scene.NodeAboutToBeRemovedEvent, self.panel.node_going)
        self.addObserver(scene, scene.NodeRemovedEvent, self.panel.node_gone)
        self.initializeParameterNode()

    def cleanup(self) -> None:
        if self._layoutManager:
            self._layoutManager.disconnect("layoutChanged(int)", self.panel.show_in_new_views)
            self._moduleSelector.disconnect("moduleSelected(QString)", self.panel.module_selected)
            self._layoutManager = self._moduleSelector = None
        if self.panel:  # otherwise setup() did not get that far, or its widgets may have gone since
            self.panel.remove()
        self.setParameterNode(None)
        self.panel = None
        self.removeObservers()

    def enter(self) -> None:
        self.panel.enter()
        self.initializeParameterNode()

    def exit(self) -> None:
        self.setParameterNode(None)
        self.panel.leave()

    def onSceneStartClose(self, caller, event) -> None:
        self.panel.end_reviews()
        self.setParameterNode(None)

    def onSceneStartImport(self, caller, event) -> None:
        """Called just before a scene is loaded, or added to this one."""
        self.setParameterNode(None)  # node selectors are filled anew in the end: their choices are lost until then

    def onSceneChanged(self, caller, event) -> None:
        """Called just after the scene was closed, loaded, or added to."""
        if self.parent.isEntered:
            self.initializeParameterNode()

    def initializeParameterNode(self) -> None:
        self.setParameterNode(self.logic.getParameterNode())

    def setParameterNode(self, inputParameterNode: QualitySentinelParameterNode | None) -> None:
        """Set and observe parameter node: when it is changed, the GUI must be updated immediately."""
        if self._parameterNode:
            self._parameterNode.disconnectGui(self._parameterNodeGuiTag)
            self._parameterNodeGuiTag = None
            self.removeObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self.panel.update)
        self._parameterNode = inputParameterNode
        if self._parameterNode:
            # by the property "SlicerParameterName" of elements of the .ui file
            self._parameterNodeGuiTag = self._parameterNode.connectGui(self.ui)
            self.addObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self.panel.update)
        if self.panel:
            self.panel.show_parameters(self._parameterNode)


class QualitySentinelLogic(ScriptedLoadableModuleLogic):
    """Scores segmentations of the scene. Needs no main window and no widget.
    Example::

        logic = QualitySentinelLogic()
        caseScore = logic.score(getNode("CT"), getNode("Segmentation"))
        logic.applyScores(getNode("Segmentation"), caseScore)
        print(caseScore.worst_first()[0].name)
    """

    def __init__(self) -> None:
        ScriptedLoadableModuleLogic.__init__(self)
        self._model: QualityModel | None = None
        self._modelSource: tuple | None = None

    def getParameterNode(self):
        wrapper: Any = QualitySentinelParameterNode  # its decorator makes another class of it
        parameters = wrapper(super().getParameterNode())
        if parameters.parameterNode.GetParameter("colorBlindSafe") == "True":  # a scene of before 0.2
            parameters.parameterNode.UnsetParameter("colorBlindSafe")
            parameters.colorScale = "color-blind-safe"
        return parameters

    @staticmethod
    def setupPythonRequirements(forceCpu=False) -> bool:
        """Install what is missing, after asking the user: PyTorch by its extension, other packages by Slicer.

        Must be called on the main thread.

        :param forceCpu: take the PyTorch for the CPU, when one is installed
        :return: whether scoring can start now; else Slicer must be restarted first, and the user knows
        :raises ModelError: something is missing and could not be installed
        :raises CancelledError: the user declined
        """
        from QualitySentinelLib.setup import ensure_packages

        return ensure_packages(force_cpu=forceCpu)

    def model(self, source="bundled", embeddings=None):
        """The model at a path or the bundled one; the last one used stays in memory.

        :param source: "bundled", a path, or a QualityModel, which is returned as it is
        :param embeddings: label_embedding.pkl of a published checkpoint, where it is not beside it
        """
        if not isinstance(source, (str, os.PathLike)):
            return source
        if self._model is None or self._modelSource != (source, embeddings):
            from QualitySentinelLib.checkpoint import load_model

            self._model = load_model(source, embeddings)
            self._modelSource = source, embeddings
        return self._model

    def scoreSteps(
        self, volumeNode, segmentationNode, options=None, previous=None, cancelled=lambda: False, drawings=None,
        **changes,
    ):  # fmt: skip
        """Score a segmentation step by step: a generator to be driven from the event loop.

        Nothing in the scene is changed; call :meth:`applyScores` with the score of the last step. Parameters, progress
        and errors are those of QualitySentinelLib.scene.scoring.score_steps; the model is a field of the options.

        :param changes: fields of QualitySentinelLib.options.ScoringOptions, such as threshold, device, slices and model
        """
        from QualitySentinelLib.scene.scoring import score_steps

        how = replace(options or ScoringOptions(), **changes)
        yield from score_steps(
            volumeNode, segmentationNode, lambda: self.model(how.model, how.embeddings), how,
            previous=previous, cancelled=cancelled, drawings=drawings,
        )  # fmt: skip

    def rescoreSteps(self, volumeNode, segmentationNode, session, segmentIds, options=None, drawings=None):
        """Score edited segments again, step by step: only slices that have changed are run.

        :param session: the ReviewSession; it is not changed, give its ``update`` the score of the last step
        :raises ModelError: another model is chosen than the one that made the scores
        """
        from QualitySentinelLib.scene.scoring import rescore

        how = options or ScoringOptions()

        def sameModel():
            loaded = self.model(how.model, how.embeddings)
            if session.case.model.get("sha256") != loaded.sha256:
                raise ModelError(
                    _("Edits are not scored because another model is selected than the one used so far; press Apply")
                )
            return loaded

        yield from rescore(volumeNode, segmentationNode, sameModel, session, segmentIds, how, drawings=drawings)

    def score(self, volumeNode, segmentationNode, **options):
        """Score a segmentation to the end; parameters as in :meth:`scoreSteps`.

        :return: QualitySentinelLib.scores.CaseScore
        :raises CancelledError: the cancelled option said so
        """
        for progress in self.scoreSteps(volumeNode, segmentationNode, **options):
            if progress.cancelled:
                raise CancelledError(_("Scoring was canceled"))
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

    def exportResults(self, volumeNode, segmentationNode, caseScore, outputFolder, session=None, drawings=None) -> None:
        """Write the files that the command line writes: two tables, a report as HTML and JSON, scored.seg.nrrd.

        :param session: the ReviewSession, for columns that say what was accepted and corrected
        :param drawings: those that scoring filled: the report shows expected contours, and errors are written, too
        :raises InputError: the folder cannot be written; nothing half-written is left behind
        """
        from QualitySentinelLib.report import write_results
        from QualitySentinelLib.scene import ct_from_node, segmentation_from_node, source_of

        ct, segmentation = ct_from_node(volumeNode), segmentation_from_node(segmentationNode, volumeNode)
        inputs = {"ct": source_of(volumeNode), "seg": source_of(segmentationNode)}
        write_results(
            outputFolder, caseScore, ct, segmentation, inputs, session=session, drawings=drawings,
            error_maps=bool(drawings),
        )  # fmt: skip


class QualitySentinelTest(ScriptedLoadableModuleTest):
    """Tests that run inside Slicer: QualitySentinelLib.setup.self_test. What needs no Slicer is in Testing/Python."""

    def setUp(self):
        slicer.mrmlScene.Clear()

    def runTest(self):
        from QualitySentinelLib.setup.self_test import TESTS

        for test in TESTS:
            self.setUp()
            test(self, QualitySentinelLogic, QualitySentinelWidget)
            self.delayDisplay(f"{test.__name__}: passed")
