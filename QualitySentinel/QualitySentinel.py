import importlib.util
import logging
import os
from typing import Annotated

import slicer
import vtk
from slicer import vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import Choice, WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import *
from slicer.util import VTKObservationMixin

from QualitySentinelLib.errors import CancelledError, ModelError

# Other parts of the library are imported where they are used: they bring packages (PyTorch, SciPy) that Slicer does
# not have or that would slow down its start.

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
        slicer.app.connect("startupCompleted()", registerSampleData)
        slicer.app.connect("startupCompleted()", watchLoadedScenes)


def registerSampleData() -> None:
    """Add a public CT and its segmentation to the Sample Data module; called when Slicer has started."""
    from QualitySentinelLib.setup import register_sample_data

    register_sample_data()


def watchLoadedScenes():
    """Show all segments of scenes that were saved while one was shown alone; called when Slicer has started.

    :return: QualitySentinelLib.setup.LoadedScenes; it goes on whether it is held or not
    """
    from QualitySentinelLib.setup import LoadedScenes

    return LoadedScenes(slicer.mrmlScene)


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
    forceCpu - Compute on the CPU, whatever the device says.
    model - "bundled", or the path of an imported model.
    autoRescore - Score slices again after they were edited.
    showOnlySelected - Hide all segments but the selected one.
    showColors - Segments in the color of their predicted DSC.
    showQualityMap - In slice views, voxels in the color of their slice's predicted DSC.
    showQualitySurface - In 3D views, surfaces in these colors.
    showLegend - The color scale in the views.
    showFlagMarks - Slice views say that the slice shown is flagged.
    colorBlindSafe - The other color scale.
    """

    inputVolume: vtkMRMLScalarVolumeNode
    inputSegmentation: vtkMRMLSegmentationNode
    threshold: Annotated[float, WithinRange(0, 1)] = 0.8
    slicesPerSegment: Annotated[int, WithinRange(0, 10000)] = 0
    device: Annotated[str, Choice(["auto", "cpu", "cuda", "mps"])] = "auto"
    forceCpu: bool = False
    model: str = "bundled"
    autoRescore: bool = True
    showOnlySelected: bool = True
    showColors: bool = True
    showQualityMap: bool = False
    showQualitySurface: bool = False
    showLegend: bool = False
    showFlagMarks: bool = True
    colorBlindSafe: bool = False


#
# QualitySentinelWidget
#


class QualitySentinelWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel: inputs and scoring here; results, review, display, export and setup in QualitySentinelLib.panel.

    Uses ScriptedLoadableModuleWidget base class, available at:
    https://github.com/Slicer/Slicer/blob/main/Base/Python/slicer/ScriptedLoadableModule.py
    """

    def __init__(self, parent=None) -> None:
        """Called when the user opens the module the first time and the widget is initialized."""
        # The module's own state first: without a parent, the base class calls setup() from its constructor.
        VTKObservationMixin.__init__(self)  # needed for parameter node observation
        self.logic = None
        self.reviewPanel = None
        self._parameterNode = None
        self._parameterNodeGuiTag = None
        self._shownSegmentation = None
        self._withoutReview = None
        self._keptElsewhere = False
        self._editedBefore = (None, set())
        self._scoring = None
        self._correcting = None
        self._layoutManager = self._moduleSelector = None
        self._leaving = set()
        ScriptedLoadableModuleWidget.__init__(self, parent)

    def setup(self) -> None:
        """Called when the user opens the module the first time and the widget is initialized."""
        ScriptedLoadableModuleWidget.setup(self)
        from QualitySentinelLib.panel.advanced_section import AdvancedSection
        from QualitySentinelLib.panel.export_section import ExportSection
        from QualitySentinelLib.panel.open_review import OpenReviews
        from QualitySentinelLib.panel.rescoring import Rescoring
        from QualitySentinelLib.panel.review_panel import ReviewPanel
        from QualitySentinelLib.panel.scoring_run import ScoringRun
        from QualitySentinelLib.panel.shortcuts import Shortcuts

        # Load widget from .ui file (created by Qt Designer).
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/QualitySentinel.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)

        # Set scene in MRML widgets. In the .ui file the top-level qMRMLWidget's
        # "mrmlSceneChanged(vtkMRMLScene*)" signal is connected to each MRML widget's
        # "setMRMLScene(vtkMRMLScene*)" slot.
        uiWidget.setMRMLScene(slicer.mrmlScene)

        if slicer.util.mainWindow():
            self._layoutManager = slicer.app.layoutManager()
            self._moduleSelector = slicer.util.mainWindow().moduleSelector()
            self._layoutManager.connect("layoutChanged(int)", self.onLayoutChanged)
            self._moduleSelector.connect("moduleSelected(QString)", self.onModuleSelected)

        # Create logic class. Logic implements all computations that should be possible to run
        # in batch mode, without a graphical user interface.
        self.logic = QualitySentinelLogic()

        # One review for each segmentation; the panel is a view of one of them.
        self.reviews = OpenReviews(self.onEdited)
        self.rescoring = Rescoring(self.rescoreSteps, self.onRescored)
        self.reviewPanel = ReviewPanel(self.ui, self.onCorrect)
        self.exportSection = ExportSection(self.ui, self.export)
        self.advancedSection = AdvancedSection(self.ui, self.onModelChosen)
        self._scoring = ScoringRun(self.ui, self.reviews, self.onScored)

        # Connections

        # These connections ensure that we update parameter node when scene is closed
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartImportEvent, self.onSceneStartImport)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndImportEvent, self.onSceneEndImport)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.NodeAboutToBeRemovedEvent, self.onNodeAboutToBeRemoved)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.NodeRemovedEvent, self.onNodeRemoved)

        # Buttons
        self.ui.applyButton.connect("clicked(bool)", self.onApplyButton)
        self.ui.cancelButton.connect("clicked(bool)", self.onCancelButton)
        self.ui.restoreColorsButton.connect("clicked(bool)", self.onRestoreColorsButton)

        # Keys, as the tooltips say; those of buttons that are disabled do nothing
        self._shortcuts = Shortcuts(
            self.parent,
            {
                "Space": self.ui.nextButton.click,
                "Shift+Space": self.ui.previousButton.click,
                "N": self.ui.nextButton.click,
                "Shift+N": self.ui.previousButton.click,
                "A": self.ui.acceptButton.click,
                "Shift+A": self.ui.acceptSegmentButton.click,
                "Z": self.ui.undoButton.click,
                "Y": self.ui.redoButton.click,
                "E": self.ui.correctButton.click,
            },
        )

        # Make sure parameter node is initialized (needed for module reload)
        self.initializeParameterNode()

    def cleanup(self) -> None:
        """Called when the application closes and the module widget is destroyed."""
        if self._scoring:  # otherwise setup() did not get that far, or its widgets may have gone since
            self.reviews.write_all()
            self._endReviews()
            self._shortcuts.remove()
            self._scoring = None
        if self._layoutManager:
            self._layoutManager.disconnect("layoutChanged(int)", self.onLayoutChanged)
            self._moduleSelector.disconnect("moduleSelected(QString)", self.onModuleSelected)
            self._layoutManager = self._moduleSelector = None
        self.setParameterNode(None)
        self.removeObservers()

    def enter(self) -> None:
        """Called each time the user opens this module."""
        self._endCorrecting()
        # Make sure parameter node exists and observed
        self.initializeParameterNode()
        if not self.ui.advancedCollapsibleButton.collapsed:
            self.advancedSection.show_state()

    def exit(self) -> None:
        """Called each time the user opens a different module."""
        # Do not react to parameter node changes (GUI will be updated when the user enters into the module).
        # Scoring goes on: its results belong to the scene. So do reviews.
        self.setParameterNode(None)
        # Other modules have no button that shows hidden segments. The Segment Editor corrects the one that is shown.
        if self.reviewPanel.review and not self._correcting:
            self.reviewPanel.review.display.let_others_see()

    def onSceneStartClose(self, caller, event) -> None:
        """Called just before the scene is closed."""
        # Parameter node will be reset and the reviewed nodes will be gone, do not use them anymore
        self._endReviews()
        self.setParameterNode(None)

    def onSceneEndClose(self, caller, event) -> None:
        """Called just after the scene is closed."""
        # If this module is shown while the scene is closed then recreate a new parameter node immediately
        if self.parent.isEntered:
            self.initializeParameterNode()

    def onSceneStartImport(self, caller, event) -> None:
        """Called just before a scene is loaded, or added to this one."""
        self.setParameterNode(None)  # node selectors are filled anew in the end: their choices are lost until then

    def onSceneEndImport(self, caller, event) -> None:
        """Called just after a scene was loaded, or added to this one."""
        if self.parent.isEntered:
            self.initializeParameterNode()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def onNodeAboutToBeRemoved(self, caller, event, node) -> None:
        """Called before a node goes from the scene: a review needs both of its nodes."""
        self._leaving.add(node.GetID())  # the input selectors choose another one before it has gone
        for review in self.reviews:
            if node in (review.segmentation_node, review.volume_node):
                self.rescoring.forget(review)
                if node == review.volume_node:
                    review.record.write()  # the segmentation stays, and what was accepted in it
                if self._correcting and self._correcting.review is review:
                    self._endCorrecting()
                self.reviews.close(review.segmentation_node.GetID())
                if self.reviewPanel.review is review:
                    self._showReview(None)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def onNodeRemoved(self, caller, event, node) -> None:
        """Called when a node has gone from the scene."""
        self._leaving.discard(node.GetID())

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
            self._shownSegmentation = None  # names may have changed while another module was open
            self._withoutReview = None
            self._onParametersModified()

    def _onParametersModified(self, caller=None, event=None) -> None:
        parameters = self._parameterNode
        if parameters.inputSegmentation != self._shownSegmentation:
            before, self._shownSegmentation = self._shownSegmentation, parameters.inputSegmentation
            self._showMatches()
            if before:  # the CT was that of the other segmentation
                self._chooseVolume()
        self._takeUpReview()
        review = self.reviewPanel.review
        if review:
            review.session.set_threshold(self._threshold(parameters))  # only flags anew: nothing is scored
            self._applyDisplayOptions(review)
        self.rescoring.enabled = parameters.autoRescore and not self._scoring.running
        self._showWarnings()
        self.ui.deviceComboBox.enabled = not parameters.forceCpu
        self.advancedSection.show_model(parameters.model)
        self._checkCanApply()

    def _takeUpReview(self) -> None:
        """Show the review of the selected segmentation: the one that is open, or one that came with the scene."""
        if slicer.mrmlScene.IsImporting():
            return  # not all is there yet; onSceneEndImport follows
        node = self._parameterNode.inputSegmentation
        review = self.reviews.of(node)
        if not node or review:
            self._keptElsewhere = False
        choice = [n and n.GetID() for n in (node, self._parameterNode.inputVolume)]
        if node and review is None and not self._scoring.running and choice != self._withoutReview:
            from QualitySentinelLib.scene.kept_review import kept_review

            session = kept_review(node)
            volumeNode = self._volumeOfReview(node, session) if session else None
            self._withoutReview = None if volumeNode else choice  # do not read it again as a slider moves
            self._keptElsewhere = bool(session) and not volumeNode
            if volumeNode:
                review = self.reviews.open(node, volumeNode, session, self.logic.volumeState(volumeNode))
                review.warnings = [*session.case.warnings, *session.warnings]
                review.record.touch()  # tags and tables may be older than the review
                review.compare()
        if review is not self.reviewPanel.review:
            if review:  # first: what is shown next has its own threshold
                self._parameterNode.threshold = review.session.threshold
            if review is not self.reviewPanel.review:  # otherwise the line above has brought us here again
                self._showReview(review)

    def _volumeOfReview(self, segmentationNode, session):
        """The CT on which a review that came with the scene was made, or None when it is not there any more."""
        from QualitySentinelLib.scene.kept_review import lies_on

        likely = [self._parameterNode.inputVolume, self.logic.volumeOfSegmentation(segmentationNode)]
        volumeNodes = [node for node in likely if node] + self.logic.possibleVolumes()
        volumeNodes = [node for node in volumeNodes if node.GetID() not in self._leaving]
        return next((node for node in volumeNodes if lies_on(session.case, node)), None)

    def _chooseVolume(self) -> None:
        """Select the CT that belongs to the selected segmentation, where that is known."""
        node = self._parameterNode.inputSegmentation
        review = self.reviews.of(node)
        volumeNode = review.volume_node if review else self.logic.sourceVolume(node)
        if volumeNode:
            self._parameterNode.inputVolume = volumeNode

    def _showReview(self, review) -> None:
        if self.reviewPanel.review and self.reviewPanel.review is not review:
            self.reviewPanel.review.display.leave()
        self.reviewPanel.show(review)
        self.exportSection.show(review)
        self._showWarnings()

    def _applyDisplayOptions(self, review) -> None:
        from QualitySentinelLib.panel.scene_display import DEFAULT_SCALE, SAFE_SCALE, DisplayOptions

        parameters = self._parameterNode
        options = DisplayOptions(
            colors=parameters.showColors,
            quality_map=parameters.showQualityMap,
            quality_surface=parameters.showQualitySurface,
            legend=parameters.showLegend,
            flag_marks=parameters.showFlagMarks,
            show_only=parameters.showOnlySelected,
            scale=SAFE_SCALE if parameters.colorBlindSafe else DEFAULT_SCALE,
        )
        if options != review.display.options:
            with slicer.util.tryWithErrorDisplay(_("Failed to show the scores.")):
                review.display.apply(options)
        if options.scale != self.reviewPanel.scale:
            self.reviewPanel.scale = options.scale
            self.reviewPanel.draw()

    def _showMatches(self) -> None:
        from QualitySentinelLib.panel.matches import matches_text

        self.ui.matchedLabel.text, self.ui.matchedLabel.toolTip = matches_text(self._shownSegmentation)
        self.ui.matchedLabel.visible = bool(self.ui.matchedLabel.text)

    def _showWarnings(self) -> None:
        from QualitySentinelLib.panel.warnings_label import outdated_text, show_warnings

        review = self.reviewPanel.review
        warnings = [*self._scoring.warnings, *(review.warnings if review else ())]
        if review and not self._scoring.running and (unscored := self.rescoring.unscored(review)):
            warnings.insert(0, outdated_text(review, unscored))
        if self._keptElsewhere and not review and not self._scoring.running:
            warnings.append(_("A review of this segmentation is kept, but its CT is not here, was moved or changed"))
        show_warnings(self.ui.warningsLabel, warnings)

    def _checkCanApply(self) -> None:
        if self._scoring.running:
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
        if self._scoring.running:
            return
        with slicer.util.tryWithErrorDisplay(_("Failed to start scoring.")):
            parameters = self._parameterNode
            try:
                if not self.logic.setupPythonRequirements(parameters.forceCpu):
                    return  # Slicer must be restarted first
            except CancelledError:  # the user has just said so
                return
            from QualitySentinelLib.setup import memory_warning

            volumeNode, segmentationNode = parameters.inputVolume, parameters.inputSegmentation
            volumeState = self.logic.volumeState(volumeNode)
            review = self.reviews.of(segmentationNode)
            if not review or review.volume_state != volumeState:  # what was said of another CT says nothing of this one
                if not self._mayBeginAnew(segmentationNode, review):
                    return
                if review:
                    review.record.write()  # to be found again when scoring is cancelled
                    self.rescoring.forget(review)
                    self.reviews.close(segmentationNode.GetID())
                review = None
            self._editedBefore = (segmentationNode, set())
            if review:
                review.stop_comparing()
                self._editedBefore = (segmentationNode, self.rescoring.taken(review))  # they are scored now
            else:
                parameters.showColors = True
            warning = memory_warning(volumeNode, self._device(parameters), segmentationNode)
            steps = self.logic.scoreSteps(
                volumeNode,
                segmentationNode,
                threshold=self._threshold(parameters),
                device=self._device(parameters),
                slices=parameters.slicesPerSegment or "all",
                model=parameters.model,
                previous=review.session.case if review else None,  # slices that were not edited keep their scores
                cancelled=lambda: self._scoring.cancelled,
            )
            self._scoring.start(steps, segmentationNode, volumeNode, volumeState, [warning] if warning else [])
            self.rescoring.enabled = False
            self._showReview(review)
            self._checkCanApply()

    @staticmethod
    def _mayBeginAnew(segmentationNode, review) -> bool:
        """Whether the user agrees that what was accepted and corrected in a review on another CT is dropped."""
        from QualitySentinelLib.panel.dropping import dropped_text
        from QualitySentinelLib.scene.kept_review import kept_review

        session = review.session if review else kept_review(segmentationNode)
        text = dropped_text(session) if session else ""
        return not text or slicer.util.confirmOkCancelDisplay(text, _("Quality Sentinel - Another CT"))

    def onCancelButton(self) -> None:
        """Stop scoring; segments that are finished keep their scores."""
        self._scoring.cancel()

    def onScored(self, review, error) -> None:
        """Called when segments have been scored, and when scoring has ended.

        :param review: the OpenReview that has new scores, or None
        :param error: the exception that ended scoring, or None
        """
        parameters = self.logic.getParameterNode()
        if review and parameters.inputSegmentation == review.segmentation_node:
            if self.reviewPanel.review is not review:
                review.session.set_threshold(self._threshold(parameters))  # it may have been changed meanwhile
                self._showReview(review)
            if self._parameterNode:
                self._applyDisplayOptions(review)
        if not self._scoring.running:
            (scored, edited), self._editedBefore = self._editedBefore, (None, set())
            interrupted = self.reviews.of(scored)
            if edited and interrupted and (error or self._scoring.cancelled):  # it may not have got to them
                self.rescoring.edited(interrupted, edited)
            self.rescoring.enabled = parameters.autoRescore
            self._checkCanApply()
            if self._parameterNode:  # another segmentation may have been selected meanwhile
                self._withoutReview = None
                self._takeUpReview()
            for warning in review.warnings if review else ():
                logging.warning(warning)
        self._showWarnings()
        if error:
            with slicer.util.tryWithErrorDisplay(_("Failed to score the segmentation.")):
                raise error

    def onEdited(self, review, segmentIds) -> None:
        """Called when segments were edited, here or in any other module."""
        self.rescoring.edited(review, segmentIds)
        if review.segmentation_node == self._shownSegmentation:
            self._showMatches()
        if review is self.reviewPanel.review:
            self._showWarnings()

    def rescoreSteps(self, review, segmentIds):
        """Steps of scoring edited segments again."""
        parameters = self.logic.getParameterNode()
        return self.logic.rescoreSteps(
            review.volume_node,
            review.segmentation_node,
            review.session,
            segmentIds,
            device=self._device(parameters),
            slices=parameters.slicesPerSegment or "all",
            model=parameters.model,
        )

    def onRescored(self, review) -> None:
        """Called when scoring edits again begins and ends."""
        if review is self.reviewPanel.review:
            self.ui.currentLabel.toolTip = (
                _("Edited slices are being scored again") if self.rescoring.busy(review) else _("The slice looked at")
            )
            self._showWarnings()

    def onLayoutChanged(self, layout) -> None:
        """Called when the views were arranged anew: some may not have been there before."""
        if self.reviewPanel.review:
            self.reviewPanel.review.display.show_in_new_views()

    def onCorrect(self, review) -> None:
        """Open the Segment Editor with the selected segment; the views show its slice already."""
        from QualitySentinelLib.panel.correcting import Correcting, removed_text

        self._endCorrecting()
        text = removed_text(review)
        if text:
            slicer.util.warningDisplay(text, _("Quality Sentinel - Correct"))
            return
        self._correcting = Correcting(review)  # known before the module is left: its segments stay hidden
        self._correcting.begin()

    def onModuleSelected(self, name) -> None:
        """Called when any module was opened: who leaves the Segment Editor for a third one corrects no longer."""
        if self._correcting and name not in ("SegmentEditor", self.moduleName):
            review = self._correcting.review
            self._endCorrecting()
            review.display.let_others_see()

    def _endCorrecting(self) -> None:
        if self._correcting:
            self._correcting.end()
            self._correcting = None

    def onRestoreColorsButton(self) -> None:
        """Show the selected segmentation as it was before the review."""
        parameters = self._parameterNode
        if not parameters or not parameters.inputSegmentation:
            return
        for name in ("showColors", "showQualityMap", "showQualitySurface", "showLegend", "showFlagMarks"):
            parameters.setValue(name, False)
        parameters.showOnlySelected = False
        from QualitySentinelLib.scene import hide_legend, hide_quality_map, hide_quality_surface, show_all

        # Also of a review that is not open, because its scores could not be read
        for takeBack in (hide_quality_map, hide_quality_surface, hide_legend, show_all, self.logic.restoreColors):
            takeBack(parameters.inputSegmentation)

    def onModelChosen(self, source) -> None:
        """Called when the user has chosen another model."""
        if self._parameterNode:
            self._parameterNode.model = source

    def export(self, review, folder) -> None:
        """Write the results of a review into a folder."""
        session = review.session
        self.logic.exportResults(review.volume_node, review.segmentation_node, session.case, folder, session=session)

    @staticmethod
    def _threshold(parameters) -> float:
        return round(parameters.threshold, 6)  # the slider counts in steps and says 0.9500000000000001

    @staticmethod
    def _device(parameters) -> str:
        return "cpu" if parameters.forceCpu else parameters.device

    def _endReviews(self) -> None:
        """The scene, or the panel, is about to go."""
        self._endCorrecting()
        self._scoring.stop()
        self.rescoring.forget()
        self._showReview(None)
        self.reviews.close_all()
        self._shownSegmentation = self._withoutReview = None
        self._keptElsewhere, self._editedBefore = False, (None, set())
        self._checkCanApply()


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
        volumeNodes = QualitySentinelLogic.possibleVolumes()
        return QualitySentinelLogic.sourceVolume(segmentationNode) or (volumeNodes[0] if volumeNodes else None)

    @staticmethod
    def sourceVolume(segmentationNode):
        """The volume that a segmentation was made on, None where that is not known."""
        if segmentationNode is None:
            return None
        role = vtkMRMLSegmentationNode.GetReferenceImageGeometryReferenceRole()
        volumeNode = segmentationNode.GetNodeReference(role)
        return volumeNode if volumeNode and volumeNode.GetClassName() == "vtkMRMLScalarVolumeNode" else None

    @staticmethod
    def possibleVolumes() -> list:
        """The scene's scalar volumes that may be a CT: neither label maps nor our quality maps."""
        from QualitySentinelLib.scene.quality_map import MAP_ROLE

        maps = {node.GetNodeReferenceID(MAP_ROLE) for node in slicer.util.getNodesByClass("vtkMRMLSegmentationNode")}
        return [
            node
            for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
            if node.GetClassName() == "vtkMRMLScalarVolumeNode" and node.GetID() not in maps
        ]

    @staticmethod
    def volumeState(volumeNode) -> tuple:
        """What tells whether a volume is still the same: which node, its voxels' modification time, and its place.

        :raises MismatchError: the volume is under a transform that is not linear
        """
        from QualitySentinelLib.scene import volume_to_world

        image = volumeNode.GetImageData()
        return volumeNode.GetID(), image.GetMTime() if image else 0, volume_to_world(volumeNode).tobytes()

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
        from QualitySentinelLib.scene.scoring import score_steps

        yield from score_steps(
            volumeNode,
            segmentationNode,
            lambda: self.model(model),
            threshold=threshold,
            device=device,
            slices=slices,
            segments=segments,
            previous=previous,
            cancelled=cancelled,
        )

    def rescoreSteps(
        self, volumeNode, segmentationNode, session, segmentIds, device="auto", slices="all", model="bundled"
    ):
        """Score edited segments again, step by step: only slices that have changed are run.

        :param session: the ReviewSession; it is not changed, give its ``update`` the score of the last step
        :param segmentIds: ids of the edited segments
        :return: iterator of Progress, as in :meth:`scoreSteps`
        :raises ModelError: another model is chosen than the one that made the scores
        """
        from QualitySentinelLib.scene.scoring import rescore

        def sameModel():
            loaded = self.model(model)
            if session.case.model.get("sha256") != loaded.sha256:
                raise ModelError(
                    _("Edits are not scored: the scores are of another model than the chosen one; press Apply")
                )
            return loaded

        yield from rescore(volumeNode, segmentationNode, sameModel, session, segmentIds, device=device, slices=slices)

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

    def exportResults(self, volumeNode, segmentationNode, caseScore, outputFolder, session=None) -> None:
        """Write the files that the command line writes: two tables, a report as HTML and JSON, scored.seg.nrrd.

        :param session: the ReviewSession, for columns that say what was accepted and corrected
        :raises InputError: the folder cannot be written; nothing half-written is left behind
        """
        from QualitySentinelLib.report import write_results
        from QualitySentinelLib.scene import ct_from_node, segmentation_from_node, source_of

        ct = ct_from_node(volumeNode)
        segmentation = segmentation_from_node(segmentationNode, volumeNode)
        inputs = {"ct": source_of(volumeNode), "seg": source_of(segmentationNode)}
        write_results(outputFolder, caseScore, ct, segmentation, inputs, session=session)


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
        self.test_ReviewIsKeptInTheScene()
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

    def test_ReviewIsKeptInTheScene(self):
        """A reader goes to a flagged slice in the panel and accepts it; that is kept with the segmentation."""
        from QualitySentinelLib.review import ReviewSession
        from QualitySentinelLib.scene.kept_review import kept_review
        from QualitySentinelLib.scores import CaseScore, SegmentScore, SliceScore, Status

        volumeNode, segmentationNode, segmentId = self.createCase()
        slices = [SliceScore(segmentId, k, k, 5.0 * k, 0.6 + 0.05 * k, 0.5, 900.0, str(k)) for k in range(3, 9)]
        score = SegmentScore(segmentId, "liver", "liver", Status.SCORED, 6, 0.8, slices=slices)
        widget = QualitySentinelWidget()
        try:
            session = ReviewSession(CaseScore([score], threshold=0.8))
            review = widget.reviews.open(segmentationNode, volumeNode, session, None)
            widget._onParametersModified()
            self.assertEqual(widget.ui.resultsTable.rowCount, 1)
            widget.ui.nextButton.click()
            self.assertEqual(session.current, (segmentId, 3))
            widget.ui.acceptButton.click()
            self.assertEqual(widget.ui.acceptButton.text, _("Accepted"))
            review.record.write()
            self.assertTrue(kept_review(segmentationNode).is_accepted(segmentId, 3))
        finally:
            widget.cleanup()
            # As slicer.util.reloadScriptedModule does: otherwise it is cleaned up again when Slicer ends.
            slicer.app.moduleManager().disconnect("moduleAboutToBeUnloaded(QString)", widget._onModuleAboutToBeUnloaded)
            widget.parent.deleteLater()
        self.delayDisplay("Review is kept in the scene")

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
